# SPDX-License-Identifier: Apache-2.0
"""The neighbour state machine, driven by real ARP frames on a port whose other end is the test."""

from __future__ import annotations

import pytest

from helpers.hosts import Pair
from helpers.neigh_bench import BROADCAST, MS, OTHER, PEER, SEC, Bench, ip
from linnet.include.linux.skbuff import SkBuff, __skb_queue_tail
from linnet.include.net.neighbour import (
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    Neighbour,
)
from linnet.kernel.sched import sleep_ns
from linnet.kernel.trace import TraceSink
from linnet.net.core.neighbour import (
    __neigh_create,
    neigh_add,
    neigh_confirm,
    neigh_delete,
    neigh_dump,
    neigh_resolve_output,
)
from linnet.net.core.skbuff import alloc_skb
from linnet.net.ipv4.arp import arp_seq_show


def packet(bench: Bench, data: bytes = b'payload') -> SkBuff:
    """A packet to hand to a neighbour; not IP, so that nobody reads it."""
    skb = alloc_skb(bench.world, len(data))
    skb.head = data
    skb.len = len(data)
    skb.network_header = 0
    skb.dev = bench.dev
    skb.protocol = 0x88B5
    return skb


def send(bench: Bench, addr: str, data: bytes = b'payload') -> Neighbour:
    """Send through the neighbour, made where it is not there, as ip_finish_output2 does."""
    n = bench.neigh(addr)
    if n is None:
        tbl = bench.net.ipv4.arp_tbl
        assert tbl is not None
        n = __neigh_create(tbl, ip(addr), bench.dev)
        assert n is not None
    n.output.output(n, packet(bench, data))
    return n


def test_resolution_asks_queues_and_sends() -> None:
    bench = Bench()
    send(bench, '10.0.0.2', b'one')
    send(bench, '10.0.0.2', b'two')
    assert bench.state('10.0.0.2') == NUD_INCOMPLETE
    assert bench.arps() == [(0, 1, '10.0.0.1', '10.0.0.2', BROADCAST)]
    assert bench.take() == []
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    assert bench.state('10.0.0.2') == NUD_REACHABLE
    assert [frame[14:] for frame in bench.take()] == [b'one', b'two']
    n = send(bench, '10.0.0.2')
    assert n.hh == PEER + bench.dev.dev_addr + b'\x08\x00'
    bench.take()
    assert bench.leaks() == {}


def test_unanswered_resolution_fails_after_three_broadcasts() -> None:
    bench = Bench()
    send(bench, '10.0.0.2')
    bench.run(10)
    assert [(t, dst) for t, _, _, _, dst in bench.arps()] == [(0, BROADCAST), (1000, BROADCAST), (2000, BROADCAST)]
    assert bench.state('10.0.0.2') == NUD_FAILED
    assert bench.leaks() == {}
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None and tbl.stats.res_failed == 1
    # the next packet asks anew
    send(bench, '10.0.0.2')
    assert bench.state('10.0.0.2') == NUD_INCOMPLETE
    assert len(bench.arps()) == 1


