# SPDX-License-Identifier: Apache-2.0
"""The send loop: small queues, and when a super-segment is worth waiting for."""
from __future__ import annotations

from helpers.tcp_wire import MS, Peer, Wire
from linnet.include.net.sock import SK_PACING_FQ, Socket
from linnet.include.net.tcp import TSQF_THROTTLED, TcpSock
from linnet.net.ipv4.tcp_output_xmit import (
    TSO_DEFER_CWND,
    TSO_SEND_NOW,
    tcp_small_queue_check,
    tcp_tso_should_defer,
)


def connected(tso: bool = False, **options: bool) -> tuple[Wire, Peer, int, TcpSock]:
    wire = Wire(tso=tso, **options)
    peer = Peer(wire, window=65535)
    fd = peer.accept(10 * MS)
    file = wire.prog.process.files.fcheck(fd)
    assert file is not None
    assert isinstance(file.private_data, Socket)
    sk = file.private_data.sk
    assert isinstance(sk, TcpSock)
    return wire, peer, fd, sk


class TestSmallQueues:
    def test_a_socket_has_only_so_much_in_the_host(self) -> None:
        wire, _, fd, sk = connected()
        sk.snd_cwnd = 40
        sk.sk_gso_max_segs = 2
        wire.net.ipv4.sysctl_tcp_limit_output_bytes = 10_000
        wire.hold = True
        wire.run(lambda: wire.prog.send(fd, bytes(40 * 1460)))
        first = len(wire.take())
        assert first == 4  # with their overhead more than 10000 bytes
        assert (sk.sk_tsq_flags & TSQF_THROTTLED) != 0

    def test_what_leaves_the_host_lets_more_in(self) -> None:
        wire, _, fd, sk = connected()
        sk.snd_cwnd = 40
        sk.sk_gso_max_segs = 2
        wire.net.ipv4.sysctl_tcp_limit_output_bytes = 10_000
        wire.hold = True
        wire.run(lambda: wire.prog.send(fd, bytes(40 * 1460)))
        sent = len(wire.take())
        for _ in range(20):
            wire.release()
            wire.advance(0)
            sent += len(wire.take())
        assert sent == 40
        assert sk.sk_wmem_alloc == 1

    def test_a_paced_socket_is_limited_by_its_rate_alone(self) -> None:
        wire, _, fd, sk = connected()
        wire.run(lambda: wire.prog.send(fd, bytes(1460)))
        skb = sk.tcp_rtx_queue.next
        assert skb is not None
        wire.net.ipv4.sysctl_tcp_limit_output_bytes = 1000
        sk.sk_wmem_alloc += 100_000
        sk.sk_pacing_rate = 200_000 << 10
        assert tcp_small_queue_check(sk, skb, 0)
        sk.sk_pacing_status = SK_PACING_FQ
        assert not tcp_small_queue_check(sk, skb, 0)
        sk.sk_pacing_rate = 60_000 << 10
        assert tcp_small_queue_check(sk, skb, 0)
        assert not tcp_small_queue_check(sk, skb, 1)
        # what waits on purpose does not count
        sk.tcp_tx_delay = 1_000_000
        assert not tcp_small_queue_check(sk, skb, 0)
        sk.sk_wmem_alloc -= 100_000

    def test_nothing_else_is_held_back_while_nothing_is_out(self) -> None:
        wire, _, fd, sk = connected()
        sk.snd_cwnd = 1
        wire.run(lambda: wire.prog.send(fd, bytes(1460)))
        skb = sk.tcp_rtx_queue.next
        assert skb is not None
        sk.sk_wmem_alloc += 1 << 30
        assert tcp_small_queue_check(sk, skb, 0)
        sk.tcp_rtx_queue.next = None
        assert not tcp_small_queue_check(sk, skb, 0)
        sk.tcp_rtx_queue.next = skb
        sk.sk_wmem_alloc -= 1 << 30


class TestDefer:
    def waiting(self) -> tuple[Wire, TcpSock]:
        """A connection with ten segments out and as many waiting; the window allows two more. Its RTT is 10 ms."""
        wire, _, fd, sk = connected()
        wire.run(lambda: wire.prog.send(fd, bytes(20 * 1460)))
        wire.take()
        assert (sk.packets_out, sk.sk_write_queue.next is not None) == (10, True)
        wire.advance(9_500_000)
        sk.tcp_mstamp = wire.now
        sk.tcp_wstamp_ns = wire.now
        sk.snd_cwnd = 12
        return wire, sk

    def verdict(self, sk: TcpSock) -> int:
        skb = sk.sk_write_queue.next
        assert skb is not None
        return int(tcp_tso_should_defer(sk, skb, 10))

    def test_two_of_twelve_are_not_worth_it(self) -> None:
        _, sk = self.waiting()
        assert self.verdict(sk) == TSO_DEFER_CWND

    def test_a_third_of_the_window_is(self) -> None:
        _, sk = self.waiting()
        sk.snd_cwnd = 15
        assert self.verdict(sk) == TSO_SEND_NOW

    def test_without_a_divisor_more_than_three_segments_are(self) -> None:
        wire, sk = self.waiting()
        wire.net.ipv4.sysctl_tcp_tso_win_divisor = 0
        sk.snd_cwnd = 13
        assert self.verdict(sk) == TSO_DEFER_CWND
        sk.snd_cwnd = 14
        assert self.verdict(sk) == TSO_SEND_NOW

    def test_not_after_a_millisecond_of_silence(self) -> None:
        wire, sk = self.waiting()
        sk.tcp_wstamp_ns = wire.now - MS + 1
        assert self.verdict(sk) == TSO_DEFER_CWND
        sk.tcp_wstamp_ns = wire.now - MS
        assert self.verdict(sk) == TSO_SEND_NOW

    def test_not_if_the_next_ack_is_more_than_a_millisecond_away(self) -> None:
        _, sk = self.waiting()
        sk.srtt_us = 11_000 << 3
        assert self.verdict(sk) == TSO_SEND_NOW

    def test_not_in_recovery(self) -> None:
        _, sk = self.waiting()
        sk.icsk_ca_state = 3
        assert self.verdict(sk) == TSO_SEND_NOW
        sk.icsk_ca_state = 0

