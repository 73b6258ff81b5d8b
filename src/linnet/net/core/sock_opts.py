# SPDX-License-Identifier: Apache-2.0
"""The socket options of level SOL_SOCKET, with Linux's ranges, doublings and errors.

Option values are bytes as a C program hands them over: int is 4 bytes, struct linger 8, struct timeval and timespec 16
(64-bit Linux), little-endian. Buffer sizes are bounded by net.core.[rw]mem_max and then doubled, as the kernel's own
bookkeeping is counted too.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.net_tstamp import SOF_TIMESTAMPING_OPT_ID_TCP
from linnet.include.linux.sched import CAP_NET_ADMIN, CAP_NET_RAW
from linnet.include.linux.skbuff import SkBuff
from linnet.include.linux.socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    SO_ACCEPTCONN,
    SO_BINDTODEVICE,
    SO_BINDTOIFINDEX,
    SO_BROADCAST,
    SO_BSDCOMPAT,
    SO_BUF_LOCK,
    SO_BUSY_POLL,
    SO_BUSY_POLL_BUDGET,
    SO_COOKIE,
    SO_DEBUG,
    SO_DOMAIN,
    SO_DONTROUTE,
    SO_ERROR,
    SO_GET_FILTER,
    SO_INCOMING_CPU,
    SO_INCOMING_NAPI_ID,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_LOCK_FILTER,
    SO_MARK,
    SO_MAX_PACING_RATE,
    SO_MEMINFO,
    SO_NETNS_COOKIE,
    SO_NO_CHECK,
    SO_OOBINLINE,
    SO_PASSCRED,
    SO_PEEK_OFF,
    SO_PEERCRED,
    SO_PEERNAME,
    SO_PREFER_BUSY_POLL,
    SO_PRIORITY,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_RCVLOWAT,
    SO_RCVMARK,
    SO_RCVTIMEO,
    SO_RCVTIMEO_NEW,
    SO_RESERVE_MEM,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_RXQ_OVFL,
    SO_SELECT_ERR_QUEUE,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SO_SNDLOWAT,
    SO_SNDTIMEO,
    SO_SNDTIMEO_NEW,
    SO_TIMESTAMP,
    SO_TIMESTAMP_NEW,
    SO_TIMESTAMPING,
    SO_TIMESTAMPING_NEW,
    SO_TIMESTAMPNS,
    SO_TIMESTAMPNS_NEW,
    SO_TXREHASH,
    SO_TYPE,
    SO_WIFI_STATUS,
    SO_ZEROCOPY,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    Cmsg,
    Msghdr,
)
from linnet.include.net.sock import (
    MAX_SCHEDULE_TIMEOUT,
    SK_CAN_REUSE,
    SK_NO_REUSE,
    SK_PACING_NEEDED,
    SK_PACING_NONE,
    SK_UNLIMITED_RATE,
    SOCK_BROADCAST,
    SOCK_DBG,
    SOCK_FILTER_LOCKED,
    SOCK_KEEPOPEN,
    SOCK_LINGER,
    SOCK_LOCALROUTE,
    SOCK_MIN_RCVBUF,
    SOCK_MIN_SNDBUF,
    SOCK_PREFER_BUSY_POLL,
    SOCK_RCVBUF_LOCK,
    SOCK_RCVMARK,
    SOCK_RCVTSTAMP,
    SOCK_RCVTSTAMPNS,
    SOCK_RXQ_OVFL,
    SOCK_SELECT_ERR_QUEUE,
    SOCK_SNDBUF_LOCK,
    SOCK_URGINLINE,
    SOCK_WIFI_STATUS,
    SOCK_ZEROCOPY,
    OptResult,
    Sock,
    Socket,
    sock_error,
    sock_flag,
    sock_net,
    sock_valbool_flag,
)
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN
from linnet.kernel.errno import EACCES, EDOM, EINVAL, ENODEV, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP, EPERM
from linnet.net.core.skbuff_tstamp import sock_put_timestamping, sock_set_timestamping, sock_wants_rx_timestamping
from linnet.net.core.sock import __sock_gen_cookie, lock_sock, release_sock, sk_dst_reset, sk_net_capable

LINUX_FILE: Final = 'net/core/sock.c'

INT_MAX: Final = 0x7FFFFFFF
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFFFFFF
IFNAMSIZ: Final = 16
NSEC_PER_SEC: Final = 1_000_000_000
TIMEVAL_SIZE: Final = 16
BUF_LOCK_MASK: Final = SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK
NO_OPTION: Final = -1 << 40
MAX_SECONDS: Final = MAX_SCHEDULE_TIMEOUT // NSEC_PER_SEC - 1

# options that are one bit of sk_flags
FLAG_OPTIONS: Final = {
    SO_DEBUG: SOCK_DBG,
    SO_DONTROUTE: SOCK_LOCALROUTE,
    SO_BROADCAST: SOCK_BROADCAST,
    SO_KEEPALIVE: SOCK_KEEPOPEN,
    SO_OOBINLINE: SOCK_URGINLINE,
    SO_RXQ_OVFL: SOCK_RXQ_OVFL,
    SO_ZEROCOPY: SOCK_ZEROCOPY,
    SO_SELECT_ERR_QUEUE: SOCK_SELECT_ERR_QUEUE,
    SO_RCVMARK: SOCK_RCVMARK,
    SO_WIFI_STATUS: SOCK_WIFI_STATUS,  # nothing here sends through the air: no status ever comes
    SO_LOCK_FILTER: SOCK_FILTER_LOCKED,
    SO_PREFER_BUSY_POLL: SOCK_PREFER_BUSY_POLL,  # as SO_BUSY_POLL: there is nothing to spin for
}


def int_of(data: bytes) -> int:
    """An option's first four bytes as an int."""
    return int.from_bytes(data[:4], 'little', signed=True)


