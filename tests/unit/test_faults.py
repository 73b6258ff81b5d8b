# SPDX-License-Identifier: Apache-2.0
"""faults.py, through the methods of Lab, Host and Link: what goes wrong, when, and what is left of it."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dpkt
import pytest

from linnet import Lab
from linnet.include.linux.netfilter import NF_ACCEPT
from linnet.lab import Host, Link


def echo() -> None:
    """Each line comes back; each connection has a thread."""

    def talk(conn: socket.socket) -> None:
        with suppress(ConnectionError), conn, conn.makefile('rwb') as stream:
            for line in stream:
                stream.write(line)
                stream.flush()

    listener = socket.create_server(('', 7))
    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def datagrams() -> None:
    """Each datagram comes back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(('', 9))
    while True:
        sock.sendto(*sock.recvfrom(100))


class Net:
    """client - gateway - server, 5 ms each; the server echoes."""

    def __init__(self, **options: Any) -> None:
        self.lab = Lab(seed=1)
        self.client, self.gateway, self.server = self.lab.host('client'), self.lab.router('gateway'), self.lab.host('server')
        self.near: Link = self.lab.link(self.client, self.gateway, delay='5ms', **options)
        self.far: Link = self.lab.link(self.gateway, self.server, delay='5ms', **options)
        self.server.service(echo)
        self.server.service(datagrams)
        self.seen: list[Any] = []
        self.talked: list[Any] = []

    def ping(self, every: float, count: int, host: Host | None = None, name: str = 'server') -> None:
        """A program that notes (second, did an answer come within 100 ms?) at each ping."""

        def program() -> None:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.settimeout(0.1)
            for i in range(count):
                time.sleep(max(0, i * every - time.monotonic()))
                try:
                    sock.sendto(b'%d' % i, (name, 9))
                    while sock.recv(9) != b'%d' % i:
                        pass
                    self.seen.append((round(i * every, 3), True))
                except OSError:
                    self.seen.append((round(i * every, 3), False))

        (host or self.client).spawn(program)

    def talk(self, *waits: float, timeout: float = 300) -> None:
        """A program that says a line after each wait on one connection, and notes when the answer came, or the error."""

        def program() -> None:
            sock = socket.create_connection(('server', 7), timeout=timeout)
            try:
                for wait in waits:
                    time.sleep(wait)
                    sock.sendall(b'x\n')
                    answer = sock.recv(9)
                    self.talked.append(round(time.monotonic(), 2) if answer else 'EOF')
            except OSError as exc:
                self.talked.append((type(exc).__name__, round(time.monotonic(), 2)))
            finally:
                sock.close()

        self.client.spawn(program)

    def lost(self) -> list[float]:
        """The seconds of pings without an answer."""
        return [second for second, answered in self.seen if not answered]


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net()
    yield net
    net.lab.close()
    assert net.lab.live_objects() == {}


# -- when


def test_at_and_after_and_cancel(net: Net) -> None:
    lab = net.lab
    calls: list[tuple[str, float]] = []
    note = lambda what, *, more='': calls.append((what + more, lab.now))  # noqa: E731
    lab.at(2, note, 'b')
    lab.at('1500ms', note, 'a', more='!')
    lab.after(3, note, 'c')
    never = lab.at(1, note, 'never')
    never.cancel()
    never.cancel()
    lab.at(1, lambda: lab.after(0.25, note, 'from within'))
    net.client.spawn(time.sleep, 4)
    lab.run()
    assert calls == [('from within', 1.25), ('a!', 1.5), ('b', 2.0), ('c', 3.0)]
    assert never.cancelled and not never.done
    with pytest.raises(ValueError, match="'2s' is over: it is 4 s"):
        lab.at('2s', note, 'x')
    lab.at(1000, note, 'after the end')  # close() takes it back
    lab.close()
    assert len(calls) == 4


