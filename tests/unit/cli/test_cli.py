# SPDX-License-Identifier: Apache-2.0
"""The command line, through click's runner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import linnet
from linnet._pure import build
from linnet.cli import main


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def test_version_and_help() -> None:
    assert run('--version').output == f'linnet {linnet.__version__} ({build()})\n'
    text = run('--help').output
    assert all(name in text for name in ('demo', 'exec', 'walk'))
    for name in ('demo', 'exec', 'walk'):
        assert run(name, '--help').exit_code == 0
    assert run('fly').exit_code == 2


def test_demo(tmp_path: Path) -> None:
    pcap = tmp_path / 'demo.pcapng'
    args = ('demo', '--size', '2000000', '--no-walk', '--pcap', str(pcap))
    result = run(*args)
    assert result.exit_code == 0, result.output
    for part in ('client ── router ── server', '2,000,000 bytes in', 'ESTAB', 'cwnd:', 'throughput', 'Mbit/s', str(pcap)):
        assert part in result.output
    first = pcap.read_bytes()
    assert first[:4] == b'\x0a\x0d\x0d\x0a'
    assert run(*args).exit_code == 0
    assert pcap.read_bytes() == first


def test_demo_refuses_nonsense() -> None:
    result = run('demo', '--size', 'big')
    assert result.exit_code == 2
    result = run('demo', '--rate', 'fast', '--no-walk', '--pcap', '/dev/null')
    assert result.exit_code == 2
    assert "rate 'fast' is not a number with a unit" in result.output


@pytest.mark.pure
def test_walk_prints_tree_tsv_and_json() -> None:
    tree = run('walk', 'socket')
    assert tree.exit_code == 0
    assert 'socket(): ' in tree.output
    assert 'sys_socket' in tree.output
    lines = run('walk', 'socket', '--tsv').output.splitlines()
    assert lines[0].split('\t') == ['socket', 'bsd socket', 'call', 'sys_socket', 'net/socket.c']
    assert all(line.count('\t') == 4 for line in lines)
    rows = json.loads(run('walk', 'connect', '--json').output)
    assert rows[0]['name'] == 'sys_connect'
    assert len(run('walk', 'connect', '--depth', '2').output) < len(run('walk', 'connect').output) / 2


@pytest.mark.pure
def test_walk_against(tmp_path: Path) -> None:
    table = Path(__file__).parents[2] / 'callpath' / 'linux-3.19-socket-connect.tsv'
    for call in ('socket', 'connect'):
        assert run('walk', call, '--against', str(table)).exit_code == 0
    wrong = tmp_path / 'wrong.tsv'
    wrong.write_text(table.read_text() + 'socket\tbsd socket\tcall\tsock_invent\tnet/socket.c\talways\n')
    result = run('walk', 'socket', '--against', str(wrong))
    assert result.exit_code == 1
    assert 'sock_invent' in result.output


@pytest.mark.pure
def test_walk_of_what_there_is_not() -> None:
    result = run('walk', 'fly')
    assert result.exit_code != 0
    assert 'fly' in result.output
    assert 'Traceback' not in result.output


def test_exec_s_argument_errors() -> None:
    assert run('exec').exit_code == 2
    for args, said in (((('--mtu', '10')), '--mtu'), (('--tun', 'a', '--tap', 'b'), 'either')):
        result = run('exec', *args, '--', 'python', '-m', 'http.server')
        assert result.exit_code != 0
        assert said in result.output


@pytest.mark.interop
@pytest.mark.pure
def test_walk_on_this_machine_s_kernel() -> None:
    from linnet.walk import kernel

    try:
        chains = kernel.record('connect')
    except (OSError, RuntimeError) as exc:
        pytest.skip(f'this machine cannot be recorded: {exc}')
    assert any('tcp_v4_connect' in chain.functions for chain in chains)
    result = run('walk', 'connect', '--kernel')
    assert result.exit_code == 0, result.output
    assert 'tcp_v4_connect' in result.output
