# SPDX-License-Identifier: Apache-2.0
"""The metrics cache: what is kept of a connection that ended, and what one that begins takes from it."""
from __future__ import annotations

import pytest

from helpers.hosts import fails
from helpers.tcp_wire import HERE, MS, SEC, THERE, Peer, Wire
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, SHUT_WR
from linnet.include.net.dst import RTAX_CWND, RTAX_LOCK, RTAX_REORDERING, RTAX_RTT, RTAX_SSTHRESH
from linnet.include.net.request_sock import TcpFastopenCookie
from linnet.include.net.tcp import TCP_INFINITE_SSTHRESH, TCP_CA_Loss, TcpSock
from linnet.include.net.tcp_metrics import (
    TCP_METRIC_CWND,
    TCP_METRIC_REORDERING,
    TCP_METRIC_RTT,
    TCP_METRIC_RTTVAR,
    TCP_METRIC_SSTHRESH,
    TcpMetricsBlock,
)
from linnet.net import socket as s
from linnet.net.core.skbuff import alloc_skb
from linnet.net.ipv4.tcp_metrics import (
    TCP_METRICS_MAX,
    tcp_fastopen_cache_get,
    tcp_fastopen_cache_set,
    tcp_get_metrics,
    tcp_init_metrics,
    tcp_metrics_flush_all,
    tcp_peer_is_proven,
    tcp_update_metrics,
)

KEY = (in_aton(HERE) << 32) | in_aton(THERE)


def sock(wire: Wire, fd: int) -> TcpSock:
    """The sock of a descriptor."""
    sk = s.sock_from_file(s.sockfd_lookup(wire.prog.process, fd)).sk
    assert isinstance(sk, TcpSock)
    return sk


def connected(rtt: int = 50 * MS) -> tuple[Wire, Peer, TcpSock]:
    """A connection whose handshake took so long."""
    wire = Wire()
    peer = Peer(wire)
    return wire, peer, sock(wire, peer.accept(delay=rtt))


def entry(wire: Wire) -> TcpMetricsBlock:
    """The one entry."""
    assert list(wire.net.ipv4.tcp_metrics) == [KEY]
    return wire.net.ipv4.tcp_metrics[KEY]


def closed(wire: Wire, peer: Peer, fd: int, rtt: int = 50 * MS) -> None:
    """Both sides close, ours first."""
    wire.prog.close(fd)
    wire.advance(rtt)
    peer.rcv += 1
    peer.send('F.')
    wire.take()


