# SPDX-License-Identifier: Apache-2.0
"""struct socket and struct sock, and the tables through which the layers call each other downwards.

    program -> sys_* (net/socket.py) -> Socket.ops (ProtoOps: inet_stream_ops) -> Sock.sk_prot (Proto: tcp_prot) -> transport

A Socket is the BSD half that a file descriptor refers to; a Sock is the protocol's half. Each table is a small native base
class that the owner of the functions subclasses. Buffer sizes in bytes, time-outs in ns.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from linnet.include.linux.skbuff import SkBuff, SkBuffHead
from linnet.include.linux.socket import SOCK_STREAM, Msghdr, Sockaddr
from linnet.kernel.errno import EOPNOTSUPP
from linnet.kernel.file import File
from linnet.kernel.pipe_fs_i import PipeInodeInfo
from linnet.kernel.select import PollTable
from linnet.kernel.slab import KmemCache
from linnet.kernel.timer import TimerList
from linnet.kernel.trace import Trace
from linnet.kernel.wait import WaitQueueHead

if TYPE_CHECKING:
    from linnet.include.linux.sched import Process
    from linnet.include.net.dst import DstEntry
    from linnet.include.net.net_namespace import Net

MAX_SCHEDULE_TIMEOUT: Final = (1 << 63) - 1

# sk_flags bits (Linux: enum sock_flags)
SOCK_DEAD: Final = 1 << 0
SOCK_DONE: Final = 1 << 1
SOCK_URGINLINE: Final = 1 << 2
SOCK_KEEPOPEN: Final = 1 << 3
SOCK_LINGER: Final = 1 << 4
SOCK_BROADCAST: Final = 1 << 6
SOCK_TIMESTAMP: Final = 1 << 7
SOCK_DBG: Final = 1 << 12
SOCK_RCVTSTAMP: Final = 1 << 13
SOCK_RCVTSTAMPNS: Final = 1 << 14
SOCK_LOCALROUTE: Final = 1 << 15
SOCK_MEMALLOC: Final = 1 << 16
SOCK_QUEUE_SHRUNK: Final = 1 << 17
SOCK_RXQ_OVFL: Final = 1 << 18
SOCK_ZEROCOPY: Final = 1 << 19
SOCK_TSTAMP_NEW: Final = 1 << 20
SOCK_SELECT_ERR_QUEUE: Final = 1 << 21
SOCK_RCVMARK: Final = 1 << 22
SOCK_WIFI_STATUS: Final = 1 << 23
SOCK_FILTER_LOCKED: Final = 1 << 24
SOCK_PREFER_BUSY_POLL: Final = 1 << 25

# socket->flags
SOCK_ASYNC_NOSPACE: Final = 1
SOCK_NOSPACE: Final = 2

# sk_pacing_status: who keeps to sk_pacing_rate (Linux: enum sk_pacing)
SK_PACING_NONE: Final = 0
SK_PACING_NEEDED: Final = 1  # the transport itself, by a timer
SK_PACING_FQ: Final = 2  # the fq discipline of the device
SK_UNLIMITED_RATE: Final = 1 << 62  # bytes a second; Linux: ~0
SOCK_SNDBUF_LOCK: Final = 1
SOCK_RCVBUF_LOCK: Final = 2
SOCK_BINDADDR_LOCK: Final = 4
SOCK_BINDPORT_LOCK: Final = 8

SOCK_MIN_SNDBUF: Final = 4608
SOCK_MIN_RCVBUF: Final = 2304

SK_CAN_REUSE: Final = 1
SK_NO_REUSE: Final = 0

SS_FLAGS_NONE: Final = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class ProtoOps:
    """Linux: struct proto_ops: what a socket of one type does, between the syscall and the protocol. 0 or negative errno."""

    def __init__(self, family: int) -> None:
        self.family: int = family

    def release(self, sock: Socket) -> int:
        """The last reference to the file is gone."""
        return 0

    def bind(self, sock: Socket, uaddr: Sockaddr) -> int:
        """Bind to a local address."""
        return -EOPNOTSUPP

    def connect(self, sock: Socket, uaddr: Sockaddr, flags: int) -> int:
        """Connect; flags are the file's (O_NONBLOCK)."""
        return -EOPNOTSUPP

    def socketpair(self, sock1: Socket, sock2: Socket) -> int:
        """Join two sockets."""
        return -EOPNOTSUPP

    def accept(self, sock: Socket, newsock: Socket, flags: int) -> int:
        """Graft the next established connection on newsock."""
        return -EOPNOTSUPP

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """The local (peer 0) or remote (1) address; None: not connected."""
        return None

    def poll(self, file: File, sock: Socket, wait: PollTable | None) -> int:
        """The events that hold now, POLL* bits; registers on the wait queue where `wait` asks."""
        return 0

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """Returns a non-negative answer or a negative errno."""
        return -EOPNOTSUPP

    def listen(self, sock: Socket, backlog: int) -> int:
        """Start to listen."""
        return -EOPNOTSUPP

    def shutdown(self, sock: Socket, how: int) -> int:
        """how is SHUT_*."""
        return -EOPNOTSUPP

    def setsockopt(self, sock: Socket, level: int, optname: int, optval: bytes) -> int:
        """Set an option of the protocol's levels."""
        return -EOPNOTSUPP

    def getsockopt(self, sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
        """Read an option of the protocol's levels."""
        return OptResult(-EOPNOTSUPP, b'')

    def sendmsg(self, sock: Socket, msg: Msghdr, size: int) -> int:
        """Bytes sent, or a negative errno."""
        return -EOPNOTSUPP

    def splice_read(self, sock: Socket, pipe: PipeInodeInfo, length: i64, nonblock: bool) -> i64:
        """Move received bytes into a pipe by reference: how many, or a negative errno. -EOPNOTSUPP: by recvmsg, then."""
        return -EOPNOTSUPP

    def splice_eof(self, sock: Socket) -> None:
        """What more was announced for (MSG_MORE) does not come."""
        return

    def recvmsg(self, sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
        """Bytes received into msg, or a negative errno."""
        return -EOPNOTSUPP


class OptResult:
    """The two answers of getsockopt: 0 or a negative errno, and the option's bytes."""

    def __init__(self, err: int, data: bytes) -> None:
        self.err: int = err
        self.data: bytes = data


class Socket:
    """Linux: struct socket, with the wait queue of its struct socket_wq."""

    def __init__(self) -> None:
        self.state: int = 0  # SS_*
        self.type: int = 0
        self.flags: i64 = 0  # SOCK_NOSPACE, SOCK_ASYNC_NOSPACE
        self.file: File | None = None
        self.sk: Sock | None = None
        self.ops: ProtoOps = ProtoOps(0)
        self.wq: WaitQueueHead = WaitQueueHead()
        self.net: Net | None = None
        self.ino: i64 = 0  # its inode's number
        self.caller: Process | None = None  # whose system call this is (Linux: current); None: the stack's own


@mypyc_attr(allow_interpreted_subclasses=True)
class NetProtoFamily:
    """Linux: struct net_proto_family: makes the sockets of one address family. Registered in Net.net_families."""

    def __init__(self, family: int) -> None:
        self.family: int = family

    def create(self, net: Net, sock: Socket, protocol: int, kern: int) -> int:
        """Give sock its ops and its sk. Returns 0 or a negative errno."""
        return -EOPNOTSUPP


class SockCb:
    """The callbacks of a sock (Linux: sk_state_change, sk_data_ready, sk_write_space, sk_error_report, sk_destruct).

    The default is sock_def_* of net/core/sock.py; a kernel-side user of a socket may subclass it.
    """

    def state_change(self, sk: Sock) -> None:
        """The connection's state moved."""
        raise AssertionError('set by sock_init_data')

    def data_ready(self, sk: Sock) -> None:
        """There is something to read (or to accept)."""
        raise AssertionError('set by sock_init_data')

    def write_space(self, sk: Sock) -> None:
        """Send buffer came free."""
        raise AssertionError('set by sock_init_data')

    def error_report(self, sk: Sock) -> None:
        """sk_err was set."""
        raise AssertionError('set by sock_init_data')

    def destruct(self, sk: Sock) -> None:
        """The last reference is gone."""
        raise AssertionError('set by sock_init_data')


class ProtoMem:
    """What all socks of a transport have together, over IPv4 and over IPv6. (Linux: pointers of struct proto to one variable.)"""

    def __init__(self) -> None:
        self.memory_allocated: i64 = 0  # pages
        self.memory_pressure: bool = False
        self.sockets_allocated: i64 = 0
        self.orphan_count: i64 = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class Proto:
    """Linux: struct proto: one transport protocol. The sizes and limits its socks share are here too. 0 or negative errno."""

    def __init__(self, name: str, slab: KmemCache) -> None:
        self.name: str = name
        self.slab: KmemCache = slab
        self.max_header: int = 0
        self.no_autobind: bool = False
        self.rsk_slab: KmemCache | None = None  # of its connection requests
        self.twsk_slab: KmemCache | None = None  # of its socks in TIME_WAIT
        self.sysctl_mem: list[int] = []  # low, pressure, high, in pages; empty: the memory is not limited
        self.mem: ProtoMem = ProtoMem()  # shared with the same transport over the other family

    def enter_memory_pressure(self, sk: Sock) -> None:
        """All its socks together use more than sysctl_mem's second limit."""
        self.mem.memory_pressure = True

    def leave_memory_pressure(self, sk: Sock) -> None:
        """They use less than the first again."""
        self.mem.memory_pressure = False

    def init(self, sk: Sock) -> int:
        """Initialise a new sock."""
        return 0

    def destroy(self, sk: Sock) -> None:
        """Free what the protocol hung on the sock."""

        sk.sk_shutdown = 3

    def close(self, sk: Sock, timeout: i64) -> None:
        """The program is done with it; timeout: SO_LINGER, in ns."""
        raise AssertionError(f'{self.name} has no close')

    def connect(self, sk: Sock, uaddr: Sockaddr) -> int:
        """Active open, or fix the peer."""
        return -EOPNOTSUPP

    def disconnect(self, sk: Sock, flags: int) -> int:
        """Connect to AF_UNSPEC."""
        return -EOPNOTSUPP

    def accept(self, sk: Sock, flags: int) -> AcceptResult:
        """The next established connection."""
        return AcceptResult(None, -EOPNOTSUPP)

    def ioctl(self, sk: Sock, cmd: int, arg: int) -> int:
        """Answer or negative errno."""
        return -EOPNOTSUPP

    def shutdown(self, sk: Sock, how: int) -> None:
        """how holds RCV_SHUTDOWN, SEND_SHUTDOWN."""

        sk.sk_shutdown |= how

    def keepalive(self, sk: Sock, on: bool) -> None:
        """SO_KEEPALIVE changes; only TCP has something to do."""
        return

    def set_rcvlowat(self, sk: Sock, val: i64) -> int:
        """SO_RCVLOWAT changes; TCP also tunes its buffer. (Linux: proto_ops.)"""
        sk.sk_rcvlowat = val if val > 0 else 1
        return 0

    def setsockopt(self, sk: Sock, level: int, optname: int, optval: bytes) -> int:
        """Set an option."""
        return -EOPNOTSUPP

    def getsockopt(self, sk: Sock, level: int, optname: int, optlen: int) -> OptResult:
        """Read an option; data is cut to optlen by the caller."""
        return OptResult(-EOPNOTSUPP, b'')

    def sendmsg(self, sk: Sock, msg: Msghdr, size: int) -> int:
        """Bytes sent or a negative errno."""
        return -EOPNOTSUPP

    def recvmsg(self, sk: Sock, msg: Msghdr, size: int, nonblock: bool, flags: int) -> int:
        """Bytes received or a negative errno."""
        return -EOPNOTSUPP

    def timestamping_opt_stats(self, sk: Sock, orig: SkBuff, ack_skb: SkBuff | None) -> bytes:
        """The attributes that go with a stamp (SOF_TIMESTAMPING_OPT_STATS); only TCP has some."""
        return b''

    def bind(self, sk: Sock, uaddr: Sockaddr) -> int:
        """Only raw and ping sockets have their own."""
        return -EOPNOTSUPP

    def backlog_rcv(self, sk: Sock, skb: SkBuff) -> int:
        """Take a packet that waited while the program held the socket."""
        raise AssertionError(f'{self.name} has no backlog_rcv')

    def release_cb(self, sk: Sock) -> None:
        """Do what timers put off while the program held the socket."""

        sk.sk_tsq_flags = 0

    def hash(self, sk: Sock) -> int:
        """Make the sock findable by incoming packets."""
        return 0

    def unhash(self, sk: Sock) -> None:
        """Make it unfindable."""
        raise AssertionError(f'{self.name} has no unhash')

    def get_port(self, sk: Sock, snum: i64) -> int:
        """Bind to port snum (0: any). 0, or non-zero where it is in use."""
        return 1

    def twsk_unique(self, sk: Sock, sktw: Sock, chosen: bool) -> bool:
        """May sk take over the ports of sktw, in TIME_WAIT? chosen: nobody asked for them. (Linux: timewait_sock_ops.)"""
        return False


class AcceptResult:
    """The two answers of Proto.accept: the connection, or None and a negative errno."""

    def __init__(self, sk: Sock | None, err: int) -> None:
        self.sk: Sock | None = sk
        self.err: int = err


class Sock:
    """Linux: struct sock (and struct sock_common). Ports and addresses in host order."""

    def __init__(self) -> None:
        # struct sock_common
        self.sk_daddr: i64 = 0
        self.sk_rcv_saddr: i64 = 0
        self.sk_v6_daddr: int = 0  # of AF_INET6, a mapped IPv4 address too
        self.sk_v6_rcv_saddr: int = 0
        self.sk_dport: i64 = 0
        self.sk_num: i64 = 0
        self.sk_family: i64 = 0
        self.sk_state: i64 = 0
        self.sk_reuse: i64 = 0
        self.sk_reuseport: bool = False
        self.sk_ipv6only: bool = False
        self.sk_bound_dev_if: i64 = 0
        self.sk_prot: Proto = NO_PROTO
        self.sk_prot_creator: Proto = NO_PROTO  # whose slab it is of; IPV6_ADDRFORM gives it another sk_prot
        self.sk_net: Net | None = None
        self.sk_hash: i64 = 0
        self.sk_refcnt: i64 = 1
        self.sk_hash_next: Sock | None = None  # the next sock in the same hash chain
        self.sk_hashed: bool = False
        # struct sock
        self.sk_type: i64 = SOCK_STREAM
        self.sk_protocol: i64 = 0
        self.sk_socket: Socket | None = None
        self.sk_cb: SockCb = SockCb()
        self.sk_flags: i64 = 0
        self.sk_userlocks: i64 = 0
        self.sk_shutdown: i64 = 0
        self.sk_err: i64 = 0
        self.sk_err_soft: i64 = 0
        self.sk_receive_queue: SkBuffHead = SkBuffHead()
        self.sk_write_queue: SkBuffHead = SkBuffHead()
        self.sk_error_queue: SkBuffHead = SkBuffHead()
        self.sk_backlog: SkBuffHead = SkBuffHead()
        self.sk_backlog_len: i64 = 0
        self.sk_lock_owned: bool = False
        self.sk_tsq_flags: i64 = 0  # work put off to release_cb
        self.sk_rmem_alloc: i64 = 0
        self.sk_wmem_alloc: i64 = 1
        self.sk_omem_alloc: i64 = 0
        self.sk_wmem_queued: i64 = 0
        self.sk_forward_alloc: i64 = 0
        self.sk_write_pending: i64 = 0  # sends that wait for memory or for the connection
        self.sk_sndbuf: i64 = 0
        self.sk_rcvbuf: i64 = 0
        self.sk_rcvlowat: i64 = 1
        self.sk_rcvtimeo: i64 = MAX_SCHEDULE_TIMEOUT
        self.sk_sndtimeo: i64 = MAX_SCHEDULE_TIMEOUT
        self.sk_lingertime: i64 = 0
        self.sk_priority: i64 = 0
        self.sk_mark: i64 = 0
        self.sk_drops: i64 = 0
        self.sk_ack_backlog: i64 = 0
        self.sk_max_ack_backlog: i64 = 0
        self.sk_dst_cache: DstEntry | None = None
        self.sk_dst_pending_confirm: bool = False  # progress was made: the next packet vouches for its neighbour
        self.sk_rx_dst: DstEntry | None = None  # the route that its packets come in by (early demux)
        self.sk_rx_dst_ifindex: i64 = 0
        self.sk_route_caps: i64 = 0
        self.sk_route_nocaps: i64 = 0
        self.sk_gso_type: i64 = 0
        self.sk_gso_max_size: i64 = 65536
        self.sk_gso_max_segs: i64 = 65535
        self.sk_pacing_rate: i64 = 0  # bytes a second
        self.sk_max_pacing_rate: i64 = SK_UNLIMITED_RATE
        self.sk_pacing_status: i64 = SK_PACING_NONE
        self.sk_pacing_shift: i64 = 10
        self.sk_txhash: i64 = 0
        self.sk_tx_queue_mapping: i64 = -1
        self.sk_no_check_tx: bool = False
        self.sk_stamp: i64 = 0
        self.sk_tsflags: i64 = 0
        self.sk_tskey: i64 = 0
        self.sk_zckey: i64 = 0  # the number of the next MSG_ZEROCOPY send
        self.sk_cookie: i64 = 0
        self.sk_ino: i64 = 0
        self.sk_peek_off: i64 = -1
        self.sk_incoming_cpu: i64 = -1  # SO_INCOMING_CPU, as set by the program
        self.sk_ll_usec: i64 = 0  # SO_BUSY_POLL, kept and not used
        self.sk_txrehash: bool = True  # a new flow hash where retransmissions fail


class SockTimer(TimerList):
    """A timer of a sock (Linux: sk_reset_timer and friends hold a reference while it is pending)."""

    def __init__(self, net: Net, sk: Sock) -> None:
        super().__init__(net.clock)
        self.sk: Sock = sk


NO_PROTO: Final = Proto('none', KmemCache('none', 0, Trace()))


def sock_net(sk: Sock) -> Net:
    """The network namespace of a sock.  Linux: include/net/sock.h."""
    net = sk.sk_net
    assert net is not None
    return net


def sock_flag(sk: Sock, flag: i64) -> bool:
    """Linux: include/net/sock.h."""
    return (sk.sk_flags & flag) != 0


def sock_set_flag(sk: Sock, flag: i64) -> None:
    """Linux: include/net/sock.h."""
    sk.sk_flags |= flag


def sock_reset_flag(sk: Sock, flag: i64) -> None:
    """Linux: include/net/sock.h."""
    sk.sk_flags &= ~flag


def sock_valbool_flag(sk: Sock, flag: i64, valbool: bool) -> None:
    """Linux: include/net/sock.h."""
    if valbool:
        sk.sk_flags |= flag
    else:
        sk.sk_flags &= ~flag


def sock_owned_by_user(sk: Sock) -> bool:
    """Is a syscall working on it? Then what comes from below waits in the backlog.  Linux: include/net/sock.h."""
    return sk.sk_lock_owned


def sock_hold(sk: Sock) -> None:
    """Linux: include/net/sock.h."""
    sk.sk_refcnt += 1


def sock_rcvtimeo(sk: Sock, noblock: bool) -> i64:
    """How long a receive may wait, ns.  Linux: include/net/sock.h."""
    return 0 if noblock else sk.sk_rcvtimeo


def sock_sndtimeo(sk: Sock, noblock: bool) -> i64:
    """How long a send may wait, ns.  Linux: include/net/sock.h."""
    return 0 if noblock else sk.sk_sndtimeo


def sock_rcvlowat(sk: Sock, waitall: bool, length: i64) -> i64:
    """How many bytes a receive waits for.  Linux: include/net/sock.h."""
    if waitall:
        return length
    low = sk.sk_rcvlowat if sk.sk_rcvlowat < length else length
    return low if low > 0 else 1


def sk_stream_min_wspace(sk: Sock) -> i64:
    """Linux: include/net/sock.h."""
    return sk.sk_wmem_queued >> 1


def sk_stream_wspace(sk: Sock) -> i64:
    """Linux: include/net/sock.h."""
    return sk.sk_sndbuf - sk.sk_wmem_queued


def sk_stream_memory_free(sk: Sock) -> bool:
    """May more be queued for sending?  Linux: include/net/sock.h."""
    return sk.sk_wmem_queued < sk.sk_sndbuf


def sk_stream_is_writeable(sk: Sock) -> bool:
    """Is a third of the buffer free (what poll reports)?  Linux: include/net/sock.h."""
    return sk_stream_wspace(sk) >= sk_stream_min_wspace(sk) and sk_stream_memory_free(sk)


def __sk_dst_get(sk: Sock) -> DstEntry | None:
    """The cached route, whatever its age.  Linux: include/net/sock.h."""
    return sk.sk_dst_cache


def sk_dst_confirm(sk: Sock) -> None:
    """The peer answers, so the next hop works: its neighbour entry need not be probed.  Linux: include/net/sock.h."""
    sk.sk_dst_pending_confirm = True


def sock_error(sk: Sock) -> int:
    """Take the pending error: 0 or its negative.  Linux: include/net/sock.h."""
    err = sk.sk_err
    sk.sk_err = 0
    return int(-err)
