# SPDX-License-Identifier: Apache-2.0
"""Whatever SACK blocks, ACKs and waits come, in whatever order: the counts equal what the retransmission queue holds."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tcp_sack import MSS, check_board, sack_sender
from helpers.tcp_wire import MS
from linnet.include.net.tcp import TCPCB_SACKED_ACKED, TcpSock

SEGMENTS = 40
TOTAL = SEGMENTS * MSS
EDGE = st.one_of(st.integers(0, SEGMENTS).map(lambda n: n * MSS), st.integers(0, TOTAL + 10))
BLOCK = st.tuples(EDGE, EDGE)
STEP = st.one_of(
    st.tuples(st.just('sack'), st.lists(BLOCK, min_size=1, max_size=3)),
    st.tuples(st.just('ack'), st.integers(0, 6 * MSS)),
    st.tuples(st.just('wait'), st.integers(0, 400)),
)


def sacked_bytes(sk: TcpSock) -> set[int]:
    """The segments' first bytes, relative, that the queue has marked as SACKed."""
    found, skb = set(), sk.tcp_rtx_queue.next
    while skb is not None:
        if skb.sacked & TCPCB_SACKED_ACKED:
            found.add(int(skb.seq))
        skb = skb.next
    return found


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=25), ts=st.booleans(), tso=st.booleans(), probes=st.booleans())
def test_counts_equal_the_queue(steps: list[tuple[str, object]], ts: bool, tso: bool, probes: bool) -> None:
    wire, caller, sk = sack_sender(SEGMENTS, ts=ts, tso=tso, probes=probes)
    base = int(sk.snd_una)
    for kind, value in steps:
        acked = (int(sk.snd_una) - base) & 0xFFFFFFFF
        if caller.ts is not None:
            caller.ts += 1
        if kind == 'sack':
            assert isinstance(value, list)
            caller.bytes_acked(acked, *value)
        elif kind == 'ack':
            assert isinstance(value, int)
            out = (int(sk.snd_nxt) - int(sk.snd_una)) & 0xFFFFFFFF
            caller.bytes_acked(acked + min(value, out))
        else:
            assert isinstance(value, int)
            wire.advance(value * MS)
        check_board(sk)


@settings(max_examples=100, deadline=None)
@given(blocks=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 10)).map(sorted).filter(lambda b: b[0] < b[1]),
                       min_size=1, max_size=6), tso=st.booleans())
def test_what_is_sacked_is_marked(blocks: list[list[int]], tso: bool) -> None:
    wire, caller, sk = sack_sender(10, tso=tso)
    model: set[int] = set()
    for start, end in blocks:
        caller.sack(0, (start, end))
        model |= set(range(start, end))
        check_board(sk)
        assert sk.sacked_out == len(model)
    holes = [i for i in range(10) if i not in model]
    caller.sack(10)
    check_board(sk)
    assert sk.packets_out == 0
    assert holes[0] == 0
