# SPDX-License-Identifier: Apache-2.0
"""The numbers and small structs of the socket interface: families, types, levels, flags, options.

The values are those of Linux on x86-64 and arm64 (asm-generic), so that a program's own constants pass straight through.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.skbuff import UbufInfo

AF_UNSPEC: Final = 0
AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
AF_NETLINK: Final = 16
AF_PACKET: Final = 17
AF_MAX: Final = 46

SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
SOCK_RDM: Final = 4
SOCK_SEQPACKET: Final = 5
SOCK_DCCP: Final = 6
SOCK_PACKET: Final = 10
SOCK_MAX: Final = 11
SOCK_TYPE_MASK: Final = 0xF
SOCK_NONBLOCK: Final = 0o4000
SOCK_CLOEXEC: Final = 0o2000000

SOMAXCONN: Final = 4096

SOL_IP: Final = 0
SOL_SOCKET: Final = 1
SOL_ICMP: Final = 1
SOL_TCP: Final = 6
SOL_UDP: Final = 17
SOL_IPV6: Final = 41
SOL_ICMPV6: Final = 58
SOL_RAW: Final = 255

SHUT_RD: Final = 0
SHUT_WR: Final = 1
SHUT_RDWR: Final = 2
RCV_SHUTDOWN: Final = 1
SEND_SHUTDOWN: Final = 2
SHUTDOWN_MASK: Final = 3

SO_DEBUG: Final = 1
SO_REUSEADDR: Final = 2
SO_TYPE: Final = 3
SO_ERROR: Final = 4
SO_DONTROUTE: Final = 5
SO_BROADCAST: Final = 6
SO_SNDBUF: Final = 7
SO_RCVBUF: Final = 8
SO_KEEPALIVE: Final = 9
SO_OOBINLINE: Final = 10
SO_NO_CHECK: Final = 11
SO_PRIORITY: Final = 12
SO_LINGER: Final = 13
SO_BSDCOMPAT: Final = 14
SO_REUSEPORT: Final = 15
SO_PASSCRED: Final = 16
SO_PEERCRED: Final = 17
SO_RCVLOWAT: Final = 18
SO_SNDLOWAT: Final = 19
SO_RCVTIMEO: Final = 20
SO_SNDTIMEO: Final = 21
SO_BINDTODEVICE: Final = 25
SO_GET_FILTER: Final = 26
SO_PEERNAME: Final = 28
SO_TIMESTAMP: Final = 29
SO_ACCEPTCONN: Final = 30
SO_SNDBUFFORCE: Final = 32
SO_RCVBUFFORCE: Final = 33
SO_TIMESTAMPNS: Final = 35
SO_MARK: Final = 36
SO_TIMESTAMPING: Final = 37
SO_PROTOCOL: Final = 38
SO_DOMAIN: Final = 39
SO_RXQ_OVFL: Final = 40
SO_WIFI_STATUS: Final = 41
SO_PEEK_OFF: Final = 42
SO_LOCK_FILTER: Final = 44
SO_SELECT_ERR_QUEUE: Final = 45
SO_BUSY_POLL: Final = 46
SO_MAX_PACING_RATE: Final = 47
SO_INCOMING_CPU: Final = 49
SO_MEMINFO: Final = 55
SCM_RIGHTS: Final = 1
SCM_CREDENTIALS: Final = 2
SCM_TIMESTAMPING_OPT_STATS: Final = 54
SO_INCOMING_NAPI_ID: Final = 56
SO_COOKIE: Final = 57
SO_ZEROCOPY: Final = 60
SO_BINDTOIFINDEX: Final = 62
SO_TIMESTAMP_NEW: Final = 63
SO_TIMESTAMPNS_NEW: Final = 64
SO_TIMESTAMPING_NEW: Final = 65
SO_RCVTIMEO_NEW: Final = 66
SO_SNDTIMEO_NEW: Final = 67
SO_PREFER_BUSY_POLL: Final = 69
SO_BUSY_POLL_BUDGET: Final = 70
SO_NETNS_COOKIE: Final = 71
SO_BUF_LOCK: Final = 72
SO_RESERVE_MEM: Final = 73
SO_TXREHASH: Final = 74
SO_RCVMARK: Final = 75

# control messages that are named as the option that asks for them
SCM_TIMESTAMPING: Final = SO_TIMESTAMPING
SCM_TIMESTAMPING_NEW: Final = SO_TIMESTAMPING_NEW

MSG_OOB: Final = 0x1
MSG_PEEK: Final = 0x2
MSG_DONTROUTE: Final = 0x4
MSG_CTRUNC: Final = 0x8
MSG_PROBE: Final = 0x10
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
MSG_EOR: Final = 0x80
MSG_WAITALL: Final = 0x100
MSG_CONFIRM: Final = 0x800
MSG_ERRQUEUE: Final = 0x2000
MSG_NOSIGNAL: Final = 0x4000
MSG_MORE: Final = 0x8000
MSG_WAITFORONE: Final = 0x10000
MSG_SENDPAGE_NOTLAST: Final = 0x20000
MSG_ZEROCOPY: Final = 0x4000000
MSG_FASTOPEN: Final = 0x20000000
MSG_CMSG_CLOEXEC: Final = 0x40000000

# State of a struct socket (not of the protocol).
SS_FREE: Final = 0
SS_UNCONNECTED: Final = 1
SS_CONNECTING: Final = 2
SS_CONNECTED: Final = 3
SS_DISCONNECTING: Final = 4

SIOCINQ: Final = 0x541B
SIOCOUTQ: Final = 0x5411
SIOCATMARK: Final = 0x8905
FIONREAD: Final = 0x541B
FIONBIO: Final = 0x5421


class BadAddress:
    """A program's buffer of `size` bytes that it cannot touch; Linux finds out when it copies: EFAULT."""

    def __init__(self, size: int) -> None:
        self.size: int = size

    def __len__(self) -> int:
        """The size that the program said."""
        return self.size


