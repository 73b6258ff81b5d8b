# SPDX-License-Identifier: Apache-2.0
"""lab.py: building a small internet, running programs on it, and what is left of it."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dpkt
import pytest

from linnet import Lab
from linnet._pure import build
from linnet.drivers.net.wire import wire_ops
from linnet.include.linux.netfilter import NF_DROP, NfHookState
from linnet.include.linux.skbuff import SkBuff
from linnet.lab import Host, python_command


def ping(host: Host, address: str, out: list[Any], *, timeout: float = 1, size: int = 10, port: int = 7) -> None:
    """A datagram to an echo server: the round trip in seconds, or the error."""

    def program() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(timeout)
        start = time.monotonic()
        try:
            sock.connect((address, port))
            sock.send(bytes(size))
            assert sock.recv(70_000) == bytes(size)
            out.append(round(time.monotonic() - start, 9))
        except OSError as exc:
            out.append(type(exc).__name__)

    host.spawn(program, name='ping')


def answer(host: Host) -> None:
    """Echo datagrams on port 7."""

    def program() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(('', 7))
        while True:
            sock.sendto(*sock.recvfrom(70_000))

    host.spawn(program, name='echo', daemon=True)


def pair(**link: Any) -> tuple[Lab, Host, Host]:
    lab = Lab(seed=1)
    a, b = lab.host('a'), lab.host('b')
    lab.link(a, b, **link)
    answer(b)
    return lab, a, b


def ask(lab: Lab, host: Host, address: str, **options: Any) -> Any:
    out: list[Any] = []
    ping(host, address, out, **options)
    lab.run()
    return out[0]


# -- links, addresses, routes


def test_a_link_has_a_delay_and_a_rate() -> None:
    lab, a, _ = pair(delay='10ms', rate='1mbit')
    with lab:
        first = ask(lab, a, 'b')  # with ARP: two round trips
        assert 0.04 < first < 0.043
        second = ask(lab, a, 'b')
        assert second == pytest.approx(0.02 + 2 * 52 * 8 / 1e6, abs=2e-4)  # 52 bytes a frame
        assert ask(lab, a, 'b', size=1000) - second == pytest.approx(2 * 990 * 8 / 1e6, abs=1e-4)


def test_a_link_without_properties_takes_no_time() -> None:
    lab, a, _ = pair()
    with lab:
        assert ask(lab, a, 'b') == 0


def test_routes_are_found_over_several_routers() -> None:
    with Lab() as lab:
        hosts = [lab.host('left'), *[lab.router(f'r{i}') for i in range(4)], lab.host('right')]
        for here, there in zip(hosts, hosts[1:], strict=False):
            lab.link(here, there, delay='1ms')
        answer(hosts[-1])
        ask(lab, hosts[0], 'right', timeout=5)
        assert ask(lab, hosts[0], 'right') == 0.01
        assert hosts[2].counter('IpForwDatagrams') >= 4
        assert hosts[0].addr == '198.18.0.1'
        assert hosts[0].port('r0').peer.host is hosts[1]
        assert 'left:eth0 198.18.0.1/24' in repr(hosts[0].port('eth0'))


def test_routes_by_hand() -> None:
    with Lab() as lab:
        a, r, b = lab.host('a'), lab.router('r'), lab.host('b')
        lab.link(a, r, subnet='10.1.0.0/30')
        lab.link(r, b, subnet='10.2.0.0/30')
        answer(b)
        a.route('10.9.0.0/16', via='10.1.0.2')
        assert ask(lab, a, 'b') == 'OSError'  # ENETUNREACH: the host now has no routes but its own
        a.route('10.2.0.0/16', via='10.1.0.2', mtu=600)
        assert ask(lab, a, 'b') == 0
        a.unroute('10.2.0.0/16', via='10.1.0.2')
        assert ask(lab, a, 'b') == 'OSError'
        with pytest.raises(OSError, match='refused'):
            a.unroute('10.77.0.0/16', via='10.1.0.2')
        with pytest.raises(OSError, match='refused'):
            a.route('default', via='172.16.0.1')


def test_more_addresses() -> None:
    lab, a, b = pair(delay='1ms')
    with lab:
        b.address('a', '198.18.0.77/24')
        assert ask(lab, a, '198.18.0.77', port=9) == 'ConnectionRefusedError'
        assert b.counter('UdpNoPorts') == 1
        assert a.lab.runtime.names.lookup('b') == [0xC6120002, 0xC612004D]
        with pytest.raises(OSError, match='cannot give'):
            b.address('a', '198.18.0.77/24')


def test_an_mtu_fragments() -> None:
    lab, a, b = pair(delay='1ms', mtu=600)
    with lab:
        assert ask(lab, a, 'b', size=3000) == 0.004
        assert a.counter('IpFragCreates') == 6
        assert b.counter('IpReasmOKs') == 1


# -- changes while it runs


def test_set_changes_a_link_in_the_middle_of_a_run() -> None:
    lab, a, b = pair(delay='1ms')
    with lab:
        ask(lab, a, 'b')
        assert ask(lab, a, 'b') == 0.002
        lab.links[0].set(delay='5ms', direction=a)
        assert ask(lab, a, 'b') == 0.006
        lab.links[0].set(loss=1.0)
        assert ask(lab, a, 'b') == 'TimeoutError'
        lab.links[0].set(loss=0, delay='2ms')
        assert ask(lab, a, 'b') == 0.004
        with pytest.raises(TypeError, match="no property 'colour'"):
            lab.links[0].set(colour='red')


def test_loss_by_number_and_by_function() -> None:
    lab, a, b = pair(delay='1ms')
    with lab:
        ask(lab, a, 'b')
        wire = wire_ops(lab.links[0].a.dev)
        lab.links[0].set(direction=a, loss={wire.nr_sent + 2})
        assert [ask(lab, a, 'b') for _ in range(3)] == [0.002, 'TimeoutError', 0.002]
        numbers: list[int] = []

        def odd(n: int) -> bool:
            numbers.append(n - first)
            return (n - first) % 2 == 1

        first = wire.nr_sent
        lab.links[0].set(direction=a, loss=odd)
        assert [ask(lab, a, 'b') for _ in range(2)] == ['TimeoutError', 0.002]
        assert numbers == [1, 2]
        lab.links[0].set(loss=0)
        assert ask(lab, a, 'b') == 0.002
        lab.links[0].set(direction=a, loss=lambda n: True, duration='100ms')
        assert [ask(lab, a, 'b') for _ in range(2)] == ['TimeoutError', 0.002]


def test_down_and_up() -> None:
    lab, a, _ = pair(delay='1ms')
    with lab:
        ask(lab, a, 'b')
        lab.links[0].down()
        assert ask(lab, a, 'b') in ('OSError', 'TimeoutError')
        lab.links[0].up()
        assert isinstance(ask(lab, a, 'b'), float)


def test_a_veth_pair_cannot_be_slowed() -> None:
    with Lab() as lab:
        link = lab.link(lab.host('a'), lab.host('b'))
        with pytest.raises(ValueError, match='veth pair'):
            link.set(delay='1ms')


# -- knobs and figures


def test_sysctls_are_a_host_s_own() -> None:
    lab, a, b = pair()
    with lab:
        assert a.sysctl('net.ipv4.ip_forward') == '0'
        assert a.sysctl('net.ipv4.ip_forward', 1) == '1'
        assert b.sysctl('net.ipv4.ip_forward') == '0'
        assert b.sysctl('net.ipv4.tcp_rmem').split()[0] == '4096'
        assert b.sysctl('net.ipv4.ip_default_ttl', 7) == '7'


def test_counters() -> None:
    lab, a, b = pair()
    with lab:
        ask(lab, a, 'b')
        assert a.counter('UdpOutDatagrams') == b.counter('UdpInDatagrams') == 1
        assert a.nstat()['UdpInDatagrams'] == 1
        assert 0 not in a.nstat().values()
        assert ask(lab, a, 'b', port=9) == 'ConnectionRefusedError'
        assert b.counter('UdpNoPorts') == 1
        assert a.counter('IcmpInDestUnreachs') == 1


def test_hooks_drops_and_tracepoints() -> None:
    lab, a, b = pair(delay='1ms')
    with lab:
        ask(lab, a, 'b')
        seen: list[int] = []

        def refuse(skb: SkBuff, state: NfHookState) -> int:
            seen.append(int(skb.len))
            return NF_DROP

        remove = b.hook('LOCAL_IN', refuse)
        with lab.trace('skb:kfree_skb', 'udp:*') as events:
            assert ask(lab, a, 'b') == 'TimeoutError'
        assert seen == [38]
        assert b.drops() == {'NETFILTER_DROP': 1}
        assert [name for _, name, _ in events] == ['skb:kfree_skb']
        remove()
        assert ask(lab, a, 'b') == 0.002
        assert len(events) == 1
        with pytest.raises(ValueError, match='no hook point'):
            b.hook('NOWHERE', refuse)


def test_a_qdisc_that_is_too_short_drops() -> None:
    lab, a, b = pair(delay='1ms', rate='1mbit')
    with lab:
        ask(lab, a, 'b')  # the neighbour is known from here on
        a.qdisc('b', 'pfifo', limit=3)
        a.spawn(flood, name='flood')
        lab.run()
        assert 10 < b.counter('UdpNoPorts') < 500  # the device's ring takes some more than 3
        assert a.drops() == {'QDISC_OVERLIMIT': 500 - b.counter('UdpNoPorts')}
        with pytest.raises(KeyError, match="no qdisc 'no_such_kind' on a; there are "):
            a.qdisc('b', 'no_such_kind')


def flood() -> None:
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(10)]  # each has a send buffer for so many
    for i in range(500):
        socks[i % 10].sendto(bytes(1000), ('b', 9))
    time.sleep(10)


def test_links_made_between_runs_are_routed() -> None:
    with Lab() as lab:
        a, r, b, c = lab.host('a'), lab.router('r'), lab.host('b'), lab.host('c')
        lab.link(a, r)
        lab.link(r, b)
        for host in (b, c):
            answer(host)
        assert ask(lab, a, 'b') == 0
        lab.link(r, c)
        assert ask(lab, a, 'c') == 0
        assert ask(lab, b, 'c') == 0


# -- programs


def test_forms_of_spawn(tmp_path: Path) -> None:
    script = tmp_path / 'prog.py'
    (tmp_path / 'helper_of_prog.py').write_text('WORD = "helped"\n')
    script.write_text(
        'import sys\nfrom helper_of_prog import WORD\n'
        'print(WORD, sys.argv[1:], __name__, sys.modules["__main__"].WORD)\nsys.exit(3)\n'
    )
    with Lab() as lab:
        host = lab.host('h')
        runs = [
            host.spawn([str(script), 'x', 'y']),
            host.spawn(str(script)),
            host.spawn(['python', '-c', 'import sys; print(sys.argv)', '1']),
            host.spawn(['-m', 'calendar', '2026', '2']),
            host.spawn(print, 'a', 'b', name='printer'),
        ]
        for program in runs:
            program.stdout = io.StringIO()
        lab.run()
        said = [program.stdout.getvalue() for program in runs if isinstance(program.stdout, io.StringIO)]
        assert said[0] == "helped ['x', 'y'] __main__ helped\n"
        assert said[1] == 'helped [] __main__ helped\n'
        assert said[2] == "['-c', '1']\n"
        assert 'February 2026' in said[3]
        assert said[4] == 'a b\n'
        assert [p.exit_code for p in runs] == [3, 3, 0, 0, 0]
        assert runs[4].name == 'printer'
        assert runs[0].done


@pytest.mark.parametrize('argv', [[], ['python'], ['--version'], ['no-such-file.py'], ['-m']])
def test_what_cannot_be_spawned(argv: list[str]) -> None:
    with pytest.raises(ValueError, match='give'):
        python_command(argv)


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyError('lost')

    with Lab() as lab:
        program = lab.host('h').spawn(fail)
        with pytest.raises(KeyError, match='lost'):
            lab.run()
        assert program.exit_code == 1
        tolerated = lab.hosts['h'].spawn(fail, check=False)
        lab.run()
        assert isinstance(tolerated.exception, KeyError)
        assert "KeyError: 'lost'" in capsys.readouterr().err


def test_until() -> None:
    with Lab() as lab:
        host = lab.host('h')
        program = host.spawn(time.sleep, 10)
        assert lab.run(until=2.5) == 2.5
        assert not program.done
        assert lab.run(until='4s') == 4
        assert lab.run() == lab.now == 10
        assert program.exit_code == 0
        assert lab.run(until=60) == 60  # nobody is there, and time passes


def test_names_given_twice_and_full_labs() -> None:
    with Lab(subnets='10.0.0.0/29', prefixlen=30) as lab:
        a, b = lab.host('a'), lab.host('b')
        with pytest.raises(ValueError, match="named 'a' already"):
            lab.host('a')
        with pytest.raises(RuntimeError, match='has no address'):
            _ = a.addr
        lab.link('a', 'b')
        lab.link(a, b)
        with pytest.raises(ValueError, match='no subnet is left'):
            lab.link(a, b)
        with pytest.raises(KeyError, match='no link to'):
            a.port('c')
    with pytest.raises(ValueError, match='prefixlen'):
        Lab(prefixlen=31)


def test_sockets_outside_of_a_program_are_the_machine_s() -> None:
    with Lab() as lab:
        lab.host('h')
        sock = socket.socket()
        assert sock.fileno() < 1 << 20
        assert type(sock).__module__ == 'socket'
        sock.close()


# -- determinism, captures, the end


def transfer(lab: Lab, size: int = 50_000) -> None:
    """A TCP transfer over a link that does everything to its packets."""
    a, b = lab.host('a'), lab.host('b')
    lab.link(a, b, rate='10mbit', delay='5ms', jitter='2ms', loss='3 %', duplicate='2 %', reorder='2 %', corrupt='1 %')

    def receive() -> None:
        conn, _ = socket.create_server(('', 7)).accept()
        got = b''
        while data := conn.recv(65536):
            got += data
        assert got == bytes(range(250)) * (size // 250)

    def send() -> None:
        with socket.create_connection(('b', 7)) as sock:
            sock.sendall(bytes(range(250)) * (size // 250))

    b.spawn(receive)
    a.spawn(send)


def capture(path: Path, seed: int, **options: Any) -> bytes:
    with Lab(seed=seed) as lab:
        transfer(lab)
        lab.pcap(path, **options)
        lab.run()
    return path.read_bytes()


def test_the_seed_decides(tmp_path: Path) -> None:
    first = capture(tmp_path / 'a', 1)
    assert first == capture(tmp_path / 'b', 1)
    assert first != capture(tmp_path / 'c', 2)


def read(path: Path) -> list[tuple[float, bytes]]:
    with path.open('rb') as file:
        return list(dpkt.pcapng.Reader(file))


def test_dpkt_reads_a_capture_of_one_port(tmp_path: Path) -> None:
    lab, a, b = pair(delay='1ms')
    with lab:
        tap = lab.pcap(tmp_path / 'one', b.ports[0])
        ask(lab, a, 'b')
        tap.flush()
        frames = [dpkt.ethernet.Ethernet(data) for _, data in read(tmp_path / 'one')]
        assert [type(frame.data).__name__ for frame in frames] == ['ARP', 'ARP', 'IP', 'IP']
        assert frames[2].data.data.dport == 7


@pytest.mark.pure
def test_comments_carry_the_call_path(tmp_path: Path) -> None:
    data = capture(tmp_path / 'a', 1, comments=True)
    assert b'sys_connect > ' in data
    assert b'tcp_v4_connect > tcp_connect > ' in data
    assert b'ip_queue_xmit' in data
    assert b'__netif_receive_skb' in data
    assert len(read(tmp_path / 'a')) > 80
    assert data == capture(tmp_path / 'b', 1, comments=True)


def test_comments_need_an_interpreted_stack(tmp_path: Path) -> None:
    if build() == 'interpreted':
        return
    with Lab() as lab:
        lab.link(lab.host('a'), lab.host('b'))
        with pytest.warns(RuntimeWarning, match='LINNET_PURE=1'):
            lab.pcap(tmp_path / 'a', comments=True)


def ended_early(lab: Lab) -> None:
    lab.run(until=0.05)


def ended_late(lab: Lab) -> None:
    lab.run()


@pytest.mark.parametrize('run', [ended_early, ended_late])
def test_nothing_is_left_alive(run: Callable[[Lab], None]) -> None:
    lab = Lab(seed=4)
    transfer(lab)
    answer(lab.hosts['b'])
    run(lab)
    assert lab.live_objects() != {}
    lab.close()
    assert lab.live_objects() == {}
    assert not lab.world.sched.tasks
    lab.close()


def test_finally_blocks_of_a_killed_program_run_and_may_wait() -> None:
    out: list[str] = []

    def server() -> None:
        try:
            socket.create_server(('', 7)).accept()
        finally:
            time.sleep(1)
            out.append('closed')

    def stubborn() -> None:
        while True:
            try:
                time.sleep(1)
            finally:
                time.sleep(1000)

    with Lab() as lab:
        host = lab.host('h')
        host.spawn(server, daemon=True)
        host.spawn(stubborn, daemon=True)
        lab.run(until=1.5)
    assert out == ['closed']
