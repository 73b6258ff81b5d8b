# SPDX-License-Identifier: Apache-2.0
"""Packet sockets (AF_PACKET): frames as devices see them, for sniffers and for protocols that live in programs.

A socket is an entry in the table of packet types, for one protocol or for all (ETH_P_ALL: outgoing frames too), on
one device or on all. SOCK_RAW frames begin with the link header; SOCK_DGRAM ones with the network header, and the
link header is made from the address on sending. What a full receive buffer loses is counted (PACKET_STATISTICS).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ETH_P_ALL, ETH_P_IP, ETH_P_IPV6
from linnet.include.linux.if_packet import (
    PACKET_ADD_MEMBERSHIP,
    PACKET_AUXDATA,
    PACKET_DROP_MEMBERSHIP,
    PACKET_IGNORE_OUTGOING,
    PACKET_MR_ALLMULTI,
    PACKET_MR_PROMISC,
    PACKET_STATISTICS,
    SOL_PACKET,
    PacketSock,
    SockaddrLl,
)
from linnet.include.linux.netdevice import IFF_ALLMULTI, IFF_PROMISC, IFF_UP, NetDevice, PacketType
from linnet.include.linux.notifier import NETDEV_DOWN, NETDEV_UNREGISTER, NETDEV_UP, NotifierBlock
from linnet.include.linux.sched import CAP_NET_RAW
from linnet.include.linux.skbuff import (
    CHECKSUM_NONE,
    PACKET_LOOPBACK,
    PACKET_OUTGOING,
    SkBuff,
    __skb_pull,
    skb_reset_mac_header,
    skb_reset_network_header,
)
from linnet.include.linux.socket import (
    AF_PACKET,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_TRUNC,
    SIOCINQ,
    SIOCOUTQ,
    SOCK_DGRAM,
    SOCK_RAW,
    SS_UNCONNECTED,
    Msghdr,
    Sockaddr,
)
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.dropreason import SKB_DROP_REASON_SOCKET_RCVBUFF
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import NetProtoFamily, OptResult, Proto, ProtoOps, Sock, Socket, sock_net
from linnet.kernel.errno import (
    EADDRNOTAVAIL,
    EINVAL,
    EMSGSIZE,
    ENETDOWN,
    ENOBUFS,
    ENODEV,
    ENOIOCTLCMD,
    ENOPROTOOPT,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ESOCKTNOSUPPORT,
)
from linnet.kernel.file import File
from linnet.kernel.select import PollTable
from linnet.kernel.slab import KmemCache
from linnet.net.core.datagram import (
    ErrBox,
    datagram_poll,
    skb_copy_datagram_msg,
    skb_free_datagram,
    skb_recv_datagram,
)
from linnet.net.core.dev import dev_add_pack, dev_get_by_index, dev_queue_xmit, dev_remove_pack
from linnet.net.core.skbuff import consume_skb, kfree_skb_reason, skb_orphan_frags_rx
from linnet.net.core.sock import (
    lock_sock,
    release_sock,
    sk_alloc,
    sk_purge_queues,
    sock_alloc_send_skb,
    sock_init_data,
    sock_orphan,
    sock_put,
    sock_queue_rcv_skb,
)
from linnet.net.core.sock_opts import int_bytes, int_of, sock_recv_cmsgs

SIZEOF_PACKET_SOCK: Final = 1472


class PacketSockCache(KmemCache):
    """The slab of packet sockets."""

    def new(self) -> object:
        """See KmemCache."""
        return PacketSock()


class PacketProto(Proto):
    """Linux: packet_proto: it has a name and a size, and nothing else."""

    def __init__(self, slab: KmemCache) -> None:
        super().__init__('PACKET', slab)


class PacketHook(PacketType):
    """A packet socket's entry in the table of packet types (Linux: po->prot_hook).

    The table has one handler a protocol, so a socket for one protocol is a tap too, and picks.
    """

    def __init__(self, sk: PacketSock, dev: NetDevice | None) -> None:
        super().__init__(ETH_P_ALL, dev)
        self.sk: PacketSock = sk

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """See packet_rcv."""
        return packet_rcv(self.sk, skb, dev)


class PacketSink(PacketType):
    """The handler of a protocol that packet sockets alone take: the frame itself ends well."""

    def func(self, skb: SkBuff, dev: NetDevice, orig_dev: NetDevice) -> i64:
        """The sockets have their copies."""
        consume_skb(skb)
        return 0


class PacketNotifier(NotifierBlock):
    """Devices go and come (Linux: packet_netdev_notifier)."""

    def __init__(self, family: PacketFamily) -> None:
        self.family: PacketFamily = family

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See packet_notifier."""
        packet_notifier(self.family, event, dev)