def test_a_fault_to_come_is_no_deadlock(net: Net) -> None:
    net.client.spawn(lambda: socket.create_server(('', 70)).accept())
    net.lab.at(50, net.server.spawn, lambda: socket.create_connection(('198.18.0.1', 70)))
    assert 50 < net.lab.run() < 50.1


def test_what_an_action_raises_comes_out_of_run(net: Net) -> None:
    def fail() -> None:
        raise LookupError('in the fault')

    net.lab.at(1, fail)
    net.client.spawn(time.sleep, 5)
    with pytest.raises(LookupError, match='in the fault'):
        net.lab.run()
    assert net.lab.now == 1
    net.lab.run()
    assert net.lab.now == 5


def test_when_a_condition_holds(net: Net) -> None:
    lab, calls = net.lab, []
    lab.when(lambda: net.server.counter('UdpInDatagrams') >= 3, lambda: calls.append(lab.now))
    taken_back = lab.when(lambda: True, calls.append, 'never')
    taken_back.cancel()
    net.ping(1, 6)
    lab.run()
    assert len(calls) == 1 and 2.01 <= calls[0] <= 2.012
    assert len(net.seen) == 6


def test_when_a_tracepoint_is_passed(net: Net) -> None:
    lab, calls = net.lab, []
    lab.when('tcp:tcp_retransmit_skb', lambda: calls.append(lab.now))
    lab.when('tcp:no_such_*', calls.append, 'never')
    lab.at(0.5, net.near.lose, 1, direction=net.client)
    net.talk(1)
    lab.run()
    assert len(calls) == 1 and 1.2 < calls[0] < 1.3  # the least retransmission timeout, 200 ms
    assert lab.appointments and not lab.world.trace.sinks == []
    lab.close()
    assert lab.world.trace.sinks == []


# -- links


def test_a_loss_burst_and_back(net: Net) -> None:
    net.near.set(loss='0 %')
    net.lab.at(1, net.near.set, loss='100 %', duration='400ms')
    net.ping(0.25, 10)
    net.lab.run()
    assert net.lost() == [1.0, 1.25]
    assert net.near.params is not None and net.near.params[0].loss == 0


def test_delay_and_rate_for_a_while_one_way(net: Net) -> None:
    rtts: list[float] = []

    def program() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(('server', 9))
        for i in range(5):
            time.sleep(max(0, i + 0.5 - time.monotonic()))
            start = time.monotonic()
            sock.send(b'x')
            sock.recv(9)
            rtts.append(round(time.monotonic() - start, 4))

    net.lab.at(1, net.near.set, delay='25ms', duration=1, direction='client')
    net.lab.at(3, net.near.set, rate='8kbit', duration=1, direction=net.client)
    net.client.spawn(program)
    net.lab.run()
    assert rtts[1:] == [0.04, 0.02, pytest.approx(0.02 + 43 * 8 / 8000), 0.02]
    with pytest.raises(ValueError, match="'server' is at neither end of <Link client:eth0 - gateway:eth0>"):
        net.near.set(delay=1, direction='server')
    with pytest.raises(TypeError, match='a link has no property'):
        net.near.set(colour='red', duration=1)


def test_the_next_packets_are_lost(net: Net) -> None:
    net.lab.at(0.9, net.near.lose, 2, direction='client')
    net.lab.at(2.9, net.near.lose)  # of either end
    net.ping(0.5, 8)
    net.lab.run()
    assert net.lost() == [1.0, 1.5, 3.0]


def test_lose_adds_to_what_was_asked_before(net: Net) -> None:
    net.lab.at(0.9, net.near.lose, direction='client')
    net.lab.at(0.95, net.near.lose, 2, direction='client')
    net.ping(0.5, 7)
    net.lab.run()
    assert net.lost() == [1.0, 1.5, 2.0]