class TestLife:
    def test_a_connection_that_ends_leaves_its_rtt(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = peer.accept(delay=50 * MS)
        assert wire.net.ipv4.tcp_metrics == {}
        closed(wire, peer, fd)
        assert entry(wire).tcpm_vals[TCP_METRIC_RTT] == 400_000  # µs, eightfold
        assert entry(wire).tcpm_vals[TCP_METRIC_CWND] == 10
        syn = alloc_skb(wire.net.world, 0)
        syn.daddr, syn.saddr = in_aton(HERE), in_aton(THERE)
        assert tcp_peer_is_proven(wire.net, syn)
        syn.saddr = in_aton('10.0.0.3')
        assert not tcp_peer_is_proven(wire.net, syn)

    def test_last_ack_too(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = peer.accept(delay=50 * MS)
        peer.send('F.')
        wire.prog.shutdown(fd, SHUT_WR)
        wire.advance(50 * MS)
        peer.rcv += 1
        peer.send('.')
        assert entry(wire).tcpm_vals[TCP_METRIC_RTT] == 400_000

    def test_not_with_no_metrics_save(self) -> None:
        wire = Wire()
        wire.net.ipv4.sysctl_tcp_no_metrics_save = 1
        peer = Peer(wire)
        closed(wire, peer, peer.accept(delay=50 * MS))
        assert wire.net.ipv4.tcp_metrics == {}

    def test_a_reset_connection_leaves_nothing(self) -> None:
        wire, peer, _ = connected()
        peer.send('R.')
        assert wire.net.ipv4.tcp_metrics == {}

    def test_the_next_starts_with_the_rto_of_the_last(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        closed(wire, peer, peer.accept(delay=600 * MS), 600 * MS)
        quick = Peer(wire, port=8081)
        sk = sock(wire, quick.accept(delay=10 * MS))
        assert sk.srtt_us == 80_000
        assert sk.icsk_rto == 600 + 1200

    def test_flush(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        closed(wire, peer, peer.accept(delay=600 * MS))
        tcp_metrics_flush_all(wire.net)
        assert wire.net.ipv4.tcp_metrics == {}

    def test_the_table_is_bounded(self) -> None:
        wire, _, sk = connected()
        table = wire.net.ipv4.tcp_metrics
        for i in range(TCP_METRICS_MAX):
            table[i] = TcpMetricsBlock(AF_INET, 0, i)
        assert tcp_get_metrics(sk, sk.sk_dst_cache, True) is not None
        assert len(table) == TCP_METRICS_MAX
        assert 0 not in table

    def test_no_route_no_entry(self) -> None:
        _, _, sk = connected()
        assert tcp_get_metrics(sk, None, True) is None

    def test_an_hour_later_the_route_decides(self) -> None:
        wire, _, sk = connected()
        tcp_update_metrics(sk)
        dst = sk.sk_dst_cache
        assert dst is not None
        dst.metrics[RTAX_RTT] = 80  # ms, eightfold
        wire.advance(3600 * SEC)
        tm = tcp_get_metrics(sk, dst, False)
        assert tm is not None
        assert tm.tcpm_vals[TCP_METRIC_RTT] == 400_000
        wire.advance(1 * SEC)
        assert tcp_get_metrics(sk, dst, False) is tm
        assert tm.tcpm_vals[TCP_METRIC_RTT] == 80_000


class TestUpdate:
    @pytest.mark.parametrize(('old', 'srtt', 'mdev', 'rtt', 'rttvar'), [
        (0, 800, 10, 800, 400),
        (400, 800, 10, 800, 200),  # a longer one counts at once
        (800, 400, 10, 750, 200),  # a shorter one by an eighth
        (800, 400, 900, 750, 900),
    ])
    def test_rtt(self, old: int, srtt: int, mdev: int, rtt: int, rttvar: int) -> None:
        wire, _, sk = connected()
        tm = tcp_get_metrics(sk, sk.sk_dst_cache, True)
        assert tm is not None
        tm.tcpm_vals[TCP_METRIC_RTT] = old
        sk.srtt_us, sk.mdev_us = srtt, mdev
        tcp_update_metrics(sk)
        assert entry(wire).tcpm_vals[:2] == [rtt, rttvar]

    def test_variance_falls_by_a_quarter(self) -> None:
        wire, _, sk = connected()
        tm = tcp_get_metrics(sk, sk.sk_dst_cache, True)
        assert tm is not None
        tm.tcpm_vals[TCP_METRIC_RTT] = int(sk.srtt_us)
        tm.tcpm_vals[TCP_METRIC_RTTVAR] = 1_000_000
        sk.mdev_us = 200_000
        tcp_update_metrics(sk)
        assert entry(wire).tcpm_vals[TCP_METRIC_RTTVAR] == 800_000

    def test_unanswered_makes_the_rtt_unknown(self) -> None:
        wire, _, sk = connected()
        tcp_update_metrics(sk)
        sk.icsk_backoff = 1
        tcp_update_metrics(sk)
        assert entry(wire).tcpm_vals[TCP_METRIC_RTT] == 0

    @pytest.mark.parametrize(('cwnd', 'ssthresh', 'state', 'old', 'new'), [
        (30, TCP_INFINITE_SSTHRESH, 0, (20, 0), (30, 0)),  # the first slow start: at least this window
        (30, TCP_INFINITE_SSTHRESH, 0, (40, 10), (40, 15)),
        (30, 20, 0, (20, 0), (25, 20)),  # congestion avoidance: the window is to be trusted
        (30, 10, 0, (20, 0), (25, 15)),
        (5, 20, TCP_CA_Loss, (20, 0), (20, 0)),  # after a loss: half way to the threshold
        (5, 30, TCP_CA_Loss, (20, 10), (25, 30)),
    ])
    def test_window(self, cwnd: int, ssthresh: int, state: int, old: tuple[int, int], new: tuple[int, int]) -> None:
        wire, _, sk = connected()
        wire.net.ipv4.sysctl_tcp_no_ssthresh_metrics_save = 0
        tm = tcp_get_metrics(sk, sk.sk_dst_cache, True)
        assert tm is not None
        tm.tcpm_vals[TCP_METRIC_CWND], tm.tcpm_vals[TCP_METRIC_SSTHRESH] = old
        sk.snd_cwnd, sk.snd_ssthresh, sk.icsk_ca_state = cwnd, ssthresh, state
        tcp_update_metrics(sk)
        assert (tm.tcpm_vals[TCP_METRIC_CWND], tm.tcpm_vals[TCP_METRIC_SSTHRESH]) == new

    def test_threshold_is_not_kept_as_a_rule(self) -> None:
        wire, _, sk = connected()
        sk.snd_cwnd, sk.snd_ssthresh = 30, 20
        tcp_update_metrics(sk)
        assert entry(wire).tcpm_vals[TCP_METRIC_SSTHRESH] == 0

    def test_reordering(self) -> None:
        wire, _, sk = connected()
        sk.snd_cwnd, sk.snd_ssthresh, sk.icsk_ca_state, sk.reordering = 5, 20, TCP_CA_Loss, 17
        tcp_update_metrics(sk)
        assert entry(wire).tcpm_vals[TCP_METRIC_REORDERING] == 17
        sk.reordering = 3
        tcp_init_metrics(sk)
        assert sk.reordering == 17

    def test_what_the_route_locks_stays(self) -> None:
        wire, _, sk = connected()
        dst = sk.sk_dst_cache
        assert dst is not None
        dst.metrics[RTAX_CWND] = 4
        dst.metrics[RTAX_SSTHRESH] = 7
        dst.metrics[RTAX_REORDERING] = 9
        dst.metrics[RTAX_LOCK] = 1 << RTAX_CWND
        tcp_update_metrics(sk)
        assert entry(wire).tcpm_vals[TCP_METRIC_CWND] == 4
        wire.net.ipv4.sysctl_tcp_no_ssthresh_metrics_save = 0
        tcp_init_metrics(sk)
        assert (sk.snd_cwnd_clamp, sk.snd_ssthresh, sk.reordering) == (4, 4, 9)


class TestFastOpen:
    def test_nothing_known(self) -> None:
        _, _, sk = connected()
        cookie = TcpFastopenCookie()
        assert tcp_fastopen_cache_get(sk, cookie) == 0
        assert cookie.len == -1

    def test_kept_and_given(self) -> None:
        _, _, sk = connected()
        given = TcpFastopenCookie()
        given.len, given.val = 8, b'12345678'
        tcp_fastopen_cache_set(sk, 1400, given, False, 0)
        given.val = b'changed!'
        cookie = TcpFastopenCookie()
        assert tcp_fastopen_cache_get(sk, cookie) == 1400
        assert (cookie.len, cookie.val, cookie.exp) == (8, b'12345678', False)
        none = TcpFastopenCookie()
        tcp_fastopen_cache_set(sk, 0, none, False, 0)  # neither MSS nor cookie: what is known stays
        assert tcp_fastopen_cache_get(sk, cookie) == 1400
        assert cookie.val == b'12345678'

    def test_the_other_option_is_tried_once(self) -> None:
        _, _, sk = connected()
        asked = []
        for try_exp in (1, 2, 1):
            tcp_fastopen_cache_set(sk, 1400, TcpFastopenCookie(), False, try_exp)
            cookie = TcpFastopenCookie()
            tcp_fastopen_cache_get(sk, cookie)
            asked.append(cookie.exp)
        assert asked == [True, False, False]

    def test_losses_in_a_row(self) -> None:
        wire, _, sk = connected()
        for lost, count in ((True, 1), (True, 2), (False, 0)):
            tcp_fastopen_cache_set(sk, 0, None, lost, 0)
            assert entry(wire).tcpm_fastopen.syn_loss == count


def test_cookies_outlive_no_metrics_save() -> None:
    wire = Wire()
    wire.net.ipv4.sysctl_tcp_no_metrics_save = 1
    peer = Peer(wire)
    fd = wire.prog.nonblocking(wire.prog.socket())
    with fails('EINPROGRESS'):
        wire.prog.sendto(fd, b'x', THERE, 8080, 0x20000000)
    syn = wire.take()[0]
    peer.their_isn, peer.their_port = syn.seq, syn.sport
    peer.send('S.', seq=0, ack=1, options=b'\x02\x04\x05\xb4\x22\x06abcd')
    cookie = entry(wire).tcpm_fastopen.cookie
    assert cookie.val == b'abcd'
