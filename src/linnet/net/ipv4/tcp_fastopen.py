# SPDX-License-Identifier: Apache-2.0
"""TCP Fast Open (RFC 7413): keys and cookies, and when a SYN may carry data.

A server gives a client that asks a cookie, a keyed hash of both addresses; whoever shows it later may send data with the SYN,
which the program can accept and read at once. A client keeps cookies in the metrics cache (tcp_metrics.py). There may be two
keys: cookies are made with the first and accepted by both, so that keys can be changed without a break. A client that meets a
network which loses SYNs with data stops using them for a time, and longer each time (the black hole).
Siblings: tcp_fastopen_rcv.py (data that came with a SYN), tcp_fastopen_serv.py (the listener's side).
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_IPV6
from linnet.include.linux.in6 import in6_bytes
from linnet.include.linux.netdevice import IFF_LOOPBACK
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.dst import RTAX_FASTOPEN_NO_COOKIE, DstEntry
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSockQueue, TcpFastopenContext, TcpFastopenCookie
from linnet.include.net.snmp import (
    LINUX_MIB_TCPFASTOPENACTIVEFAIL,
    LINUX_MIB_TCPFASTOPENBLACKHOLE,
    LINUX_MIB_TCPFASTOPENLISTENOVERFLOW,
    NET_INC_STATS,
)
from linnet.include.net.sock import sock_net
from linnet.include.net.tcp import (
    TCP_FASTOPEN_COOKIE_SIZE,
    TCP_FASTOPEN_KEY_LENGTH,
    TCPHDR_FIN,
    TFO_CLIENT_NO_COOKIE,
    TFO_COOKIE_UNAVAILABLE,
    TFO_SERVER_ENABLE,
    TFO_SERVER_WO_SOCKOPT1,
    TcpFastopenRequest,
    TcpSock,
)
from linnet.kernel.random import siphash_2_4
from linnet.net.core.request_sock import reqsk_fastopen_forget_reset
from linnet.net.ipv4.tcp_metrics import tcp_fastopen_cache_get

# -- keys

def tcp_fastopen_init_key_once(net: Net) -> TcpFastopenContext:
    """The host's keys; a random one the first time that one is needed.  Linux: net/ipv4/tcp_fastopen.c."""
    ctx = net.ipv4.tcp_fastopen_ctx
    if ctx is None:
        ctx = TcpFastopenContext(net.random.fork('tcp_fastopen').bytes(TCP_FASTOPEN_KEY_LENGTH), b'')
        net.ipv4.tcp_fastopen_ctx = ctx
    return ctx


def tcp_fastopen_reset_cipher(net: Net, sk: InetConnectionSock | None, primary: bytes, backup: bytes) -> None:
    """Set the keys of a listener, or (sk None) of the host; backup b'': there is one only.  Linux: net/ipv4/tcp_fastopen.c."""
    ctx = TcpFastopenContext(primary, backup)
    if sk is not None:
        sk.icsk_accept_queue.fastopenq_ctx = ctx
    else:
        net.ipv4.tcp_fastopen_ctx = ctx


def tcp_fastopen_get_ctx(sk: InetConnectionSock) -> TcpFastopenContext:
    """The keys that hold for a listener: its own, or the host's.  Linux: include/net/tcp.h."""
    ctx = sk.icsk_accept_queue.fastopenq_ctx
    return ctx if ctx is not None else tcp_fastopen_init_key_once(sock_net(sk))


def tcp_fastopen_key_text(ctx: TcpFastopenContext | None) -> str:
    """As net.ipv4.tcp_fastopen_key shows them: four 32-bit words a key, in hexadecimal; keys parted by a comma.

    Linux: net/ipv4/sysctl_net_ipv4.c, proc_tcp_fastopen_key.
    """
    keys = [bytes(TCP_FASTOPEN_KEY_LENGTH)] if ctx is None else ctx.keys
    texts: list[str] = []
    for key in keys:
        words = [int.from_bytes(key[i:i + 4], 'little') for i in range(0, TCP_FASTOPEN_KEY_LENGTH, 4)]
        texts.append('-'.join([f'{word:08x}' for word in words]))
    return ','.join(texts)


def tcp_fastopen_key_parse(text: str) -> bytes:
    """The 16 bytes of one key of that form; b'' where it is none."""
    words = text.strip().split('-')
    key = b''
    for word in words:
        if not 1 <= len(word) <= 8:
            return b''
        for c in word:
            if c not in '0123456789abcdefABCDEF':
                return b''
        key += int(word, 16).to_bytes(4, 'little')
    return key if len(words) == 4 else b''