@pytest.mark.parametrize(('method', 'lost'), [
    ('down', [1.0, 1.25, 1.5, 1.75]),
    ('unplug', [1.0, 1.25, 1.5, 1.75, 2.0]),  # without a carrier neighbours are forgotten, and ARP asks once a second
])
def test_a_link_that_is_down_for_a_while(net: Net, method: str, lost: list[float]) -> None:
    net.lab.at(1, getattr(net.near, method), duration='900ms')
    net.ping(0.25, 12)
    net.talk(0, 0.9, 0.5)
    net.lab.run()
    assert [s for s in net.lost() if s != 0] == lost
    assert len(net.talked) == 3 and 2 < net.talked[2] < 4  # what was sent meanwhile was sent again


def test_routes_given_by_hand_come_back_with_the_device(net: Net) -> None:
    net.client.route('default', via='198.18.0.2')
    net.near.down()
    net.near.up()
    net.ping(0.5, 2)
    net.lab.run()
    assert net.seen[1] == (0.5, True)


def test_a_veth_pair_has_no_cable_to_pull() -> None:
    with Lab() as lab:
        a, b = lab.host('a'), lab.host('b')
        link = lab.link(a, b)
        for call in (link.unplug, link.plug, link.lose, lambda: link.set(loss=1)):
            with pytest.raises(ValueError, match='is a veth pair'):
                call()
        link.down()
        link.up()


# -- partitions


def test_a_partition_and_its_healing(net: Net) -> None:
    lab = net.lab
    lab.at(1, lab.partition, net.client, 'server')
    lab.at(2, lab.heal)
    lab.at(2.5, lab.partition, 'server', duration=0.5)  # from all others
    net.ping(0.25, 14)
    lab.run()
    assert [s for s in net.lost() if s] == [1.0, 1.25, 1.5, 1.75, 2.5, 2.75]
    assert net.server.drops()['NETFILTER_DROP'] == 6
    assert lab.partitions == []


def test_others_hear_each_other_through_a_partition() -> None:
    with Lab() as lab:
        hub = lab.router('hub')
        hosts = [lab.host(name) for name in 'abcd']
        for host in hosts:
            lab.link(host, hub, delay='1ms')
            host.service(datagrams)
        heard: set[str] = set()

        def program(me: str) -> None:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.settimeout(0.5)
            for other in 'abcd':
                try:
                    sock.sendto(b'x', (other, 9))
                    sock.recv(9)
                    heard.add(me + other)
                except TimeoutError:
                    pass

        with lab.partition(['a', hosts[1]], ['c', 'd']) as partition:
            assert repr(partition) == '<Partition a b | c d>'
            for name in 'abcd':
                lab.hosts[name].spawn(program, name)
            lab.run()
        assert heard == {'aa', 'ab', 'ba', 'bb', 'cc', 'cd', 'dc', 'dd'}
        assert all(host.net.nf.active == 0 for host in hosts)


def test_one_way(net: Net) -> None:
    net.lab.partition('client', 'server', one_way=True)
    net.ping(1, 1)
    net.ping(1, 1, net.server, '198.18.0.1')
    net.client.service(datagrams)
    net.lab.run()
    assert net.lost() == [0, 0]  # the server hears nothing of the client: neither question nor answer
    assert net.client.counter('UdpInDatagrams') == 1
    assert net.server.counter('UdpInDatagrams') == 0


