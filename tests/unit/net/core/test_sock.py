# SPDX-License-Identifier: Apache-2.0
"""struct sock: references, the backlog, charged memory, wake-ups, the counts that /proc shows."""
from __future__ import annotations

from helpers.hosts import Alone, Pair, fails
from linnet.include.linux.skbuff import __skb_unlink, skb_peek
from linnet.include.linux.socket import MSG_DONTWAIT, SO_RCVBUF, SOCK_DGRAM, SOL_SOCKET
from linnet.include.net.sock import Proto, Sock, Socket
from linnet.kernel.slab import KmemCache
from linnet.net.core.skbuff import alloc_skb, kfree_skb
from linnet.net.core.sock import (
    SK_MEM_RECV,
    SK_MEM_SEND,
    __sk_mem_schedule,
    lock_sock,
    release_sock,
    sk_add_backlog,
    sk_alloc,
    sk_free,
    sk_mem_charge,
    sk_mem_reclaim,
    sk_mem_uncharge,
    skb_set_owner_w,
    sock_init_data,
    sock_put,
    sock_queue_rcv_skb,
)
from linnet.net.ipv4.proc import netstat_seq_show, nstat_text, snmp_seq_show, sockstat_seq_show


class SockCache(KmemCache):
    """Makes plain socks."""

    def new(self) -> object:
        """See KmemCache."""
        return Sock()


class Listener(Proto):
    """A protocol that notes what its backlog gives it."""

    def __init__(self, slab: KmemCache) -> None:
        super().__init__('test', slab)
        self.received: list[int] = []
        self.again: list[int] = []

    def backlog_rcv(self, sk: Sock, skb: object) -> int:
        """Note the length; the first time more arrives meanwhile."""
        self.received.append(int(skb.len))  # type: ignore[attr-defined]
        while self.again:
            more = alloc_skb(sk.sk_net.world, 0)  # type: ignore[union-attr]
            more.len = self.again.pop()
            assert sk_add_backlog(sk, more, 1 << 30) == 0
        kfree_skb(skb)  # type: ignore[arg-type]
        return 0


def plain_sock() -> tuple[Alone, Sock, Listener, KmemCache]:
    host = Alone()
    cache = host.world.slab.register(SockCache('test', 1, host.world.trace))
    prot = Listener(cache)
    sk = sk_alloc(host.net, 2, prot, 0)
    sock_init_data(None, sk)
    return host, sk, prot, cache


def test_a_sock_lives_until_its_packets_are_gone() -> None:
    host, sk, _, cache = plain_sock()
    skb = alloc_skb(host.world, 100)
    skb_set_owner_w(skb, sk)
    sock_put(sk)
    assert cache.active == 1
    kfree_skb(skb)
    assert cache.active == 0
    assert host.net.core.sock_inuse == 0


def test_free_without_packets() -> None:
    _, sk, _, cache = plain_sock()
    sk_free(sk)
    assert cache.active == 0


def test_backlog_is_worked_on_in_order_and_to_its_end() -> None:
    host, sk, prot, _ = plain_sock()
    lock_sock(sk)
    for length in (1, 2):
        skb = alloc_skb(host.world, 0)
        skb.len = length
        assert sk_add_backlog(sk, skb, 1 << 20) == 0
    prot.again = [3]
    assert sk.sk_backlog_len > 0
    release_sock(sk)
    assert prot.received == [1, 2, 3]
    assert sk.sk_backlog_len == 0
    assert not sk.sk_lock_owned


def test_backlog_is_bounded() -> None:
    host, sk, _, _ = plain_sock()
    lock_sock(sk)
    skb = alloc_skb(host.world, 1000)
    assert sk_add_backlog(sk, skb, 0) == 0
    late = alloc_skb(host.world, 1000)
    assert sk_add_backlog(sk, late, 0) == -105
    kfree_skb(late)
    release_sock(sk)


def test_receive_buffer_is_bounded_and_given_back() -> None:
    host, sk, _, _ = plain_sock()
    sk.sk_rcvbuf = 2000
    taken = 0
    while True:
        skb = alloc_skb(host.world, 100)
        if sock_queue_rcv_skb(sk, skb) != 0:
            kfree_skb(skb)
            break
        taken += 1
    assert taken > 1
    assert sk.sk_drops == 1
    assert sk.sk_rmem_alloc >= 2000
    while (first := skb_peek(sk.sk_receive_queue)) is not None:
        __skb_unlink(first, sk.sk_receive_queue)
        kfree_skb(first)
    assert sk.sk_rmem_alloc == 0
    assert 'skbuff_head_cache' not in host.world.slab.active()


