# SPDX-License-Identifier: Apache-2.0
"""A host with one Ethernet port whose other end is the test: frames out are kept with their times, frames in come by hand."""

from __future__ import annotations

from linnet.include.linux.netdevice import NETDEV_TX_OK, NetDevice, NetDeviceOps
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.neighbour import Neighbour
from linnet.include.net.net_namespace import Net, World
from linnet.kernel.clock import VirtualClock
from linnet.net.boot import new_net, new_world
from linnet.net.core.dev import dev_open, netif_rx, register_netdevice
from linnet.net.core.skbuff import consume_skb, skb_bytes, skb_from_bytes
from linnet.net.ethernet.eth import eth_hw_addr_next, eth_type_trans, ether_setup
from linnet.net.ipv4.devinet import inet_addr_add

MS = 1_000_000
SEC = 1_000_000_000
PEER = bytes.fromhex('0200000000aa')
OTHER = bytes.fromhex('0200000000bb')
BROADCAST = b'\xff' * 6


def ip(text: str) -> int:
    """A dotted quad as a u32."""
    a, b, c, d = (int(part) for part in text.split('.'))
    return a << 24 | b << 16 | c << 8 | d


class Port(NetDeviceOps):
    """The driver: keeps each frame and when it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []

    def ndo_start_xmit(self, skb: SkBuff, dev: NetDevice) -> int:
        self.sent.append((int(dev.net.clock.now), skb_bytes(skb)))
        consume_skb(skb)
        return NETDEV_TX_OK


class Bench:
    """One host, 10.0.0.1/24 on eth0."""

    def __init__(self, seed: int = 1, addr: str = '10.0.0.1', prefixlen: int = 24) -> None:
        self.world: World = new_world(VirtualClock(), seed)
        self.net: Net = new_net(self.world, 'host')
        self.port = Port()
        self.dev = NetDevice(self.net, 'eth0', self.port)
        ether_setup(self.dev)
        self.dev.dev_addr = eth_hw_addr_next(self.world)
        assert register_netdevice(self.dev) == 0
        assert dev_open(self.dev) == 0
        assert inet_addr_add(self.dev, ip(addr), prefixlen) == 0
        self.addr = ip(addr)
        self.port.sent.clear()

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.sched.run(int(self.world.clock.now) + int(seconds * SEC))

    def take(self) -> list[bytes]:
        """The frames sent since the last call."""
        frames = [frame for _, frame in self.port.sent]
        self.port.sent.clear()
        return frames

    def arps(self) -> list[tuple[int, int, str, str, bytes]]:
        """(ms, op, sender, target, destination MAC) of the ARP frames sent since the last call; other frames stay."""
        out = []
        rest = []
        for when, frame in self.port.sent:
            if frame[12:14] == b'\x08\x06':
                body = frame[14:]
                out.append((when // MS, int.from_bytes(body[6:8], 'big'), dotted(body[14:18]), dotted(body[24:28]), frame[:6]))
            else:
                rest.append((when, frame))
        self.port.sent[:] = rest
        return out

    def receive(self, frame: bytes) -> None:
        """A frame comes in."""
        skb = skb_from_bytes(self.world, frame, len(frame))
        eth_type_trans(skb, self.dev)
        netif_rx(skb)

    def arp_in(self, op: int, sha: bytes, sip: str, tip: str, dst: bytes | None = None, tha: bytes = b'\0' * 6) -> None:
        """An ARP frame comes in; to this host's own address unless dst says otherwise."""
        frame = (dst if dst is not None else self.dev.dev_addr) + sha + b'\x08\x06' + b"\0\1\x08\0\6\4"
        frame += op.to_bytes(2, 'big') + sha + ip(sip).to_bytes(4, 'big') + tha + ip(tip).to_bytes(4, 'big')
        self.receive(frame + bytes(60 - len(frame)))

    def neigh(self, addr: str) -> Neighbour | None:
        """The ARP entry, if there is one."""
        tbl = self.net.ipv4.arp_tbl
        assert tbl is not None
        return tbl.hash.get(int(self.dev.ifindex) << 32 | ip(addr))

    def state(self, addr: str) -> int:
        """Its NUD state."""
        n = self.neigh(addr)
        assert n is not None
        return int(n.nud_state)

    def leaks(self) -> dict[str, int]:
        """Live packet objects."""
        return {k: v for k, v in self.world.slab.active().items() if k.startswith('skbuff')}


def dotted(four: bytes) -> str:
    """Four bytes as a dotted quad."""
    return '.'.join(str(b) for b in four)
