# SPDX-License-Identifier: Apache-2.0
"""A congestion control that a user wrote in plain Python, on a host, by name; in either build of the stack."""
from __future__ import annotations

import socket
from typing import Any

from linnet import Lab
from linnet.include.linux.errno import ENOENT
from linnet.include.net.tcp import RateSample, TCP_CA_Open, TCP_CA_Recovery, TcpCongestionOps, TcpSock
from linnet.net.ipv4.tcp_cong import tcp_ca_find, tcp_register_congestion_control, tcp_slow_start
from linnet.report.ss import ss

SIZE = 300_000


class Timid(TcpCongestionOps):
    """Slow start to 20 segments, then no more; notes what it is told."""

    name = 'timid'

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.windows: list[int] = []
        self.states: list[int] = []
        self.rtts: list[int] = []

    def init(self, sk: TcpSock) -> None:
        self.told.append('init')
        sk.icsk_ca_priv = {'limit': 20}
        sk.snd_ssthresh = 20

    def release(self, sk: TcpSock) -> None:
        self.told.append('release')

    def ssthresh(self, sk: TcpSock) -> int:
        self.told.append('ssthresh')
        return max(sk.snd_cwnd - 3, 2)

    def cong_avoid(self, sk: TcpSock, ack: int, acked: int) -> None:
        state: Any = sk.icsk_ca_priv
        if sk.snd_cwnd < state['limit']:
            tcp_slow_start(sk, acked)
        self.windows.append(int(sk.snd_cwnd))

    def set_state(self, sk: TcpSock, new_state: int) -> None:
        self.states.append(int(new_state))

    def pkts_acked(self, sk: TcpSock, pkts_acked: int, rtt_us: int, in_flight: int) -> None:
        self.rtts.append(int(rtt_us))


class Constant(TcpCongestionOps):
    """cong_control: the window is 7, whatever comes."""

    name = 'constant'

    def __init__(self) -> None:
        super().__init__()
        self.has_cong_control = True
        self.seen: set[int] = set()

    def ssthresh(self, sk: TcpSock) -> int:
        return sk.snd_ssthresh

    def cong_control(self, sk: TcpSock, ack: int, flag: int, rs: RateSample) -> None:
        sk.snd_cwnd = 7
        self.seen.add(int(sk.packets_out))


class Place:
    """A client, a server that swallows what it gets, 10 Mbit/s and 20 ms between them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.client, self.server = lab.host('client'), lab.host('server')
        self.link = lab.link(self.client, self.server, rate='10mbit', delay='10ms')
        self.names: list[str] = []
        self.sockets = ''

        def serve() -> None:
            listener = socket.create_server(('', 9))
            while True:
                conn, _ = listener.accept()
                with conn:
                    left = SIZE
                    while left and (data := conn.recv(1 << 20)):
                        left -= len(data)
                    conn.send(b'.')
        self.server.spawn(serve, daemon=True)

    def upload(self, algorithm: str = '') -> None:
        def program() -> None:
            with socket.socket() as sock:
                if algorithm:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
                sock.connect(('server', 9))
                self.names.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b'\0').decode())
                sock.sendall(bytes(SIZE))
                assert sock.recv(1) == b'.'
                self.sockets = ss(self.client.net, listening=False)
        self.client.spawn(program)
        self.lab.run()


def test_chosen_by_name_for_one_socket() -> None:
    with Lab(seed=1) as lab:
        place = Place(lab)
        timid = Timid()
        assert tcp_register_congestion_control(place.client.net, timid) == 0
        assert tcp_ca_find(place.client.net, 'timid') is timid
        place.upload('timid')
        assert ' timid ' in place.sockets
        place.upload()
        assert ' cubic ' in place.sockets
        assert place.names == ['timid', 'cubic']
    assert timid.told == ['init', 'release']
    assert timid.windows == sorted(timid.windows)
    assert max(timid.windows) == 20
    assert min(rtt for rtt in timid.rtts if rtt >= 0) >= 20_000
    assert set(timid.states) <= {TCP_CA_Open}


def test_a_loss_asks_it_for_ssthresh() -> None:
    with Lab(seed=1) as lab:
        place = Place(lab)
        timid = Timid()
        tcp_register_congestion_control(place.client.net, timid)
        place.link.set(direction=place.client, loss='3 %')
        place.upload('timid')
    assert 'ssthresh' in timid.told
    assert TCP_CA_Recovery in timid.states
    assert timid.told[0] == 'init' and timid.told[-1] == 'release'


def test_as_the_default_of_a_host() -> None:
    with Lab(seed=1) as lab:
        place = Place(lab)
        assert place.client.net.sysctl.set('net.ipv4.tcp_congestion_control', 'timid') == -ENOENT
        timid = Timid()
        tcp_register_congestion_control(place.client.net, timid)
        place.client.sysctl('net.ipv4.tcp_congestion_control', 'timid')
        assert place.client.sysctl('net.ipv4.tcp_available_congestion_control') == 'reno cubic bbr dctcp timid'
        assert place.server.sysctl('net.ipv4.tcp_available_congestion_control') == 'reno cubic bbr dctcp'
        place.upload()
        assert place.names == ['timid']


def test_cong_control_has_the_window_to_itself() -> None:
    with Lab(seed=1) as lab:
        place = Place(lab)
        constant = Constant()
        tcp_register_congestion_control(place.client.net, constant)
        place.upload('constant')
    assert max(constant.seen) <= 10  # the first window is out before the first ACK
    assert {6, 7} & constant.seen
