# SPDX-License-Identifier: Apache-2.0
"""Which local addresses of two sockets on one port collide: the table was seen on Linux 6.18, by binding one after the other."""
from __future__ import annotations

import itertools

import pytest

from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, AF_INET6
from linnet.include.net.ipv6 import LOOPBACK4_IPV6, ipv6_addr_v4mapped, ipv6_mapped_v4
from linnet.include.net.sock import Sock
from linnet.net.ipv4.inet_rcv_saddr import inet_rcv_saddr_equal

V4 = ('0.0.0.0', '127.0.0.1', ':: dual', '::ffff:127.0.0.1', '::ffff:0.0.0.0')  # each of these takes 127.0.0.1
V6 = (':: dual', ':: v6only', '::1', '::1 v6only')  # and each of these ::1


def bound(text: str) -> Sock:
    sk = Sock()
    addr, _, only = text.partition(' ')
    if ':' not in addr:
        sk.sk_family = AF_INET
        sk.sk_rcv_saddr = in_aton(addr)
        return sk
    sk.sk_family = AF_INET6
    sk.sk_v6_rcv_saddr = in6_pton(addr)
    sk.sk_ipv6only = only == 'v6only'
    if sk.sk_v6_rcv_saddr:
        mapped = ipv6_addr_v4mapped(sk.sk_v6_rcv_saddr)
        sk.sk_rcv_saddr = ipv6_mapped_v4(sk.sk_v6_rcv_saddr) if mapped else LOOPBACK4_IPV6
    return sk


@pytest.mark.parametrize(('one', 'two'), list(itertools.product(sorted({*V4, *V6}), repeat=2)))
def test_two_that_take_the_same_address_collide(one: str, two: str) -> None:
    collide = (one in V4 and two in V4) or (one in V6 and two in V6)
    assert inet_rcv_saddr_equal(bound(one), bound(two), True) is collide


def test_without_wildcards_only_equal_addresses_do() -> None:
    assert not inet_rcv_saddr_equal(bound('0.0.0.0'), bound('127.0.0.1'), False)
    assert not inet_rcv_saddr_equal(bound(':: dual'), bound('::1'), False)
    assert inet_rcv_saddr_equal(bound('::ffff:127.0.0.1'), bound('127.0.0.1'), False)
    assert inet_rcv_saddr_equal(bound('::1'), bound('::1'), False)
