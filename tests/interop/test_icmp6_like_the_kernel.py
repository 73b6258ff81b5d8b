# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 on the wire, of Linnet and of this machine's kernel: echoes in all forms, errors about what nobody takes, rates.

Errors that come in, and what sockets hear of them, are in test_datagram6_like_the_kernel.py.
"""
from __future__ import annotations

import os
import struct
import subprocess

import pytest

from helpers.datagram6_duel import HERE, STRANGER, THERE, Step, differences, icmp6, ip6, on_kernel, on_linnet, udp6
from helpers.wire6 import Wire6

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not os.access('/dev/net/tun', os.W_OK) or os.geteuid() != 0, reason='needs root and /dev/net/tun'),
]

ROUTERS = 'fd00:10::'  # the anycast address of the subnet's routers
ALL_NODES = 'ff02::1'
FORWARDING = {'net.ipv6.conf.all.forwarding': '1'}
COUNTERS = ('count', 'Icmp6InMsgs', 'Icmp6InErrors', 'Icmp6InCsumErrors', 'Icmp6OutErrors', 'Icmp6OutRateLimitHost',
            'Icmp6InEchos', 'Icmp6OutEchoReplies', 'Icmp6OutDestUnreachs', 'Icmp6OutParmProblems')


def packet(data: bytes) -> Step:
    """The step that lets a packet in."""
    return ('packet', data.hex())


def echo(src: str = THERE, dst: str = HERE, **more: int) -> Step:
    """An echo request comes in."""
    return packet(icmp6(128, 0, struct.pack('!HH', 7, 1) + b'hello', src=src, dst=dst, **more))


def nobody(src: str = THERE, dst: str = HERE, **more: int) -> Step:
    """A datagram to a port that nobody has comes in."""
    return packet(udp6(b'nobody', dport=5001, src=src, dst=dst, **more))


def compare(script: list[Step], sysctls: dict[str, str]) -> None:
    """Run on both; the notes must be equal."""
    assert differences(script, on_kernel(script, sysctls), on_linnet(script, sysctls)) == []


def test_echoes_and_what_is_none() -> None:
    script = [
        echo(), echo(tclass=0xB9, label=0x12345, hops=3), echo(dst=ALL_NODES), echo(src='ff02::1'), echo(src='::'),
        echo(dst=ALL_NODES, src='::'), echo(src='::1'), echo(dst='::1'), echo(src='::ffff:10.0.0.1'), echo(dst=STRANGER),
    ]
    for type in (128, 129, 160, 161, 200, 255, 0, 1, 100, 127):
        for body in (b'abcd', b'', b'abc', b'\0\1\1\1' + bytes(1400)):
            script.append(packet(icmp6(type, 0, body)))
    script += [packet(icmp6(128, 9, b'abcd')), packet(icmp6(128, 0, b'abcd', check=7)), COUNTERS]
    compare(script, {})


@pytest.mark.parametrize('sysctls', [
    {}, {'echo_ignore_all': '1'}, {'echo_ignore_multicast': '1'}, {'echo_ignore_anycast': '1'}, {'error_anycast_as_unicast': '1'},
], ids=str)
def test_a_router_answers_for_all_of_its_subnet(sysctls: dict[str, str]) -> None:
    script = [
        echo(), echo(dst=ROUTERS), nobody(dst=ROUTERS), echo(dst='fe80::'), echo(dst=ALL_NODES),
        nobody(dst=ROUTERS, src=STRANGER),
        packet(ip6(b'a protocol', proto=200, dst=ROUTERS)), packet(ip6(b'a protocol', proto=200)), nobody(), COUNTERS,
    ]
    compare(script, FORWARDING | {f'net.ipv6.icmp.{name}': value for name, value in sysctls.items()})


@pytest.mark.parametrize('auto', ['0', '1', '2', '3'])
@pytest.mark.parametrize('reflect', ['0', '3', '4', '7'])
def test_flow_labels_come_back(reflect: str, auto: str) -> None:
    script = [echo(label=0x12345), echo(label=0x12346), echo(label=0x12345), echo(), nobody(label=77),
              nobody(label=77, tclass=255), echo(tclass=255)]
    compare(script, {'net.ipv6.flowlabel_reflect': reflect, 'net.ipv6.auto_flowlabels': auto})


@pytest.mark.parametrize('mask', ['0-1,3-127', '129', '4', '255', '0-255'])
def test_what_is_limited(mask: str) -> None:
    script = [nobody() for _ in range(9)] + [echo() for _ in range(9)]
    script += [packet(ip6(b'a protocol', proto=200, src=STRANGER)) for _ in range(9)] + [COUNTERS]
    compare(script, {'net.ipv6.icmp.ratelimit': '5000', 'net.ipv6.icmp.ratemask': mask})


def fragment(offset: int, more: int, next: int = 17) -> bytes:
    """A fragment header."""
    return struct.pack('!BBHI', next, 0, offset | more, 9)


def test_what_errors_quote_and_who_hears_of_it() -> None:
    """Fragments, extension headers, what is cut off: to a UDP socket, to a raw one, to one of protocol 44."""
    lost = struct.pack('!HHHH', 5000, 7000, 12, 0) + b'lost'
    quoted = [
        (44, fragment(0, 1) + lost), (44, fragment(8, 1) + lost), (44, fragment(1448, 0) + lost), (44, fragment(0, 1)),
        (44, fragment(0, 1)[:5]), (0, b'\x11\0' + bytes(6) + lost), (0, b'\x11\x01' + bytes(6) + lost),
        (0, b'\x11\x09' + bytes(6)),
        (60, b'\x2c\0' + bytes(6) + fragment(0, 1) + lost), (60, b'\x2c\0' + bytes(6) + fragment(16, 1) + lost), (59, b''),
        (59, lost), (58, bytes(8)), (58, b'\x80' + bytes(7)), (58, b'\x80'), (17, lost[:7]), (17, lost[:8]),
        (43, b'\x11\0' + bytes(6) + lost), (51, b'\x11\0' + bytes(6) + lost), (99, lost), (0, bytes(1200)),
    ]
    script: list[Step] = [('open', 'u', 2, 0), ('bind', 'u', '::', 5000), ('open', 'r', 3, 17), ('open', 'f', 3, 44)]
    script += [('setopt', name, 41, 25, 1) for name in 'urf']
    for type, code, rest in ((1, 4, 0), (2, 0, 1400), (3, 0, 0)):
        for proto, body in quoted:
            about = ip6(body, proto, HERE, THERE)
            script += [packet(icmp6(type, code, struct.pack('!I', rest) + about, src=STRANGER)), COUNTERS[:3]]
            for name in 'urf':
                script += [('recvmsg', name, 100, 0x2000), ('recv', name, 100), ('getopt', name, 1, 4)]
    compare(script, {})


MASKS = ('0-1,3-127', '', '1', '1,2', '1-5,129', '129-128', '255', '256', '0-255', '1,,2', ',1', '1,', '1 2', '1\n2', 'x', '1-x',
         '1-', '-1', '3,2,1', '7-7', '0x10', '010', ' 5', '5 ', '1-5,3-9', '100000', '1, 2', '2-4,4', '254,255')


def test_masks_that_are_taken() -> None:
    script = 'cd /proc/sys/net/ipv6/icmp; '
    for mask in MASKS:
        script += f"if (printf '%s\\n' '{mask}' > ratemask) 2>/dev/null; then echo \"ok $(cat ratemask)\"; else echo no; fi; "
    theirs = subprocess.run(['unshare', '-n', 'sh', '-c', script], capture_output=True, text=True, check=True).stdout.splitlines()
    sysctl = Wire6(HERE).net.sysctl
    name = 'net.ipv6.icmp.ratemask'
    assert [f'ok {sysctl.get(name)}' if sysctl.set(name, mask) == 0 else 'no' for mask in MASKS] == theirs
