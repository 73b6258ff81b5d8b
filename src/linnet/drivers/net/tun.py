# SPDX-License-Identifier: Apache-2.0
"""tun: a device whose other end is a TUN or TAP interface of the real kernel, in real time.

TUN carries IP packets without a link header, TAP Ethernet frames. With offload every packet has a virtio_net_hdr in front, so
that 64 KB super-segments and unfinished checksums cross in both directions in one system call; this is what makes a Python
stack fast. Without it checksums are made here, and segments that arrive in a row are merged by GRO.

The descriptor is watched by the scheduler. When it is readable, NAPI polls: up to 64 packets are read, then the tasks have
their turn, and poll(2) tells whether there is more. A write to a TUN never waits: what the kernel refuses is lost, as on a
wire.
"""
from __future__ import annotations

import errno
import fcntl
import os
import struct
from os import read, write, writev  # by name: a simulated program's `os` module is patched
from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_NONE, ETH_HLEN, ETH_P_IP, ETH_P_IPV6
from linnet.include.linux.inet import IPPROTO_TCP, IPPROTO_UDP
from linnet.include.linux.ip import IP_HLEN, ip_ihl, ip_protocol
from linnet.include.linux.ipv6 import IPV6_HLEN, ipv6_nexthdr
from linnet.include.linux.netdevice import (
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    NETDEV_TX_OK,
    NETIF_F_GRO,
    NETIF_F_GSO,
    NETIF_F_HW_CSUM,
    NETIF_F_RXCSUM,
    NETIF_F_SG,
    NETIF_F_TSO,
    NETIF_F_TSO6,
    NETIF_F_TSO_ECN,
    NapiStruct,
    NetDevice,
    NetDeviceOps,
)
from linnet.include.linux.skbuff import (
    CHECKSUM_PARTIAL,
    CHECKSUM_UNNECESSARY,
    PACKET_HOST,
    SKB_GSO_TCP_ECN,
    SKB_GSO_TCPV4,
    SKB_GSO_TCPV6,
    SkbFrag,
    SkBuff,
)
from linnet.include.linux.tcp import TCP_HLEN, UDP_HLEN, th_doff
from linnet.include.linux.unaligned import get_be16
from linnet.include.net.dropreason import SKB_DROP_REASON_FULL_RING
from linnet.include.net.net_namespace import Net
from linnet.kernel.sched import FdEvent
from linnet.net.core.dev import napi_complete, napi_schedule, netif_carrier_off, netif_carrier_on, register_netdevice
from linnet.net.core.gro import napi_gro_flush, napi_gro_receive
from linnet.net.core.skbuff import __alloc_skb, consume_skb, kfree_skb_reason, skb_orphan_frags_rx
from linnet.net.core.skbuff_tstamp import skb_tx_timestamp
from linnet.net.ethernet.eth import eth_hw_addr_next, eth_type_trans, ether_setup

DEV_NET_TUN: Final = '/dev/net/tun'
TUNSETIFF: Final = 0x400454CA
TUNSETOFFLOAD: Final = 0x400454D0
TUNSETVNETHDRSZ: Final = 0x400454D8
TUN_F_CSUM: Final = 1
TUN_F_TSO4: Final = 2
TUN_F_TSO6: Final = 4
IFF_TUN: Final = 0x0001
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
IFNAMSIZ: Final = 16

VNET_HDR_LEN: Final = 10
VIRTIO_NET_HDR_F_NEEDS_CSUM: Final = 1
VIRTIO_NET_HDR_F_DATA_VALID: Final = 2
VIRTIO_NET_HDR_GSO_TCPV4: Final = 1
VIRTIO_NET_HDR_GSO_TCPV6: Final = 4
VIRTIO_NET_HDR_GSO_ECN: Final = 0x80
VNET_HDR_PLAIN: Final = bytes(VNET_HDR_LEN)
VNET_FORMAT: Final = '=BBHHHH'  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset; the machine's own order

READ_SIZE: Final = 65536 + 64 + VNET_HDR_LEN
TUN_QUEUE_LEN: Final = 500