def test_reachable_turns_stale_then_delay_then_probe_by_unicast() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.2')
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    reachable = int(n.parms.reachable_time)
    assert 15 * SEC <= reachable <= 45 * SEC
    bench.run(reachable / SEC - 0.001)
    assert n.nud_state == NUD_REACHABLE
    bench.run(1)
    assert n.nud_state == NUD_STALE
    bench.run(5)
    bench.arps()
    bench.take()
    used = int(bench.world.clock.now)
    send(bench, '10.0.0.2', b'used')
    assert n.nud_state == NUD_DELAY
    assert [frame[14:] for frame in bench.take()] == [b'used']  # stale is still usable
    bench.run(4.999)
    assert n.nud_state == NUD_DELAY
    bench.run(0.002)
    assert n.nud_state == NUD_PROBE
    bench.run(20)
    probes = [(t - used // MS, dst) for t, _, _, _, dst in bench.arps()]
    assert probes == [(5000, PEER), (6000, PEER), (7000, PEER)]
    assert n.nud_state == NUD_FAILED
    assert bench.leaks() == {}


def test_probe_answered_is_reachable_again() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.2')
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    bench.run(60)
    assert n.nud_state == NUD_STALE
    send(bench, '10.0.0.2')
    bench.run(5.5)
    assert n.nud_state == NUD_PROBE
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    assert n.nud_state == NUD_REACHABLE


def test_confirmation_by_the_upper_layer_ends_delay() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.2')
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    bench.run(60)
    bench.arps()
    send(bench, '10.0.0.2')
    bench.run(2)
    neigh_confirm(n)
    bench.run(3.5)
    assert n.nud_state == NUD_REACHABLE
    assert bench.arps() == []


def test_queue_drops_the_oldest_beyond_its_bytes() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.2', b'first')
    n.parms.queue_len_bytes = n.arp_queue_len_bytes * 2
    send(bench, '10.0.0.2', b'secnd')
    send(bench, '10.0.0.2', b'third')
    assert n.tbl.stats.unres_discards == 1
    bench.arps()
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    assert [frame[14:] for frame in bench.take()] == [b'secnd', b'third']
    assert bench.net.mib.drops == {48: 1}  # NEIGH_QUEUEFULL
    assert n.arp_queue_len_bytes == 0
    assert bench.leaks() == {}


def test_first_answer_wins_within_locktime() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.2')
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    bench.run(0.5)
    bench.arp_in(2, OTHER, '10.0.0.2', '10.0.0.1')
    assert n.ha == PEER
    bench.run(1)
    bench.arp_in(2, OTHER, '10.0.0.2', '10.0.0.1')
    assert n.ha == OTHER
    send(bench, '10.0.0.2', b'new way')
    assert bench.take()[-1][:6] == OTHER


def test_permanent_entries_are_not_overruled() -> None:
    bench = Bench()
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None
    assert neigh_add(tbl, ip('10.0.0.9'), bench.dev, PEER, NUD_PERMANENT) == 0
    send(bench, '10.0.0.9', b'x')
    assert bench.arps() == []
    assert bench.take()[0][:6] == PEER
    bench.arp_in(2, OTHER, '10.0.0.9', '10.0.0.1')
    n = bench.neigh('10.0.0.9')
    assert n is not None and n.ha == PEER and n.nud_state == NUD_PERMANENT
    bench.run(1000)
    assert n.nud_state == NUD_PERMANENT
    assert neigh_dump(tbl) == '10.0.0.9 dev eth0 lladdr 02:00:00:00:00:aa PERMANENT \n'
    assert '10.0.0.9         0x1         0x6         02:00:00:00:00:aa     *        eth0' in arp_seq_show(bench.net)
    assert neigh_delete(tbl, ip('10.0.0.9'), bench.dev) == 0
    assert bench.neigh('10.0.0.9') is None
    assert neigh_delete(tbl, ip('10.0.0.9'), bench.dev) == -2


def test_broadcast_and_multicast_need_no_question() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.255', b'b')
    assert n.nud_state == NUD_NOARP
    assert bench.take()[0][:6] == BROADCAST
    n = send(bench, '224.1.2.3', b'm')
    assert bench.take()[0][:6] == bytes.fromhex('01005e010203')
    assert n.nud_state == NUD_NOARP


def test_garbage_collection_removes_what_is_not_used() -> None:
    bench = Bench()
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None
    tbl.gc_thresh1 = 0
    send(bench, '10.0.0.2')
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    send(bench, '10.0.0.3')  # will fail
    bench.run(30)
    assert bench.neigh('10.0.0.3') is None
    assert bench.neigh('10.0.0.2') is not None
    bench.run(300)
    assert bench.neigh('10.0.0.2') is None


def test_full_table_collects_and_then_refuses() -> None:
    bench = Bench(prefixlen=8)
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None
    tbl.gc_thresh2 = 4
    tbl.gc_thresh3 = 8
    for i in range(8):
        send(bench, f'10.0.1.{i}')
    assert __neigh_create(tbl, ip('10.0.2.1'), bench.dev) is None  # all are being resolved
    assert tbl.stats.table_fulls == 1
    bench.run(10)  # all have failed
    assert __neigh_create(tbl, ip('10.0.2.1'), bench.dev) is not None
    assert len(tbl.hash) <= 5
    bench.arps()
    assert bench.leaks() == {}


def test_interface_down_forgets_everything() -> None:
    from linnet.net.core.dev import dev_close

    bench = Bench()
    n = send(bench, '10.0.0.2')
    dev_close(bench.dev)
    assert bench.neigh('10.0.0.2') is None
    assert n.dead
    assert neigh_resolve_output(n, packet(bench)) == 0
    n.output.output(n, packet(bench))
    bench.run(10)
    assert bench.leaks() == {}
    assert n.arp_queue.qlen == 0


def test_reachable_times_differ_between_hosts_and_repeat_with_the_seed() -> None:
    times = {Bench(seed).dev.net.ipv4.arp_tbl.parms_of(Bench(seed).dev).reachable_time for seed in range(5)}  # type: ignore[union-attr]
    assert len(times) == 5
    again = Bench(3).net.ipv4.arp_tbl
    other = Bench(3).net.ipv4.arp_tbl
    assert again is not None and other is not None
    assert again.parms.reachable_time == other.parms.reachable_time


@pytest.mark.parametrize('state', [NUD_STALE, NUD_REACHABLE])
def test_idle_entries_do_not_keep_the_world_running(state: int) -> None:
    bench = Bench()
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None
    assert neigh_add(tbl, ip('10.0.0.2'), bench.dev, PEER, state) == 0
    bench.world.sched.run()
    assert bench.world.clock.now < SEC


def test_queue_of_an_entry_is_a_plain_skb_list() -> None:
    bench = Bench()
    n = send(bench, '10.0.0.2')
    __skb_queue_tail(n.arp_queue, packet(bench))
    assert n.arp_queue.qlen == 2
    bench.run(5)
    assert bench.leaks() == {}


def test_tcp_progress_vouches_for_the_neighbour() -> None:
    pair = Pair()
    fd_a, fd_b = pair.connected()
    asked: list[int] = []

    class Count(TraceSink):
        def event(self, name: str, fields: dict[str, object]) -> None:
            if name == 'net:net_dev_queue' and fields['len'] == 42:
                asked.append(int(pair.world.clock.now))

    def chat() -> None:
        for _ in range(300):
            pair.a.send(fd_a, b'ping')
            pair.b.recv(fd_b)
            pair.b.send(fd_b, b'pong')
            pair.a.recv(fd_a)
            sleep_ns(pair.world.sched, SEC)

    pair.world.trace.subscribe(Count())
    pair.run(chat, until=400 * SEC)
    assert asked == []


def test_new_reachable_time_counts_at_once() -> None:
    bench = Bench()
    assert bench.net.sysctl.set('net.ipv4.neigh.eth0.base_reachable_time_ms', '2000') == 0
    assert bench.net.sysctl.set('net.ipv4.neigh.eth0.delay_first_probe_time', '1') == 0
    n = send(bench, '10.0.0.2')
    bench.arp_in(2, PEER, '10.0.0.2', '10.0.0.1')
    assert n.nud_state == NUD_REACHABLE
    bench.run(3.1)
    assert n.nud_state == NUD_STALE
    bench.arps()
    start = int(bench.world.clock.now)
    send(bench, '10.0.0.2')
    bench.run(5)
    assert [(ms - start // MS, dst) for ms, _, _, _, dst in bench.arps()] == [(1000, PEER), (2000, PEER), (3000, PEER)]
