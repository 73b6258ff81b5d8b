# SPDX-License-Identifier: Apache-2.0
"""The way out: headers, flow labels, datagrams cut as they are built or on their way, options, groups, hooks, counters."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import IPv6, defragment6

from helpers.ip6_sender import DATA, Sender, message, with_options
from helpers.ip6_wire import DSTOPTS, FRAGMENT, HERE, HOP, PROTO, THERE, addresses, options
from linnet.include.linux.inet import IPPROTO_UDP
from linnet.include.linux.netfilter import NF_ACCEPT, NFPROTO_IPV6, NfHookOps, NfHookState
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import MSG_MORE
from linnet.kernel.errno import EMSGSIZE
from linnet.net.core.skbuff import alloc_skb, skb_bytes, skb_queue_purge
from linnet.net.ipv6.ip6_output_append import (
    ip6_append_data,
    ip6_flush_pending_frames,
    ip6_make_skb,
    ip6_push_pending_frames,
    ip6_send_skb,
)
from linnet.net.ipv6.ip6_output_local import ip6_xmit
from linnet.net.netfilter.core import nf_register_net_hook


def fields(packet: bytes) -> tuple[int, int, int, int]:
    """Traffic class, flow label, next header, hop limit."""
    first, length, nexthdr, hops = struct.unpack('!IHBB', packet[:8])
    assert first >> 28 == 6 and length == len(packet) - 40
    return first >> 20 & 0xFF, first & 0xFFFFF, nexthdr, hops


def test_the_header() -> None:
    host = Sender()
    host.np.hop_limit, host.np.tclass = 33, 0x2E << 2
    host.net.ipv6.sysctl_auto_flowlabels = 0
    assert host.send(b'hello') == 0
    (packet,) = host.sent()
    assert fields(packet) == (0xB8, 0, PROTO, 33) and addresses(packet) == (HERE, THERE) and packet[40:] == b'hello'
    assert [host.count(name) for name in ('OutRequests', 'OutTransmits', 'OutOctets')] == [1, 1, 45]
    assert host.nothing_left() and host.sk.sk_wmem_alloc == 1


def test_the_messages_own_choices_win() -> None:
    host = Sender()
    host.ipc.hlimit, host.ipc.tclass, host.ipc.mark = 7, 4, 5
    assert host.send(b'hello') == 0
    assert fields(host.sent()[0])[0::3] == (4, 7)


def test_the_hop_limit_of_the_route_of_the_device_and_of_groups() -> None:
    host = Sender()
    idev = host.devices['d0'].ip6_ptr
    assert idev is not None
    host.send(b'a')
    idev.cnf.hop_limit = 99
    host.send(b'b')
    host.out_route().metrics[10] = 44
    host.send(b'c')
    host.np.mcast_hops = 5
    host.send(b'd', 'ff02::99')
    assert [fields(packet)[3] for packet in host.sent()] == [64, 99, 44, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9000), st.integers(1280, 1600), st.integers(0, 24))
def test_large_datagrams(size: int, mtu: int, head: int) -> None:
    host = Sender(mtu)
    head = min(head, size)
    assert host.send(DATA[:size - head], head=head) == 0
    whole = bytes(head) + DATA[:size - head]
    out = host.sent()
    assert all(len(packet) <= mtu for packet in out)
    if size + 40 <= mtu:
        assert [packet[40:] for packet in out] == [whole]
    else:
        at = 0
        idents = set()
        for packet in out:
            assert fields(packet)[2] == FRAGMENT
            nexthdr, reserved, off, ident = struct.unpack('!BBHI', packet[40:48])
            assert (nexthdr, reserved, off & ~7) == (PROTO, 0, at)
            at += len(packet) - 48
            assert off & 7 == (at < size) and (at == size or at % 8 == 0)
            idents.add(ident)
        assert at == size and len(idents) == 1 and 0 not in idents
        assert b''.join(packet[48:] for packet in out) == whole
        assert len(out) == -(-size // ((mtu - 48) & ~7))
        assert (host.count('FragOKs'), host.count('FragCreates')) == (1, len(out))
    assert host.count('OutRequests') == 1
    assert host.nothing_left() and host.sk.sk_wmem_alloc == 1


def test_scapy_puts_together_what_was_cut() -> None:
    host = Sender()
    assert host.send(DATA[:5000]) == 0
    whole = defragment6([IPv6(packet) for packet in host.sent()])
    assert bytes(whole)[40:] == DATA[:5000] and whole.nh == PROTO


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2500), min_size=1, max_size=6), st.integers(1280, 1500))
def test_a_corked_datagram_is_sent_as_one(sizes: list[int], mtu: int) -> None:
    host = Sender(mtu)
    at = 0
    for i, size in enumerate(sizes):
        head = 8 if i == 0 else 0
        assert ip6_append_data(host.sk, host.flow6(), message(DATA[at:at + size]), head + size, head, host.ipc,
                               host.out_route() if i == 0 else None, MSG_MORE) == 0
        at += size
    assert host.sent() == []
    assert ip6_push_pending_frames(host.sk) == 0
    out = host.sent()
    assert all(len(packet) <= mtu for packet in out)
    skip = 40 if len(out) == 1 and fields(out[0])[2] == PROTO else 48
    assert b''.join(packet[skip:] for packet in out) == bytes(8) + DATA[:at]
    assert host.nothing_left() and host.sk.sk_wmem_alloc == 1


def test_a_corked_datagram_is_given_up() -> None:
    host = Sender()
    for size in (1000, 4000):
        assert ip6_append_data(host.sk, host.flow6(), message(DATA[:size]), size, 0, host.ipc, host.out_route(), MSG_MORE) == 0
    ip6_flush_pending_frames(host.sk)
    assert ip6_push_pending_frames(host.sk) == 0
    assert host.sent() == [] and host.nothing_left() and host.sk.sk_wmem_alloc == 1


@pytest.mark.parametrize(('size', 'pmtudisc', 'dontfrag', 'err'), [
    (65535, 1, False, 0), (65536, 1, False, -EMSGSIZE), (1460, 2, False, 0), (1461, 2, False, -EMSGSIZE),
    (1461, 3, False, -EMSGSIZE), (1461, 0, False, 0), (1461, 5, False, 0), (1460, 1, True, 0), (1461, 1, True, -EMSGSIZE),
])
def test_what_is_too_long_to_be_sent(size: int, pmtudisc: int, dontfrag: bool, err: int) -> None:
    host = Sender()
    host.np.pmtudisc, host.np.dontfrag = pmtudisc, dontfrag
    assert host.send(DATA[:size]) == err
    assert (len(host.sent()) > 0) == (err == 0)
    assert host.nothing_left() and host.sk.sk_wmem_alloc == 1


def test_the_programs_own_limit() -> None:
    """IPV6_MTU: fragments no larger than that."""
    host = Sender()
    host.np.frag_size = 1280
    assert host.send(DATA[:3000]) == 0
    assert [len(packet) for packet in host.sent()] == [1280, 1280, 48 + 3000 - 2 * 1232]


@pytest.mark.parametrize('size', [10, 1436, 1437, 5000])
def test_headers_for_routers_are_in_each_fragment(size: int) -> None:
    host = Sender()
    hop = options(b'\x1e\x04abcd' * 2)
    host.ipc.opt = with_options(hop)
    assert host.send(DATA[:size]) == 0
    out = host.sent()
    skip = 40 + len(hop) + (8 if len(out) > 1 else 0)
    assert all(fields(packet)[2] == HOP and packet[41:40 + len(hop)] == hop[1:] for packet in out)
    assert all(packet[40] == (FRAGMENT if len(out) > 1 else PROTO) and len(packet) <= 1500 for packet in out)
    assert b''.join(packet[skip:] for packet in out) == DATA[:size]
    assert host.nothing_left()


@pytest.mark.parametrize('head', [0, 8])
def test_headers_for_the_destination_stand_before_the_transports(head: int) -> None:
    host = Sender()
    dst = options(b'\x1e\x04abcd')
    host.ipc.opt = with_options(options(b''), dst)
    assert host.send(b'data', head=head) == 0
    (packet,) = host.sent()
    assert packet[6] == HOP and packet[40] == DSTOPTS and packet[48] == PROTO
    assert packet[49:] == dst[1:] + bytes(head) + b'data'
    assert host.nothing_left()


# -- flow labels

def label(host: Sender, txhash: int = 0, given_label: int = 0) -> int:
    """The label of a packet sent by ip6_xmit."""
    skb = alloc_skb(host.world, 10)
    skb.head, skb.len, skb.hash, skb.dst = b'segment', 7, txhash, host.out_route()
    fl6 = host.flow6()
    fl6.flowlabel = given_label
    assert ip6_xmit(host.sk, skb, fl6, 0, None, 3, 0) == 0
    (packet,) = host.sent()
    assert fields(packet)[0] == 3
    return fields(packet)[1]


def test_a_flow_keeps_its_label_and_another_has_another() -> None:
    host = Sender()
    first = label(host, 0x12345678)
    assert first == label(host, 0x12345678) == 0x81234
    assert label(host, 0x87654321) != first
    assert label(host) == label(host) != 0  # no socket's hash: one of addresses and ports
    host.net.ipv6.sysctl_flowlabel_state_ranges = 1
    assert label(host, 1) & 0x80000


@pytest.mark.parametrize(('mode', 'said', 'labelled'), [
    (0, None, False), (0, True, False), (1, None, True), (1, False, False), (2, None, False), (2, True, True), (3, False, True),
])
def test_who_labels_flows(mode: int, said: bool | None, labelled: bool) -> None:
    host = Sender()
    host.net.ipv6.sysctl_auto_flowlabels = mode
    if said is not None:
        host.np.autoflowlabel, host.np.autoflowlabel_set = said, True
    assert (label(host, 0x12345678) != 0) == labelled
    assert label(host, 0x12345678, 0x0AB54321) == 0x54321  # a label that was asked for


@pytest.mark.parametrize('recverr', [False, True])
def test_a_segment_that_the_path_does_not_take_is_told_to_who_asked(recverr: bool) -> None:
    host = Sender()
    host.np.recverr = recverr
    skb = alloc_skb(host.world, 2000)
    skb.head, skb.len, skb.dst = bytes(1461), 1461, host.out_route()
    assert ip6_xmit(host.sk, skb, host.flow6(), 0, None, 0, 0) == -EMSGSIZE
    assert host.sent() == [] and host.drops() == {'PKT_TOO_BIG': 1} and host.count('FragFails') == 1
    assert host.sk.sk_error_queue.qlen == int(recverr)
    if recverr:
        told = host.sk.sk_error_queue.next
        assert told is not None and (told.seq, told.end_seq, told.daddr6) == (EMSGSIZE, 1500, host.flow6().daddr)
    skb_queue_purge(host.sk.sk_error_queue)
    assert host.nothing_left()


# -- groups, hooks, devices

@pytest.mark.parametrize(('joined', 'loop', 'heard'), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_a_group_is_heard_at_home_too(joined: bool, loop: bool, heard: int) -> None:
    host = Sender()
    host.np.mc_loop = loop
    if joined:
        host.join('ff02::99')
    assert host.send(b'to many', 'ff02::99') == 0
    (packet,) = host.sent()
    assert host.got == [b'to many'] * heard
    assert (host.count('OutMcastPkts'), host.count('OutMcastOctets')) == (1, 47)
    assert host.cards['d0'].sent == [] and packet[40:] == b'to many'
    assert host.nothing_left()


def test_a_group_of_this_node_and_a_hop_limit_of_none_stay_here() -> None:
    host = Sender()
    host.join('ff01::99')
    host.join('ff02::99')
    assert host.send(b'node', 'ff01::99') == 0
    host.np.mcast_hops = 0
    assert host.send(b'none', 'ff02::99') == 0
    assert host.sent() == [] and host.got == [b'node', b'none']
    assert host.nothing_left()


class Gate(NfHookOps):
    """Notes what passes."""

    def __init__(self, point: int) -> None:
        super().__init__(NFPROTO_IPV6, point)
        self.seen: list[tuple[str | None, bytes]] = []

    def hook(self, skb: SkBuff, state: NfHookState) -> int:
        self.seen.append((state.outdev.name if state.outdev else None, skb_bytes(skb)))
        return NF_ACCEPT


@pytest.mark.parametrize('point', [3, 4])
def test_the_hooks_of_the_way_out_see_it_before_it_is_cut(point: int) -> None:
    host = Sender()
    gate = Gate(point)
    nf_register_net_hook(host.net, gate)
    assert host.send(DATA[:3000]) == 0
    ((dev, packet),) = gate.seen
    assert dev == 'd0' and fields(packet)[2] == PROTO and packet[40:] == DATA[:3000]


def test_a_device_where_ipv6_is_off() -> None:
    host = Sender()
    idev = host.devices['d0'].ip6_ptr
    assert idev is not None
    idev.cnf.disable_ipv6 = 1
    host.send(b'hello')
    assert host.sent() == [] and host.drops() == {'IPV6DISABLED': 1} and host.count('OutDiscards') == 1
    assert host.nothing_left()


def test_udp_leaves_its_checksum_to_a_device_that_can() -> None:
    host = Sender()
    host.sk.sk_protocol = IPPROTO_UDP
    skb = ip6_make_skb(host.sk, host.flow6(), message(b'data'), 12, 8, host.ipc, host.out_route(), 0)
    assert skb is not None and skb.ip_summed == (3 if host.devices['d0'].features & 8 else 0)
    assert (skb.transport_header, skb.network_header) == (40, 0)
    ip6_send_skb(skb)