class TunOps(NetDeviceOps):
    """The driver of one device. fd is -1 while it is closed."""

    def __init__(self, net: Net, name: str, tap: bool, offload: bool) -> None:
        self.net: Net = net
        self.name: str = name
        self.tap: bool = tap
        self.offload: bool = offload
        self.fd: int = -1
        self.napi: TunNapi | None = None
        self.watched: bool = False

    def ndo_open(self, dev: NetDevice) -> int:
        """Watch the descriptor; a device that was closed is attached anew."""
        if self.fd < 0:
            try:
                self.fd, _ = tun_attach(self.name, self.tap, self.offload)
            except OSError as exc:
                return -(exc.errno or errno.EIO)
            netif_carrier_on(dev)
        napi = self.napi
        assert napi is not None
        if not self.watched:
            self.watched = True
            self.net.world.sched.register_fd(self.fd, TunEvent(napi))
        return 0

    def ndo_stop(self, dev: NetDevice) -> int:
        """Let go of the kernel's device, which ends with that unless it is persistent. A second call does nothing."""
        fd = self.fd
        if fd < 0:
            return 0
        self.fd = -1
        if self.watched:
            self.watched = False
            self.net.world.sched.unregister_fd(fd)
        os.close(fd)
        napi = self.napi
        if napi is not None:
            napi_gro_flush(napi)
        return 0

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> i64:
        """See tun_net_xmit."""
        return tun_net_xmit(self, skb, dev)


class TunEvent(FdEvent):
    """The kernel has packets for us."""

    def __init__(self, napi: TunNapi) -> None:
        self.napi: TunNapi = napi

    def ready(self) -> None:
        """Let NAPI read them."""
        napi_schedule(self.napi)


class TunNapi(NapiStruct):
    """Reads a device's packets."""

    def __init__(self, dev: NetDevice, ops: TunOps) -> None:
        super().__init__(dev)
        self.ops: TunOps = ops

    def poll(self, budget: i64) -> i64:
        """See tun_poll."""
        work = tun_poll(self, self.ops, budget)
        napi_gro_flush(self)
        napi_complete(self)
        return work


# -- from the kernel

def tun_poll(napi: TunNapi, ops: TunOps, budget: i64) -> i64:
    """Read and receive up to budget packets. Returns how many.

    What is left is read when the scheduler finds the descriptor readable in its next round: a flood cannot starve the tasks.
    """
    dev = napi.dev
    assert dev is not None
    work: i64 = 0
    while work < budget:
        fd = ops.fd
        if fd < 0:
            break
        try:
            data = read(fd, READ_SIZE)
        except BlockingIOError:
            break
        except OSError:  # EBADFD, EFAULT: there is no interface at the other end any more
            tun_gone(ops, dev)
            break
        work += 1
        skb = tun_build_skb(ops, dev, data)
        if skb is None:
            dev.stats.rx_errors += 1
            continue
        dev.stats.rx_packets += 1
        dev.stats.rx_bytes += skb.len
        if ops.tap:
            eth_type_trans(skb, dev)
        napi_gro_receive(napi, skb)
    return work


def tun_gone(ops: TunOps, dev: NetDevice) -> None:
    """The kernel's interface was deleted: a cable pulled. poll(2) would call the descriptor ready for ever.

    Down and up again attaches to a new interface of that name.
    """
    if ops.watched:
        ops.watched = False
        ops.net.world.sched.unregister_fd(ops.fd)
    netif_carrier_off(dev)


def tun_build_skb(ops: TunOps, dev: NetDevice, data: bytes) -> SkBuff | None:
    """The skb of what one read gave: headers linear, the payload a fragment of the same buffer. None: it is no packet."""
    start: i64 = VNET_HDR_LEN if ops.offload else 0
    size = len(data) - start
    if size < (ETH_HLEN if ops.tap else 1):
        return None
    hlen = tun_header_len(data, start, size, ops.tap)
    # Only the headers are linear, as in Linux: a linear area is charged as kmalloc rounds it, up to double, which TCP's window
    # does not foresee: the receive buffer would overflow on data that the window had invited.
    skb = __alloc_skb(ops.net.world, hlen)
    skb.len = size
    if hlen >= size:
        skb.head = data if start == 0 else data[start:]
    else:
        skb.head = data[start:start + hlen]
        skb.frags = [SkbFrag(data, start + hlen, size - hlen)]
        skb.data_len = size - hlen
        skb.truesize += size - hlen
    skb.dev = dev
    if not ops.tap:
        skb.mac_header = 0
        skb.network_header = 0
        skb.pkt_type = PACKET_HOST
        version = data[start] >> 4
        skb.protocol = ETH_P_IP if version == 4 else ETH_P_IPV6 if version == 6 else 0
    if ops.offload and (data[0] != 0 or data[1] != 0):
        virtio_net_hdr_to_skb(skb, data, hlen)
    return skb