@pytest.mark.parametrize(('groups', 'error', 'said'), [
    ((), ValueError, 'two or more groups'),
    (('client', ['server', 'client']), ValueError, 'in several: client'),
    (('client', []), ValueError, 'two or more groups'),
    (('client', 'nobody'), KeyError, "there is no host 'nobody'; there are"),
])
def test_partitions_that_make_no_sense(net: Net, groups: tuple[Any, ...], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        net.lab.partition(*groups)


# -- resets


def test_a_reset_ends_both_ends_and_is_seen_on_the_wire(net: Net, tmp_path: Path) -> None:
    counts: list[int] = []
    net.lab.pcap(tmp_path / 'near.pcapng', net.client.port('gateway'))
    net.talk(0, 5)
    net.lab.at(2, lambda: counts.append(net.lab.reset('client', net.server)))
    net.lab.run()
    net.lab.close()
    assert counts == [2]
    assert net.talked[1][0] == 'ConnectionResetError' and 5 < net.talked[1][1] < 5.2
    with (tmp_path / 'near.pcapng').open('rb') as file:
        frames = [dpkt.ethernet.Ethernet(data) for _, data in dpkt.pcapng.Reader(file)]
    resets = [f.data for f in frames if isinstance(f.data, dpkt.ip.IP) and f.data.data.flags & dpkt.tcp.TH_RST]
    assert [socket.inet_ntoa(ip.src) for ip in resets] == ['198.18.1.2']
    checked = dpkt.ip.IP(bytes(resets[0]))
    checked.sum = checked.data.sum = 0
    assert bytes(checked) == bytes(resets[0])  # both checksums are right


def test_a_reset_of_one_end_and_of_one_port(net: Net) -> None:
    counts: list[int] = []
    net.talk(0, 5)
    net.lab.at(2, lambda: counts.extend([net.lab.reset('client', 'server', port=80),
                                         net.lab.reset('client', 'server', port=7, to='server')]))
    net.lab.run()
    assert counts == [0, 1]
    assert net.talked[1][0] == 'ConnectionResetError'  # the server knows nothing of it any more
    assert net.server.counter('TcpOutRsts') == 1
    with pytest.raises(ValueError, match='is neither of'):
        net.lab.reset('client', 'server', to='gateway')


# -- crashes


def test_a_crash_is_silent_and_a_restart_answers_with_a_reset(net: Net) -> None:
    quiet: list[int] = []
    net.talk(0, 3)
    net.lab.at(1, net.server.crash)
    net.lab.at(2, lambda: quiet.append(len(net.talked)))
    net.lab.at(2.5, net.server.restart)
    with net.lab.trace('tcp:tcp_receive_reset') as resets:
        net.lab.run()
    assert quiet == [1]
    assert net.talked[1][0] == 'ConnectionResetError' and 3 < net.talked[1][1] < 3.2
    assert [round(at, 1) for at, _, _ in resets] == [3.1]  # and none when it crashed
    assert net.server.counter('TcpOutRsts') == 1
    assert net.server.boots == 1


def test_while_it_is_down_nobody_answers_and_then_its_services_do(net: Net) -> None:
    net.server.sysctl('net.ipv4.tcp_syn_retries', 3)
    net.server.hook('LOCAL_IN', lambda skb, state: NF_ACCEPT)
    remove = net.server.hook('LOCAL_OUT', lambda skb, state: NF_ACCEPT)
    remove()
    before = net.server.net
    net.lab.at(1, net.server.crash, duration='1s')
    net.ping(0.25, 12)
    net.lab.run()
    assert [s for s in net.lost() if s] == [1.0, 1.25, 1.5, 1.75]
    assert net.server.net is not before
    assert net.server.sysctl('net.ipv4.tcp_syn_retries') == '3'
    assert bin(net.server.net.nf.active).count('1') == 2  # of both versions of IP
    assert net.server.counter('UdpInDatagrams') == 4  # counters began anew
    assert len(net.lab.world.nets) == 3


def test_programs_end_where_they_are(net: Net) -> None:
    log: list[str] = []

    def body() -> None:
        try:
            time.sleep(100)
        finally:
            log.append(f'finally at {net.lab.now}')
            try:
                time.sleep(100)
            finally:
                log.append(f'no time to wait at {net.lab.now}')

    with_threads = net.server.spawn(lambda: threading.Thread(target=body).start(), name='threads')
    plain = net.server.spawn(body)
    net.lab.at(1, net.server.crash)
    net.lab.run()
    assert (plain.exit_code, with_threads.exit_code) == (-9, -9)
    assert sorted(log) == ['finally at 1.0'] * 2 + ['no time to wait at 1.0'] * 2
    with pytest.raises(RuntimeError, match="'server' has crashed already"):
        net.server.crash()
    with pytest.raises(RuntimeError, match=r"no program can start on 'server', which has crashed: restart\(\) it first"):
        net.server.spawn(body)


def test_every_kind_of_socket_vanishes(net: Net) -> None:
    """Listeners, half-open and established connections, orphans with data, TIME_WAIT, UDP, raw and packet sockets."""
    def busy() -> None:
        keep = [socket.create_server(('', 80)), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
                socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))]
        orphan = socket.create_connection(('client', 7))
        orphan.sendall(bytes(50_000))
        orphan.close()
        first = socket.create_connection(('client', 7))
        first.close()
        time.sleep(0.5)
        half = socket.socket()
        half.setblocking(False)
        half.connect_ex(('client', 81))
        keep.append(half)
        time.sleep(100)

    net.client.service(echo)
    net.server.spawn(busy, check=False)
    net.talk(0, 0)
    net.lab.at(0.605, net.server.restart)  # up: it crashes first
    net.client.spawn(time.sleep, 2)
    net.lab.run()
    net.lab.close()
    assert net.lab.live_objects() == {}