def int_bytes(value: int) -> bytes:
    """An int as an option's value; a u32 above 2**31 - 1 keeps its bits."""
    return (value & U32_MAX).to_bytes(4, 'little')


def sock_bindtoindex_locked(sk: Sock, index: i64) -> int:
    """Send and receive by this device alone; 0: by any. The socket is owned. 0 or a negative errno.  Linux: net/core/sock.c."""
    if sk.sk_bound_dev_if != 0 and not sk_net_capable(sk, CAP_NET_RAW):
        return -EPERM
    if index < 0:
        return -EINVAL
    sk.sk_bound_dev_if = index
    sk_dst_reset(sk)
    return 0


def sock_setbindtodevice(sk: Sock, optval: bytes) -> int:
    """SO_BINDTODEVICE: a device's name, or an empty one to undo it.  Linux: net/core/sock.c."""
    if sk.sk_bound_dev_if != 0 and not sk_net_capable(sk, CAP_NET_RAW):
        return -EPERM
    name = optval[:IFNAMSIZ - 1].split(b'\0')[0].decode('latin-1')
    index: i64 = 0
    if name != '':
        index = -1
        for dev in sock_net(sk).dev_base:
            if dev.name == name:
                index = dev.ifindex
        if index < 0:
            return -ENODEV
    lock_sock(sk)
    err = sock_bindtoindex_locked(sk, index)
    release_sock(sk)
    return err


def sock_getbindtodevice(sk: Sock) -> OptResult:
    """The name with its zero byte, or nothing.  Linux: net/core/sock.c."""
    if sk.sk_bound_dev_if == 0:
        return OptResult(0, b'')
    dev = sock_net(sk).dev_by_index.get(int(sk.sk_bound_dev_if))
    if dev is None:
        return OptResult(-ENODEV, b'')
    return OptResult(0, dev.name.encode('latin-1') + b'\0')


def sock_timeout_of(optval: bytes) -> i64:
    """A struct timeval as ns, MAX_SCHEDULE_TIMEOUT for zero, or a negative errno.  Linux: net/core/sock.c, sock_set_timeout."""
    if len(optval) < TIMEVAL_SIZE:
        return -EINVAL
    sec = int.from_bytes(optval[:8], 'little', signed=True)
    usec = int.from_bytes(optval[8:16], 'little', signed=True)
    if usec < 0 or usec >= 1_000_000:
        return -EDOM
    if sec < 0:
        return 0
    if (sec == 0 and usec == 0) or sec >= MAX_SECONDS:
        return MAX_SCHEDULE_TIMEOUT
    return sec * NSEC_PER_SEC + usec * 1000


