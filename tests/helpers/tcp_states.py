# SPDX-License-Identifier: Apache-2.0
"""A connection in any state, a segment of any kind, and what RFC 9293 lets an endpoint answer.

reach() brings a host to a state, the peer played by hand. Probe.shoot() sends one segment and checks what leaves at once against
the RFCs; each rule names its section. Where Linux deviates knowingly, the rule says so. Moves are watched through the tracepoint
sock:inet_sock_set_state and held against TCP_TRANSITIONS.
"""
from __future__ import annotations

from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, THERE, Segment, Wire
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.request_sock import RequestSock
from linnet.include.net.sock import Sock
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import (
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT2,
    TCP_LAST_ACK,
    TCP_LISTEN,
    TCP_STATE_NAMES,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    TCP_TRANSITIONS,
)
from linnet.kernel.trace import TraceSink

U32 = 0xFFFFFFFF
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << n for n in range(8))
NAMES = {FIN: 'F', SYN: 'S', RST: 'R', PSH: 'P', ACK: '.', URG: 'U', ECE: 'E', CWR: 'W'}
SYN_OPTIONS = b'\2\4\5\xb4\4\2\1\1'
STATES = (
    'CLOSED', 'LISTEN', 'SYN_SENT', 'NEW_SYN_RECV', 'SYN_RECV', 'ESTABLISHED', 'ESTABLISHED sending', 'ESTABLISHED unread',
    'ESTABLISHED holes', 'FIN_WAIT1', 'FIN_WAIT1 orphan', 'FIN_WAIT2', 'FIN_WAIT2 orphan', 'CLOSE_WAIT', 'CLOSE_WAIT sending',
    'LAST_ACK', 'CLOSING', 'TIME_WAIT',
)


def signed(n: int) -> int:
    """A difference of sequence numbers."""
    n &= U32
    return n - (1 << 32) if n >= 1 << 31 else n


class Moves(TraceSink):
    """Records moves of state, and refuses those that are not in the table."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def event(self, name: str, fields: dict[str, object]) -> None:
        """A tracepoint was passed."""
        if name != 'sock:inet_sock_set_state':
            return
        old, new = (TCP_STATE_NAMES.index(str(fields[key]).removeprefix('TCP_')) for key in ('oldstate', 'newstate'))
        self.seen.append((old, new))

    def check(self) -> None:
        """Each move is in TCP_TRANSITIONS (a move to the same state is none)."""
        for old, new in self.seen:
            assert old == new or TCP_TRANSITIONS[old] & (1 << new), f'{TCP_STATE_NAMES[old]} -> {TCP_STATE_NAMES[new]}'


class Probe:
    """A host in some state, and its peer."""

    def __init__(self, state: str, ts: bool, sack: bool) -> None:
        self.wire = Wire(timestamps=ts, sack=sack)
        self.moves = Moves()
        self.wire.world.trace.subscribe(self.moves)
        self.wire.advance(SEC)
        self.fds: list[int] = []
        self.ts = ts
        self.peer = Caller(self.wire, 80, ts=100_000 if ts else None)
        self.sack = sack
        reach(self, state)
        self.wire.take()

    # -- what there is

    def sock(self) -> Sock | None:
        """What the peer's segments meet: a full sock, a request, a TIME_WAIT sock, a listener, or nothing."""
        hashinfo = self.wire.net.ipv4.tcp_hashinfo
        assert hashinfo is not None
        for first in hashinfo.ehash.values():
            sk: Sock | None = first
            while sk is not None:
                if sk.sk_dport == self.peer.port:
                    return sk
                sk = sk.sk_hash_next
        bucket = hashinfo.lhash.get(self.peer.their_port)
        return bucket[0] if bucket else None

    def syn_options(self) -> bytes:
        """Of the peer's SYN."""
        return (SYN_OPTIONS if self.sack else SYN_OPTIONS[:4]) + self.peer.stamp()

    # -- one segment

    def shoot(self, flags: int, seq_at: str, seq_by: int, ack_at: str, ack_by: int, size: int, options: bytes, window: int,
              urg: int) -> None:
        """Send one segment, placed relative to what the host expects, and check the answers."""
        sk = self.sock()
        expected = Expected(self, sk)
        seq = (expected.seq[seq_at] + seq_by) & U32
        ack = (expected.ack[ack_at] + ack_by) & U32 if flags & ACK else 0
        before = len(self.moves.seen)
        self.wire.take()
        peer = self.peer
        peer.send(''.join(name for bit, name in NAMES.items() if flags & bit), seq=(seq - peer.isn) & U32,
                  ack=(ack - peer.their_isn) & U32, data=b'x' * size, window=window, options=options[:40], urg=urg)
        out = self.wire.take()
        self.moves.check()
        length = size + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        Judge(self, sk, expected, flags, seq, ack, length, out, self.moves.seen[before:]).judge()
        check_sock(self.sock())

    def finish(self) -> None:
        """The program closes everything; after a while nothing of any connection is left."""
        prog = self.wire.prog
        for fd in self.fds:
            prog.close(fd)
        self.wire.advance(3600 * SEC)
        self.moves.check()
        left = self.wire.net.core.sock_inuse
        assert left == 0, f'{left} socks left'
        assert self.wire.net.ipv4.tcp_death_row_tw_count == 0
        assert self.sock() is None