def test_memory_is_taken_in_pages_and_limited() -> None:
    _, sk, prot, _ = plain_sock()
    prot.sysctl_mem = [2, 4, 6]
    assert __sk_mem_schedule(sk, 1, SK_MEM_RECV)
    assert (sk.sk_forward_alloc, prot.mem.memory_allocated) == (4096, 1)
    sk_mem_charge(sk, 4096)
    sk.sk_wmem_queued = sk.sk_rmem_alloc = 100_000  # above what every sock may have
    prot.mem.sockets_allocated = 1
    assert __sk_mem_schedule(sk, 4 * 4096, SK_MEM_RECV) is False
    assert prot.mem.memory_pressure
    sk_mem_uncharge(sk, 4096)
    sk_mem_reclaim(sk)
    assert prot.mem.memory_allocated == 0
    assert not prot.mem.memory_pressure


def test_a_stream_over_its_limit_gets_a_smaller_buffer_but_may_overrun_it_once() -> None:
    _, sk, prot, _ = plain_sock()
    prot.sysctl_mem = [0, 0, 0]
    sk.sk_wmem_queued = 50_000
    sk.sk_sndbuf = 100_000
    assert __sk_mem_schedule(sk, 100, SK_MEM_SEND)
    assert sk.sk_sndbuf == 25_000


def test_udp_drops_what_nobody_reads_and_tcp_makes_the_sender_wait() -> None:
    pair = Pair()
    fd = pair.b.udp(9)
    pair.b.setopt(fd, SOL_SOCKET, SO_RCVBUF, 3000)
    sender = pair.a.udp()
    for _ in range(100):
        pair.a.sendto(sender, bytes(500), '10.0.0.2', 9)
    pair.world.sched.run()
    received = 0
    with fails('EAGAIN'):
        while True:
            pair.b.recv(fd, 1000, MSG_DONTWAIT)
            received += 1
    assert received < 100
    assert pair.net_b.mib.get('UdpRcvbufErrors') == 100 - received

    fd_a, fd_b = pair.connected(81)
    done = []

    def sender_task() -> None:
        pair.a.sendall(fd_a, bytes(20_000_000))
        done.append(int(pair.world.clock.now))

    pair.world.sched.spawn(sender_task, 'sender')
    pair.world.sched.run(int(pair.world.clock.now) + 5_000_000_000)
    assert done == []
    total = 0
    while total < 20_000_000:
        def read() -> int:
            return len(pair.b.recv(fd_b, 1 << 20))
        got = pair.run(read, until=int(pair.world.clock.now) + 1_000_000_000)[0]
        assert isinstance(got, int)
        total += got
    assert done != []


def test_figures_for_people() -> None:
    pair = Pair()
    pair.connected()
    pair.b.udp(53)
    assert 'TCP: inuse 1 orphan 0 tw 0 alloc 1 ' in sockstat_seq_show(pair.net_b)
    assert 'UDP: inuse 1 mem 0\n' in sockstat_seq_show(pair.net_b)
    assert 'sockets: used 2\n' in sockstat_seq_show(pair.net_b)
    lines = snmp_seq_show(pair.net_b).splitlines()
    assert [line.split(':')[0] for line in lines[::2]] == ['Ip', 'Icmp', 'Tcp', 'Udp', 'UdpLite']
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        assert len(names.split()) == len(values.split())
    tcp = dict(zip(lines[4].split(), lines[5].split(), strict=True))
    assert tcp['CurrEstab'] == '1' and tcp['PassiveOpens'] == '1' and tcp['MaxConn'] == '-1'
    assert netstat_seq_show(pair.net_b).startswith('TcpExt: SyncookiesSent SyncookiesRecv ')
    assert 'TcpPassiveOpens                 1                  0.0\n' in nstat_text(pair.net_b)
    assert 'TcpActiveOpens' not in nstat_text(pair.net_b, zeros=False)


def test_socket_without_program_is_allowed_everything() -> None:
    host = Alone()
    fd = host.socket(SOCK_DGRAM)
    file = host.process.files.fcheck(fd)
    assert file is not None
    sock = file.private_data
    assert isinstance(sock, Socket)
    assert sock.sk is not None and sock.sk.sk_ino == sock.ino > 0