def timeval_of(timeo: i64) -> bytes:
    """A time-out in ns as a struct timeval.  Linux: net/core/sock.c, sock_get_timeout."""
    if timeo == MAX_SCHEDULE_TIMEOUT:
        return bytes(TIMEVAL_SIZE)
    sec = timeo // NSEC_PER_SEC
    usec = (timeo - sec * NSEC_PER_SEC) // 1000
    return int(sec).to_bytes(8, 'little') + int(usec).to_bytes(8, 'little')


def __sock_set_rcvbuf(sk: Sock, val: int) -> None:
    """Linux: net/core/sock.c."""
    val = min(val, INT_MAX // 2)
    sk.sk_userlocks |= SOCK_RCVBUF_LOCK
    sk.sk_rcvbuf = max(val * 2, SOCK_MIN_RCVBUF)


def sock_set_sndbuf(sk: Sock, val: int) -> None:
    """Set the send buffer to twice val and wake writers: there may be room now.  Linux: net/core/sock.c, sk_setsockopt."""
    val = min(val, INT_MAX // 2)
    sk.sk_userlocks |= SOCK_SNDBUF_LOCK
    sk.sk_sndbuf = max(val * 2, SOCK_MIN_SNDBUF)
    sk.sk_cb.write_space(sk)


def sock_set_priority(sk: Sock, val: int) -> int:
    """SO_PRIORITY: above 6 is for the privileged.  Linux: net/core/sock.c, sk_setsockopt."""
    if not 0 <= val <= 6 and not sk_net_capable(sk, CAP_NET_RAW) and not sk_net_capable(sk, CAP_NET_ADMIN):
        return -EPERM
    sk.sk_priority = val
    return 0


def sock_set_linger(sk: Sock, optval: bytes) -> int:
    """SO_LINGER: struct linger, seconds.  Linux: net/core/sock.c, sk_setsockopt."""
    if len(optval) < 8:
        return -EINVAL
    onoff = int_of(optval)
    seconds = int_of(optval[4:8]) & U32_MAX
    if onoff == 0:
        sk.sk_flags &= ~SOCK_LINGER
        return 0
    sk.sk_lingertime = seconds * NSEC_PER_SEC
    sk.sk_flags |= SOCK_LINGER
    return 0


def sock_set_timestamp(sk: Sock, optname: int, on: bool) -> None:
    """SO_TIMESTAMP, SO_TIMESTAMPNS.  Linux: net/core/sock.c."""
    if not on:
        sk.sk_flags &= ~(SOCK_RCVTSTAMP | SOCK_RCVTSTAMPNS)
        return
    sock_valbool_flag(sk, SOCK_RCVTSTAMPNS, optname in (SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW))
    sk.sk_flags |= SOCK_RCVTSTAMP


def sock_timestamping_key(sk: Sock, val: int) -> i64:
    """Where the count of a stream's bytes begins (SOF_TIMESTAMPING_OPT_ID): at what is not acknowledged, or, by OPT_ID_TCP, not
    written yet. -1 where the stream has not begun.  Linux: net/core/sock.c, sock_set_timestamping.
    """
    if not isinstance(sk, TcpSock):
        return 0
    if sk.sk_state == TCP_CLOSE or sk.sk_state == TCP_LISTEN:
        return -1
    return sk.write_seq if (val & SOF_TIMESTAMPING_OPT_ID_TCP) != 0 else sk.snd_una


def sock_set_pacing_rate(sk: Sock, optval: bytes) -> int:
    """SO_MAX_PACING_RATE: bytes a second, u32 or u64; all ones: no limit.  Linux: net/core/sock.c, sk_setsockopt."""
    rate = int_of(optval) & U32_MAX
    unlimited = rate == U32_MAX
    if len(optval) >= 8:
        rate = int.from_bytes(optval[:8], 'little')
        unlimited = rate >= SK_UNLIMITED_RATE
    if unlimited:
        rate = SK_UNLIMITED_RATE
    elif sk.sk_pacing_status == SK_PACING_NONE:
        sk.sk_pacing_status = SK_PACING_NEEDED
    sk.sk_max_pacing_rate = rate
    if sk.sk_pacing_rate > rate:
        sk.sk_pacing_rate = rate
    return 0


def sock_set_flag_option(sk: Sock, optname: int, val: int) -> int:
    """An option that is one bit."""
    on = val != 0
    if optname == SO_DEBUG and on and not sk_net_capable(sk, CAP_NET_ADMIN):
        return -EACCES
    if optname == SO_ZEROCOPY and (sk.sk_family not in (AF_INET, AF_INET6) or sk.sk_type not in (SOCK_STREAM, SOCK_DGRAM)):
        return -EOPNOTSUPP
    if optname == SO_ZEROCOPY and val not in (0, 1):
        return -EINVAL
    if optname == SO_LOCK_FILTER and sock_flag(sk, SOCK_FILTER_LOCKED) and not on:
        return -EPERM
    if optname == SO_PREFER_BUSY_POLL and on and not sk_net_capable(sk, CAP_NET_ADMIN):
        return -EPERM
    if optname == SO_KEEPALIVE:
        sk.sk_prot.keepalive(sk, on)
    sock_valbool_flag(sk, FLAG_OPTIONS[optname], on)
    if optname == SO_DONTROUTE:
        sk_dst_reset(sk)
    return 0


def sock_set_buffer(sk: Sock, optname: int, val: int) -> int:
    """SO_SNDBUF and SO_RCVBUF, bounded; the FORCE ones only by what an int holds.  Linux: net/core/sock.c, sk_setsockopt."""
    core = sock_net(sk).core
    if optname in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
        if not sk_net_capable(sk, CAP_NET_ADMIN):
            return -EPERM
        val = max(val, 0)
    elif optname == SO_SNDBUF:
        val = min(val & U32_MAX, int(core.sysctl_wmem_max))
    else:
        val = min(val & U32_MAX, int(core.sysctl_rmem_max))
    if optname in (SO_SNDBUF, SO_SNDBUFFORCE):
        sock_set_sndbuf(sk, val)
    else:
        __sock_set_rcvbuf(sk, val)
    return 0


def sk_setsockopt_int(sk: Sock, optname: int, val: int, optval: bytes) -> int:
    """The options that need the sock owned.  Linux: net/core/sock.c, sk_setsockopt."""
    on = val != 0
    if optname in FLAG_OPTIONS:
        return sock_set_flag_option(sk, optname, val)
    if optname == SO_REUSEADDR:
        sk.sk_reuse = SK_CAN_REUSE if on else SK_NO_REUSE
        return 0
    if optname == SO_REUSEPORT:
        if on and sk.sk_family not in (AF_INET, AF_INET6):
            return -EOPNOTSUPP
        sk.sk_reuseport = on
        return 0
    if optname in (SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE):
        return sock_set_buffer(sk, optname, val)
    if optname == SO_PRIORITY:
        return sock_set_priority(sk, val)
    if optname == SO_LINGER:
        return sock_set_linger(sk, optval)
    if optname in (SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW):
        sock_set_timestamp(sk, optname, on)
        return 0
    if optname == SO_TIMESTAMPING or optname == SO_TIMESTAMPING_NEW:
        return sock_set_timestamping(sk, optname, val, sock_timestamping_key(sk, val))
    if optname == SO_RCVLOWAT:
        return sk.sk_prot.set_rcvlowat(sk, INT_MAX if val < 0 else val)
    if optname == SO_MARK:
        if not sk_net_capable(sk, CAP_NET_RAW) and not sk_net_capable(sk, CAP_NET_ADMIN):
            return -EPERM
        if sk.sk_mark != val & U32_MAX:
            sk.sk_mark = val & U32_MAX
            sk_dst_reset(sk)
        return 0
    if optname == SO_NO_CHECK:
        sk.sk_no_check_tx = on
        return 0
    if optname == SO_MAX_PACING_RATE:
        return sock_set_pacing_rate(sk, optval)
    return sk_setsockopt_rare(sk, optname, val)


def sk_setsockopt_rare(sk: Sock, optname: int, val: int) -> int:
    """The options that few programs set.  Linux: net/core/sock.c, sk_setsockopt."""
    if optname == SO_BUSY_POLL:
        if val < 0:
            return -EINVAL
        sk.sk_ll_usec = val  # nothing to spin for: a packet is there when it comes
        return 0
    if optname == SO_BINDTOIFINDEX:
        return sock_bindtoindex_locked(sk, val)
    if optname == SO_BUSY_POLL_BUDGET:
        return 0 if 0 <= val <= U16_MAX else -EINVAL
    if optname == SO_RESERVE_MEM:
        return -EOPNOTSUPP  # memory control groups would be needed
    if optname == SO_PASSCRED:
        return 0 if sk.sk_family == AF_UNIX else -EOPNOTSUPP
    if optname == SO_INCOMING_CPU:
        sk.sk_incoming_cpu = val  # there is one CPU: nothing else follows
        return 0
    if optname == SO_PEEK_OFF:
        if sk.sk_family not in (AF_INET, AF_INET6) or sk.sk_type not in (SOCK_STREAM, SOCK_DGRAM):
            return -EOPNOTSUPP
        sk.sk_peek_off = val
        return 0
    if optname == SO_BUF_LOCK:
        if (val & ~BUF_LOCK_MASK) != 0:
            return -EINVAL
        sk.sk_userlocks = (sk.sk_userlocks & ~BUF_LOCK_MASK) | val
        return 0
    if optname == SO_TXREHASH:
        if sk.sk_type != SOCK_STREAM:
            return -EOPNOTSUPP
        if val not in (-1, 0, 1):
            return -EINVAL
        sk.sk_txrehash = val != 0
        return 0
    return 0 if optname == SO_BSDCOMPAT else -ENOPROTOOPT


def sk_setsockopt(sk: Sock, level: int, optname: int, optval: bytes) -> int:
    """Linux: net/core/sock.c."""
    if optname == SO_BINDTODEVICE:
        return sock_setbindtodevice(sk, optval)
    if len(optval) < 4:
        return -EINVAL
    if optname in (SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW):
        timeo = sock_timeout_of(optval)
        if timeo < 0:
            return int(timeo)
        if optname in (SO_RCVTIMEO, SO_RCVTIMEO_NEW):
            sk.sk_rcvtimeo = timeo
        else:
            sk.sk_sndtimeo = timeo
        return 0
    lock_sock(sk)
    err = sk_setsockopt_int(sk, optname, int_of(optval), optval)
    release_sock(sk)
    return err


def sock_setsockopt(sock: Socket, level: int, optname: int, optval: bytes) -> int:
    """Set an option of SOL_SOCKET: 0 or a negative errno.  Linux: net/core/sock.c."""
    sk = sock.sk
    return -EINVAL if sk is None else sk_setsockopt(sk, level, optname, optval)


def sk_option_value(sk: Sock, optname: int) -> i64:
    """An option that reads as an int; NO_OPTION where there is none such.  Linux: net/core/sock.c, sk_getsockopt."""
    if optname in FLAG_OPTIONS:
        return 1 if sock_flag(sk, FLAG_OPTIONS[optname]) else 0
    if optname == SO_SNDBUF:
        return sk.sk_sndbuf
    if optname == SO_RCVBUF:
        return sk.sk_rcvbuf
    if optname == SO_REUSEADDR:
        return sk.sk_reuse
    if optname == SO_REUSEPORT:
        return 1 if sk.sk_reuseport else 0
    if optname == SO_TYPE:
        return sk.sk_type
    if optname == SO_PROTOCOL:
        return sk.sk_protocol
    if optname == SO_DOMAIN:
        return sk.sk_family
    if optname == SO_ERROR:
        pending: i64 = -sock_error(sk)
        if pending == 0:
            pending = sk.sk_err_soft
            sk.sk_err_soft = 0
        return pending
    if optname == SO_NO_CHECK:
        return 1 if sk.sk_no_check_tx else 0
    if optname == SO_PRIORITY:
        return sk.sk_priority
    if optname in (SO_TIMESTAMP, SO_TIMESTAMP_NEW):
        return 1 if sock_flag(sk, SOCK_RCVTSTAMP) and not sock_flag(sk, SOCK_RCVTSTAMPNS) else 0
    if optname in (SO_TIMESTAMPNS, SO_TIMESTAMPNS_NEW):
        return 1 if sock_flag(sk, SOCK_RCVTSTAMPNS) else 0
    if optname == SO_RCVLOWAT:
        return sk.sk_rcvlowat
    if optname == SO_SNDLOWAT:
        return 1
    if optname == SO_ACCEPTCONN:
        return 1 if sk.sk_state == TCP_LISTEN else 0
    if optname == SO_MARK:
        return sk.sk_mark
    if optname == SO_BUSY_POLL:
        return sk.sk_ll_usec
    if optname == SO_INCOMING_CPU:
        return 0 if sk.sk_incoming_cpu < 0 and sk.sk_state == TCP_ESTABLISHED else sk.sk_incoming_cpu
    if optname == SO_PEEK_OFF:
        return sk.sk_peek_off
    if optname == SO_BINDTOIFINDEX:
        return sk.sk_bound_dev_if
    if optname == SO_BUF_LOCK:
        return sk.sk_userlocks & BUF_LOCK_MASK
    if optname == SO_TXREHASH:
        return 1 if sk.sk_txrehash else 0
    return 0 if optname in (SO_BSDCOMPAT, SO_RESERVE_MEM, SO_INCOMING_NAPI_ID) else NO_OPTION


def sk_get_meminfo(sk: Sock) -> bytes:
    """SO_MEMINFO: nine figures of memory, as `ss -m` shows them.  Linux: net/core/sock.c."""
    figures = (sk.sk_rmem_alloc, sk.sk_rcvbuf, sk.sk_wmem_alloc - 1, sk.sk_sndbuf, sk.sk_forward_alloc, sk.sk_wmem_queued,
               sk.sk_omem_alloc, sk.sk_backlog_len, sk.sk_drops)
    return b''.join([int_bytes(int(figure)) for figure in figures])


def sk_getsockopt_peername(sk: Sock, optlen: int) -> OptResult:
    """SO_PEERNAME: a struct sockaddr_in.  Linux: net/core/sock.c, sk_getsockopt."""
    sock = sk.sk_socket
    name = None if sock is None else sock.ops.getname(sock, 2)
    if name is None:
        return OptResult(-ENOTCONN, b'')
    data = (name.sa_family.to_bytes(2, 'little') + int(name.sin_port).to_bytes(2, 'big') + int(name.sin_addr).to_bytes(4, 'big')
            + bytes(8))
    return OptResult(-EINVAL, b'') if optlen > len(data) else OptResult(0, data[:optlen])


def sk_getsockopt(sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
    """Linux: net/core/sock.c."""
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    if optname == SO_BINDTODEVICE:
        bound = sock_getbindtodevice(sk)
        if bound.err == 0 and bound.data and optlen < IFNAMSIZ:
            return OptResult(-EINVAL, b'')
        return bound
    if (optname == SO_PASSCRED and sk.sk_family != AF_UNIX) or (optname == SO_TXREHASH and sk.sk_type != SOCK_STREAM) \
            or (optname == SO_PEEK_OFF and sk.sk_type == SOCK_RAW):
        return OptResult(-EOPNOTSUPP, b'')
    if optname == SO_GET_FILTER:
        return OptResult(0, b'')  # no filter is attached
    if optname == SO_PEERNAME:
        return sk_getsockopt_peername(sk, optlen)
    if optname == SO_NETNS_COOKIE:
        net = sock_net(sk)
        cookie = (net.world.nets.index(net) + 1).to_bytes(8, 'little')
        return OptResult(0, cookie) if optlen == len(cookie) else OptResult(-EINVAL, b'')
    if optname == SO_LINGER:
        on = sock_flag(sk, SOCK_LINGER)
        data = int_bytes(1 if on else 0) + int_bytes(int(sk.sk_lingertime // NSEC_PER_SEC))
    elif optname in (SO_RCVTIMEO, SO_RCVTIMEO_NEW):
        data = timeval_of(sk.sk_rcvtimeo)
    elif optname in (SO_SNDTIMEO, SO_SNDTIMEO_NEW):
        data = timeval_of(sk.sk_sndtimeo)
    elif optname == SO_COOKIE:
        if optlen < 8:
            return OptResult(-EINVAL, b'')
        data = int(__sock_gen_cookie(sk)).to_bytes(8, 'little')
    elif optname == SO_MAX_PACING_RATE:
        rate = U32_MAX if sk.sk_max_pacing_rate > U32_MAX else int(sk.sk_max_pacing_rate)
        data = int_bytes(rate)
        if optlen >= 8:
            unlimited = sk.sk_max_pacing_rate >= SK_UNLIMITED_RATE
            data = b'\xff' * 8 if unlimited else int(sk.sk_max_pacing_rate).to_bytes(8, 'little')
    elif optname == SO_TIMESTAMPING or optname == SO_TIMESTAMPING_NEW:
        data = int_bytes(int(sk.sk_tsflags)) + int_bytes(0)  # struct so_timestamping: the flags, and no PHC
    elif optname == SO_MEMINFO:
        data = sk_get_meminfo(sk)
    elif optname == SO_PASSCRED:
        data = int_bytes(0)
    elif optname == SO_PEERCRED:
        data = int_bytes(0) + int_bytes(-1) + int_bytes(-1)
    else:
        value = sk_option_value(sk, optname)
        if value == NO_OPTION:
            return OptResult(-ENOPROTOOPT, b'')
        data = int_bytes(int(value))
    return OptResult(0, data[:optlen])


def sock_getsockopt(sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
    """Read an option of SOL_SOCKET, cut to optlen.  Linux: net/core/sock.c."""
    sk = sock.sk
    return OptResult(-EINVAL, b'') if sk is None else sk_getsockopt(sk, level, optname, optlen)


def sock_recv_timestamp(msg: Msghdr, sk: Sock, skb: SkBuff) -> None:
    """SO_TIMESTAMP(NS): tell when skb came, wall time.  Linux: include/net/sock.h, net/socket.c."""
    if (sk.sk_flags & SOCK_RCVTSTAMP) == 0:
        return
    clock = sock_net(sk).clock
    wall = clock.epoch_ns + int(skb.tstamp if skb.tstamp != 0 else clock.now)
    sec = wall // NSEC_PER_SEC
    rest = wall % NSEC_PER_SEC
    if (sk.sk_flags & SOCK_RCVTSTAMPNS) != 0:
        msg.msg_control.append(Cmsg(SOL_SOCKET, SO_TIMESTAMPNS, sec.to_bytes(8, 'little') + rest.to_bytes(8, 'little')))
    else:
        msg.msg_control.append(Cmsg(SOL_SOCKET, SO_TIMESTAMP, sec.to_bytes(8, 'little') + (rest // 1000).to_bytes(8, 'little')))


def sock_recv_cmsgs(msg: Msghdr, sk: Sock, skb: SkBuff) -> None:
    """The control messages of SOL_SOCKET for a datagram that is read.  Linux: include/net/sock.h, sock_recv_cmsgs."""
    sock_recv_timestamp(msg, sk, skb)
    if sk.sk_tsflags != 0 and skb.tstamp != 0 and sock_wants_rx_timestamping(sk):
        sock_put_timestamping(msg, sk, skb.tstamp)
    if (sk.sk_flags & SOCK_RXQ_OVFL) != 0:
        msg.msg_control.append(Cmsg(SOL_SOCKET, SO_RXQ_OVFL, int_bytes(int(sk.sk_drops))))
    if (sk.sk_flags & SOCK_RCVMARK) != 0:
        msg.msg_control.append(Cmsg(SOL_SOCKET, SO_MARK, int_bytes(int(skb.mark))))