class Expected:
    """The numbers of a connection before a segment comes, absolute."""

    def __init__(self, probe: Probe, sk: Sock | None) -> None:
        self.state = -1 if sk is None else int(sk.sk_state)
        una = nxt = probe.peer.their_isn + 1
        rcv = probe.peer.isn + 1
        self.wnd = 65535
        self.err = False
        if isinstance(sk, TcpSock) and self.state != TCP_LISTEN:
            una, nxt, rcv = int(sk.snd_una), int(sk.snd_nxt), int(sk.rcv_nxt)
            right = int(sk.rcv_wup + sk.rcv_wnd)
            self.wnd = max(0, signed(right - rcv))
        elif isinstance(sk, RequestSock):
            una = nxt = int(sk.snt_isn) + 1
            rcv = int(sk.rcv_nxt)
        elif isinstance(sk, InetTimewaitSock):
            una = nxt = int(sk.tw_snd_nxt)
            rcv = int(sk.tw_rcv_nxt)
            self.wnd = int(sk.tw_rcv_wnd)
        self.una, self.nxt, self.rcv = una & U32, nxt & U32, rcv & U32
        self.seq = {'rcv_nxt': rcv, 'window end': rcv + self.wnd, 'isn': probe.peer.isn}
        self.ack = {'snd_una': una, 'snd_nxt': nxt}


