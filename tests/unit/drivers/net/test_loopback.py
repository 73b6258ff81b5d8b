# SPDX-License-Identifier: Apache-2.0
"""lo: what is sent comes back, with its route, and without a look-up on the way up."""
from __future__ import annotations

from helpers.devices import Sink, bare_net, bare_world, frame
from helpers.hosts import Alone
from linnet.drivers.net.loopback import loopback_net_init
from linnet.include.linux.if_ether import ETH_P_IP
from linnet.include.linux.skbuff import PACKET_HOST
from linnet.kernel.trace import TraceSink
from linnet.net.core.dev import dev_add_pack, dev_open, dev_queue_xmit


def test_lo_receives_what_it_sends() -> None:
    world = bare_world()
    net = bare_net(world)
    loopback_net_init(net)
    lo = net.loopback_dev
    assert lo is not None
    dev_open(lo)
    sink = Sink(ETH_P_IP)
    dev_add_pack(net, sink)
    dev_queue_xmit(frame(lo, bytes(65536), lo.dev_addr))
    assert [(len(data), kind) for data, kind, _ in sink.got] == [(65536, PACKET_HOST)]
    assert lo.ifindex == 1
    # without the header, as Linux counts on lo
    assert (lo.stats.tx_packets, lo.stats.rx_packets, lo.stats.tx_bytes) == (1, 1, 65536)
    assert lo.qdisc is not None
    assert lo.qdisc.id == 'noqueue'
    assert world.slab.active() == {}


class Lookups(TraceSink):
    """Counts routing decisions."""

    def __init__(self) -> None:
        self.count = 0

    def event(self, name: str, fields: dict[str, object]) -> None:
        if name == 'fib:fib_table_lookup':
            self.count += 1


def test_a_packet_to_oneself_is_routed_on_the_way_down_alone() -> None:
    host = Alone()
    server, client = host.udp(53), host.udp()
    host.run(lambda: host.sendto(client, b'warm', '127.0.0.1', 53), lambda: host.recvfrom(server), until=10**9)
    lookups = Lookups()
    host.world.trace.subscribe(lookups)
    host.run(lambda: host.sendto(client, b'x', '127.0.0.1', 53), lambda: host.recvfrom(server), until=2 * 10**9)
    assert lookups.count == 1


def test_a_stream_over_lo_is_not_cut() -> None:
    host = Alone()
    listener = host.server(80)

    def serve() -> int:
        fd, _, _ = host.accept(listener)
        data = host.recvall(fd)
        host.close(fd)
        return len(data)

    def send() -> None:
        fd = host.client('127.0.0.1', 80)
        host.sendall(fd, bytes(1_000_000))
        host.close(fd)

    assert host.run(serve, send)[0] == 1_000_000
    lo = host.net.loopback_dev
    assert lo is not None
    # 16 super-segments of 64 KB, and the ACKs
    assert lo.stats.tx_packets < 120
    host.close(listener)
    host.world.sched.run()
    assert host.world.slab.active() == {}