# -- cookies

def tcp_fastopen_cookie_of(key: bytes, skb: SkBuff) -> bytes:
    """SipHash-2-4 of the addresses of skb, a SYN: the client's and the server's.

    Linux: net/ipv4/tcp_fastopen.c, __tcp_fastopen_cookie_gen_cipher.
    """
    if skb.protocol == ETH_P_IPV6:
        addresses = in6_bytes(skb.saddr6) + in6_bytes(skb.daddr6)
    else:
        addresses = int(skb.saddr).to_bytes(4, 'big') + int(skb.daddr).to_bytes(4, 'big')
    value = siphash_2_4(int.from_bytes(key[:8], 'little'), int.from_bytes(key[8:], 'little'), addresses)
    return value.to_bytes(TCP_FASTOPEN_COOKIE_SIZE, 'little')


def tcp_fastopen_cookie_gen(sk: InetConnectionSock, skb: SkBuff, foc: TcpFastopenCookie) -> None:
    """Make the cookie for the client that skb, a SYN, is of, into foc.  Linux: net/ipv4/tcp_fastopen.c."""
    foc.val = tcp_fastopen_cookie_of(tcp_fastopen_get_ctx(sk).keys[0], skb)
    foc.len = TCP_FASTOPEN_COOKIE_SIZE


def tcp_fastopen_cookie_gen_check(
    sk: InetConnectionSock, skb: SkBuff, orig: TcpFastopenCookie, valid_foc: TcpFastopenCookie,
) -> int:
    """Is orig a cookie of ours for that client? 1: by the first key, 2: by the second, 0: no. valid_foc: the one by the first.

    Linux: net/ipv4/tcp_fastopen.c.
    """
    tcp_fastopen_cookie_gen(sk, skb, valid_foc)
    nr = 0
    for key in tcp_fastopen_get_ctx(sk).keys:
        nr += 1
        if orig.val == tcp_fastopen_cookie_of(key, skb):
            return nr
    return 0


# -- the listener's limit

def fastopen_queue_tune(sk: InetConnectionSock, backlog: i64) -> None:
    """Let so many children of open handshakes be there at once.  Linux: include/linux/tcp.h."""
    somaxconn = sock_net(sk).core.sysctl_somaxconn
    sk.icsk_accept_queue.fastopenq_max_qlen = backlog if backlog < somaxconn else somaxconn


def tcp_fastopen_listen(sk: InetConnectionSock, backlog: i64) -> None:
    """A socket begins to listen: with net.ipv4.tcp_fastopen 0x402 it takes Fast Opens without having asked.

    Part of Linux's __inet_listen_sk.
    """
    wanted: i64 = TFO_SERVER_ENABLE | TFO_SERVER_WO_SOCKOPT1
    if (sock_net(sk).ipv4.sysctl_tcp_fastopen & wanted) == wanted and sk.icsk_accept_queue.fastopenq_max_qlen == 0:
        fastopen_queue_tune(sk, backlog)
        tcp_fastopen_init_key_once(sock_net(sk))


def tcp_fastopen_queue_check(sk: InetConnectionSock) -> bool:
    """Does the listener take Fast Opens, and is it below its limit?  Linux: net/ipv4/tcp_fastopen.c.  RFC 7413, 5.1."""
    queue: RequestSockQueue = sk.icsk_accept_queue
    if queue.fastopenq_max_qlen == 0:
        return False
    if queue.fastopenq_qlen >= queue.fastopenq_max_qlen:
        first = queue.fastopenq_rst_head
        if first is None or first.rst_expires > sock_net(sk).clock.jiffies():
            NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENLISTENOVERFLOW)
            return False
        reqsk_fastopen_forget_reset(queue)
    return True


# -- the client

def tcp_fastopen_no_cookie(sk: TcpSock, dst: DstEntry | None, flag: i64) -> bool:
    """Do the host (flag: TFO_*), the socket or the route say that no cookie is needed?  Linux: net/ipv4/tcp_fastopen.c."""
    if (sock_net(sk).ipv4.sysctl_tcp_fastopen & flag) != 0 or sk.fastopen_no_cookie:
        return True
    return dst is not None and dst.metrics[RTAX_FASTOPEN_NO_COOKIE] != 0


