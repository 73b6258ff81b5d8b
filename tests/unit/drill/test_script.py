# SPDX-License-Identifier: Apache-2.0
"""packetdrill's language: what scripts may say, and that what they may not say names file and line."""
from __future__ import annotations

from pathlib import Path

import pytest

from linnet.drill.script import ELLIPSIS, Code, Command, DrillError, Name, Struct, Syscall, TcpSpec, Text, parse_script

PATH = Path('x.pkt')


def parse(text: str, **defines: str) -> list[object]:
    """The actions of a script's events."""
    return [event.action for event in parse_script(PATH, text, defines).events]


def test_times() -> None:
    script = parse_script(PATH, '0 close(3) = 0\n+.5 close(3) = 0\n* close(3) = 0\n1~2 close(3) = 0\n+.1~+.25 close(3) = 0', {})
    assert [(e.when.kind, e.when.start, e.when.end, e.line) for e in script.events] == [
        ('absolute', 0, 0, 1), ('relative', 500_000, 0, 2), ('any', 0, 0, 3), ('absolute range', 1_000_000, 2_000_000, 4),
        ('relative range', 100_000, 250_000, 5),
    ]


def test_segment() -> None:
    [spec] = parse('0 > [ect0] SEW 10:20(10) ack 5 win 7 urg 3 <mss 1460,sackOK,TS val 1 ecr 2,nop,wscale 8>')
    assert isinstance(spec, TcpSpec)
    assert (spec.inbound, spec.seq, spec.length, spec.ack, spec.win, spec.urg, spec.ecn) == (False, 10, 10, 5, 7, 3, 'ect0')
    assert spec.flags == 0x2 | 0x40 | 0x80
    assert spec.options == [(2, b'\x05\xb4'), (4, b''), (8, b'\0\0\0\1\0\0\0\2'), (1, b''), (3, b'\x08')]


def test_options_open_and_none() -> None:
    a, b = parse('0 > . 1:1(0) ack 1 <...>\n+0 > . 1:1(0) ack 1')
    assert isinstance(a, TcpSpec)
    assert isinstance(b, TcpSpec)
    assert (a.options, b.options, b.win) == (None, [], None)


def test_sack_and_cookies() -> None:
    [spec] = parse('0 < . 1:1(0) ack 1 win 9 <nop,nop,sack 1:2 3:4,FO COOKIE>', COOKIE='0123456789ab')
    assert isinstance(spec, TcpSpec)
    assert spec.options is not None
    assert spec.options[2] == (5, bytes.fromhex('00000001000000020000000300000004'))
    assert spec.options[3] == (34, bytes.fromhex('0123456789ab'))


def test_calls() -> None:
    call, poll = parse('0...0.5 setsockopt(3, SOL_TCP, A|B, [1], 4) = -1 EINVAL (Invalid argument)\n'
                       '+0 poll([{fd=3, events=POLLIN}], 1, "a\\x01") = 0x2 (flags X)')
    assert isinstance(call, Syscall)
    assert call.args == [3, Name(('SOL_TCP',)), Name(('A', 'B')), [1], 4]
    assert (call.result, call.errno, call.end) == (-1, 'EINVAL', 500_000)
    assert isinstance(poll, Syscall)
    assert poll.args == [[Struct((('fd', 3), ('events', Name(('POLLIN',)))), ())], 1, Text(b'a\x01')]
    assert poll.result == 2


def test_header_of_a_message() -> None:
    [call] = parse('0 sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 1}, {..., 2}], msg_flags=0}, 0) = 3')
    assert isinstance(call, Syscall)
    head = call.args[1]
    assert isinstance(head, Struct)
    assert (head.get('msg_name'), head.get('msg_iov()'), head.get('msg_flags')) == (ELLIPSIS, 2, 0)


def test_commands_and_code() -> None:
    script = parse_script(PATH, '--mss=9\n`a\nb`\n0 %{ x = {1: 2} }%\n+0 `c // d`\n// e\n`f`', {})
    assert script.options == [('mss', '9', 1)]
    assert script.init is not None
    assert script.init.action == Command('a\nb')
    assert script.cleanup is not None
    assert script.cleanup.action == Command('f')
    assert [event.action for event in script.events] == [Code('x = {1: 2}'), Command('c // d')]


@pytest.mark.parametrize(('text', 'line', 'what'), [
    ('0 close(3) = 0\n+0 > Z 1:1(0)', 2, 'no TCP flags'),
    ('0 close(3) = 0\n\n+0 < . 1:1(0) ack 1', 3, 'needs a window'),
    ('0 < . 1:9(3) ack 1 win 1', 1, 'is not 3 bytes'),
    ('0 < . 1:1(0) ack 1 win 1 <mss 5,nop>', 1, '32-bit words'),
    ('0 < . 1:1(0) ack 1 win 1 <foo 5>', 1, 'syntax error'),
    ('0 < . 1:1(0) ack 1 win 1 <FO xyz,nop>', 1, 'hexadecimal'),
    ('0 < udp (1000)', 1, 'UDP'),
    ('0 close(3)', 1, 'syntax error'),
    ('0 close(3) = 0 @', 1, 'syntax error'),
    ('// nothing', 1, 'without events'),
])
def test_errors_name_the_line(text: str, line: int, what: str) -> None:
    with pytest.raises(DrillError) as info:
        parse_script(PATH, text, {})
    assert str(info.value).startswith(f'x.pkt:{line}: ')
    assert what in str(info.value)