class PacketFamily(NetProtoFamily):
    """Linux: packet_family_ops. One a Net; sklist holds its sockets."""

    def __init__(self, slab: KmemCache) -> None:
        super().__init__(AF_PACKET)
        self.prot: PacketProto = PacketProto(slab)
        self.ops: PacketOps = PacketOps(self)
        self.sklist: list[PacketSock] = []

    def create(self, net: Net, sock: Socket, protocol: int, kern: int) -> int:
        """See packet_create."""
        return packet_create(self, net, sock, protocol, kern)


class PacketOps(ProtoOps):
    """Linux: packet_ops."""

    def __init__(self, family: PacketFamily) -> None:
        super().__init__(AF_PACKET)
        self.table: PacketFamily = family

    def release(self, sock: Socket) -> int:
        """See packet_release."""
        return packet_release(self.table, sock)

    def bind(self, sock: Socket, uaddr: Sockaddr) -> int:
        """See packet_bind."""
        return packet_bind(sock, uaddr)

    def getname(self, sock: Socket, peer: int) -> Sockaddr | None:
        """See packet_getname."""
        return packet_getname(sock, peer)

    def poll(self, file: File, sock: Socket, wait: PollTable | None) -> int:
        """Linux: net/packet/af_packet.c, packet_poll, without rings."""
        return datagram_poll(file, sock, wait)

    def ioctl(self, sock: Socket, cmd: int, arg: int) -> int:
        """See packet_ioctl."""
        return packet_ioctl(sock, cmd)

    def setsockopt(self, sock: Socket, level: int, optname: int, optval: bytes) -> int:
        """See packet_setsockopt."""
        return packet_setsockopt(sock, level, optname, optval)

    def getsockopt(self, sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
        """See packet_getsockopt."""
        return packet_getsockopt(sock, level, optname, optlen)

    def sendmsg(self, sock: Socket, msg: Msghdr, size: int) -> int:
        """See packet_sendmsg."""
        return packet_sendmsg(sock, msg, size)

    def recvmsg(self, sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
        """See packet_recvmsg."""
        return packet_recvmsg(sock, msg, size, flags)


def packet_init(net: Net) -> None:
    """Register the family.  Linux: net/packet/af_packet.c."""
    caches = net.world.slab.caches
    slab = caches.get('PACKET')
    if slab is None:
        slab = net.world.slab.register(PacketSockCache('PACKET', SIZEOF_PACKET_SOCK, net.world.trace))
    family = PacketFamily(slab)
    net.net_families[AF_PACKET] = family
    net.netdev_chain.append(PacketNotifier(family))


def pkt_sk(sock: Socket) -> PacketSock:
    """Linux: net/packet/internal.h."""
    sk = sock.sk
    assert isinstance(sk, PacketSock)
    return sk


def ntohs(value: int) -> int:
    """A protocol number as programs pass it to socket(): htons() of it, on a little-endian machine."""
    return ((value & 0xFF) << 8) | ((value >> 8) & 0xFF)


def packet_create(family: PacketFamily, net: Net, sock: Socket, protocol: int, kern: int) -> int:
    """Make a packet socket; protocol is in network order, 0: receive nothing until bind(). 0 or a negative errno.

    Linux: net/packet/af_packet.c.
    """
    caller = sock.caller
    if caller is not None and not caller.capable(CAP_NET_RAW):
        return -EPERM
    if sock.type != SOCK_DGRAM and sock.type != SOCK_RAW:
        return -ESOCKTNOSUPPORT
    sock.state = SS_UNCONNECTED
    sk = sk_alloc(net, AF_PACKET, family.prot, kern)
    sock.ops = family.ops
    sock_init_data(sock, sk)
    assert isinstance(sk, PacketSock)
    sk.sk_family = AF_PACKET
    sk.num = ntohs(protocol)
    family.sklist.append(sk)
    if sk.num != 0:
        register_prot_hook(sk, None)
    return 0


def register_prot_hook(sk: PacketSock, dev: NetDevice | None) -> None:
    """Receive from now on.  Linux: net/packet/af_packet.c."""
    if sk.hook is not None:
        return
    net = sock_net(sk)
    hook = PacketHook(sk, dev)
    dev_add_pack(net, hook)
    sk.hook = hook
    if sk.num != ETH_P_ALL and net.ptype_base.get(int(sk.num)) is None:
        dev_add_pack(net, PacketSink(sk.num))


def unregister_prot_hook(sk: PacketSock) -> None:
    """Receive no more.  Linux: net/packet/af_packet.c."""
    hook = sk.hook
    if not isinstance(hook, PacketHook):
        return
    net = sock_net(sk)
    dev_remove_pack(net, hook)
    sk.hook = None
    sink = net.ptype_base.get(int(sk.num))
    if isinstance(sink, PacketSink):
        family = net.net_families[AF_PACKET]
        if isinstance(family, PacketFamily) and not packet_wanted(family, sk.num):
            dev_remove_pack(net, sink)


def packet_wanted(family: PacketFamily, num: i64) -> bool:
    """Does a socket that receives want this protocol by name?"""
    for sk in family.sklist:
        if sk.num == num and sk.hook is not None:
            return True
    return False


def packet_rcv(sk: PacketSock, skb: SkBuff, dev: NetDevice) -> i64:
    """A frame came by; owns skb. Returns 0.  Linux: net/packet/af_packet.c."""
    outgoing = skb.pkt_type == PACKET_OUTGOING
    if sk.num != ETH_P_ALL and (outgoing or skb.protocol != sk.num):
        consume_skb(skb)
        return 0
    if skb.pkt_type == PACKET_LOOPBACK or (outgoing and sk.ignore_outgoing):
        consume_skb(skb)
        return 0
    skb_orphan_frags_rx(skb)  # Linux: for every tap; but a capture of the lab shall change nothing
    if dev.header_ops is not None:
        if sk.sk_type != SOCK_DGRAM:
            back: i64 = skb.data - skb.mac_header
            skb.data -= back
            skb.len += back
        elif outgoing:
            __skb_pull(skb, dev.hard_header_len)
    skb.skb_iif = dev.ifindex
    if sock_queue_rcv_skb(sk, skb) < 0:
        sk.tp_drops += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_SOCKET_RCVBUFF)
        return 0
    sk.tp_packets += 1
    return 0


def packet_recvmsg(sock: Socket, msg: Msghdr, size: int, flags: int) -> int:
    """Receive one frame. Its bytes (with MSG_TRUNC its whole length), or a negative errno.

    Linux: net/packet/af_packet.c.
    """
    sk = pkt_sk(sock)
    if (flags & MSG_OOB) != 0:
        return -EINVAL
    if (flags & MSG_ERRQUEUE) != 0:
        return -EOPNOTSUPP
    box = ErrBox()
    skb = skb_recv_datagram(sk, flags, (flags & MSG_DONTWAIT) != 0, box)
    if skb is None:
        return box.err
    copied: i64 = skb.len
    if size < copied:
        copied = size
        msg.msg_flags |= MSG_TRUNC
    skb_copy_datagram_msg(skb, 0, msg, copied)
    sock_recv_cmsgs(msg, sk, skb)
    dev = dev_get_by_index(sock_net(sk), skb.skb_iif)
    hatype: i64 = dev.type if dev is not None else 0
    source = b''
    if dev is not None and dev.header_ops is not None and skb.mac_header >= 0:
        at = skb.mac_header + dev.addr_len
        source = skb.head[at:at + dev.addr_len]
    msg.msg_name = SockaddrLl(skb.skb_iif, skb.protocol, skb.pkt_type, hatype, source)
    result = int(skb.len if (flags & MSG_TRUNC) != 0 else copied)
    skb_free_datagram(sk, skb)
    return result


def packet_sendmsg(sock: Socket, msg: Msghdr, size: int) -> int:
    """Send one frame out of the device named by the address, or the bound one.  Linux: net/packet/af_packet.c."""
    return packet_snd(sock, msg, size)


def packet_snd(sock: Socket, msg: Msghdr, size: int) -> int:
    """Bytes sent, or a negative errno.  Linux: net/packet/af_packet.c."""
    sk = pkt_sk(sock)
    net = sock_net(sk)
    to = msg.msg_name
    proto: i64 = sk.num
    ifindex: i64 = sk.ifindex
    addr: bytes | None = None
    if to is not None:
        if not isinstance(to, SockaddrLl):
            return -EINVAL
        proto = to.sll_protocol
        ifindex = to.sll_ifindex
        addr = to.sll_addr
    dev = dev_get_by_index(net, ifindex)
    if dev is None:
        return -ENXIO
    if (dev.flags & IFF_UP) == 0:
        return -ENETDOWN
    if addr is not None and sk.sk_type == SOCK_DGRAM and i64(len(addr)) < dev.addr_len:
        return -EINVAL
    reserve: i64 = dev.hard_header_len if sk.sk_type == SOCK_RAW else 0
    if size > dev.mtu + reserve:
        return -EMSGSIZE
    if size < reserve:
        return -EINVAL
    made = sock_alloc_send_skb(sk, size + dev.hard_header_len, (msg.msg_flags & MSG_DONTWAIT) != 0)
    if isinstance(made, int):
        return made
    skb = made
    skb.head = msg.data[msg.offset:msg.offset + size]
    skb.data = 0
    skb.len = size
    skb.dev = dev
    skb.ip_summed = CHECKSUM_NONE
    skb.priority = sk.sk_priority
    skb.mark = sk.sk_mark
    skb.protocol = packet_protocol(skb, dev, proto, sk.sk_type == SOCK_RAW)
    if sk.sk_type == SOCK_DGRAM:
        skb_reset_network_header(skb)
        ops = dev.header_ops
        if ops is not None and ops.create(skb, dev, skb.protocol, addr, None) < 0:
            consume_skb(skb)
            return -EINVAL
    else:
        skb.network_header = reserve
    skb_reset_mac_header(skb)
    err = int(dev_queue_xmit(skb))
    if err > 0:
        err = 0 if err == 2 else -ENOBUFS
    return err if err != 0 else size


def packet_protocol(skb: SkBuff, dev: NetDevice, proto: i64, raw: bool) -> i64:
    """A frame's protocol: what was said, or for a raw Ethernet frame with no or any protocol, what its header says."""
    if raw and (proto == 0 or proto == ETH_P_ALL):
        if dev.header_ops is not None and len(skb.head) >= 14:
            return get_be16(skb.head, 12)
        if dev.header_ops is None and len(skb.head) > 0:
            version = skb.head[0] >> 4
            if version == 4:
                return ETH_P_IP
            if version == 6:
                return ETH_P_IPV6
    return proto


def packet_bind(sock: Socket, uaddr: Sockaddr) -> int:
    """Choose protocol (0: as before) and device (0: all). 0 or a negative errno.  Linux: net/packet/af_packet.c."""
    sk = pkt_sk(sock)
    if uaddr.sa_family != AF_PACKET or not isinstance(uaddr, SockaddrLl):
        return -EINVAL
    dev: NetDevice | None = None
    if uaddr.sll_ifindex != 0:
        dev = dev_get_by_index(sock_net(sk), uaddr.sll_ifindex)
        if dev is None:
            return -ENODEV
    lock_sock(sk)
    unregister_prot_hook(sk)
    if uaddr.sll_protocol != 0:
        sk.num = uaddr.sll_protocol
    sk.ifindex = uaddr.sll_ifindex
    if sk.num != 0:
        if dev is None or (dev.flags & IFF_UP) != 0:
            register_prot_hook(sk, dev)
        else:
            sk.sk_err = ENETDOWN
            sk.sk_cb.error_report(sk)
    release_sock(sk)
    return 0


def packet_getname(sock: Socket, peer: int) -> Sockaddr | None:
    """Linux: net/packet/af_packet.c."""
    if peer != 0:
        return None
    sk = pkt_sk(sock)
    dev = dev_get_by_index(sock_net(sk), sk.ifindex)
    if dev is None:
        return SockaddrLl(sk.ifindex, sk.num, 0, 0, b'')
    return SockaddrLl(sk.ifindex, sk.num, 0, dev.type, dev.dev_addr)


def packet_release(family: PacketFamily, sock: Socket) -> int:
    """The socket's end.  Linux: net/packet/af_packet.c."""
    sk = sock.sk
    if not isinstance(sk, PacketSock):
        return 0
    family.sklist.remove(sk)
    unregister_prot_hook(sk)
    for membership in list(sk.mclist):
        packet_dev_mc(sk, membership, False)
    sk.mclist.clear()
    sock_orphan(sk)
    sock.sk = None
    sk_purge_queues(sk)
    sock_put(sk)
    return 0


def packet_notifier(family: PacketFamily, event: int, dev: NetDevice) -> None:
    """Sockets bound to a device hear of its end, and receive again when it is up.  Linux: net/packet/af_packet.c."""
    for sk in list(family.sklist):
        if sk.ifindex != dev.ifindex:
            continue
        if event == NETDEV_UNREGISTER or event == NETDEV_DOWN:
            if sk.hook is not None:
                unregister_prot_hook(sk)
                sk.sk_err = ENETDOWN
                sk.sk_cb.error_report(sk)
            if event == NETDEV_UNREGISTER:
                sk.ifindex = -1
        elif event == NETDEV_UP and sk.num != 0:
            register_prot_hook(sk, dev)


def packet_dev_mc(sk: PacketSock, membership: i64, on: bool) -> None:
    """Set or clear what a membership asks of its device.  Linux: net/packet/af_packet.c."""
    dev = dev_get_by_index(sock_net(sk), membership >> 8)
    if dev is None:
        return
    kind = membership & 0xFF
    flag: i64 = 0
    if kind == PACKET_MR_PROMISC:
        flag = IFF_PROMISC
    elif kind == PACKET_MR_ALLMULTI:
        flag = IFF_ALLMULTI
    if on:
        dev.flags |= flag
    else:
        dev.flags &= ~flag


def packet_setsockopt(sock: Socket, level: int, optname: int, optval: bytes) -> int:
    """Memberships and switches.  Linux: net/packet/af_packet.c."""
    sk = pkt_sk(sock)
    if level != SOL_PACKET:
        return -ENOPROTOOPT
    if optname == PACKET_ADD_MEMBERSHIP or optname == PACKET_DROP_MEMBERSHIP:
        if len(optval) < 8:
            return -EINVAL
        ifindex = int.from_bytes(optval[:4], 'little')
        if dev_get_by_index(sock_net(sk), ifindex) is None:
            return -ENODEV
        membership = (ifindex << 8) | int.from_bytes(optval[4:6], 'little')
        if optname == PACKET_ADD_MEMBERSHIP:
            sk.mclist.append(membership)
            packet_dev_mc(sk, membership, True)
            return 0
        if membership not in sk.mclist:
            return -EADDRNOTAVAIL
        sk.mclist.remove(membership)
        packet_dev_mc(sk, membership, False)
        return 0
    if len(optval) < 4:
        return -EINVAL
    if optname == PACKET_IGNORE_OUTGOING:
        sk.ignore_outgoing = int_of(optval) != 0
        return 0
    if optname == PACKET_AUXDATA:
        sk.auxdata = int_of(optval) != 0
        return 0
    return -ENOPROTOOPT


def packet_getsockopt(sock: Socket, level: int, optname: int, optlen: int) -> OptResult:
    """PACKET_STATISTICS: frames received or lost, and lost, since it was last asked.  Linux: net/packet/af_packet.c."""
    sk = pkt_sk(sock)
    if level != SOL_PACKET:
        return OptResult(-ENOPROTOOPT, b'')
    if optlen < 0:
        return OptResult(-EINVAL, b'')
    if optname == PACKET_STATISTICS:
        data = int_bytes(int(sk.tp_packets + sk.tp_drops)) + int_bytes(int(sk.tp_drops))
        sk.tp_packets = 0
        sk.tp_drops = 0
        return OptResult(0, data[:optlen])
    if optname == PACKET_IGNORE_OUTGOING:
        return OptResult(0, int_bytes(1 if sk.ignore_outgoing else 0)[:optlen])
    if optname == PACKET_AUXDATA:
        return OptResult(0, int_bytes(1 if sk.auxdata else 0)[:optlen])
    return OptResult(-ENOPROTOOPT, b'')


def packet_ioctl(sock: Socket, cmd: int) -> int:
    """SIOCOUTQ and SIOCINQ.  Linux: net/packet/af_packet.c."""
    sk: Sock = pkt_sk(sock)
    if cmd == SIOCOUTQ:
        return int(sk.sk_wmem_alloc - 1)
    if cmd == SIOCINQ:
        skb = sk.sk_receive_queue.next
        return int(skb.len) if skb is not None else 0
    return -ENOIOCTLCMD
