# SPDX-License-Identifier: Apache-2.0
"""A host with IPv6 on one Ethernet port whose other end is the test: packets out are kept, packets in come by hand."""

from __future__ import annotations

from helpers.neigh_bench import MS, SEC, Port
from linnet.include.linux.icmpv6 import ICMPV6_MGM_QUERY, ICMPV6_MGM_REDUCTION, ICMPV6_MGM_REPORT
from linnet.include.linux.in6 import in6_bytes, in6_ntop, in6_pton, in6_read
from linnet.include.linux.ipv6 import ipv6_hdr_build
from linnet.include.linux.netdevice import NetDevice
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.checksum import csum_partial
from linnet.include.net.if_inet6 import Inet6Dev, Inet6Ifaddr
from linnet.include.net.ipv6 import csum_ipv6_magic
from linnet.include.net.neighbour import Neighbour
from linnet.include.net.net_namespace import Net, World
from linnet.include.net.protocol import NetProtocol
from linnet.kernel.clock import VirtualClock
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, netif_rx, register_netdevice
from linnet.net.core.skbuff import kfree_skb_reason, skb_from_bytes
from linnet.net.ethernet.eth import eth_type_trans, ether_setup
from linnet.net.ipv6.addrconf import inet6_addr_add
from linnet.net.ipv6.mcast import igmp6_event_query, igmp6_event_report
from linnet.net.ipv6.ndisc import ndisc_rcv
from linnet.net.ipv6.ndisc_opts import ndisc_fill_option
from linnet.net.ipv6.protocol import inet6_add_protocol
from linnet.net.ipv6.route import fib6_dump

MY_MAC = bytes.fromhex('0200000000aa')
PEER_MAC = bytes.fromhex('0200000000bb')
OTHER_MAC = bytes.fromhex('0200000000cc')
MY_LL = 'fe80::ff:fe00:aa'
PEER_LL = 'fe80::ff:fe00:bb'
OTHER_LL = 'fe80::ff:fe00:cc'
ALL_NODES = 'ff02::1'
ALL_ROUTERS = 'ff02::2'


class Sent:
    """One ICMPv6 packet that left: when (ms), by which addresses, and the message behind extension headers."""

    def __init__(self, when: int, frame: bytes) -> None:
        self.when = when // MS
        self.mac = frame[:6]
        self.packet = frame[14:]
        self.src = in6_ntop(in6_read(frame, 22))
        self.dst = in6_ntop(in6_read(frame, 38))
        self.hop = frame[21]
        at = 54
        if frame[20] == 0:
            at += (frame[at + 1] + 1) * 8
        self.body = frame[at:]
        self.type = self.body[0]
        pseudo = csum_ipv6_magic(in6_read(frame, 22), in6_read(frame, 38), len(self.body), 58, csum_partial(self.body, 0))
        assert pseudo == 0, 'its checksum is wrong'

    @property
    def target(self) -> str:
        """The target of a message of neighbours, the group of one of MLDv1."""
        return in6_ntop(in6_read(self.body, 8))

    @property
    def records(self) -> list[tuple[int, str]]:
        """(type, group) of the records of an MLDv2 report."""
        count = int.from_bytes(self.body[6:8], 'big')
        return [(self.body[8 + 20 * i], in6_ntop(in6_read(self.body, 12 + 20 * i))) for i in range(count)]


class Discovery(NetProtocol):
    """What ICMPv6 hands on to neighbour discovery and MLD."""

    def handler(self, skb: SkBuff) -> int:
        kind = skb.head[skb.data]
        if kind == ICMPV6_MGM_QUERY:
            reason = igmp6_event_query(skb)
        elif kind == ICMPV6_MGM_REPORT:
            reason = igmp6_event_report(skb)
        else:
            reason = ndisc_rcv(skb)
        kfree_skb_reason(skb, reason)
        return 0


