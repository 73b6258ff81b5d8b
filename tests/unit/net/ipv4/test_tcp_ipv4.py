# SPDX-License-Identifier: Apache-2.0
"""TCP's border to IPv4: malformed segments, segments for nobody, ICMP errors, early demux, /proc/net/tcp."""
from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone, Pair, fails
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, MS, SEC, THERE, Peer, Wire
from linnet.include.linux.inet import IP_MINTTL, IP_RECVERR, in_aton
from linnet.include.linux.skbuff import CHECKSUM_NONE
from linnet.include.linux.socket import SO_ERROR, SOL_IP, SOL_SOCKET
from linnet.include.net.checksum import csum_fold, csum_partial, csum_tcpudp_magic
from linnet.include.net.tcp import TcpSock
from linnet.net.core.dev import netif_rx
from linnet.net.core.skbuff import skb_from_bytes
from linnet.net.core.sock import lock_sock, release_sock
from linnet.net.ipv4.tcp_ipv4_proc import tcp4_seq_show, tcp_seq_socks

# flags, sequence number, acknowledgement (both relative to what is due), data
SEGMENT = st.tuples(st.integers(0, 255), st.integers(-3, 70_000), st.integers(-3, 3), st.binary(max_size=8))


def packet(tcp: bytes, proto: int = 6, ttl: int = 64) -> bytes:
    """An IP packet from THERE to HERE."""
    ip = bytearray(b'\x45\0' + (20 + len(tcp)).to_bytes(2, 'big') + b'\0\0\x40\0' + bytes([ttl, proto]) + b'\0\0'
                   + in_aton(THERE).to_bytes(4, 'big') + in_aton(HERE).to_bytes(4, 'big'))
    ip[10:12] = int(csum_fold(csum_partial(bytes(ip), 0))).to_bytes(2, 'big')
    return bytes(ip) + tcp


def receive(wire: Wire, data: bytes, hlen: int = 80) -> None:
    """The packet arrives, its checksum not looked at yet."""
    skb = skb_from_bytes(wire.world, data, min(len(data), hlen))
    skb.dev = wire.dev
    skb.protocol = 0x0800
    skb.ip_summed = CHECKSUM_NONE
    skb.network_header = 0
    netif_rx(skb)
    wire.world.sched.run(wire.now)


def checked(tcp: bytes) -> bytes:
    """The segment with its checksum."""
    zero = tcp[:16] + b'\0\0' + tcp[18:]
    check = csum_tcpudp_magic(in_aton(THERE), in_aton(HERE), len(tcp), 6, csum_partial(zero, 0))
    return tcp[:16] + int(check).to_bytes(2, 'big') + tcp[18:]


def syn(port: int = 80, flags: int = 2, data: bytes = b'') -> bytes:
    """A SYN from port 4000."""
    numbers = (5000).to_bytes(4, 'big') + bytes(4) + bytes([0x50, flags]) + b'\xff\xff\0\0\0\0'
    return (4000).to_bytes(2, 'big') + port.to_bytes(2, 'big') + numbers + data


def connecting(wire: Wire) -> tuple[int, bytes]:
    """A socket in SYN_SENT, and its SYN as it was on the wire."""
    fd = wire.prog.nonblocking(wire.prog.socket())
    with fails('EINPROGRESS'):
        wire.prog.connect(fd, THERE, 80)
    return fd, wire.take()[0].packet


def icmp(wire: Wire, quoted: bytes, type: int, code: int, info: int = 0) -> None:
    """An ICMP error that quotes a packet comes from THERE."""
    body = bytes([type, code, 0, 0]) + info.to_bytes(4, 'big') + quoted[:28]
    check = int(csum_fold(csum_partial(body, 0))).to_bytes(2, 'big')
    receive(wire, packet(body[:2] + check + body[4:], proto=1), 200)