def tun_header_len(data: bytes, start: i64, size: i64, tap: bool) -> i64:
    """Bytes of the headers that a packet begins with; all of it where it is not TCP or UDP over IPv4 or IPv6."""
    at: i64 = 0
    if tap:
        kind = get_be16(data, start + 12)
        if kind != ETH_P_IP and kind != ETH_P_IPV6:
            return size
        at = ETH_HLEN
    if size < at + IP_HLEN:
        return size
    version = data[start + at] >> 4
    if version == 4:
        proto = ip_protocol(data, start + at)
        at += ip_ihl(data, start + at)
    elif version == 6 and size >= at + IPV6_HLEN:
        proto = ipv6_nexthdr(data, start + at)
        at += IPV6_HLEN
    else:
        return size
    if proto == IPPROTO_TCP and size >= at + TCP_HLEN:
        at += th_doff(data, start + at)
    elif proto == IPPROTO_UDP:
        at += UDP_HLEN
    else:
        return size
    return at if at < size else size


def virtio_net_hdr_to_skb(skb: SkBuff, data: bytes, hlen: i64) -> None:
    """Take over what the header says of checksum and segmentation.  Linux: include/linux/virtio_net.h."""
    flags, gso_type, _, gso_size, csum_start, csum_offset = struct.unpack_from(VNET_FORMAT, data)
    if flags & VIRTIO_NET_HDR_F_NEEDS_CSUM:
        if csum_start + csum_offset + 2 <= skb.len:
            skb.ip_summed = CHECKSUM_PARTIAL
            skb.csum_start = csum_start
            skb.csum_offset = csum_offset
    elif flags & VIRTIO_NET_HDR_F_DATA_VALID:
        skb.ip_summed = CHECKSUM_UNNECESSARY
    kind = gso_type & ~VIRTIO_NET_HDR_GSO_ECN
    if (kind == VIRTIO_NET_HDR_GSO_TCPV4 or kind == VIRTIO_NET_HDR_GSO_TCPV6) and gso_size > 0 and skb.len - hlen > gso_size:
        skb.gso_type = SKB_GSO_TCPV4 if kind == VIRTIO_NET_HDR_GSO_TCPV4 else SKB_GSO_TCPV6
        if gso_type & VIRTIO_NET_HDR_GSO_ECN:
            skb.gso_type |= SKB_GSO_TCP_ECN
        skb.gso_size = gso_size
        skb.gso_segs = (skb.len - hlen + gso_size - 1) // gso_size


# -- to the kernel

def tun_net_xmit(ops: TunOps, skb: SkBuff, dev: NetDevice) -> i64:
    """Write skb.  Linux: drivers/net/tun.c, where it is queued for the program that reads the device."""
    if skb.tx_flags != 0:
        skb_tx_timestamp(skb)
    skb_orphan_frags_rx(skb)
    size = skb.len
    parts: list[bytes | memoryview] = []
    if ops.offload:
        parts.append(virtio_net_hdr_from_skb(skb))
    data = skb.data
    parts.append(skb.head if data == 0 else skb.head[data:])
    if skb.data_len != 0:
        for frag in skb.frags:
            page = frag.page
            offset = frag.offset
            if offset == 0 and frag.size == len(page):
                parts.append(page)
            else:
                parts.append(memoryview(page)[offset:offset + frag.size])
    try:
        if len(parts) == 1:
            write(ops.fd, parts[0])
        else:
            writev(ops.fd, parts)
    except OSError:  # the interface is down, or the kernel has no memory for it
        dev.stats.tx_dropped += 1
        kfree_skb_reason(skb, SKB_DROP_REASON_FULL_RING)
        return NETDEV_TX_OK
    dev.stats.tx_packets += 1
    dev.stats.tx_bytes += size
    consume_skb(skb)
    return NETDEV_TX_OK


