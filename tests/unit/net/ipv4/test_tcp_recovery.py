# SPDX-License-Identifier: Apache-2.0
"""RACK and tail loss probes (RFC 8985), PRR (RFC 6937), F-RTO (RFC 5682), limited transmit (RFC 3042), with SACK."""
from __future__ import annotations

from helpers.tcp_sack import MSS, SackCaller, check_board, sack_sender, state
from helpers.tcp_wire import HERE, MS, SEC, Wire
from linnet.include.net.tcp import RateSample, TcpSock
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks
from linnet.net.ipv4.tcp_recovery import tcp_rack_reo_wnd, tcp_rack_sent_after, tcp_rack_update_reo_wnd


class TestRack:
    def test_sent_after(self) -> None:
        assert tcp_rack_sent_after(2, 1, 0, 5)
        assert tcp_rack_sent_after(1, 1, 5, 0)
        assert not tcp_rack_sent_after(1, 1, 0, 5)

    def test_three_sacked_segments_are_enough(self) -> None:
        wire, caller, sk = sack_sender(20)
        assert caller.numbers() == list(range(10))
        wire.advance(100 * MS)
        caller.sack(0, (1, 2))
        wire.advance(2 * MS)
        caller.sack(0, (1, 3))
        assert state(sk) == 'Disorder'
        # limited transmit: one new segment for each that has left
        assert caller.numbers() == [10, 11]
        caller.sack(0, (1, 4))
        assert state(sk) == 'Recovery'
        assert 0 in caller.numbers()
        assert sk.lost_out == 1
        assert sk.retrans_out == 1
        check_board(sk)

    def test_all_holes_are_marked_at_once(self) -> None:
        wire, caller, sk = sack_sender(10)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(0, (1, 2))
        caller.sack(0, (3, 4), (1, 2))
        assert state(sk) == 'Disorder'
        caller.sack(0, (5, 6), (3, 4), (1, 2))
        assert state(sk) == 'Recovery'
        assert sk.lost_out == 3
        caller.sack(0, (7, 8), (5, 6), (3, 4))
        caller.sack(0, (9, 10), (7, 8), (5, 6))
        # one for each ACK, lest the window grow while it is halved
        assert caller.numbers() == [0, 2, 4]
        check_board(sk)
        wire.advance(100 * MS)
        caller.sack(2, (9, 10), (7, 8), (5, 6))
        caller.sack(4, (9, 10), (7, 8), (5, 6))
        assert caller.numbers() == [6, 8]
        wire.advance(100 * MS)
        caller.sack(10)
        assert state(sk) == 'Open'
        assert sk.snd_ssthresh == 5

    def test_the_reordering_timer(self) -> None:
        wire, caller, sk = sack_sender(10)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(0, (1, 2))
        # a single SACK is no proof; a quarter of the RTT later it is
        assert caller.numbers() == []
        assert state(sk) == 'Disorder'
        wire.advance(35 * MS)
        assert state(sk) == 'Recovery'
        assert caller.numbers()[0] == 0
        check_board(sk)

    def test_late_segment_within_the_window_is_not_lost(self) -> None:
        wire, caller, sk = sack_sender(10)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(0, (1, 2))
        wire.advance(5 * MS)
        caller.sack(2)
        wire.advance(50 * MS)
        assert caller.numbers() == []
        assert state(sk) == 'Open'
        assert sk.reord_seen == 1

    def test_lost_retransmission(self) -> None:
        wire, caller, sk = sack_sender(40)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(0, (1, 6))
        assert caller.numbers() == [0]
        wire.advance(2 * MS)
        caller.sack(0, (1, 9))
        new = caller.numbers()[-1]
        assert new >= 10
        # what was sent after the retransmission arrives, it does not
        wire.advance(100 * MS)
        caller.sack(0, (1, new + 1))
        wire.advance(35 * MS)
        assert 0 in caller.numbers()
        assert wire.net.mib.get('TcpExtTCPLostRetransmit') == 1
        assert wire.net.mib.get('TcpExtTCPTimeouts') == 0
        check_board(sk)

    def test_reordering_window(self) -> None:
        wire, caller, sk = sack_sender(10)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(1)
        sk.reord_seen = 1
        assert tcp_rack_reo_wnd(sk) == min(sk.rtt_min >> 2, sk.srtt_us >> 3) == 25_000
        rs = RateSample()
        rs.prior_delivered = 1
        sk.rack_dsack_seen = True
        tcp_rack_update_reo_wnd(sk, rs)
        assert tcp_rack_reo_wnd(sk) == 50_000
        assert sk.rack_reo_wnd_persist == 16
        sk.rack_reo_wnd_persist = 0
        tcp_rack_update_reo_wnd(sk, rs)
        assert tcp_rack_reo_wnd(sk) == 25_000