class Judge:
    """What left after one segment, held against the RFCs."""

    def __init__(self, probe: Probe, sk: Sock | None, was: Expected, flags: int, seq: int, ack: int, length: int,
                 out: list[Segment], moves: list[tuple[int, int]]) -> None:
        self.probe, self.sk, self.was = probe, sk, was
        self.flags, self.seq, self.ack, self.length = flags, seq, ack, length
        self.out, self.moves = out, moves
        self.resets = [s for s in out if s.flag_bits & RST]

    def judge(self) -> None:
        """Every rule."""
        if self.flags & RST:
            assert not self.resets, 'a RST answers a RST (3.10.7)'
        assert len(self.resets) <= 1, 'one segment, one RST (3.5.2)'
        pure = [s for s in self.out if not s.data and not s.flag_bits & (RST | SYN | FIN)]
        assert len(pure) <= 2, 'an ACK storm'
        sk = self.sk
        if sk is None:
            self.closed()
        elif isinstance(sk, InetTimewaitSock):
            self.time_wait()
        elif isinstance(sk, RequestSock):
            self.request()
        elif self.was.state == TCP_LISTEN:
            self.listen()
        elif self.was.state == TCP_SYN_SENT:
            self.syn_sent()
        elif self.was.state == TCP_CLOSE:
            self.closed()
        else:
            self.synchronised()

    def reset_is_proper(self) -> None:
        """3.5.2: from the ACK, if there is one, else 0 with an ACK of the segment."""
        for rst in self.resets:
            if self.flags & ACK:
                assert rst.seq == self.ack, 'RST takes its number from the ACK (3.5.2, group 1)'
                assert not rst.flag_bits & ACK
            else:
                assert rst.seq == 0, 'RST without an ACK to go by has number 0 (3.5.2, group 1)'
                assert rst.flag_bits & ACK
                assert rst.ack == (self.seq + self.length) & U32

    def closed(self) -> None:
        """3.10.7.1."""
        if self.flags & RST:
            assert not self.out, 'CLOSED: a RST is discarded'
            return
        assert len(self.out) == 1, 'CLOSED: a RST is sent'
        assert self.resets, 'CLOSED: a RST is sent'
        self.reset_is_proper()

    def listen(self) -> None:
        """3.10.7.2. Linux, RFC 9293's security notes: a SYN with FIN is dropped."""
        if self.flags & RST:
            assert not self.out, 'LISTEN: a RST is ignored'
        elif self.flags & ACK:
            assert self.resets, 'LISTEN: an ACK is answered by a RST'
            self.reset_is_proper()
        elif self.flags & SYN and not self.flags & FIN:
            answer = self.out[0]
            assert answer.flag_bits & (SYN | ACK | RST) == SYN | ACK, 'LISTEN: a SYN is answered by SYN-ACK'
            assert answer.ack == (self.seq + 1) & U32
        else:
            assert not self.out, 'LISTEN: anything else is dropped'

    def syn_sent(self) -> None:
        """3.10.7.3."""
        was = self.was
        acceptable = bool(self.flags & ACK) and 0 < signed(self.ack - was.una) and signed(self.ack - was.nxt) <= 0
        if self.flags & ACK and not acceptable:
            assert not self.moves, 'SYN_SENT: an unacceptable ACK moves nothing'
            if self.flags & RST:
                assert not self.out
            else:
                assert [s.seq for s in self.resets] == [self.ack], 'SYN_SENT: an unacceptable ACK is reset'
            return
        if self.flags & RST:
            assert not self.out
            if not acceptable:
                assert not self.moves, 'SYN_SENT: a RST without our ACK is no RST'
            return
        self.reset_is_proper()
        if not self.flags & SYN:
            assert not self.moves, 'SYN_SENT: without SYN nothing happens'
            assert not self.out

    def request(self) -> None:
        """3.10.7.4 for SYN-RECEIVED, which Linux keeps as a request."""
        was = self.was
        for rst in self.resets:
            in_window = -self.length <= signed(self.seq - was.rcv) <= was.wnd
            wrong_ack = bool(self.flags & ACK) and self.ack != was.nxt
            assert wrong_ack or (self.flags & SYN and in_window) or self.flags & (ACK | FIN), 'SYN_RECEIVED: why a RST?'
            if self.flags & ACK:
                assert rst.seq == self.ack
        for segment in self.out:
            if not segment.flag_bits & RST and not segment.flag_bits & SYN:
                assert segment.flag_bits & ACK
                assert signed(segment.seq - was.nxt) >= 0

    def time_wait(self) -> None:
        """3.10.7.4 for TIME-WAIT: nothing but the remote FIN again; RFC 6191 for a new SYN; RFC 1337 for what must not end it."""
        sk = self.sk
        assert isinstance(sk, InetTimewaitSock)
        was = self.was
        for segment in self.out:
            if segment.flag_bits & RST:
                # only as an orphan in FIN_WAIT2, to data that nobody can read (RFC 1122, 4.2.2.13), or to a SYN in its window
                assert self.flags & (ACK | SYN)
                continue
            if segment.flag_bits & SYN:
                assert self.flags & (SYN | ACK | RST) == SYN, 'TIME_WAIT: a SYN alone opens anew (RFC 6191)'
                assert segment.ack == (self.seq + 1) & U32
                assert signed(segment.seq - was.nxt) > 0, 'the new connection starts above the old one'
                continue
            assert segment.flag_bits == ACK, 'TIME_WAIT: an ACK, and nothing else'
            assert segment.seq == was.nxt
        if self.flags & RST and sk.tw_substate != TCP_FIN_WAIT2:
            # the orphan's FIN-WAIT-2 answers a RST that is out of its window, as the kernel does: an ACK harms nobody
            assert not self.out

    def synchronised(self) -> None:
        """3.10.7.4, with RFC 5961 in place of its second and fourth check."""
        was, flags = self.was, self.flags
        sk = self.sk
        assert isinstance(sk, TcpSock)
        died = any(new == TCP_CLOSE for _, new in self.moves) and not self.out
        exact = self.seq == was.rcv or (
            self.seq == (was.rcv - 1) & U32 and was.state in (TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING))
        if flags & RST and died:
            assert exact, 'a RST counts exactly at RCV.NXT alone (RFC 5961, 3.2)'
        if flags & RST and not exact:
            assert not self.moves, 'a RST elsewhere moves nothing'
        if flags & SYN and not flags & RST and was.state != TCP_SYN_RECV:
            assert not self.moves, 'a SYN moves nothing (RFC 5961, 4.2)'
            assert all(s.flag_bits == ACK for s in self.out), 'a SYN is challenged (RFC 5961, 4.2)'
        if not flags & (ACK | RST | SYN):
            assert not self.out, 'without ACK it is dropped (3.10.7.4, fifth check)'
            assert not self.moves
        for rst in self.resets:
            if was.state == TCP_SYN_RECV:
                assert flags & ACK
                assert rst.seq == self.ack, 'SYN_RECEIVED: an unacceptable ACK is reset (3.10.7.4, fifth check)'
            else:
                assert self.length > 0, 'only data that nobody can read is reset (RFC 1122, 4.2.2.13)'
                assert sk.sk_shutdown & 1
        for segment in self.out:
            if not segment.flag_bits & RST:
                self.regular(sk, segment)
        if sk.sk_state != TCP_CLOSE:
            assert signed(int(sk.rcv_nxt) - was.rcv) >= 0, 'RCV.NXT never moves back'
            assert signed(int(sk.snd_una) - was.una) >= 0, 'SND.UNA never moves back'
            assert signed(int(sk.snd_nxt) - int(sk.snd_una)) >= 0
            advanced = signed(int(sk.rcv_nxt) - was.rcv)
            if advanced and sk.out_of_order_queue.qlen == 0 and was.state == TCP_ESTABLISHED:
                assert advanced <= was.wnd + self.length

    def regular(self, sk: TcpSock, segment: Segment) -> None:
        """A segment of a synchronised connection: it has an ACK, and its numbers are ours (3.10.7.4, 3.8.6)."""
        was = self.was
        assert segment.flag_bits & ACK, 'every segment has an ACK (3.1)'
        assert signed(segment.ack - was.rcv) >= 0, 'an ACK never goes back'
        assert signed(segment.ack - int(sk.rcv_nxt)) <= 0 or sk.sk_state == TCP_CLOSE, 'nothing is ACKed that did not come'
        assert signed(segment.seq - was.una) >= -1, 'nothing that was acknowledged is sent again'
        if segment.data and sk.sk_state != TCP_CLOSE:
            end = segment.seq + len(segment.data)
            assert signed(end - int(sk.snd_nxt)) <= 1
            assert signed(end - int(sk.snd_una + sk.snd_wnd)) <= 0 or signed(end - was.nxt) <= 0, 'data beyond the window (3.8.6)'


