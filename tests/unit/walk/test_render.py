# SPDX-License-Identifier: Apache-2.0
"""walk/: the scenes' rows, as tree, TSV and JSON, side by side, and the walk of any program."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from linnet.walk import kernel, render
from linnet.walk.program import walk_program
from linnet.walk.recorder import Row
from linnet.walk.scenes import SCENES, walk

ROWS = [
    Row(0, 'bsd socket', 'call', 'sys_connect', 'net/socket.c', 'client', {'addr': '10.0.0.2:7000'}),
    Row(1, 'inet sock', 'call', 'inet_stream_connect', 'net/ipv4/af_inet.c', 'client', {}),
    Row(2, 'transport', 'state', 'TCP_SYN_SENT', 'net/ipv4/tcp_ipv4.c', 'client', {}),
    Row(2, 'ip', 'call', 'ip_rcv', 'net/ipv4/ip_input.c', 'server', {'len': '60'}),
]


def test_tsv_and_json() -> None:
    lines = render.tsv('connect', ROWS).splitlines()
    assert lines[0] == 'connect\tbsd socket\tcall\tsys_connect\tnet/socket.c'
    assert len(lines) == 4
    rows = json.loads(render.as_json('connect', ROWS))
    assert rows[3] == {
        'call': 'connect',
        'layer': 'ip',
        'kind': 'call',
        'name': 'ip_rcv',
        'file': 'net/ipv4/ip_input.c',
        'depth': 2,
        'host': 'server',
        'values': {'len': '60'},
    }


def test_the_tree() -> None:
    console = Console(width=120, record=True, file=open('/dev/null', 'w'))  # noqa: SIM115
    render.print_tree(console, 'connect', ROWS)
    text = console.export_text()
    assert 'connect(): 3 functions entered' in text
    assert 'sys_connect  addr=10.0.0.2:7000  net/socket.c' in text
    assert text.index('inet_stream_connect') < text.index('TCP_SYN_SENT') < text.index('ip_rcv')
    render.print_tree(console, 'connect', ROWS, 1)
    assert 'ip_rcv' not in console.export_text().split('functions entered')[-1]


def test_in_short() -> None:
    assert [row.name for row in render.short(ROWS, {'ip_rcv'})] == ['sys_connect', 'inet_stream_connect', 'ip_rcv']


def test_side_by_side() -> None:
    lines = render.side_by_side('left', ['a', 'b' * 99], 'right', ['c'], 43)
    assert lines == ['left                 │ right', '─' * 20 + '─┼─' + '─' * 20, f'{"a":20} │ c', 'b' * 20 + ' │ ']


@pytest.mark.pure
@pytest.mark.parametrize(
    ('call', 'first', 'held'),
    [
        ('socket', 'sys_socket', 'tcp_v4_init_sock'),
        ('connect', 'sys_connect', 'tcp_v4_rcv'),
        ('bind', 'sys_bind', 'inet_csk_get_port'),
        ('listen', 'sys_listen', 'inet_csk_listen_start'),
        ('accept', 'sys_accept4', 'inet_csk_accept'),
        ('send', 'sys_sendto', 'tcp_sendmsg'),
        ('recv', 'sys_recvfrom', 'tcp_recvmsg'),
        ('shutdown', 'sys_shutdown', 'tcp_send_fin'),
        ('close', 'sys_close', 'tcp_close'),
        ('ping', 'sys_sendto', 'icmp_echo'),
        ('udp-sendto-fragmented', 'sys_sendto', 'ip_fragment'),
    ],
)
def test_every_scene(call: str, first: str, held: str) -> None:
    rows = walk(call).rows
    assert rows[0].name == first
    assert rows[0].file == 'net/socket.c'
    assert held in {row.name for row in rows}
    assert {row.kind for row in rows} <= {'call', 'indirect', 'state'}


@pytest.mark.pure
def test_connect_goes_up_on_the_other_host_and_shows_values() -> None:
    rows = walk('connect').rows
    assert {'client', 'server'} <= {row.host for row in rows}
    entered = next(row for row in rows if row.name == 'tcp_connect')
    assert entered.values['state'] == 'SYN_SENT'
    assert entered.file == 'net/ipv4/tcp_output.c'
    assert walk('connect').rows[5].name == rows[5].name
    with pytest.raises(KeyError, match='no walk of'):
        walk('fly')
    assert len(SCENES) == 11


@pytest.mark.pure
def test_any_program(capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        row.name
        for row in walk_program(
            ['python', '-c', 'import urllib.request; print(urllib.request.urlopen("http://server/").read())']
        ).rows
    ]
    assert 'hello from the lab' in capsys.readouterr().out
    for name in ('sys_socket', 'sys_connect', 'sys_sendto', 'sys_close'):
        assert name in names


def test_a_kernel_s_trace_is_parsed() -> None:
    text = (
        '# tracer: nop\n'
        '           <...>-1234    [001] ..... 10.000001: sock_skb: x\n'
        '           <...>-1234    [001] ..... 10.000002: net_dev_queue: dev=v0\n'
        '           <...>-1234    [001] ..... 10.000003: <stack trace>\n'
        ' => trace_event_raw_event_net_dev_template\n => __dev_queue_xmit.part.0\n => ip_output+0x1\n => __sys_connect\n'
        ' => do_syscall_64\n => entry_SYSCALL_64_after_hwframe\n'
    )
    chains = kernel.parse(text)
    assert [(c.event, c.functions) for c in chains] == [('net_dev_queue', ['__sys_connect', 'ip_output', '__dev_queue_xmit'])]
