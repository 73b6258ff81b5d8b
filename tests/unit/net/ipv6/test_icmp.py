# SPDX-License-Identifier: Apache-2.0
"""ICMPv6: whom errors are sent about and whom not (RFC 4443, 2.4), echoes, limits, and what an error's code means to programs."""
from __future__ import annotations

import struct

import pytest

from helpers.datagram6_duel import HERE, STRANGER, THERE, checksum6, icmp6, in6, ip6, udp6
from helpers.wire6 import Wire6
from linnet.include.linux.icmpv6 import (
    ICMPV6_DEST_UNREACH,
    ICMPV6_ECHO_REPLY,
    ICMPV6_ECHO_REQUEST,
    ICMPV6_PARAMPROB,
    ICMPV6_PKT_TOOBIG,
    ICMPV6_TIME_EXCEED,
)
from linnet.kernel.errno import EACCES, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPROTO
from linnet.net.ipv6.icmp import icmpv6_control, icmpv6_err_convert, icmpv6_mask_allow

ROUTERS = 'fd00:10::'
ALL_NODES = 'ff02::1'


def wire(**sysctls: str) -> Wire6:
    """A host, with sysctls of net.ipv6.icmp."""
    made = Wire6(HERE)
    for name, value in sysctls.items():
        assert made.net.sysctl.set('net.ipv6.icmp.' + name, value) == 0
    made.take(1_000_000_000)
    return made


def answers(host: Wire6, packet: bytes) -> list[bytes]:
    """The echo replies and errors that a packet brings about, whole; each with a right checksum."""
    host.inject(packet)
    found = [p for p in host.take(12_000_000) if p[6] == 58 and not 130 <= p[40] <= 143]
    for p in found:
        zeroed = p[40:42] + b'\0\0' + p[44:]
        src, dst = (':'.join(f'{x:x}' for x in struct.unpack('!8H', p[at:at + 16])) for at in (8, 24))
        assert struct.unpack_from('!H', p, 42)[0] == checksum6(src, dst, 58, zeroed)
    return found


def echo(src: str = THERE, dst: str = HERE, code: int = 0, data: bytes = b'hello', **more: int) -> bytes:
    """An echo request."""
    return icmp6(ICMPV6_ECHO_REQUEST, code, struct.pack('!HH', 7, 1) + data, src=src, dst=dst, **more)


def nobody(src: str = THERE, dst: str = HERE) -> bytes:
    """A datagram to a port that nobody has."""
    return udp6(b'nobody', dport=5001, src=src, dst=dst)


def test_an_echo_comes_back_with_identifier_code_and_class() -> None:
    reply, = answers(wire(), echo(code=9, tclass=0xB9))
    assert (reply[40], reply[41], reply[44:]) == (ICMPV6_ECHO_REPLY, 9, struct.pack('!HH', 7, 1) + b'hello')
    assert (struct.unpack_from('!I', reply)[0] >> 20) & 255 == 0xB9
    assert (reply[8:24], reply[24:40]) == (in6(HERE), in6(THERE))


def test_a_group_and_an_anycast_address_are_answered_from_an_own_address() -> None:
    host = wire()
    host.net.sysctl.set('net.ipv6.conf.all.forwarding', '1')
    for target in (ALL_NODES, ROUTERS):
        reply, = answers(host, echo(dst=target))
        assert reply[8:24] == in6(HERE)


@pytest.mark.parametrize(('ignore', 'silent'), [
    ('echo_ignore_all', (HERE, ALL_NODES, ROUTERS)), ('echo_ignore_multicast', (ALL_NODES,)), ('echo_ignore_anycast', (ROUTERS,)),
])
def test_echoes_that_are_to_be_ignored(ignore: str, silent: tuple[str, ...]) -> None:
    host = wire(**{ignore: '1'})
    host.net.sysctl.set('net.ipv6.conf.all.forwarding', '1')
    assert [target for target in (HERE, ALL_NODES, ROUTERS) if not answers(host, echo(dst=target))] == list(silent)


def test_a_flow_label_is_reflected_on_demand() -> None:
    host = wire()
    labels = []
    for reflect in ('3', '4'):
        host.net.sysctl.set('net.ipv6.flowlabel_reflect', reflect)
        reply, = answers(host, echo(label=0x12345))
        labels.append(struct.unpack_from('!I', reply)[0] & 0xFFFFF)
    assert labels[0] != 0x12345
    assert labels[1] == 0x12345


def test_an_error_about_what_came_to_an_anycast_address_is_from_there() -> None:
    host = wire()
    host.net.sysctl.set('net.ipv6.conf.all.forwarding', '1')
    error, = answers(host, nobody(dst=ROUTERS))
    assert (error[8:24], error[40], error[41]) == (in6(ROUTERS), ICMPV6_DEST_UNREACH, 4)