def check_sock(sk: Sock | None) -> None:
    """The books of a connection balance: memory, and what is contiguous."""
    if not isinstance(sk, TcpSock) or sk.sk_state in (TCP_LISTEN, TCP_CLOSE):
        return
    held = 0
    for queue in (sk.sk_receive_queue, sk.out_of_order_queue):
        skb, last = queue.next, None
        while skb is not None:
            held += int(skb.truesize)
            if last is not None:
                # overlaps stay: the reader steps over what it has
                assert signed(int(skb.end_seq) - last) > 0, 'each skb of a queue has something new'
            last = int(skb.end_seq)
            skb = skb.next
    assert held == sk.sk_rmem_alloc, (held, sk.sk_rmem_alloc)
    assert sk.sk_forward_alloc >= 0
    first = sk.out_of_order_queue.next
    if first is not None:
        assert signed(int(first.seq) - int(sk.rcv_nxt)) > 0, 'what is contiguous is not out of order'


def connecting(probe: Probe) -> None:
    """The host has sent a SYN to the peer."""
    wire, peer = probe.wire, probe.peer
    fd = wire.prog.nonblocking(wire.prog.socket())
    probe.fds.append(fd)

    def connect() -> None:
        try:
            wire.prog.connect(fd, THERE, peer.port)
        except BlockingIOError:
            return

    wire.run(connect)
    syn = wire.take()[0]
    peer.their_isn, peer.their_port = syn.seq, syn.sport
    if syn.timestamps is not None:
        peer.ts_ecr = syn.timestamps[0]


