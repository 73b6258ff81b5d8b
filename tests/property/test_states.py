# SPDX-License-Identifier: Apache-2.0
"""Every state, every kind of segment: no exception, no move outside the table, an answer that RFC 9293 allows, nothing left over.

The first test goes through all combinations of flags that matter with a number left of, in and right of the window; the second
lets hypothesis mix everything: numbers, options (old and new timestamps, SACK blocks, rubbish), windows, urgent pointers, what
the program does between, and time.
"""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tcp_states import ACK, FIN, PSH, RST, STATES, SYN, URG, Expected, Judge, Moves, Probe
from helpers.tcp_wire import MS, Segment
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED, TCP_FIN_WAIT2, TCP_LISTEN

FLAGS = [flags for flags in range(64) if not flags & (PSH | URG)]
FLAGS += [ACK | PSH, ACK | URG, ACK | PSH | FIN, SYN | URG, FIN | URG | PSH, 0xFF, SYN | 0xC0]
PLACES = [('rcv_nxt', -70_000), ('rcv_nxt', -1), ('rcv_nxt', 0), ('rcv_nxt', 10), ('window end', -1), ('window end', 0),
          ('window end', 1), ('isn', 0), ('rcv_nxt', 1 << 31)]
ACKS = [('snd_una', -100_000), ('snd_una', -1), ('snd_una', 0), ('snd_nxt', 0), ('snd_nxt', 1), ('snd_nxt', 1 << 30)]


@pytest.mark.parametrize('state', STATES)
@pytest.mark.parametrize('size', [0, 1, 1000])
def test_every_flag_at_every_place(state: str, size: int) -> None:
    # one host for each place; the segments of a place follow one another, so later ones meet what earlier ones left
    for seq_at, seq_by in PLACES:
        for ack_at, ack_by in ACKS:
            probe = Probe(state, False, False)
            for flags in FLAGS:
                probe.shoot(flags, seq_at, seq_by, ack_at, ack_by, size, b'', 65535, 0)
            probe.finish()


def tsopt(val: int, ecr: int) -> bytes:
    """A timestamp option."""
    return b'\1\1\x08\x0a' + (val & 0xFFFFFFFF).to_bytes(4, 'big') + (ecr & 0xFFFFFFFF).to_bytes(4, 'big')


def sackopt(blocks: list[tuple[int, int]]) -> bytes:
    """A SACK option of absolute numbers."""
    return b'\1\1\5' + bytes([2 + 8 * len(blocks)]) + b''.join(
        (n & 0xFFFFFFFF).to_bytes(4, 'big') for block in blocks for n in block)


FLAG = st.one_of(st.sampled_from([ACK, ACK | PSH, ACK | FIN, SYN, SYN | ACK, RST, RST | ACK, FIN]), st.integers(0, 255))
PLACE = st.one_of(st.sampled_from(PLACES), st.tuples(st.just('rcv_nxt'), st.integers(-3000, 70_000)))
ACK_PLACE = st.one_of(st.sampled_from(ACKS), st.tuples(st.just('snd_una'), st.integers(-3000, 50_000)))
EDGE = st.integers(-3000, 45_000)
OPTION = st.one_of(
    st.just(('none', b'')),
    st.tuples(st.just('raw'), st.binary(max_size=40)),
    st.tuples(st.just('ts'), st.sampled_from([-100_000, -1, 0, 1, 1000, 1 << 31])),
    st.tuples(st.just('sack'), st.lists(st.tuples(EDGE, EDGE), min_size=1, max_size=3)),
)
SEGMENT = st.tuples(st.just('segment'), FLAG, PLACE, ACK_PLACE, st.sampled_from([0, 0, 1, 500, 1400]), OPTION,
                    st.sampled_from([0, 1, 500, 65535]), st.sampled_from([0, 0, 1, 10, 65535]))
OTHER = st.one_of(
    st.tuples(st.just('wait'), st.sampled_from([1, 50, 300, 1000, 5000, 70_000])),
    st.tuples(st.just('send'), st.sampled_from([1, 1000, 30_000])),
    st.tuples(st.just('recv'), st.sampled_from([1, 1000, 100_000])),
    st.tuples(st.just('shutdown'), st.sampled_from([0, 1, 2])),
    st.tuples(st.just('close'), st.just(0)),
)


