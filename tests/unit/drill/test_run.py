# SPDX-License-Identifier: Apache-2.0
"""Running scripts: emulated commands, options, tolerances, outcomes, the command line."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from linnet.cli import main
from linnet.drill.commands import split_commands
from linnet.drill.suite import Outcome, find_scripts, run_one

SOCKET = '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n'
OPEN = SOCKET + '''+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 9000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+0 < . 1:1(0) ack 1 win 9000
+0 accept(3, ..., ...) = 4
'''


def drill(tmp_path: Path, text: str, name: str = 'x.pkt') -> Outcome:
    path = tmp_path / name
    path.write_text(text)
    return run_one(path, 'ipv4')


@pytest.mark.parametrize(('text', 'words'), [
    ('a b; c', [['a', 'b'], ['c']]),
    ('a \\\n b\n# c\nd # e', [['a', 'b'], ['d']]),
    ('a="1 2 3" > /dev/null 2>&1', [['a=1 2 3']]),
    ('x &> /dev/null', [['x']]),
    ('n=$((15*1024*1024))', [['n=15728640']]),
    ('grep " 0A " f | grep x', [['grep', ' 0A ', 'f', '|', 'grep', 'x']]),
])
def test_commands_are_split(text: str, words: list[list[str]]) -> None:
    assert split_commands(text) == words


@pytest.mark.parametrize('command', [
    'sysctl -q net.ipv4.tcp_fin_timeout=30 net/ipv4/tcp_sack=0', 'set_sysctls.py /proc/sys/net/ipv4/tcp_rmem="4096 5000 6000"',
    'tc qdisc replace dev tun0 root pfifo limit 0',
    'tc qdisc add dev tun0 root pfifo', 'tc qdisc delete dev tun0 root 2>/dev/null',
    'ethtool -K tun0 tso off gso off', 'ip tcp_metrics flush all',
    'ip route change 192.0.2.1 via 192.168.0.2 dev tun0 mtu lock 640',
    'echo 5 > /proc/sys/net/ipv4/tcp_retries2', '/tmp/sysctl_restore_${PPID}.sh',
])
def test_known_commands(command: str, tmp_path: Path) -> None:
    outcome = drill(tmp_path, f'`{command}`\n{SOCKET}')
    assert outcome.status == 'passed', outcome.text


@pytest.mark.parametrize('command', [
    'reboot', 'sysctl -q net.ipv4.no_such=1', 'sysctl -x net.ipv4.tcp_sack=1', 'tc qdisc add dev eth0 root pfifo',
    'ethtool -i tun0',
    'tc qdisc add dev tun0 root nosuch', 'ip link set tun0 down', 'ip route change 192.0.2.1 dev tun0 hoplimit 3',
    'cat /etc/passwd',
    'echo 1 > /tmp/x', 'nstat | grep TcpExtNoSuch', 'grep -q a /proc/net/tcp', 'sysctl net.ipv4.tcp_sack=many',
])
def test_unknown_commands_fail(command: str, tmp_path: Path) -> None:
    outcome = drill(tmp_path, f'{SOCKET}+0 `{command}`\n')
    assert outcome.status == 'failed'
    assert outcome.text.startswith(f'{tmp_path / "x.pkt"}:2: ')


def test_shell_scripts_are_emulated(tmp_path: Path) -> None:
    (tmp_path / 'd.sh').write_text('#!/bin/bash\nsysctl -q net.ipv4.tcp_retries2=7  # why\nsysctl -q net.ipv4.no_such=1\n')
    text = f'`./d.sh`\n{SOCKET}+0 `cat /proc/sys/net/ipv4/tcp_retries2 | grep ^7$`\n'
    assert drill(tmp_path, text).status == 'passed'
    (tmp_path / 'd.sh').write_text('reboot\n')
    assert 'reboot' in drill(tmp_path, text).text


def test_sysctls_are_restored(tmp_path: Path) -> None:
    text = (f'`set_sysctls.py /proc/sys/net/ipv4/tcp_retries2=7`\n{SOCKET}+0 `/tmp/sysctl_restore_1.sh`\n'
            '+0 `cat /proc/sys/net/ipv4/tcp_retries2 | grep ^15$`\n')
    assert drill(tmp_path, text).text == ''


def test_counters(tmp_path: Path) -> None:
    assert drill(tmp_path, f'{OPEN}+0 `nstat | grep TcpPassiveOpens`\n').status == 'passed'
    assert drill(tmp_path, f'{OPEN}+0 `nstat > /dev/null`\n+0 `nstat | grep TcpPassiveOpens`\n').status == 'failed'
    assert drill(tmp_path, f'{OPEN}+0 `grep " 0A " /proc/net/tcp /proc/net/tcp6 | grep ":1F90"`\n').status == 'passed'


def test_a_qdisc_without_room_drops(tmp_path: Path) -> None:
    text = f'{OPEN}+0 `tc qdisc replace dev tun0 root pfifo limit 0`\n+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n'
    assert 'Timed out' in drill(tmp_path, text).text


@pytest.mark.parametrize(('option', 'passes'), [('=30000', True), ('=10000', False)])
def test_tolerance(option: str, passes: bool, tmp_path: Path) -> None:
    text = f'--tolerance_usecs{option}\n{OPEN}+0 write(4, ..., 10) = 10\n+.02 > P. 1:11(10) ack 1\n'
    assert (drill(tmp_path, text).status == 'passed') is passes


def test_strict_segments(tmp_path: Path) -> None:
    text = f'{OPEN}+0 write(4, ..., 2000) = 2000\n+0 > P. 1:2001(2000) ack 1\n'
    assert drill(tmp_path, text).status == 'passed'
    assert 'expected 2000 bytes' in drill(tmp_path, '--strict_segments\n' + text).text


def test_blocking_calls(tmp_path: Path) -> None:
    text = '{}+0...{} read(4, ..., 10) = 10\n+.2 < P. 1:11(10) ack 1 win 9000\n'
    assert drill(tmp_path, text.format(OPEN, '0.2')).status == 'passed'
    assert 'system call return' in drill(tmp_path, text.format(OPEN, '0.4')).text
    assert 'has not returned' in drill(tmp_path, f'{OPEN}+0...0.1 read(4, ..., 10) = 10\n').text
    assert 'blocks for ever' in drill(tmp_path, f'{OPEN}+0 read(4, ..., 10) = 10\n').text


@pytest.mark.parametrize('code', ['assert tcpi_state == 2', 'no_such_name', 'x ='])
def test_code_that_fails(code: str, tmp_path: Path) -> None:
    outcome = drill(tmp_path, f'{OPEN}+0 %{{ {code} }}%\n')
    assert outcome.text.startswith(f'{tmp_path / "x.pkt"}:8: ')


def test_code_shares_its_names(tmp_path: Path) -> None:
    blocks = '+0 %{ before = tcpi_segs_in }%\n+0 %{\nassert tcpi_segs_in == before,\\\n  1;\\\n}%\n'
    assert drill(tmp_path, OPEN + blocks).text == ''


def test_first_event_is_at_zero(tmp_path: Path) -> None:
    assert 'first event' in drill(tmp_path, '1 ' + SOCKET[2:]).text


def test_scripts_for_ipv6_are_skipped(tmp_path: Path) -> None:
    assert drill(tmp_path, SOCKET, 'a-v6.pkt').status == 'skipped'


def test_command_line(tmp_path: Path) -> None:
    for name, text in (('a.pkt', OPEN), ('b.pkt', OPEN + '+0 > . 1:1(0) ack 9\n'), ('c-v6.pkt', SOCKET), ('d.txt', 'no script')):
        (tmp_path / name).write_text(text)
    assert [path.name for path in find_scripts([tmp_path, tmp_path / 'a.pkt'])] == ['a.pkt', 'b.pkt', 'c-v6.pkt']
    result = CliRunner().invoke(main, ['drill', str(tmp_path), '--jobs', '1', '--pcap', str(tmp_path / 'caps')])
    assert result.exit_code == 1
    assert result.output.endswith('1 passed, 1 failed, 1 skipped\n')
    assert 'script packet:' in result.output
    [capture] = (tmp_path / 'caps').iterdir()
    assert capture.read_bytes()[:4] == b'\x0a\x0d\x0d\x0a'
    good = CliRunner().invoke(main, ['drill', str(tmp_path / 'a.pkt'), '-v', '--json'])
    assert good.exit_code == 0
    assert json.loads(good.output.splitlines()[0])['status'] == 'passed'
    assert CliRunner().invoke(main, ['drill', str(tmp_path / 'none')]).exit_code == 2


def test_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / 'a.pkt').write_text(OPEN)
    assert run_one(tmp_path / 'a.pkt', 'ipv4', True).text == run_one(tmp_path / 'a.pkt', 'ipv4', True).text != ''


@pytest.mark.pure
def test_a_failure_with_its_walk(tmp_path: Path) -> None:
    script = tmp_path / 'x.pkt'
    script.write_text(OPEN + '+0 write(4, ..., 100) = 100\n+0 > P. 1:102(101) ack 1\n')
    text = run_one(script, 'ipv4', walk=True).text
    assert 'sys_write' in text and 'tcp_sendmsg' in text and 'tcp_transmit_skb' in text
    assert 'sys_listen' not in text, 'what came before the last packet that was right is left out'
    result = CliRunner().invoke(main, ['drill', str(script)])
    assert f'to see why: linnet drill --walk --pcap . {script}' in result.output
    assert 'tcp_sendmsg' not in result.output
