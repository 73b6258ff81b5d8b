# SPDX-License-Identifier: Apache-2.0
"""Fast Open and the metrics cache over IPv6: cookies and entries are of pairs of IPv6 addresses."""
from __future__ import annotations

from helpers.hosts import Pair
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE6, MS, SEC, THERE6, Peer, Wire
from linnet.include.linux.in6 import in6_pton
from linnet.include.linux.socket import AF_INET6, MSG_FASTOPEN, SOL_TCP
from linnet.include.net.tcp import TCP_FASTOPEN
from linnet.include.net.tcp_metrics import TCP_METRIC_RTT
from linnet.net.core.skbuff import alloc_skb
from linnet.net.ipv4.tcp_fastopen import tcp_fastopen_cookie_of
from linnet.net.ipv4.tcp_metrics import tcp_metrics_key6, tcp_peer_is_proven

KEY = bytes.fromhex('a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4')


def test_cookie_of_the_public_scripts() -> None:
    # the addresses and the cookie of packetdrill's defaults for IPv6
    syn = alloc_skb(Wire().net.world, 0)
    syn.protocol = 0x86DD
    syn.saddr6, syn.daddr6 = in6_pton('fd3d:fa7b:d17d::1'), in6_pton('fd3d:0a0b:17d6::1')
    assert tcp_fastopen_cookie_of(KEY, syn).hex() == 'c1d1e9742a47a9bc'


def test_a_child_at_once() -> None:
    wire = Wire(v6=True)
    wire.net.ipv4.sysctl_tcp_fastopen = 0x202
    listener = wire.prog.socket(family=AF_INET6)
    wire.prog.setopt(listener, SOL_TCP, TCP_FASTOPEN, 5)
    wire.prog.bind(listener, HERE6, 80)
    wire.prog.listen(listener)
    caller = Caller(wire, 80)
    caller.send('S', seq=0, data=b'hello', options=caller.syn_options())
    [answer] = wire.take()
    assert answer.ack == caller.isn + 6
    fd, peer, _ = wire.prog.accept(listener)
    assert (peer, wire.prog.recv(fd)) == (THERE6, b'hello')
    assert wire.net.mib.get('TcpExtTCPFastOpenPassive') == 1


def test_between_two_hosts_with_a_cookie() -> None:
    pair = Pair(v6=True)
    for net in (pair.net_a, pair.net_b):
        net.ipv4.sysctl_tcp_fastopen = 3
    listener = pair.b.socket(family=AF_INET6)
    pair.b.setopt(listener, SOL_TCP, TCP_FASTOPEN, 5)
    pair.b.bind(listener, '::', 80)
    pair.b.listen(listener)
    got = []

    def client() -> None:
        for data in (b'first', b'second'):
            fd = pair.a.socket(family=AF_INET6)
            pair.a.sendto(fd, data, 'fd00::2', 80, MSG_FASTOPEN)
            pair.a.shutdown(fd, 1)
            pair.a.recvall(fd)
            pair.a.close(fd)

    def server() -> None:
        for _ in range(2):
            fd = pair.b.accept(listener)[0]
            got.append(pair.b.recvall(fd))
            pair.b.close(fd)

    pair.run(client, server, until=int(pair.world.clock.now) + 20 * SEC)
    assert got == [b'first', b'second']
    assert pair.net_a.mib.get('TcpExtTCPFastOpenActive') == 1
    assert pair.net_b.mib.get('TcpExtTCPFastOpenPassive') == 1


def test_metrics_are_kept_by_the_pair_of_addresses() -> None:
    wire = Wire(v6=True)
    peer = Peer(wire)
    fd = peer.accept(delay=50 * MS)
    wire.prog.close(fd)
    wire.advance(50 * MS)
    peer.rcv += 1
    peer.send('F.')
    [(key, entry)] = wire.net.ipv4.tcp_metrics.items()
    assert key == tcp_metrics_key6(in6_pton(HERE6), in6_pton(THERE6))
    assert (entry.tcpm_family, entry.tcpm_daddr) == (AF_INET6, in6_pton(THERE6))
    assert entry.tcpm_vals[TCP_METRIC_RTT] == 400_000
    syn = alloc_skb(wire.world, 0)
    syn.protocol = 0x86DD
    syn.daddr6, syn.saddr6 = in6_pton(HERE6), in6_pton(THERE6)
    assert tcp_peer_is_proven(wire.net, syn)
    syn.saddr6 += 1
    assert not tcp_peer_is_proven(wire.net, syn)