def option_bytes(probe: Probe, option: tuple[str, object]) -> bytes:
    """The option of a drawn segment; numbers are relative to what the peer and the host have sent."""
    kind, value = option
    peer = probe.peer
    if kind == 'raw':
        assert isinstance(value, bytes)
        return value
    if kind == 'ts':
        assert isinstance(value, int)
        return tsopt((peer.ts or 0) + value, peer.ts_ecr)
    if kind == 'sack':
        assert isinstance(value, list)
        return peer.stamp() + sackopt([(peer.their_isn + a, peer.their_isn + b) for a, b in value])
    return peer.stamp()


def act(probe: Probe, kind: str, value: int) -> None:
    """The program does something, or time passes."""
    if kind == 'wait':
        probe.wire.advance(value * MS)
        if probe.peer.ts is not None:
            probe.peer.ts += value
        return
    if not probe.fds:
        return
    prog, fd = probe.wire.prog, probe.fds[0]
    try:
        if kind == 'send':
            prog.send(fd, bytes(value), 0x4000)
        elif kind == 'recv':
            prog.recv(fd, value)
        elif kind == 'shutdown':
            prog.shutdown(fd, value)
        else:
            prog.close(fd)
            probe.fds.remove(fd)
    except OSError:
        return


@settings(max_examples=300)
@given(state=st.sampled_from(STATES), ts=st.booleans(), sack=st.booleans(),
       steps=st.lists(st.one_of(SEGMENT, SEGMENT, OTHER), min_size=1, max_size=12))
def test_anything_goes(state: str, ts: bool, sack: bool, steps: list[tuple[object, ...]]) -> None:
    probe = Probe(state, ts, sack)
    for step in steps:
        if step[0] == 'segment':
            _, flags, (seq_at, seq_by), (ack_at, ack_by), size, option, window, urg = step  # type: ignore[misc,has-type]
            probe.shoot(flags, seq_at, seq_by, ack_at, ack_by, size, option_bytes(probe, option), window, urg)
        else:
            act(probe, str(step[0]), int(step[1]))  # type: ignore[call-overload]
    probe.finish()


def answer(probe: Probe, flags: int, seq: int, ack: int, size: int = 0) -> Segment:
    """A segment as the host might send it; numbers relative to what it has sent and expects."""
    was = Expected(probe, probe.sock())
    tcp = ((80).to_bytes(2, 'big') + probe.peer.port.to_bytes(2, 'big') + ((was.nxt + seq) & 0xFFFFFFFF).to_bytes(4, 'big')
           + ((was.rcv + ack) & 0xFFFFFFFF).to_bytes(4, 'big') + bytes([0x50, flags]) + bytes(6) + bytes(size))
    return Segment(b'\x45' + bytes(19) + tcp, 0)


@pytest.mark.parametrize(('state', 'flags', 'reply'), [
    ('CLOSED', ACK, (ACK, 0, 0)),                     # a RST is due
    ('CLOSED', RST, (RST, 0, 0)),                     # never a RST to a RST
    ('LISTEN', ACK, (ACK, 0, 0)),
    ('SYN_SENT', ACK, (RST, 77, 0)),                  # not the number that was acknowledged
    ('ESTABLISHED', ACK, (RST, 0, 0)),                # no reason for it
    ('ESTABLISHED', ACK, (ACK, 0, -1)),               # an ACK that goes back
    ('ESTABLISHED', ACK, (ACK, 0, 10)),               # ... that runs ahead
    ('ESTABLISHED', ACK, (PSH, 0, 0)),                # no ACK at all
    ('ESTABLISHED', FIN, (ACK, 0, 0)),                # without ACK a segment is dropped
    ('ESTABLISHED', SYN, (SYN | ACK, 0, 0)),          # only a challenge answers a SYN
    ('ESTABLISHED', ACK, (ACK, -100, 0)),             # what was acknowledged is sent again
    ('TIME_WAIT', ACK, (ACK | FIN, 0, 0)),
])
def test_the_judge_refuses(state: str, flags: int, reply: tuple[int, int, int]) -> None:
    probe = Probe(state, False, False)
    sk = probe.sock()
    was = Expected(probe, sk)
    with pytest.raises(AssertionError):
        Judge(probe, sk, was, flags, was.rcv, was.nxt if state != 'SYN_SENT' else 1, 0, [answer(probe, *reply)], []).judge()


def test_a_move_outside_the_table_is_refused() -> None:
    moves = Moves()
    moves.seen = [(TCP_LISTEN, TCP_CLOSE)]
    moves.check()
    moves.seen.append((TCP_FIN_WAIT2, TCP_ESTABLISHED))
    with pytest.raises(AssertionError):
        moves.check()