class Bench6:
    """One host with IPv6 on eth0; settle: its link-local address is found to be unique already."""

    def __init__(self, seed: int = 1, settle: bool = True, **conf: int) -> None:
        self.prepare('eth0', seed, **conf)
        assert dev_open(self.dev) == 0
        if settle:
            self.run(5)
            self.take()

    def prepare(self, name: str, seed: int = 1, **conf: int) -> None:
        """Make the host and its port, which is down."""
        self.world: World = new_world(VirtualClock(), seed)
        self.net: Net = new_net(self.world, 'host')
        self.set('default.disable_ipv6', 0)
        for entry, value in conf.items():
            self.set(f'default.{entry}', value)
        self.dev: NetDevice = self.device(name, MY_MAC)
        if 58 not in self.net.ipv6.inet6_protos:
            inet6_add_protocol(self.net, Discovery(), 58)

    def device(self, name: str, mac: bytes) -> NetDevice:
        """A further Ethernet device, down."""
        dev = NetDevice(self.net, name, Port())
        ether_setup(dev)
        dev.dev_addr = mac
        assert register_netdevice(dev) == 0
        return dev

    def set(self, name: str, value: int) -> None:
        """Write net.ipv6.conf.NAME."""
        assert self.net.sysctl.set('net.ipv6.conf.' + name, str(value)) == 0, name

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.sched.run(int(self.world.clock.now) + round(seconds * SEC))

    @property
    def idev(self) -> Inet6Dev:
        """IPv6's half of eth0."""
        idev = self.dev.ip6_ptr
        assert idev is not None
        return idev

    def take(self, *types: int, dev: NetDevice | None = None) -> list[Sent]:
        """The ICMPv6 packets sent since the last call: of these types, the others stay; without types all."""
        port = (dev or self.dev).netdev_ops
        assert isinstance(port, Port)
        out = []
        rest = []
        for when, frame in port.sent:
            sent = Sent(when, frame) if frame[12:14] == b'\x86\xdd' and (frame[20] == 58 or frame[20] == 0) else None
            if sent is not None and (not types or sent.type in types):
                out.append(sent)
            else:
                rest.append((when, frame))
        port.sent[:] = rest
        return out

    def receive(self, body: bytes, src: str, dst: str, mac: bytes = PEER_MAC, hop: int = 255, dst_mac: bytes = b'',
                dev: NetDevice | None = None) -> None:
        """An ICMPv6 message comes in; its checksum is made here. A query or report has its router alert."""
        to = dev or self.dev
        saddr, daddr = in6_pton(src), in6_pton(dst)
        check = csum_ipv6_magic(saddr, daddr, len(body), 58, csum_partial(body, 0))
        body = body[:2] + check.to_bytes(2, 'big') + body[4:]
        alert = b''
        if ICMPV6_MGM_QUERY <= body[0] <= ICMPV6_MGM_REDUCTION:
            alert = bytes([58, 0, 5, 2, 0, 0, 1, 0])
        packet = ipv6_hdr_build(0, 0, len(alert) + len(body), 0 if alert else 58, hop, saddr, daddr) + alert + body
        if not dst_mac:
            dst_mac = b'\x33\x33' + in6_bytes(daddr)[12:] if dst.startswith('ff') else to.dev_addr
        self.frame(dst_mac + mac + b'\x86\xdd' + packet, to)

    def frame(self, frame: bytes, dev: NetDevice | None = None) -> None:
        """A frame comes in."""
        skb: SkBuff = skb_from_bytes(self.world, frame, len(frame))
        eth_type_trans(skb, dev or self.dev)
        netif_rx(skb)

    def ns(self, target: str, src: str, dst: str = '', lladdr: bytes = PEER_MAC, nonce: bytes = b'', **more: object) -> None:
        """A neighbour solicitation comes in; to the solicited-node group unless dst says otherwise."""
        options = ndisc_fill_option(1, lladdr) if lladdr and src != '::' else b''
        if nonce:
            options += ndisc_fill_option(14, nonce)
        to = dst or in6_ntop(0xFF02 << 112 | 0x1FF000000 | in6_pton(target) & 0xFFFFFF)
        self.receive(bytes([135, 0, 0, 0, 0, 0, 0, 0]) + in6_bytes(in6_pton(target)) + options, src, to, **more)  # type: ignore[arg-type]

    def na(self, target: str, src: str = '', dst: str = MY_LL, flags: int = 0x60, lladdr: bytes = PEER_MAC,
           **more: object) -> None:
        """A neighbour advertisement comes in. flags: 0x80 router, 0x40 solicited, 0x20 override."""
        options = ndisc_fill_option(2, lladdr) if lladdr else b''
        body = bytes([136, 0, 0, 0, flags, 0, 0, 0]) + in6_bytes(in6_pton(target)) + options
        self.receive(body, src or target, dst, **more)  # type: ignore[arg-type]

    def ra(self, *options: bytes, lifetime: int = 1800, hop: int = 64, flags: int = 0, reachable: int = 0, retrans: int = 0,
           src: str = PEER_LL, **more: object) -> None:
        """A router advertisement comes in."""
        body = (bytes([134, 0, 0, 0, hop, flags]) + lifetime.to_bytes(2, 'big') + reachable.to_bytes(4, 'big')
                + retrans.to_bytes(4, 'big') + b''.join(options))
        self.receive(body, src, ALL_NODES, **more)  # type: ignore[arg-type]

    def add(self, addr: str, plen: int = 64, **more: int) -> int:
        """`ip -6 addr add` on eth0."""
        return inet6_addr_add(self.dev, in6_pton(addr), plen, **more)

    def addresses(self, dev: NetDevice | None = None) -> list[str]:
        """eth0's addresses in their order."""
        idev = (dev or self.dev).ip6_ptr
        return [] if idev is None else [in6_ntop(ifp.addr) for ifp in idev.addr_list]

    def ifa(self, addr: str) -> Inet6Ifaddr:
        """One of eth0's addresses."""
        ifp, = [ifp for ifp in self.idev.addr_list if ifp.addr == in6_pton(addr)]
        return ifp

    def neigh(self, addr: str) -> Neighbour | None:
        """The entry of a neighbour on eth0, if there is one."""
        tbl = self.net.ipv6.nd_tbl
        assert tbl is not None
        return tbl.hash.get(int(self.dev.ifindex) << 128 | in6_pton(addr))

    def state(self, addr: str) -> int:
        """Its NUD state."""
        n = self.neigh(addr)
        assert n is not None
        return int(n.nud_state)

    def routes(self, table: int = 254) -> list[str]:
        """The lines of `ip -6 route`."""
        return [line.strip() for line in fib6_dump(self.net, table).splitlines()]

    def leaks(self) -> dict[str, int]:
        """Live packet objects."""
        return {k: v for k, v in self.world.slab.active().items() if k.startswith('skbuff')}


def prefix_option(prefix: str, plen: int = 64, flags: int = 0xC0, valid: int = 2592000, preferred: int = 604800) -> bytes:
    """A prefix information option. flags: 0x80 on link, 0x40 autonomous."""
    return (bytes([3, 4, plen, flags]) + valid.to_bytes(4, 'big') + preferred.to_bytes(4, 'big') + bytes(4)
            + in6_bytes(in6_pton(prefix)))


def mtu_option(mtu: int) -> bytes:
    """An MTU option."""
    return bytes([5, 1, 0, 0]) + mtu.to_bytes(4, 'big')


def lladdr_option(kind: int, mac: bytes) -> bytes:
    """Source (1) or target (2) link-layer address."""
    return ndisc_fill_option(kind, mac)
