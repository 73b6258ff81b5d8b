# SPDX-License-Identifier: Apache-2.0
"""TCP over IPv6: segments in and out, who may connect where, dual-stack sockets, TIME_WAIT, what the header carries."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone, Pair, fails
from helpers.tcp6_packets import checked, packet, receive, syn
from helpers.tcp_caller import Caller
from helpers.tcp_wire import HERE, HERE6, MS, SEC, THERE6, Peer, Wire
from linnet.include.linux.in6 import IPV6_ADDRFORM
from linnet.include.linux.socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_IPV6, SOL_SOCKET, SOL_TCP, Sockaddr
from linnet.include.net.ipv6 import inet6_sk
from linnet.include.net.tcp import TCP_MAXSEG, TcpSock
from linnet.net import socket as s
from linnet.net.ipv4.tcp_ipv4_proc import tcp4_seq_show, tcp_seq_socks
from linnet.net.ipv6.inet6_hashtables import inet6_lookup_listener
from linnet.net.ipv6.tcp_ipv6_proc import tcp6_seq_show

SEGMENT = st.tuples(st.integers(0, 255), st.integers(-3, 70_000), st.integers(-3, 3), st.binary(max_size=8))


def sock(wire: Wire) -> TcpSock:
    """The one connection of AF_INET6."""
    [sk] = [sk for sk in tcp_seq_socks(wire.net, AF_INET6) if sk.sk_dport]
    assert isinstance(sk, TcpSock)
    return sk


def of(wire: Wire, fd: int) -> TcpSock:
    """The sock of a descriptor."""
    sk = s.sock_from_file(s.sockfd_lookup(wire.prog.process, fd)).sk
    assert isinstance(sk, TcpSock)
    return sk


def leftovers(wire: Wire) -> set[str]:
    """What TCP has left behind."""
    wire.world.sched.run()
    return {n for n in wire.world.slab.active() if n.startswith(('TCP', 'request', 'tcp_bind', 'tw_', 'skb'))}


class TestReceive:
    def test_good_checksum(self) -> None:
        wire = Wire(v6=True)
        wire.prog.server(80, HERE6)
        receive(wire, packet(checked(syn())))
        [answer] = wire.take()
        assert answer.flags == 'S.'
        assert answer.packet[8:40] == packet(b'')[24:40] + packet(b'')[8:24]

    def test_bad_checksum(self) -> None:
        wire = Wire(v6=True)
        wire.prog.server(80, HERE6)
        good = checked(syn())
        receive(wire, packet(good[:4] + bytes([good[4] ^ 1]) + good[5:]))
        assert wire.take() == []
        assert wire.net.mib.get('TcpInCsumErrors') == 1
        assert wire.net.mib.get('TcpInErrs') == 1

    @pytest.mark.parametrize('hlen', [40, 45, 60, 100])
    def test_header_in_fragments(self, hlen: int) -> None:
        wire = Wire(v6=True)
        wire.prog.server(80, HERE6)
        receive(wire, packet(checked(syn())), hlen)
        assert [segment.flags for segment in wire.take()] == ['S.']

    @pytest.mark.parametrize('size', [0, 1, 12, 13, 19])
    def test_too_short(self, size: int) -> None:
        wire = Wire(v6=True)
        receive(wire, packet(syn()[:size]))
        assert wire.take() == []
        assert wire.net.mib.get('TcpInErrs') == 1

    def test_nobody_listens(self) -> None:
        wire = Wire(v6=True)
        receive(wire, packet(checked(syn(81)), tclass=0xB9))
        [reset] = wire.take()
        assert (reset.flags, reset.seq, reset.ack) == ('R.', 0, 5001)
        assert reset.tos == 0xB8  # the traffic class goes back, but for ECN
        assert wire.net.mib.get('TcpOutRsts') == 1

    def test_a_listener_of_ipv4_is_nobody(self) -> None:
        wire = Wire(v6=True)
        wire.prog.server(80, '0.0.0.0')
        receive(wire, packet(checked(syn(80))))
        assert [segment.flags for segment in wire.take()] == ['R.']

    def test_a_reset_is_not_answered(self) -> None:
        wire = Wire(v6=True)
        receive(wire, packet(checked(syn(81, 4))))
        assert wire.take() == []

    @given(st.binary(min_size=20, max_size=80))
    def test_any_bytes(self, tcp: bytes) -> None:
        wire = Wire(v6=True)
        wire.prog.server(80, HERE6)
        tcp = tcp[:2] + b'\0\x50' + tcp[4:]
        before = wire.world.slab.active()
        receive(wire, packet(checked(tcp)))
        after = wire.world.slab.active()
        assert after.get('skbuff_head_cache', 0) == before.get('skbuff_head_cache', 0)

    @given(st.lists(SEGMENT, max_size=12))
    def test_any_segments_on_a_connection(self, segments: list[tuple[int, int, int, bytes]]) -> None:
        wire = Wire(v6=True)
        listener = wire.prog.server(80, HERE6)
        caller = Caller(wire, 80)
        caller.handshake()
        fd = wire.prog.accept(listener)[0]
        names = 'FSRP.UEW'
        for flags, seq, ack, data in segments:
            caller.send(''.join(names[i] for i in range(8) if flags >> i & 1), seq=1 + seq, ack=1 + ack, data=data)
        wire.prog.close(fd)
        wire.prog.close(listener)
        assert not leftovers(wire)

    def test_min_hopcount(self) -> None:
        wire = Wire(v6=True)
        listener = wire.prog.server(80, HERE6)
        sk = of(wire, listener)
        inet6_sk(sk).min_hopcount = 100
        receive(wire, packet(checked(syn())))
        assert wire.take() == []
        assert wire.net.mib.get('TcpExtTCPMinTTLDrop') == 1
        receive(wire, packet(checked(syn()), ttl=100))
        assert len(wire.take()) == 1


class TestHeader:
    def test_mss_leaves_room_for_forty_bytes(self) -> None:
        wire = Wire(v6=True, tso=True)
        peer = Peer(wire, mss=9000)
        fd = peer.accept()
        assert wire.prog.getopt(fd, SOL_TCP, TCP_MAXSEG) == 1440
        wire.prog.send(fd, bytes(14_400))
        assert [len(segment.data) for segment in wire.take()] == [7200, 7200]

    def test_the_syn_says_so(self) -> None:
        wire = Wire(v6=True)
        wire.prog.nonblocking(fd := wire.prog.socket(family=AF_INET6))
        with fails('EINPROGRESS'):
            wire.prog.connect(fd, THERE6, 80)
        [segment] = wire.take()
        assert segment.options[:4] == b'\2\4' + (1440).to_bytes(2, 'big')

    def test_a_peer_that_gives_no_mss_gets_1220(self) -> None:
        wire = Wire(v6=True)
        listener = wire.prog.server(80, HERE6)
        receive(wire, packet(checked(syn())))
        isn = wire.take()[0].seq
        ack = syn()[:4] + (5001).to_bytes(4, 'big') + (isn + 1).to_bytes(4, 'big') + b'\x50\x10' + syn()[14:]
        receive(wire, packet(checked(ack)))
        fd = wire.prog.accept(listener)[0]
        wire.prog.send(fd, bytes(2000))
        assert len(wire.take()[0].data) == 1220

    def test_a_connection_keeps_its_label_and_a_timeout_changes_it(self) -> None:
        wire = Wire(v6=True)
        peer = Peer(wire)
        fd = peer.accept()
        wire.prog.send(fd, b'a')
        wire.prog.send(fd, b'b')
        labels = {segment.label for segment in wire.take()}
        assert len(labels) == 1
        assert labels != {0}
        wire.advance(SEC)
        assert wire.take()[0].label not in labels

    def test_labels_can_be_off(self) -> None:
        wire = Wire(v6=True)
        wire.net.ipv6.sysctl_auto_flowlabels = 0
        peer = Peer(wire)
        wire.prog.send(peer.accept(), b'a')
        assert wire.take()[0].label == 0

    def test_ecn_stands_in_the_traffic_class(self) -> None:
        wire = Wire(v6=True)
        wire.net.ipv4.sysctl_tcp_ecn = 1
        peer = Peer(wire)
        fd = peer.accept(flags='S.E')
        wire.prog.send(fd, b'a')
        segment = wire.take()[0]
        assert segment.tos == 2
        peer.send('P.', data=b'x', ack=2, tos=3)  # congestion was met
        wire.advance(SEC)
        assert 'E' in wire.take()[-1].flags

    def test_the_programs_class_does_not_hide_ecn(self) -> None:
        wire = Wire(v6=True)
        wire.net.ipv4.sysctl_tcp_ecn = 1
        peer = Peer(wire)
        fd = peer.accept(flags='S.E')
        inet6_sk(sock(wire)).tclass = 0xB8
        wire.prog.send(fd, b'a')
        assert wire.take()[0].tos == 0xBA


class TestConnect:
    def test_names(self) -> None:
        wire = Wire(v6=True)
        peer = Peer(wire)
        fd = peer.accept()
        assert wire.prog.name(fd)[0] == HERE6
        assert wire.prog.peer(fd) == (THERE6, 8080)

    @pytest.mark.parametrize(('host', 'error'), [
        ('ff02::1', 'ENETUNREACH'), ('fe80::1', 'EINVAL'), ('2001:db8::1', 'ENETUNREACH'), ('::ffff:10.9.9.9', 'ENETUNREACH')])
    def test_where_there_is_no_way(self, host: str, error: str) -> None:
        wire = Wire(v6=True)
        fd = wire.prog.socket(family=AF_INET6)
        with fails(error):
            wire.prog.connect(fd, host, 80)
        assert wire.prog.name(fd) == ('::', 0)
        wire.prog.close(fd)
        assert not leftovers(wire)

    def test_an_address_of_ipv4_is_too_short(self) -> None:
        prog = Alone()
        fd = prog.socket(family=AF_INET6)
        for call in (s.sys_connect, s.sys_bind):
            with fails('EINVAL'):
                call(prog.process, fd, Sockaddr(AF_INET, 0x7F000001, 80))
            with fails('EAFNOSUPPORT'):
                call(prog.process, fd, Sockaddr(77))

    def test_link_local_needs_its_device(self) -> None:
        pair = Pair(v6=True)
        fd_a, fd_b = pair.connected(to='fe80::ff:fe00:2%2')
        assert pair.a.name(fd_a)[0] == 'fe80::ff:fe00:1%2'
        assert pair.b.peer(fd_b)[0] == 'fe80::ff:fe00:1%2'
        fd = pair.a.socket(family=AF_INET6)
        with fails('EINVAL'):
            pair.a.connect(fd, 'fe80::ff:fe00:2', 80)

    def test_the_any_address_is_this_machine(self) -> None:
        prog = Alone()

        def client() -> tuple[str, int]:
            return prog.peer(prog.client('::', 80))

        listener = prog.server(80, '::1')
        assert prog.run(client, lambda: prog.accept(listener)[1], until=SEC) == [('::1', 80), '::1']

    def test_bound_to_a_mapped_address(self) -> None:
        prog = Alone()
        fd = prog.socket(family=AF_INET6)
        prog.bind(fd, '::ffff:127.0.0.1', 0)
        with fails('EAFNOSUPPORT'):
            prog.connect(fd, '::1', 80)
        listener = prog.server(80, '0.0.0.0')
        prog.run(lambda: prog.connect(fd, '::', 80), lambda: prog.accept(listener), until=SEC)
        assert prog.peer(fd) == ('::ffff:127.0.0.1', 80)

    def test_to_itself(self) -> None:
        prog = Alone()
        fd = prog.socket(family=AF_INET6)
        prog.bind(fd, '::1', 5000)

        def talk() -> bytes:
            prog.connect(fd, '::1', 5000)
            prog.send(fd, b'echo')
            return prog.recv(fd)

        assert prog.run(talk, until=SEC) == [b'echo']

    def test_again_over_the_other_family(self) -> None:
        pair = Pair(v6=True)
        listener = pair.b.server(80, '::')
        fd = pair.a.socket(family=AF_INET6)
        seen = []
        for to in ('::ffff:10.0.0.2', 'fd00::2', '::ffff:10.0.0.2'):
            def client(to: str = to) -> None:
                pair.a.connect(fd, to, 80)
                pair.a.send(fd, b'x')
                seen.append((pair.a.name(fd)[0], pair.a.getopt(fd, SOL_TCP, TCP_MAXSEG)))
                s.sys_connect(pair.a.process, fd, Sockaddr(0))

            def server() -> None:
                new, peer, _ = pair.b.accept(listener)
                seen.append((peer, pair.b.getopt(new, SOL_TCP, TCP_MAXSEG)))
                pair.b.close(new)

            pair.run(client, server, until=int(pair.world.clock.now) + SEC)
        v4, v6 = ('::ffff:10.0.0.1', 1448), ('fd00::1', 1428)
        assert seen == [v4, v4, v6, v6, v4, v4]

    def test_refused(self) -> None:
        prog = Alone()
        with fails('ECONNREFUSED'):
            prog.run(lambda: prog.client('::1', 81))

    def test_equal_seeds_give_equal_numbers_and_peers_different_ones(self) -> None:
        def isn(host: str) -> int:
            wire = Wire(v6=True)
            fd = wire.prog.nonblocking(wire.prog.socket(family=AF_INET6))
            wire.prog.bind(fd, HERE6, 5000)
            with fails('EINPROGRESS'):
                wire.prog.connect(fd, host, 80)
            return wire.take()[0].seq

        assert isn('fd00::2') == isn('fd00::2')
        assert isn('fd00::2') != isn('fd00::3')


class TestAccept:
    def test_both_families_come_to_one_listener(self) -> None:
        pair = Pair(v6=True)
        listener = pair.b.server(80, '::')
        peers = []

        def client() -> None:
            for to in ('10.0.0.2', 'fd00::2', '::ffff:10.0.0.2'):
                fd = pair.a.client(to, 80)
                pair.a.sendall(fd, bytes(100_000))
                pair.a.close(fd)

        def server() -> None:
            for _ in range(3):
                fd, peer, _ = pair.b.accept(listener)
                peers.append((peer, pair.b.name(fd)[0], len(pair.b.recvall(fd))))
                pair.b.close(fd)

        pair.run(client, server)
        pair.b.close(listener)
        assert peers == [('::ffff:10.0.0.1', '::ffff:10.0.0.2', 100_000), ('fd00::1', 'fd00::2', 100_000),
                         ('::ffff:10.0.0.1', '::ffff:10.0.0.2', 100_000)]
        assert not {name for name in pair.leftovers() if name.startswith(('TCP', 'tw_', 'request', 'skb'))}

    def test_the_more_specific_listener_wins(self) -> None:
        wire = Wire(v6=True)
        fd = wire.prog.socket(family=AF_INET6)
        wire.prog.setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
        wire.prog.bind(fd, '::', 80)
        one = wire.prog.socket(family=AF_INET6)
        wire.prog.setopt(one, SOL_SOCKET, SO_REUSEADDR, 1)
        wire.prog.bind(one, HERE6, 80)
        wire.prog.listen(one)
        found = inet6_lookup_listener(wire.net, 1, 1, 0xFD << 120 | 1, 80, wire.dev.ifindex)
        assert found is not None
        assert found.sk_v6_rcv_saddr == 0xFD << 120 | 1
        assert inet6_lookup_listener(wire.net, 1, 1, 2, 80, wire.dev.ifindex) is None

    def test_a_handshake_in_progress_and_time_wait(self) -> None:
        wire = Wire(v6=True)
        listener = wire.prog.server(8080, '::')
        caller = Caller(wire, 8080)
        caller.syn()
        assert [line.split()[3] for line in tcp6_seq_show(wire.net).splitlines()[1:]] == ['0A', '03']
        wire.advance(SEC)
        assert [segment.flags for segment in wire.take()] == ['S.']  # again
        caller.say('.')
        fd = wire.prog.accept(listener)[0]
        wire.prog.close(fd)
        assert [segment.flags for segment in wire.take()] == ['F.']
        caller.send('F.', ack=2)
        assert [caller.rel(segment)[:2] for segment in wire.take()] == [('.', 2)]
        lines = tcp6_seq_show(wire.net).splitlines()
        assert [line.split()[3] for line in lines[1:]] == ['0A', '06']
        assert lines[2].split()[1] == '000000FD000000000000000001000000:1F90'
        caller.send('F.', seq=1, ack=2)  # the last ACK was lost
        [again] = wire.take()
        assert (again.flags, caller.rel(again)[1]) == ('.', 2)
        # a new SYN above what was received opens it anew
        caller.isn += 100_000
        caller.nxt = 1
        caller.rcv = 1
        assert caller.syn() is not None

    def test_of_no_family_but_ones_own(self) -> None:
        wire = Wire(v6=True)
        wire.prog.server(80, '0.0.0.0')
        wire.prog.server(81, HERE6)
        assert len(tcp4_seq_show(wire.net).splitlines()) == 2
        assert len(tcp6_seq_show(wire.net).splitlines()) == 2

    def test_a_child_has_the_listeners_settings(self) -> None:
        wire = Wire(v6=True)
        listener = wire.prog.server(80, '::')
        sk = of(wire, listener)
        inet6_sk(sk).tclass = 0x20
        inet6_sk(sk).hop_limit = 33
        caller = Caller(wire, 80)
        answer = caller.handshake()
        assert answer.tos == 0x20
        assert answer.packet[7] == 33
        fd = wire.prog.accept(listener)[0]
        wire.prog.send(fd, b'x')
        segment = wire.take()[0]
        assert (segment.tos, segment.packet[7]) == (0x20, 33)
        assert inet6_sk(sock(wire)) is not inet6_sk(sk)

    def test_by_ipv4_under_the_mapped_address(self) -> None:
        wire = Wire(v6=True)
        listener = wire.prog.server(80, '::')
        caller = Caller(wire, 80)
        caller.v6 = False
        answer = caller.handshake()
        assert answer.packet[0] == 0x45
        fd, peer, _ = wire.prog.accept(listener)
        assert peer == '::ffff:10.0.0.2'
        assert wire.prog.name(fd) == ('::ffff:' + HERE, 80)
        wire.prog.send(fd, bytes(3000))
        assert [len(segment.data) for segment in wire.take()] == [1460, 1460, 80]


class TestTimers:
    def test_a_lost_segment_is_sent_again(self) -> None:
        wire = Wire(v6=True)
        peer = Peer(wire)
        fd = peer.accept(delay=20 * MS)
        wire.prog.send(fd, b'hello')
        wire.take()
        wire.advance(SEC)
        again = peer.got()
        assert again[0] == ('P.', 1, 5, 1)

    def test_a_syn_without_answer_is_sent_again_and_given_up(self) -> None:
        wire = Wire(v6=True)
        wire.net.ipv4.sysctl_tcp_syn_retries = 2
        fd = wire.prog.socket(family=AF_INET6)

        def connect() -> str:
            with fails('ETIMEDOUT'):
                wire.prog.connect(fd, THERE6, 80)
            return 'over'

        assert wire.run(connect, ns=200 * SEC) == ['over']
        assert [segment.flags for segment in wire.take()][:3] == ['S', 'S', 'S']


class TestAddrform:
    def test_a_mapped_connection_becomes_one_of_ipv4(self) -> None:
        pair = Pair(v6=True)
        fd_a, fd_b = pair.connected(to='::ffff:10.0.0.2')
        pair.a.setopt(fd_a, SOL_IPV6, IPV6_ADDRFORM, AF_INET)
        assert pair.a.peer(fd_a) == ('10.0.0.2', 80)
        pair.run(lambda: pair.a.send(fd_a, b'x'), lambda: pair.b.recv(fd_b), until=int(pair.world.clock.now) + SEC)
        for prog, fd in ((pair.a, fd_a), (pair.b, fd_b)):
            prog.close(fd)
        assert not {name for name in pair.leftovers() if name.startswith(('TCP', 'tw_', 'request', 'skb'))}

    def test_what_is_refused(self) -> None:
        wire = Wire(v6=True)
        fd = Peer(wire).accept()
        with fails('EADDRNOTAVAIL'):
            wire.prog.setopt(fd, SOL_IPV6, IPV6_ADDRFORM, AF_INET)
        with fails('EINVAL'):
            wire.prog.setopt(fd, SOL_IPV6, IPV6_ADDRFORM, AF_INET6)
        with fails('ENOTCONN'):
            wire.prog.setopt(wire.prog.socket(family=AF_INET6), SOL_IPV6, IPV6_ADDRFORM, AF_INET)
