# SPDX-License-Identifier: Apache-2.0
"""Any order of packets, answers, questions, confirmations and time keeps the neighbour state machine's promises."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.neigh_bench import BROADCAST, OTHER, PEER, Bench, ip
from linnet.include.net.neighbour import (
    NUD_DELAY,
    NUD_FAILED,
    NUD_IN_TIMER,
    NUD_INCOMPLETE,
    NUD_NONE,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
    Neighbour,
)
from linnet.kernel.timer import timer_pending
from linnet.net.core.neighbour import __neigh_create, neigh_confirm
from linnet.net.core.skbuff import alloc_skb

PEERS = ('10.0.0.2', '10.0.0.3')

# from -> what may follow in one step (RFC 4861, 7.3.2; Linux's neighbour.c)
MOVES = {
    NUD_NONE: NUD_INCOMPLETE | NUD_STALE | NUD_REACHABLE,
    NUD_INCOMPLETE: NUD_REACHABLE | NUD_STALE | NUD_FAILED | NUD_DELAY,
    NUD_REACHABLE: NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_FAILED | NUD_INCOMPLETE,
    NUD_STALE: NUD_DELAY | NUD_REACHABLE | NUD_PROBE | NUD_FAILED,
    NUD_DELAY: NUD_PROBE | NUD_REACHABLE | NUD_STALE | NUD_FAILED,
    NUD_PROBE: NUD_REACHABLE | NUD_STALE | NUD_FAILED,
    NUD_FAILED: NUD_INCOMPLETE | NUD_STALE | NUD_REACHABLE,
}

event = st.one_of(
    st.tuples(st.just('send'), st.sampled_from(PEERS)),
    st.tuples(st.just('answer'), st.sampled_from(PEERS), st.sampled_from([PEER, OTHER])),
    st.tuples(st.just('ask'), st.sampled_from(PEERS), st.sampled_from([PEER, OTHER])),
    st.tuples(st.just('announce'), st.sampled_from(PEERS), st.sampled_from([PEER, OTHER])),
    st.tuples(st.just('confirm'), st.sampled_from(PEERS)),
    st.tuples(st.just('time'), st.sampled_from([0.001, 0.5, 1.0, 2.5, 5.0, 17.0, 61.0])),
)


def check(bench: Bench, n: Neighbour, sent: list[bytes]) -> None:
    """What holds at every moment."""
    state = int(n.nud_state)
    assert state in MOVES
    assert timer_pending(n) == (state & NUD_IN_TIMER != 0)
    assert (n.arp_queue.qlen > 0) <= (state == NUD_INCOMPLETE)
    assert (n.arp_queue_len_bytes > 0) == (n.arp_queue.qlen > 0)
    assert n.arp_queue_len_bytes <= n.parms.queue_len_bytes
    if state & NUD_VALID:
        assert n.ha in (PEER, OTHER)
    if n.hh:
        assert n.hh == n.ha + bench.dev.dev_addr + b'\x08\x00'
    for frame in sent:
        if frame[12:14] != b'\x08\x06':
            assert frame[:6] in (PEER, OTHER)  # data never goes out to an address that was not heard


@settings(max_examples=150)
@given(st.lists(event, max_size=40))
def test_promises_hold_in_any_order(events: list[tuple[str, object, object]]) -> None:
    bench = Bench()
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None
    tbl.dev_parms[int(bench.dev.ifindex)].queue_len_bytes = 4000
    handed = 0
    out = 0
    for one in events:
        kind, what = one[0], one[1]
        if kind == 'time':
            assert isinstance(what, float)
            bench.run(what)
        else:
            assert isinstance(what, str)
            n = bench.neigh(what)
            if kind == 'send':
                if n is None:
                    n = __neigh_create(tbl, ip(what), bench.dev)
                    assert n is not None
                skb = alloc_skb(bench.world, 100)
                skb.head = bytes(100)
                skb.len = 100
                skb.network_header = 0
                skb.dev = bench.dev
                skb.protocol = 0x0800
                handed += 1
                n.output.output(n, skb)
            elif kind == 'confirm':
                if n is not None:
                    neigh_confirm(n)
            else:
                mac = one[2]
                assert isinstance(mac, bytes)
                if kind == 'answer':
                    bench.arp_in(2, mac, what, '10.0.0.1')
                elif kind == 'ask':
                    bench.arp_in(1, mac, what, '10.0.0.1', BROADCAST)
                else:
                    bench.arp_in(1, mac, what, what, BROADCAST)
        sent = bench.take()
        out += sum(1 for frame in sent if frame[12:14] == b'\x08\x00')
        for entry in tbl.hash.values():
            if entry.dev is bench.dev:
                check(bench, entry, sent)
    bench.run(100)
    out += sum(1 for frame in bench.take() if frame[12:14] == b'\x08\x00')
    # every packet went out, or was dropped with a reason
    assert out + sum(bench.net.mib.drops.values()) == handed
    assert bench.leaks() == {}


@settings(max_examples=100)
@given(st.lists(st.one_of(
    st.tuples(st.just('send'), st.just(0.0)),
    st.tuples(st.sampled_from(['answer', 'ask', 'confirm']), st.just(0.0)),
    st.tuples(st.just('time'), st.floats(0.01, 3.0)),
), max_size=30))
def test_only_the_moves_of_the_machine_happen(events: list[tuple[str, float]]) -> None:
    bench = Bench()
    tbl = bench.net.ipv4.arp_tbl
    assert tbl is not None
    n = __neigh_create(tbl, ip('10.0.0.2'), bench.dev)
    assert n is not None
    before = int(n.nud_state)
    for kind, seconds in events:
        if kind == 'time':
            bench.run(seconds)
        elif kind == 'confirm':
            neigh_confirm(n)
        elif kind == 'send':
            skb = alloc_skb(bench.world, 0)
            skb.network_header = 0
            skb.dev = bench.dev
            skb.protocol = 0x88B5
            n.output.output(n, skb)
        else:
            bench.arp_in(2 if kind == 'answer' else 1, PEER, '10.0.0.2', '10.0.0.1')
        after = int(n.nud_state)
        assert after == before or after & MOVES[before], (before, after)
        before = after
        if n.dead:
            break
