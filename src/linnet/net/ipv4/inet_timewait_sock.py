# SPDX-License-Identifier: Apache-2.0
"""TIME_WAIT: what stays of a connection that ended (RFC 9293, 3.6.1), so that late segments meet an answer and not a stranger.

tcp_time_wait() makes an InetTimewaitSock out of the dying sock and puts it in the sock's place in both hashes. It is held three
times: by the established hash, by the bind hash and by its timer. The timer, or a new connection that takes over its ports, ends
it through inet_twsk_kill(). At most net.ipv4.tcp_max_tw_buckets of them live; beyond that a connection just closes.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.inet_hashtables import InetHashinfo
from linnet.include.net.inet_timewait_sock import InetTimewaitSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import LINUX_MIB_TW, LINUX_MIB_TWKILLED, NET_INC_STATS
from linnet.include.net.sock import SockTimer, sock_net
from linnet.include.net.tcp_states import TCP_FIN_WAIT2, TCP_TIME_WAIT
from linnet.kernel.clock import NSEC_PER_JIFFY
from linnet.kernel.slab import kmem_cache_free
from linnet.kernel.timer import del_timer, mod_timer
from linnet.net.core.sock import kmem_cache_alloc
from linnet.net.ipv4.inet_hashtables_chain import (
    ehash_add,
    ehash_del,
    inet_bind2_bucket_destroy,
    inet_bind_bucket_destroy,
    inet_hashinfo,
)


class TwTimer(SockTimer):
    """2 MSL (or tcp_fin_timeout) are over."""

    def function(self) -> None:
        """End the sock."""
        sk = self.sk
        assert isinstance(sk, InetTimewaitSock)
        tw_timer_handler(sk)


def inet_twsk_free(tw: InetTimewaitSock) -> None:
    """Nobody holds it any more.  Linux: net/ipv4/inet_timewait_sock.c."""
    cache = tw.sk_prot.twsk_slab
    assert cache is not None
    kmem_cache_free(cache, tw)


def inet_twsk_put(tw: InetTimewaitSock) -> None:
    """Drop a reference.  Linux: net/ipv4/inet_timewait_sock.c."""
    tw.sk_refcnt -= 1
    if tw.sk_refcnt == 0:
        inet_twsk_free(tw)


def inet_twsk_bind_unhash(tw: InetTimewaitSock, hashinfo: InetHashinfo) -> None:
    """Give the port back.  Linux: net/ipv4/inet_timewait_sock.c."""
    tb = tw.tw_tb
    tb2 = tw.tw_tb2
    if tb is None:
        return
    tw.tw_tb = None
    tb.owners.pop(tw, None)
    inet_bind_bucket_destroy(hashinfo, tb)
    if tb2 is not None:
        tw.tw_tb2 = None
        tb2.owners.pop(tw, None)
        inet_bind2_bucket_destroy(hashinfo, tb2)
    tw.sk_refcnt -= 1


def inet_twsk_kill(tw: InetTimewaitSock) -> None:
    """Take it out of both hashes and drop the timer's reference.  Linux: net/ipv4/inet_timewait_sock.c."""
    net = sock_net(tw)
    hashinfo = inet_hashinfo(net)
    if ehash_del(hashinfo, tw):
        tw.sk_refcnt -= 1
    inet_twsk_bind_unhash(tw, hashinfo)
    net.ipv4.tcp_death_row_tw_count -= 1
    inet_twsk_put(tw)


def inet_twsk_hashdance(tw: InetTimewaitSock, sk: InetConnectionSock, hashinfo: InetHashinfo) -> None:
    """Put tw into sk's place in the hashes; afterwards its timer may start.  Linux: net/ipv4/inet_timewait_sock.c."""
    tb = sk.icsk_bind_hash
    assert tb is not None
    tw.tw_tb = tb
    tb.owners[tw] = None
    tb2 = sk.icsk_bind2_hash
    if tb2 is not None:
        tw.tw_tb2 = tb2
        tb2.owners[tw] = None
    ehash_add(hashinfo, tw, sk.sk_hash)
    ehash_del(hashinfo, sk)
    tw.sk_refcnt = 3