def test_an_error_quotes_as_much_as_fits_into_the_least_mtu() -> None:
    large = udp6(bytes(1400), dport=5001)
    error, = answers(wire(), large)
    assert len(error) == 1280
    assert error[48:] == large[:1232]


@pytest.mark.parametrize('packet', [
    nobody(src='::'), nobody(src='ff02::5'), nobody(dst=ALL_NODES), icmp6(1, 4, bytes(4) + nobody()), icmp6(100, 0, bytes(60)),
    icmp6(137, 0, bytes(8)),
], ids=['from nowhere', 'from a group', 'to a group', 'an error', 'an unknown error', 'a redirect'])
def test_no_error_is_sent_about(packet: bytes) -> None:
    assert answers(wire(), packet) == []


def test_a_peer_gets_a_burst_of_errors_and_then_one_in_a_while() -> None:
    host = wire(ratelimit='1000')
    assert [len(answers(host, nobody())) for _ in range(10)] == [1] * 6 + [0] * 4
    assert host.net.mib.get('Icmp6OutRateLimitHost') == 4
    assert len(answers(host, nobody(src=STRANGER))) == 1
    host.take(1_000_000_000)
    assert [len(answers(host, nobody())) for _ in range(2)] == [1, 0]


def test_the_host_has_a_limit_too() -> None:
    host = wire(ratelimit='0')
    host.net.sysctl.set('net.ipv4.icmp_msgs_per_sec', '0')
    host.net.ipv4.icmp_global_credit = 0
    assert answers(host, nobody()) == []
    assert len(answers(host, echo())) == 1


def test_the_mask_says_which_types_are_limited() -> None:
    host = wire(ratelimit='5000', ratemask='129')
    assert [len(answers(host, echo())) for _ in range(8)] == [1] * 6 + [0] * 2
    assert [len(answers(host, nobody())) for _ in range(8)] == [1] * 8
    assert icmpv6_mask_allow(host.net, 255)


@pytest.mark.parametrize(('text', 'then'), [
    ('0-1,3-127', '0-1,3-127'), ('', ''), ('3,2,1', '1-3'), ('7-7', '7'), ('1-5,3-9', '1-9'), ('0-255', '0-255'), ('255,', '255'),
    ('0x10', '16'), ('256', None), ('5-4', None), ('1,,2', None), (',1', None), ('1-', None), ('-1', None), (' 5', None),
    ('x', None),
])
def test_the_masks_text(text: str, then: str | None) -> None:
    sysctl = wire().net.sysctl
    before = sysctl.get('net.ipv6.icmp.ratemask')
    assert before == '0-1,3-127'
    assert (sysctl.set('net.ipv6.icmp.ratemask', text) == 0) == (then is not None)
    assert sysctl.get('net.ipv6.icmp.ratemask') == (before if then is None else then)


def test_what_is_unsound_is_counted() -> None:
    host = wire()
    for packet in (icmp6(128, 0, b'abcd', check=7), icmp6(128, 0, b''), icmp6(1, 0, bytes(4) + nobody()[:39]),
                   icmp6(1, 0, bytes(4) + ip6(bytes(7), src=HERE, dst=THERE)), icmp6(1, 0, bytes(4) + ip6(b'\x11\x09', 0))):
        assert answers(host, packet) == []
    assert host.net.mib.get('Icmp6InMsgs') == 5
    assert host.net.mib.get('Icmp6InErrors') == 5
    assert host.net.mib.get('Icmp6InCsumErrors') == 1


def test_a_message_that_is_being_built_builds_no_other() -> None:
    host = wire()
    icmpv6_control(host.net).busy = True
    assert answers(host, echo()) + answers(host, nobody()) == []


@pytest.mark.parametrize(('type', 'code', 'error', 'final'), [
    (ICMPV6_DEST_UNREACH, 0, ENETUNREACH, False), (ICMPV6_DEST_UNREACH, 1, EACCES, True),
    (ICMPV6_DEST_UNREACH, 3, EHOSTUNREACH, False),
    (ICMPV6_DEST_UNREACH, 4, ECONNREFUSED, True), (ICMPV6_DEST_UNREACH, 6, EACCES, True), (ICMPV6_DEST_UNREACH, 7, EPROTO, True),
    (ICMPV6_PKT_TOOBIG, 0, EMSGSIZE, False), (ICMPV6_TIME_EXCEED, 0, EHOSTUNREACH, False), (ICMPV6_PARAMPROB, 1, EPROTO, True),
])
def test_what_errors_mean(type: int, code: int, error: int, final: bool) -> None:
    assert icmpv6_err_convert(type, code) == error | (int(final) << 16)
