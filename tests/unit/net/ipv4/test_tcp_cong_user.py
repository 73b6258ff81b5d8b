# SPDX-License-Identifier: Apache-2.0
"""A congestion control that a user wrote in plain Python, on a host, by name; in either build of the stack."""
from __future__ import annotations

import socket
from typing import Any

import pytest

from helpers.transfer import Transfer
from linnet import Lab
from linnet.include.net.sock import SK_PACING_FQ, SK_PACING_NEEDED, SK_PACING_NONE
from linnet.include.net.tcp import RateSample, TCP_CA_Open, TCP_CA_Recovery, TcpCongestionOps, TcpSock
from linnet.kernel.errno import ENOENT
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
        assert place.client.sysctl('net.ipv4.tcp_available_congestion_control') == 'reno cubic bbr dctcp vegas timid'
        assert place.server.sysctl('net.ipv4.tcp_available_congestion_control') == 'reno cubic bbr dctcp vegas'
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


class Metronome(TcpCongestionOps):
    """cong_control: paces at 2 Mbit/s, with a window that does not hinder; notes the rates that it is told."""

    name = 'metronome'

    def __init__(self) -> None:
        super().__init__()
        self.has_cong_control = True
        self.rates: list[float] = []
        self.states: set[int] = set()
        self.early = 0

    def init(self, sk: TcpSock) -> None:
        sk.icsk_ca_priv = self
        sk.sk_pacing_rate = 250_000
        if sk.sk_pacing_status == SK_PACING_NONE:
            sk.sk_pacing_status = SK_PACING_NEEDED

    def ssthresh(self, sk: TcpSock) -> int:
        return sk.snd_ssthresh

    def undo_cwnd(self, sk: TcpSock) -> int:
        return sk.snd_cwnd

    def cong_control(self, sk: TcpSock, ack: int, flag: int, rs: RateSample) -> None:
        self.early += sk.icsk_ca_priv is not self
        self.states.add(int(sk.icsk_ca_state))
        sk.snd_cwnd = 100
        if rs.delivered > 0 and rs.interval_us > 0:
            self.rates.append(rs.delivered * sk.mss_cache * 8 / rs.interval_us)

    def get_info(self, sk: TcpSock, ext: int) -> dict[str, int]:
        return {'beats': len(self.rates)}


@pytest.mark.parametrize('qdisc', ['pfifo_fast', 'fq'])
def test_cong_control_sets_the_rate(qdisc: str) -> None:
    """Paced by TCP itself, or by the fq of its device: the path's queue stays empty, and losses change nothing."""
    with Lab(seed=1) as lab:
        t = Transfer(lab)
        metronome = Metronome()
        assert tcp_register_congestion_control(t.client.net, metronome) == 0
        if qdisc == 'fq':
            t.client.qdisc(t.router, 'fq')
        t.lose(100, 200, 201)
        looks = t.run('metronome', 3, lambda sk: (sk.srtt_us >> 3, sk.sk_pacing_status, sk.snd_cwnd, ss(t.client.net)))
        rate = t.goodput(0.5, 3)
        assert t.client.counter('TcpRetransSegs') >= 3
    assert rate == pytest.approx(2, rel=0.03)
    late = looks[50:]
    assert {status for _, status, _, _ in late} == {SK_PACING_FQ if qdisc == 'fq' else SK_PACING_NEEDED}
    assert max(rtt for rtt, _, _, _ in late) < 45_000  # 20 ms, and a delayed ACK now and then
    assert {cwnd for _, _, cwnd, _ in late} == {100}
    assert metronome.early == 0
    assert {0, 3} <= metronome.states  # Open and Recovery: it is asked in both
    middle = sorted(metronome.rates)[len(metronome.rates) // 2]
    assert middle == pytest.approx(2, rel=0.1)
    assert 'metronome:(beats:' in looks[-1][3]