def tcp_fastopen_cookie_check(sk: TcpSock, cookie: TcpFastopenCookie) -> bool:
    """May sk's SYN carry data? cookie: what to send with it (len -1: nothing, 0: ask for one). Takes the peer's known MSS too.

    Linux: net/ipv4/tcp_fastopen.c, where the MSS goes through an argument.
    """
    mss = tcp_fastopen_cache_get(sk, cookie)
    if mss != 0:
        sk.rx_opt.mss_clamp = mss
    if tcp_fastopen_active_should_disable(sk):
        cookie.len = -1
        return False
    if tcp_fastopen_no_cookie(sk, sk.sk_dst_cache, TFO_CLIENT_NO_COOKIE):
        cookie.len = -1
        return True
    if cookie.len > 0:
        return True
    sk.fastopen_client_fail = TFO_COOKIE_UNAVAILABLE
    return False


def tcp_fastopen_defer_connect(sk: TcpSock) -> bool:
    """TCP_FASTOPEN_CONNECT: shall connect() wait for the first write, whose data goes with the SYN?

    False: the SYN goes now, and asks for a cookie.  Linux: net/ipv4/tcp_fastopen.c.
    """
    if sk.fastopen_connect and sk.fastopen_req is None:
        cookie = TcpFastopenCookie()
        cookie.len = 0
        mss_clamp = sk.rx_opt.mss_clamp
        usable = tcp_fastopen_cookie_check(sk, cookie)
        sk.rx_opt.mss_clamp = mss_clamp
        if usable:
            sk.defer_connect = True
            return True
        sk.fastopen_req = TcpFastopenRequest(None, 0)
    return False


# -- black holes

def tcp_fastopen_active_disable(sk: TcpSock) -> None:
    """Fast Open seems to have met a network that swallows it: no host's SYN carries data for a while.

    Linux: net/ipv4/tcp_fastopen.c; net.ipv4.tcp_fastopen_blackhole_timeout_sec 0: never mind.
    """
    net = sock_net(sk)
    if net.ipv4.sysctl_tcp_fastopen_blackhole_timeout == 0:
        return
    net.ipv4.tfo_active_disable_stamp = net.clock.jiffies()
    net.ipv4.tfo_active_disable_times += 1
    NET_INC_STATS(net, LINUX_MIB_TCPFASTOPENBLACKHOLE)


def tcp_fastopen_active_should_disable(sk: TcpSock) -> bool:
    """Is it that while? It lasts the sysctl's time, doubled with each black hole met up to 64-fold.

    Linux: net/ipv4/tcp_fastopen.c.
    """
    net = sock_net(sk)
    ipv4 = net.ipv4
    times = ipv4.tfo_active_disable_times
    if ipv4.sysctl_tcp_fastopen_blackhole_timeout == 0 or times == 0:
        return False
    shift = times - 1 if times < 7 else 6
    if net.clock.jiffies() < ipv4.tfo_active_disable_stamp + ((ipv4.sysctl_tcp_fastopen_blackhole_timeout * 1000) << shift):
        return True
    sk.syn_fastopen_ch = True  # a trial: if it goes well, the count starts again
    return False


def tcp_fastopen_active_disable_ofo_check(sk: TcpSock) -> None:
    """A client's connection ends: if all that came is a FIN out of order, what was before it was swallowed.

    Linux: net/ipv4/tcp_fastopen.c.
    """
    if not sk.syn_fastopen:
        return
    ipv4 = sock_net(sk).ipv4
    if sk.data_segs_in == 0:
        skb = sk.out_of_order_queue.next
        if skb is not None and skb.next is None and (skb.tcp_flags & TCPHDR_FIN) != 0:
            tcp_fastopen_active_disable(sk)
    elif sk.syn_fastopen_ch and ipv4.tfo_active_disable_times != 0:
        dst = sk.sk_dst_cache
        if dst is None or (dst.dev.flags & IFF_LOOPBACK) == 0:
            ipv4.tfo_active_disable_times = 0


def tcp_fastopen_active_detect_blackhole(sk: TcpSock, expired: bool) -> None:
    """A retransmission time-out: is it the third in a row, or the last, of a connection that began by Fast Open?

    Linux: net/ipv4/tcp_fastopen.c.
    """
    timeouts = sk.icsk_retransmits
    if (sk.syn_fastopen or sk.syn_data or sk.syn_data_acked) and (timeouts == 2 or (timeouts < 2 and expired)):
        tcp_fastopen_active_disable(sk)
        NET_INC_STATS(sock_net(sk), LINUX_MIB_TCPFASTOPENACTIVEFAIL)


def tcp_free_fastopen_req(sk: TcpSock) -> None:
    """The send that opened the connection is over.  Linux: include/net/tcp.h."""
    sk.fastopen_req = None