def serving(probe: Probe, handshakes: bool) -> int:
    """A listener; with a connection to it, whose descriptor is returned."""
    wire, peer = probe.wire, probe.peer
    listener = wire.prog.nonblocking(wire.prog.server(80, HERE))
    probe.fds.append(listener)
    if not handshakes:
        return -1
    peer.send('S', seq=0, options=probe.syn_options())
    answer = wire.take()[0]
    peer.their_isn = answer.seq
    if answer.timestamps is not None:
        peer.ts_ecr = answer.timestamps[0]
    wire.advance(20 * MS)
    if peer.ts is not None:
        peer.ts += 20
    peer.say('.')
    fd = wire.prog.nonblocking(wire.prog.accept(listener)[0])
    wire.prog.close(listener)
    probe.fds[:] = [fd]
    return fd


def reach(probe: Probe, state: str) -> None:
    """Bring the host to a state of STATES."""
    wire, peer, prog = probe.wire, probe.peer, probe.wire.prog
    name, _, more = state.partition(' ')
    if name == 'CLOSED':
        return
    if name == 'LISTEN':
        serving(probe, False)
        return
    if name in ('SYN_SENT', 'SYN_RECV'):
        connecting(probe)
        if name == 'SYN_RECV':
            peer.send('S', seq=0, options=probe.syn_options())
        return
    if name == 'NEW_SYN_RECV':
        serving(probe, False)
        peer.send('S', seq=0, options=probe.syn_options())
        peer.their_isn = wire.take()[0].seq
        return
    fd = serving(probe, True)
    if more == 'sending':
        prog.send(fd, bytes(40_000))
    elif more == 'unread':
        peer.say('P.', bytes(3000))
    elif more == 'holes':
        for at in (1001, 3001, 5001):
            peer.say('.', bytes(500), seq=at)
    if name in ('FIN_WAIT1', 'FIN_WAIT2', 'CLOSING', 'TIME_WAIT'):
        if more == 'orphan':
            prog.close(fd)
            probe.fds.clear()
        else:
            prog.shutdown(fd, 1)
        wire.take()
        if name in ('FIN_WAIT2', 'TIME_WAIT'):
            peer.rcv = 2
            peer.say('.')
        if name in ('CLOSING', 'TIME_WAIT'):
            peer.say('F.')
    elif name in ('CLOSE_WAIT', 'LAST_ACK'):
        peer.say('F.')
        if name == 'LAST_ACK':
            prog.close(fd)
            probe.fds.clear()