def test_a_router_crashes_too_and_forwards_again(net: Net) -> None:
    net.lab.at(1, net.gateway.crash, duration=1)
    net.ping(0.25, 12)
    net.lab.run()
    assert [s for s in net.lost() if s] == [1.0, 1.25, 1.5, 1.75]
    assert net.gateway.counter('IpForwDatagrams') == 8


def test_captures_go_on_after_a_restart(net: Net, tmp_path: Path) -> None:
    tap = net.lab.pcap(tmp_path / 'far.pcapng', net.server.port('gateway'))
    net.ping(1, 2)
    net.lab.at(0.5, net.server.restart)
    net.lab.run()
    assert net.lost() == []
    assert tap.packets >= 6  # ARP and both pings


def test_a_link_that_was_taken_down_stays_down_through_a_restart(net: Net) -> None:
    net.far.down()
    net.server.restart()
    net.ping(0.5, 2)
    net.lab.at(0.4, net.far.up)
    net.lab.run()
    assert net.seen[1] == (0.5, True)


def test_a_program_cannot_crash_its_own_host(net: Net) -> None:
    net.server.spawn(net.server.crash)
    with pytest.raises(RuntimeError, match='was called by a program on it; let the lab do it'):
        net.lab.run()
    net.client.spawn(net.server.crash)  # another's it can
    net.lab.run()
    assert not net.server.up


def test_a_second_boot_draws_other_numbers(net: Net) -> None:
    ports: list[int] = []

    def program() -> None:
        with socket.create_connection(('server', 7)) as sock:
            ports.append(sock.getsockname()[1])

    for _ in range(2):
        net.client.spawn(program)
        net.lab.run()
        net.client.restart()
    assert ports[0] != ports[1]


def test_faults_are_as_deterministic_as_the_rest(tmp_path: Path) -> None:
    def run(name: str) -> bytes:
        net = Net(loss='2 %', jitter='1ms')
        with net.lab:
            net.lab.pcap(tmp_path / name)
            net.talk(*[0.1] * 20, timeout=60)
            net.lab.at(0.5, net.near.set, loss='50 %', duration='300ms')
            net.lab.at(1, net.lab.partition, 'client', 'server', duration=1)
            net.lab.when('tcp:tcp_retransmit_skb', net.near.lose, 3)
            net.lab.at(3, net.server.crash, duration=1)
            net.lab.run()
        return (tmp_path / name).read_bytes()

    assert run('a') == run('b')


def test_errno_of_a_host_without_its_link(net: Net) -> None:
    def program() -> None:
        try:
            socket.create_connection(('server', 7))
        except OSError as exc:
            net.seen.append(exc.errno)

    net.near.down()
    net.client.spawn(program)
    net.lab.run()
    assert net.seen == [errno.ENETUNREACH]