class TestTailLossProbe:
    def test_lost_tail_is_probed_and_repaired(self) -> None:
        wire, caller, sk = sack_sender(10, probes=True)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(8)
        caller.numbers()
        # two round trips and a little
        wire.advance(190 * MS)
        assert caller.numbers() == []
        wire.advance(30 * MS)
        assert caller.numbers() == [9]
        assert wire.net.mib.get('TcpExtTCPLossProbes') == 1
        wire.advance(100 * MS)
        caller.sack(8, (9, 10))
        wire.advance(30 * MS)
        assert caller.numbers() == [8]
        assert wire.net.mib.get('TcpExtTCPTimeouts') == 0
        check_board(sk)

    def test_probe_that_repairs_reduces_the_window(self) -> None:
        wire, caller, sk = sack_sender(10, probes=True)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(9)
        wire.advance(450 * MS)
        assert caller.numbers() == [9]
        caller.sack(10)
        # what is sent and acknowledged next shows that no duplicate was seen
        assert wire.prog.send(max(wire.prog.process.files.fds()), bytes(MSS)) == MSS
        caller.sack(11)
        assert wire.net.mib.get('TcpExtTCPLossProbeRecovery') == 1
        assert sk.snd_cwnd == sk.snd_ssthresh

    def test_needless_probe_does_not(self) -> None:
        wire, caller, sk = sack_sender(10, probes=True)
        caller.numbers()
        wire.advance(100 * MS)
        caller.sack(9)
        cwnd = sk.snd_cwnd
        wire.advance(450 * MS)
        assert caller.numbers() == [9]
        caller.sack(10, (9, 10))
        assert wire.net.mib.get('TcpExtTCPLossProbeRecovery') == 0
        assert sk.snd_cwnd >= cwnd

    def test_one_probe_then_the_timeout(self) -> None:
        wire, caller, sk = sack_sender(10, probes=True)
        caller.numbers()
        wire.advance(1000 * MS)
        assert wire.net.mib.get('TcpExtTCPLossProbes') == 1
        assert wire.net.mib.get('TcpExtTCPTimeouts') >= 1
        assert state(sk) == 'Loss'
        check_board(sk)


class TestTimeout:
    def test_frto_with_sack(self) -> None:
        wire, caller, sk = sack_sender(20)
        caller.numbers()
        wire.advance(350 * MS)
        assert caller.numbers() == [0]
        assert state(sk) == 'Loss'
        caller.sack(1)
        # new data, to see which it was
        assert caller.numbers() == [10, 11]
        # and an original is SACKed: the timeout was false
        caller.sack(1, (5, 6))
        assert wire.net.mib.get('TcpExtTCPSpuriousRTOs') == 1
        assert sk.snd_ssthresh > 1000
        check_board(sk)

    def test_sacked_segments_are_not_sent_again(self) -> None:
        wire, caller, sk = sack_sender(10)
        caller.numbers()
        caller.sack(0, (5, 7))
        wire.advance(350 * MS)
        caller.numbers()
        assert state(sk) in ('Loss', 'Recovery')
        for acked in range(1, 5):
            caller.sack(acked, (5, 7))
        caller.sack(7)
        assert not {5, 6} & set(caller.numbers())
        check_board(sk)


def test_prr_is_gradual() -> None:
    wire, caller, sk = sack_sender(60)
    caller.numbers()
    wire.advance(100 * MS)
    caller.sack(10)
    assert len(caller.numbers()) == 20
    wire.advance(100 * MS)
    sent = 0
    for i in range(12, 31):
        caller.sack(10, (11, i))
        check_board(sk)
        new = len(caller.numbers())
        assert new <= 2
        sent += new
    assert sk.snd_ssthresh == 10
    # 19 delivered, the window halved: about half as many were sent
    assert 8 <= sent <= 12


def test_the_walk_is_of_what_may_be_lost_not_of_the_window() -> None:
    """A thousand segments are out and every second one is lost: each ACK looks at the few that were sent before what arrived."""
    mss, count = 100, 1000
    wire = Wire(sack=True)
    wire.net.ipv4.sysctl_tcp_early_retrans = 0
    wire.advance(SEC)
    listener = wire.prog.server(80, HERE)
    caller = SackCaller(wire, 80, mss=mss, wscale=10)
    caller.syn()
    wire.advance(50 * MS)
    caller.say('.')
    fd = wire.prog.nonblocking(wire.prog.accept(listener)[0])
    [sk] = [sk for sk in tcp_seq_socks(wire.net) if isinstance(sk, TcpSock) and sk.sk_dport]
    sk.sk_sndbuf = 10_000_000
    sk.snd_cwnd = 2 * count
    for _ in range(count):
        wire.prog.send(fd, bytes(mss))
        wire.advance(MS // 10)
    assert sk.packets_out == count
    sk.snd_cwnd = 1  # nothing is sent again, so that all stays as it is
    steps = 0
    for number in range(1, count, 2):
        wire.advance(MS // 10)
        skb = sk.tsorted_head
        while skb is not None and skb.tstamp <= sk.rack_mstamp:
            steps += 1
            skb = skb.tsorted_next
        caller.bytes_acked(0, (number * mss, (number + 1) * mss))
    # the walk over the queue took some 250,000
    assert sk.sacked_out == count // 2
    assert sk.lost_out >= count // 2 - 5
    assert steps < 3 * count
    check_board(sk)
