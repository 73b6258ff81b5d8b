# SPDX-License-Identifier: Apache-2.0
"""struct inet_sock: what every socket of IPv4 and IPv6 has, whatever its transport."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.ipv6 import Ipv6Pinfo
from linnet.include.net.flow import Flowi4
from linnet.include.net.sock import Proto, ProtoOps, Sock, sock_net

INET_PROTOSW_REUSE: Final = 1
INET_PROTOSW_PERMANENT: Final = 2
INET_PROTOSW_ICSK: Final = 4

# cmsg_flags: which control messages a receiver asked for
IP_CMSG_PKTINFO: Final = 1 << 0
IP_CMSG_TTL: Final = 1 << 1
IP_CMSG_TOS: Final = 1 << 2
IP_CMSG_RECVOPTS: Final = 1 << 3
IP_CMSG_RETOPTS: Final = 1 << 4


class InetSock(Sock):
    """Linux: struct inet_sock."""

    def __init__(self) -> None:
        super().__init__()
        self.pinet6: Ipv6Pinfo | None = None  # of AF_INET6
        self.inet_saddr: i64 = 0  # source in packets; sk_rcv_saddr is what is matched on receipt
        self.inet_sport: i64 = 0
        self.inet_id: i64 = 0
        self.inet_opt: bytes = b''  # IP options put into each packet
        self.uc_ttl: i64 = -1
        self.mc_ttl: i64 = 1
        self.mc_loop: bool = True
        self.mc_index: i64 = 0
        self.mc_addr: i64 = 0
        self.mc_list: list[int] = []  # joined groups: ifindex << 32 | group
        self.tos: i64 = 0
        self.rcv_tos: i64 = 0
        self.min_ttl: i64 = 0
        self.pmtudisc: i64 = 1
        self.recverr: bool = False
        self.hdrincl: bool = False
        self.freebind: bool = False
        self.transparent: bool = False
        self.nodefrag: bool = False
        self.bind_address_no_port: bool = False
        self.local_port_range: i64 = 0  # IP_LOCAL_PORT_RANGE: low | high << 16, 0: the host's
        self.is_icsk: bool = False
        self.defer_connect: bool = False  # connect() waits for the first write (TCP_FASTOPEN_CONNECT)
        self.cmsg_flags: i64 = 0
        self.cork_fl: Flowi4 = Flowi4()  # Linux: inet->cork.fl
        self.cork: object = None  # ip_output.py: the datagram under construction with MSG_MORE


class InetProtosw:
    """Linux: struct inet_protosw: which protocol answers socket(AF_INET, type, protocol). protocol 0 (IPPROTO_IP) is a
    wildcard.
    """

    def __init__(self, type: int, protocol: int, prot: Proto, ops: ProtoOps, flags: int) -> None:
        self.type: int = type
        self.protocol: int = protocol
        self.prot: Proto = prot
        self.ops: ProtoOps = ops
        self.flags: int = flags


class UdpSock(InetSock):
    """Linux: struct udp_sock."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: i64 = 0  # AF_INET while a datagram is corked
        self.corkflag: bool = False
        self.len: i64 = 0
        self.gso_size: i64 = 0
        self.gro_enabled: bool = False
        self.encap_type: i64 = 0
        self.no_check6_tx: bool = False  # UDP_NO_CHECK6_TX
        self.no_check6_rx: bool = False
        self.forward_deficit: i64 = 0


class RawSock(InetSock):
    """Linux: struct raw_sock; filter has a bit for each ICMP type that is not wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.filter: i64 = 0


class Raw6Sock(InetSock):
    """Linux: struct raw6_sock (include/linux/ipv6.h). filter has a bit for each ICMPv6 type that is not wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.checksum: bool = False  # IPV6_CHECKSUM: the transport's checksum is computed, and verified, here
        self.offset: i64 = 0  # where in the transport header it stands
        self.filter: int = 0


def inet_sk(sk: Sock) -> InetSock:
    """Linux: include/net/inet_sock.h."""
    assert isinstance(sk, InetSock)
    return sk


def inet_sk_get_local_port_range(sk: Sock) -> i64:
    """The ports that sk may choose from, low | high << 16: the host's range; a bound of IP_LOCAL_PORT_RANGE within it narrows it.

    Linux: net/ipv4/inet_connection_sock.c, which gives the two separately.
    """
    host = sock_net(sk).ipv4.sysctl_local_port_range
    low: i64 = host[0]
    high: i64 = host[1]
    own = inet_sk(sk).local_port_range
    if own != 0:
        own_low = own & 0xFFFF
        own_high = own >> 16
        narrowed = own_low if low <= own_low <= high else low
        high = own_high if low <= own_high <= high else high
        low = narrowed
    return low | (high << 16)


def udp_sk(sk: Sock) -> UdpSock:
    """Linux: include/linux/udp.h."""
    assert isinstance(sk, UdpSock)
    return sk


def raw_sk(sk: Sock) -> RawSock:
    """Linux: include/net/raw.h."""
    assert isinstance(sk, RawSock)
    return sk


def raw6_sk(sk: Sock) -> Raw6Sock:
    """Linux: include/linux/ipv6.h."""
    assert isinstance(sk, Raw6Sock)
    return sk