class Sockaddr:
    """An address as a program hands it over: family; for AF_INET the address (u32) and port (u16) in host order; for AF_INET6
    (make_sockaddr_in6) the port in sin_port too, the address as an int of 128 bits, flow information and the zone's ifindex.
    """

    def __init__(self, sa_family: int, sin_addr: i64 = 0, sin_port: i64 = 0) -> None:
        self.sa_family: int = sa_family
        self.sin_addr: i64 = sin_addr
        self.sin_port: i64 = sin_port
        self.sin6_addr: int = 0
        self.sin6_flowinfo: i64 = 0
        self.sin6_scope_id: i64 = 0


def make_sockaddr_in6(addr: int, port: i64, flowinfo: i64 = 0, scope_id: i64 = 0) -> Sockaddr:
    """An AF_INET6 address (Linux: struct sockaddr_in6)."""
    name = Sockaddr(AF_INET6, 0, port)
    name.sin6_addr = addr
    name.sin6_flowinfo = flowinfo
    name.sin6_scope_id = scope_id
    return name


class Cmsg:
    """One control message (ancillary data): level, type and its bytes, without the cmsghdr itself."""

    def __init__(self, cmsg_level: int, cmsg_type: int, data: bytes) -> None:
        self.cmsg_level: int = cmsg_level
        self.cmsg_type: int = cmsg_type
        self.data: bytes = data


class Msghdr:
    """What sendmsg and recvmsg carry.

    Sending: `data` is the whole message (the iovec gathered at the border), `offset` what the protocol took so far; iov_lens
    are the iovec's sizes where that matters (MSG_ZEROCOPY), msg_ubuf who must hear when data is free again, tsflags the
    SOF_TIMESTAMPING_* of this send. fault: the program's buffer (of so many bytes) cannot be touched.
    Receiving: the protocol appends to `chunks`; `copied` counts their bytes. msg_name is the peer, or None.
    """

    def __init__(self, data: bytes = b'', msg_flags: int = 0) -> None:
        self.msg_name: Sockaddr | None = None
        self.msg_control: list[Cmsg] = []
        self.msg_flags: int = msg_flags
        self.data: bytes = data
        self.iov_lens: list[int] = []
        self.msg_ubuf: UbufInfo | None = None
        self.tsflags: i64 = 0
        self.fault: i64 = 0
        self.offset: i64 = 0
        self.chunks: list[bytes] = []
        self.copied: i64 = 0

    def remaining(self) -> i64:
        """Bytes of `data` that no protocol has taken yet."""
        return len(self.data) - self.offset

    def put(self, chunk: bytes) -> None:
        """Append received bytes."""
        self.chunks.append(chunk)
        self.copied += len(chunk)