def virtio_net_hdr_from_skb(skb: SkBuff) -> bytes:
    """The header that tells what is left to do.  Linux: include/linux/virtio_net.h."""
    if skb.ip_summed != CHECKSUM_PARTIAL and skb.gso_size == 0:
        return VNET_HDR_PLAIN
    flags = 0
    csum_start: i64 = 0
    csum_offset: i64 = 0
    if skb.ip_summed == CHECKSUM_PARTIAL:
        flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
        csum_start = skb.csum_start - skb.data
        csum_offset = skb.csum_offset
    gso_type = 0
    hdr_len: i64 = 0
    if skb.gso_size != 0:
        gso_type = VIRTIO_NET_HDR_GSO_TCPV6 if (skb.gso_type & SKB_GSO_TCPV6) != 0 else VIRTIO_NET_HDR_GSO_TCPV4
        if (skb.gso_type & SKB_GSO_TCP_ECN) != 0:
            gso_type |= VIRTIO_NET_HDR_GSO_ECN
        hdr_len = skb.transport_header - skb.data + th_doff(skb.head, skb.transport_header)
    return struct.pack(VNET_FORMAT, flags, gso_type, hdr_len, skb.gso_size, csum_start, csum_offset)


# -- opening

def tun_attach(name: str, tap: bool, offload: bool) -> tuple[int, str]:
    """Open the kernel's interface `name`, made if it is not there; the descriptor, and the name (for one given as 'tun%d').

    OSError with a text that says what to do.
    """
    kind = 'tap' if tap else 'tun'
    if not name or len(name.encode()) >= IFNAMSIZ:
        raise OSError(errno.EINVAL, f'{name!r} is no name for an interface: 1 to {IFNAMSIZ - 1} bytes')
    try:
        fd = os.open(DEV_NET_TUN, os.O_RDWR | os.O_NONBLOCK)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f'no {DEV_NET_TUN} here: load the module (sudo modprobe tun), or, in a container, '
                                f'pass the device in (docker run --device {DEV_NET_TUN} --cap-add NET_ADMIN)') from None
    except PermissionError:
        raise PermissionError(errno.EACCES, f'{DEV_NET_TUN} may not be opened by this user: run as root, or: '
                              f'sudo chmod a+rw {DEV_NET_TUN} && sudo ip tuntap add dev {name} mode {kind} user $USER') from None
    flags = (IFF_TAP if tap else IFF_TUN) | IFF_NO_PI | (IFF_VNET_HDR if offload else 0)
    try:
        reply = fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), flags))
        if offload:
            fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack('i', VNET_HDR_LEN))
            fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    except OSError as exc:
        os.close(fd)
        raise tun_error(exc, name, kind) from None
    return fd, reply[:IFNAMSIZ].split(b'\0', 1)[0].decode()


def tun_error(exc: OSError, name: str, kind: str) -> OSError:
    """The same error, with what can be done about it."""
    code = exc.errno or errno.EIO
    if code == errno.EPERM:
        text = f'{name} needs CAP_NET_ADMIN: run as root, or: sudo ip tuntap add dev {name} mode {kind} user $USER'
    elif code == errno.EBUSY:
        text = f'{name} is in use by another program'
    elif code == errno.EINVAL:
        text = f'{name} is there already and is no {kind} device (or one with other options)'
    else:
        text = f'{name}: {exc.strerror}'
    return OSError(code, text)


def tun_open(net: Net, name: str, tap: bool, offload: bool) -> NetDevice:
    """A device on the kernel's TUN (or, with tap, TAP) interface `name`, registered and down. OSError tells the remedy.

    offload: super-segments and checksums cross with a virtio_net_hdr. The kernel's side is for the caller to configure.
    """
    fd, real_name = tun_attach(name, tap, offload)
    ops = TunOps(net, real_name, tap, offload)
    ops.fd = fd
    dev = NetDevice(net, real_name, ops)
    if tap:
        ether_setup(dev)
        dev.dev_addr = eth_hw_addr_next(net.world)
    else:
        dev.type = ARPHRD_NONE
        dev.flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST
        dev.mtu = 1500
    dev.tx_queue_len = TUN_QUEUE_LEN
    dev.no_queue = True
    dev.features = NETIF_F_SG | NETIF_F_GSO
    if offload:
        dev.features |= NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_TSO | NETIF_F_TSO_ECN | NETIF_F_TSO6
    ops.napi = TunNapi(dev, ops)
    err = register_netdevice(dev)
    if err != 0:
        ops.ndo_stop(dev)
        raise OSError(-err, f'{net.name} has a device named {real_name!r} already')
    if offload:
        dev.features &= ~NETIF_F_GRO  # what comes from the kernel's own TCP is merged already
    return dev