class TestReceive:
    def test_good_checksum(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        receive(wire, packet(checked(syn())))
        assert [s.flags for s in wire.take()] == ['S.']

    def test_bad_checksum(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        good = checked(syn())
        receive(wire, packet(good[:4] + bytes([good[4] ^ 1]) + good[5:]))
        assert wire.take() == []
        assert wire.net.mib.get('TcpInCsumErrors') == 1
        assert wire.net.mib.get('TcpInErrs') == 1

    @pytest.mark.parametrize('hlen', [20, 25, 40, 80])
    def test_header_in_fragments(self, hlen: int) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        receive(wire, packet(checked(syn())), hlen)
        assert [s.flags for s in wire.take()] == ['S.']

    @pytest.mark.parametrize('size', [0, 1, 12, 13, 19])
    def test_too_short(self, size: int) -> None:
        wire = Wire()
        receive(wire, packet(syn()[:size]))
        assert wire.take() == []
        assert wire.net.mib.get('TcpInErrs') == 1

    @pytest.mark.parametrize('doff', [0, 4, 6, 15])
    def test_silly_header_length(self, doff: int) -> None:
        wire = Wire()
        tcp = syn()
        receive(wire, packet(tcp[:12] + bytes([doff << 4]) + tcp[13:]))
        assert wire.take() == []
        assert wire.net.mib.get('TcpInErrs') == 1

    def test_nobody_listens(self) -> None:
        wire = Wire()
        receive(wire, packet(checked(syn(81))))
        reset = wire.take()[0]
        assert reset.flags == 'R.'
        assert (reset.seq, reset.ack) == (0, 5001)
        assert wire.net.mib.get('TcpOutRsts') == 1

    def test_reset_for_data_counts_its_length(self) -> None:
        wire = Wire()
        receive(wire, packet(checked(syn(81, 1, b'abc'))))
        assert wire.take()[0].ack == 5004

    def test_a_reset_is_not_answered(self) -> None:
        wire = Wire()
        receive(wire, packet(checked(syn(81, 4))))
        assert wire.take() == []

    @given(st.binary(min_size=20, max_size=80))
    def test_any_bytes(self, tcp: bytes) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        tcp = tcp[:2] + b'\0\x50' + tcp[4:]
        before = wire.world.slab.active()
        receive(wire, packet(checked(tcp)))
        after = wire.world.slab.active()
        assert after.get('skbuff_head_cache', 0) == before.get('skbuff_head_cache', 0)

    @given(st.lists(SEGMENT, max_size=12))
    def test_any_segments_on_a_connection(self, segments: list[tuple[int, int, int, bytes]]) -> None:
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.handshake()
        fd = wire.prog.accept(listener)[0]
        names = 'FSRP.UEW'
        for flags, seq, ack, data in segments:
            caller.send(''.join(names[i] for i in range(8) if flags >> i & 1), seq=1 + seq, ack=1 + ack, data=data)
        wire.prog.close(fd)
        wire.prog.close(listener)
        wire.world.sched.run()
        assert not {n for n in wire.world.slab.active() if n.startswith(('TCP', 'request', 'tcp_bind', 'tw_', 'skb'))}

    def test_min_ttl(self) -> None:
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        wire.prog.setopt(listener, SOL_IP, IP_MINTTL, 100)
        receive(wire, packet(checked(syn())))
        assert wire.take() == []
        assert wire.net.mib.get('TcpExtTCPMinTTLDrop') == 1
        receive(wire, packet(checked(syn()), ttl=100))
        assert len(wire.take()) == 1

    def test_early_demux_gives_the_cached_route(self) -> None:
        pair = Pair()
        fd_a, fd_b = pair.connected()
        pair.run(lambda: pair.a.send(fd_a, b'x'), until=2 * SEC)
        sk = tcp_seq_socks(pair.net_b)[0]
        assert sk.sk_rx_dst is not None
        assert pair.b.recv(fd_b) == b'x'


class TestIcmp:
    @pytest.mark.parametrize(('type', 'code', 'error'), [
        (3, 0, 'ENETUNREACH'), (3, 1, 'EHOSTUNREACH'), (3, 2, 'ENOPROTOOPT'), (3, 3, 'ECONNREFUSED'), (3, 13, 'EHOSTUNREACH'),
        (11, 0, 'EHOSTUNREACH'), (12, 0, 'EPROTO'),
    ])
    def test_ends_a_connect(self, type: int, code: int, error: str) -> None:
        wire = Wire()
        fd, quoted = connecting(wire)
        icmp(wire, quoted, type, code)
        with fails(error):
            wire.prog.connect(fd, THERE, 80)

    def test_wrong_sequence_number_is_ignored(self) -> None:
        wire = Wire()
        fd, quoted = connecting(wire)
        wrong = quoted[:24] + ((int.from_bytes(quoted[24:28], 'big') + 5) & 0xFFFFFFFF).to_bytes(4, 'big')
        icmp(wire, wrong, 3, 3)
        assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == 0
        assert wire.net.mib.get('TcpExtOutOfWindowIcmps') == 1

    def test_unknown_connection(self) -> None:
        wire = Wire()
        _, quoted = connecting(wire)
        icmp(wire, quoted[:20] + b'\0\1\0\2' + quoted[24:], 3, 3)
        assert wire.net.mib.get('IcmpInErrors') == 1

    def established(self) -> tuple[Wire, Peer, int, bytes]:
        """A connection with a segment out."""
        wire = Wire()
        peer = Peer(wire)
        fd = peer.accept()
        wire.prog.send(fd, b'x' * 1400)
        return wire, peer, fd, wire.take()[0].packet

    def test_soft_on_a_connection(self) -> None:
        wire, peer, fd, quoted = self.established()
        icmp(wire, quoted, 3, 1)
        peer.send('.', ack=1401)
        assert wire.prog.send(fd, b'y') == 1

    def test_recverr_makes_it_hard(self) -> None:
        wire, peer, fd, quoted = self.established()
        wire.prog.setopt(fd, SOL_IP, IP_RECVERR, 1)
        icmp(wire, quoted, 3, 1)
        assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == errno.EHOSTUNREACH

    def test_fragmentation_needed_cuts_and_sends_again(self) -> None:
        wire, peer, fd, quoted = self.established()
        icmp(wire, quoted, 3, 4, 600)
        again = wire.take()
        assert [len(s.data) for s in again] == [560, 560, 280]
        assert wire.prog.getopt(fd, 6, 2) == 560
        peer.send('.', ack=1401)
        wire.prog.send(fd, b'z' * 1000)
        assert [len(s.data) for s in wire.take()][0] == 560

    def test_mtu_below_the_least_is_bounded(self) -> None:
        wire, peer, fd, quoted = self.established()
        icmp(wire, quoted, 3, 4, 68)
        assert max(len(s.data) for s in wire.take()) == 552 - 40

    def test_host_unreachable_takes_back_the_back_off(self) -> None:
        wire, peer, fd, quoted = self.established()
        sk = tcp_seq_socks(wire.net)[0]
        assert isinstance(sk, TcpSock)
        wire.advance(900 * MS)
        backoff = sk.icsk_backoff
        assert backoff > 0
        icmp(wire, quoted, 3, 1)
        assert sk.icsk_backoff == backoff - 1
        assert wire.take()[-1].time < wire.now
        # and if the shorter time-out is over already, the segment goes at once
        wire.advance(200 * MS)
        icmp(wire, quoted, 3, 1)
        assert wire.take()[-1].time > wire.now - 200 * MS

    def test_owned_socket_loses_errors_and_the_loss_is_counted(self) -> None:
        wire, peer, fd, quoted = self.established()
        wire.prog.setopt(fd, SOL_IP, IP_RECVERR, 1)
        sk = tcp_seq_socks(wire.net)[0]
        lock_sock(sk)
        icmp(wire, quoted, 3, 1)
        release_sock(sk)
        assert wire.net.mib.get('TcpExtLockDroppedIcmps') == 1
        # it stays a soft error, which the next ACK clears
        assert (sk.sk_err, sk.sk_err_soft) == (0, errno.EHOSTUNREACH)

    def test_owned_socket_hears_of_a_smaller_mtu_when_let_go(self) -> None:
        wire, peer, fd, quoted = self.established()
        sk = tcp_seq_socks(wire.net)[0]
        lock_sock(sk)
        icmp(wire, quoted, 3, 4, 600)
        assert wire.take() == []
        release_sock(sk)
        assert [len(s.data) for s in wire.take()] == [560, 560, 280]
        assert wire.net.mib.get('TcpExtLockDroppedIcmps') == 0

    def test_old_segment_is_out_of_window(self) -> None:
        wire, peer, fd, quoted = self.established()
        peer.send('.', ack=1401)
        wire.prog.setopt(fd, SOL_IP, IP_RECVERR, 1)
        icmp(wire, quoted, 3, 1)
        assert wire.net.mib.get('TcpExtOutOfWindowIcmps') == 1
        assert wire.prog.getopt(fd, SOL_SOCKET, SO_ERROR) == 0

    def test_request_ends_with_host_unreachable(self) -> None:
        wire = Wire()
        wire.prog.server(80, HERE)
        answer = Caller(wire, 80).syn()
        assert answer is not None
        icmp(wire, answer.packet, 3, 1)
        assert 'request_sock_TCP' not in wire.world.slab.active()


class TestConnect:
    def test_family(self) -> None:
        prog = Alone()
        fd = prog.socket()
        prog.process.files.fds()
        with fails('ENETUNREACH'):
            prog.connect(fd, '10.9.9.9', 80)

    def test_broadcast(self) -> None:
        wire = Wire()
        with fails('ENETUNREACH'):
            wire.prog.connect(wire.prog.socket(), '255.255.255.255', 80)

    def test_failed_connect_frees_the_port(self) -> None:
        prog = Alone()
        fd = prog.socket()
        with fails('ECONNREFUSED'):
            prog.run(lambda: prog.client('127.0.0.1', 81))[0]
        with fails('ENETUNREACH'):
            prog.connect(fd, '10.9.9.9', 80)
        assert prog.name(fd) == ('0.0.0.0', 0)
        prog.close(fd)

    def test_to_itself(self) -> None:
        prog = Alone()
        fd = prog.socket()
        prog.bind(fd, '127.0.0.1', 5000)

        def talk() -> bytes:
            prog.connect(fd, '127.0.0.1', 5000)
            prog.send(fd, b'echo')
            return prog.recv(fd)

        assert prog.run(talk, until=SEC) == [b'echo']

    def test_proc_net_tcp(self) -> None:
        wire = Wire()
        wire.prog.server(8080, HERE)
        Caller(wire, 8080).handshake()
        lines = tcp4_seq_show(wire.net).splitlines()
        assert lines[0].split()[:4] == ['sl', 'local_address', 'rem_address', 'st']
        assert lines[1].split()[1:4] == ['0100000A:1F90', '00000000:0000', '0A']
        assert lines[2].split()[1:4] == ['0100000A:1F90', '0200000A:0FA0', '01']
        assert all(len(line) == 149 for line in lines)

    def test_connect_takes_a_round_trip(self) -> None:
        wire = Wire()
        peer = Peer(wire)
        fd = peer.accept(delay=30 * MS)
        sk = tcp_seq_socks(wire.net)[0]
        assert isinstance(sk, TcpSock)
        assert sk.srtt_us >> 3 == 30_000
        assert wire.prog.peer(fd) == (THERE, 8080)


class TestBacklog:
    def owned(self) -> tuple[Wire, Caller, int, TcpSock]:
        """A connection that a program works on."""
        wire = Wire()
        listener = wire.prog.server(80, HERE)
        caller = Caller(wire, 80)
        caller.handshake()
        fd = wire.prog.accept(listener)[0]
        wire.prog.close(listener)
        sk = tcp_seq_socks(wire.net)[0]
        assert isinstance(sk, TcpSock)
        lock_sock(sk)
        return wire, caller, fd, sk

    def test_segments_wait_and_merge(self) -> None:
        wire, caller, fd, sk = self.owned()
        caller.say('.', b'one')
        caller.say('P.', b'two')
        caller.say('F.', b'three')
        assert wire.net.mib.get('TcpExtTCPBacklogCoalesce') == 2
        assert sk.sk_backlog.qlen == 1
        release_sock(sk)
        assert wire.prog.recvall(fd) == b'onetwothree'

    def test_duplicate_acks_keep_their_number(self) -> None:
        wire, caller, fd, sk = self.owned()
        release_sock(sk)
        wire.prog.send(fd, b'x' * 14_600)
        wire.take()
        lock_sock(sk)
        for _ in range(3):
            caller.say('.', ack=1)
        assert sk.sk_backlog.qlen == 1
        release_sock(sk)
        assert wire.net.mib.get('TcpExtTCPRenoRecovery') == 1

    def test_other_options_and_gaps_do_not_merge(self) -> None:
        wire, caller, _, sk = self.owned()
        caller.say('.', b'one')
        caller.send('.', data=b'two', options=b'\1\1\1\1')
        caller.say('.', b'four', seq=20)
        caller.say('U.', b'five', seq=24)
        assert sk.sk_backlog.qlen == 4
        release_sock(sk)

    def test_full(self) -> None:
        wire, caller, _, sk = self.owned()
        sk.sk_rcvbuf = 1000
        sk.sk_sndbuf = 1000
        for i in range(120):
            caller.say('.', b'x' * 500, seq=1 + 1000 * i)
        assert wire.net.mib.get('TcpExtTCPBacklogDrop') > 0
        release_sock(sk)