def tw_timer_handler(tw: InetTimewaitSock) -> None:
    """The time is over.  Linux: net/ipv4/inet_timewait_sock.c."""
    NET_INC_STATS(sock_net(tw), LINUX_MIB_TW)
    inet_twsk_kill(tw)


def inet_twsk_alloc(sk: InetConnectionSock, state: i64) -> InetTimewaitSock | None:
    """A sock that stands for sk in `state` (TIME_WAIT, or FIN_WAIT2 of an orphan); None where there are too many.

    Linux: net/ipv4/inet_timewait_sock.c.
    """
    net = sock_net(sk)
    if net.ipv4.tcp_death_row_tw_count >= net.ipv4.sysctl_tcp_max_tw_buckets:
        return None
    cache = sk.sk_prot.twsk_slab
    assert cache is not None
    tw = kmem_cache_alloc(cache)
    assert isinstance(tw, InetTimewaitSock)
    net.ipv4.tcp_death_row_tw_count += 1
    tw.sk_state = TCP_TIME_WAIT
    tw.tw_substate = state
    tw.sk_daddr = sk.sk_daddr
    tw.sk_rcv_saddr = sk.sk_rcv_saddr
    tw.sk_v6_daddr = sk.sk_v6_daddr
    tw.sk_v6_rcv_saddr = sk.sk_v6_rcv_saddr
    tw.sk_ipv6only = sk.sk_ipv6only
    tw.sk_bound_dev_if = sk.sk_bound_dev_if
    tw.tw_tos = sk.tos
    np = sk.pinet6
    if np is not None:
        tw.tw_tclass = np.tclass
        tw.tw_flowlabel = np.flow_label
    tw.sk_num = sk.sk_num
    tw.sk_dport = sk.sk_dport
    tw.tw_sport = sk.inet_sport
    tw.sk_family = sk.sk_family
    tw.sk_reuse = sk.sk_reuse
    tw.sk_reuseport = sk.sk_reuseport
    tw.sk_protocol = sk.sk_protocol
    tw.sk_prot = sk.sk_prot
    tw.sk_net = sk.sk_net
    tw.sk_mark = sk.sk_mark
    tw.sk_priority = sk.sk_priority
    tw.sk_cookie = sk.sk_cookie
    tw.tw_priority = sk.sk_priority
    tw.tw_txhash = sk.sk_txhash
    tw.sk_refcnt = 0
    tw.tw_timer = TwTimer(net, tw)
    return tw


def inet_twsk_schedule(tw: InetTimewaitSock, timeo: i64) -> None:
    """Let it live for timeo jiffies from now.  Linux: net/ipv4/inet_timewait_sock.c."""
    timer = tw.tw_timer
    assert timer is not None
    mod_timer(timer, sock_net(tw).clock.now + timeo * NSEC_PER_JIFFY)


def inet_twsk_reschedule(tw: InetTimewaitSock, timeo: i64) -> None:
    """Start its time anew, if it still runs.  Linux: net/ipv4/inet_timewait_sock.c."""
    timer = tw.tw_timer
    assert timer is not None
    if timer.armed:
        mod_timer(timer, sock_net(tw).clock.now + timeo * NSEC_PER_JIFFY)


def inet_twsk_deschedule_put(tw: InetTimewaitSock) -> None:
    """End it before its time; the caller's reference goes too.  Linux: net/ipv4/inet_timewait_sock.c."""
    timer = tw.tw_timer
    assert timer is not None
    if del_timer(timer):
        inet_twsk_kill(tw)
    inet_twsk_put(tw)


def inet_twsk_purge(net: Net) -> None:
    """End them all (the namespace goes).  Linux: net/ipv4/inet_timewait_sock.c."""
    hashinfo = inet_hashinfo(net)
    found: list[InetTimewaitSock] = []
    for first in hashinfo.ehash.values():
        sk = first
        while True:
            if isinstance(sk, InetTimewaitSock):
                found.append(sk)
            after = sk.sk_hash_next
            if after is None:
                break
            sk = after
    for tw in found:
        tw.sk_refcnt += 1
        if tw.tw_substate != TCP_FIN_WAIT2:
            NET_INC_STATS(net, LINUX_MIB_TWKILLED)
        inet_twsk_deschedule_put(tw)
