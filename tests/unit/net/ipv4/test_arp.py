# SPDX-License-Identifier: Apache-2.0
"""ARP: which questions are answered, what is learnt of what is heard, what is announced, what is refused."""

from __future__ import annotations

from helpers.neigh_bench import BROADCAST, OTHER, PEER, Bench, ip
from linnet.include.net.neighbour import NUD_REACHABLE, NUD_STALE
from linnet.net.core.dev import dev_close, dev_open
from linnet.net.ipv4.devinet import inet_addr_add


def test_question_for_us_is_answered_and_the_asker_noted() -> None:
    bench = Bench()
    bench.arp_in(1, PEER, '10.0.0.2', '10.0.0.1', BROADCAST)
    frame, = bench.take()
    assert len(frame) == 42
    assert frame[:14] == PEER + bench.dev.dev_addr + b'\x08\x06'
    assert frame[14:22] == bytes.fromhex('0001080006040002')
    assert frame[22:32] == bench.dev.dev_addr + ip('10.0.0.1').to_bytes(4, 'big')
    assert frame[32:42] == PEER + ip('10.0.0.2').to_bytes(4, 'big')
    assert bench.state('10.0.0.2') == NUD_STALE
    assert bench.leaks() == {}


def test_question_for_others_is_not_answered_nor_its_asker_noted() -> None:
    bench = Bench()
    bench.arp_in(1, PEER, '10.0.0.2', '10.0.0.3', BROADCAST)
    assert bench.take() == []
    assert bench.neigh('10.0.0.2') is None
    assert bench.leaks() == {}


def test_question_of_a_known_neighbour_updates_it() -> None:
    bench = Bench()
    bench.arp_in(1, PEER, '10.0.0.2', '10.0.0.1', BROADCAST)
    bench.run(2)
    bench.arp_in(1, OTHER, '10.0.0.2', '10.0.0.3', BROADCAST)
    n = bench.neigh('10.0.0.2')
    assert n is not None and n.ha == OTHER and n.nud_state == NUD_STALE


def test_probe_for_our_address_is_defended() -> None:
    bench = Bench()
    bench.arp_in(1, PEER, '0.0.0.0', '10.0.0.1', BROADCAST)
    (_, op, sender, target, dst), = bench.arps()
    assert (op, sender, target, dst) == (2, '10.0.0.1', '0.0.0.0', PEER)
    assert bench.neigh('0.0.0.0') is None
    bench.arp_in(1, PEER, '0.0.0.0', '10.0.0.7', BROADCAST)
    assert bench.take() == []


def test_unasked_answer_is_taken_only_with_arp_accept() -> None:
    bench = Bench()
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    assert bench.neigh('10.0.0.2') is None
    bench.net.ipv4.sysctl_arp_accept = 1
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    assert bench.state('10.0.0.2') == NUD_REACHABLE
    bench.arp_in(1, OTHER, '10.0.0.3', '10.0.0.3', BROADCAST)
    assert bench.state('10.0.0.3') == NUD_STALE
    assert bench.take() == []


def test_announcement_overrides_at_once() -> None:
    bench = Bench()
    bench.arp_in(1, PEER, '10.0.0.2', '10.0.0.1', BROADCAST)
    bench.arp_in(1, OTHER, '10.0.0.2', '10.0.0.2', BROADCAST)
    n = bench.neigh('10.0.0.2')
    assert n is not None and n.ha == OTHER


def test_device_that_comes_up_is_announced_with_arp_notify() -> None:
    bench = Bench()
    for notify in (0, 1):
        bench.net.ipv4.sysctl_arp_notify = notify
        assert inet_addr_add(bench.dev, ip(f'10.0.0.{5 + notify}'), 24) == 0
        assert bench.arps() == []  # a new address alone is not announced
        dev_close(bench.dev)
        dev_open(bench.dev)
        told = [(op, sender, target, dst) for _, op, sender, target, dst in bench.arps()]
        assert told == ([] if not notify else [(1, a, a, BROADCAST) for a in ('10.0.0.1', '10.0.0.5', '10.0.0.6')])


def test_arp_ignore_modes() -> None:
    bench = Bench()
    lo = bench.net.loopback_dev
    assert lo is not None
    assert inet_addr_add(lo, ip('10.9.9.9'), 32) == 0
    answered = {}
    for mode in (0, 1, 2, 8):
        bench.net.ipv4.sysctl_arp_ignore = mode
        answered[mode] = []
        for sender, target in (('10.0.0.2', '10.0.0.1'), ('10.0.0.2', '10.9.9.9'), ('10.7.0.2', '10.0.0.1')):
            bench.arp_in(1, PEER, sender, target, BROADCAST)
            answered[mode].append(len(bench.arps()))
    assert answered == {0: [1, 1, 1], 1: [1, 0, 1], 2: [1, 0, 0], 8: [0, 0, 0]}


def test_proxy_arp_answers_for_what_lies_elsewhere() -> None:
    from helpers.neigh_bench import Port
    from linnet.include.linux.netdevice import NetDevice
    from linnet.net.core.dev import register_netdevice
    from linnet.net.ethernet.eth import eth_hw_addr_next, ether_setup

    bench = Bench()
    second = NetDevice(bench.net, 'eth1', Port())
    ether_setup(second)
    second.dev_addr = eth_hw_addr_next(bench.world)
    assert register_netdevice(second) == 0
    assert dev_open(second) == 0
    assert inet_addr_add(second, ip('10.1.0.1'), 24) == 0
    bench.net.ipv4.sysctl_ip_forward = 1
    bench.arp_in(1, PEER, '10.0.0.2', '10.1.0.7', BROADCAST)
    assert bench.arps() == []
    in_dev = bench.dev.in_dev
    assert in_dev is not None
    in_dev.cnf.proxy_arp = 1
    bench.arp_in(1, PEER, '10.0.0.2', '10.1.0.7', BROADCAST)
    assert bench.arps() == []  # not before a random delay
    bench.run(0.8)
    (ms, op, sender, target, dst), = bench.arps()
    assert (op, sender, target, dst) == (2, '10.1.0.7', '10.0.0.2', PEER)
    assert 0 <= ms < 800
    assert bench.leaks() == {}


def test_malformed_packets_are_dropped_with_a_reason() -> None:
    bench = Bench()
    head = bench.dev.dev_addr + PEER + b'\x08\x06'
    good = bytes.fromhex('0001080006040001') + PEER + bytes([10, 0, 0, 2]) + b'\0' * 6 + bytes([10, 0, 0, 1])
    bad = [
        good[:20],  # cut short
        b'\x00\x07' + good[2:],  # another hardware
        good[:2] + b'\x86\xdd' + good[4:],  # another protocol
        good[:4] + b'\x08' + good[5:],  # wrong length
        good[:6] + b'\x00\x09' + good[8:],  # unknown operation
        good[:24] + bytes([224, 0, 0, 1]),  # multicast target
        good[:24] + bytes([127, 0, 0, 1]),  # loopback target
    ]
    for body in bad:
        bench.receive(head + body)
    assert bench.take() == []
    assert sum(bench.net.mib.drops.values()) == len(bad)
    assert bench.leaks() == {}
    bench.receive(b'\x02\x00\x00\x00\x99\x99' + PEER + b'\x08\x06' + good)  # to another host
    assert bench.take() == []
    assert bench.leaks() == {}
    bench.receive(head + good)
    assert len(bench.take()) == 1
