# SPDX-License-Identifier: Apache-2.0
"""SO_TIMESTAMPING where no packetdrill script reaches: datagrams, statistics, control messages of one send."""
from __future__ import annotations

import struct

import pytest

from helpers.hosts import Pair, Prog, fails
from linnet.include.linux.inet import IP_PKTINFO, in_aton
from linnet.include.linux.net_tstamp import (
    SCM_TSTAMP_ACK,
    SCM_TSTAMP_SCHED,
    SCM_TSTAMP_SND,
    SOF_TIMESTAMPING_OPT_CMSG,
    SOF_TIMESTAMPING_OPT_ID,
    SOF_TIMESTAMPING_OPT_ID_TCP,
    SOF_TIMESTAMPING_OPT_RX_FILTER,
    SOF_TIMESTAMPING_OPT_STATS,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK,
    SOF_TIMESTAMPING_TX_SCHED,
    SOF_TIMESTAMPING_TX_SOFTWARE,
)
from linnet.include.linux.socket import (
    AF_INET,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    SCM_TIMESTAMPING,
    SCM_TIMESTAMPING_NEW,
    SCM_TIMESTAMPING_OPT_STATS,
    SO_TIMESTAMPING,
    SO_TIMESTAMPING_NEW,
    SOCK_DGRAM,
    SOL_IP,
    SOL_SOCKET,
    Cmsg,
    Msghdr,
    Sockaddr,
)
from linnet.net import socket as sys


class Stamp:
    """A stamp of the error queue: ns of the world's clock, type, key, the packet, and the other control messages by type."""

    def __init__(self, prog: Prog, fd: int, room: int = 2000) -> None:
        msg = Msghdr()
        sys.sys_recvmsg(prog.process, fd, msg, room, MSG_ERRQUEUE | MSG_DONTWAIT)
        self.packet = b''.join(msg.chunks)
        self.rest: dict[int, bytes] = {}
        for cmsg in msg.msg_control:
            if (cmsg.cmsg_level, cmsg.cmsg_type) == (SOL_SOCKET, SCM_TIMESTAMPING):
                sec, nsec, *others = struct.unpack('<6q', cmsg.data)
                assert others == [0, 0, 0, 0]
                self.time = sec * 10**9 + nsec - prog.net.clock.epoch_ns
            elif (cmsg.cmsg_level, cmsg.cmsg_type) == (SOL_IP, 11):
                errno, origin, _, _, _, self.what, self.key = struct.unpack_from('<IBBBBII', cmsg.data)
                assert (errno, origin) == (42, 4)
            else:
                self.rest[cmsg.cmsg_type] = cmsg.data


def empty(prog: Prog, fd: int) -> None:
    """Nothing waits in the error queue."""
    with fails('EAGAIN'):
        sys.sys_recvmsg(prog.process, fd, Msghdr(), 0, MSG_ERRQUEUE | MSG_DONTWAIT)


def attributes(data: bytes) -> dict[int, int]:
    """Netlink attributes by type."""
    found = {}
    while data:
        length, kind = struct.unpack_from('<HH', data)
        found[kind] = int.from_bytes(data[4:length], 'little')
        data = data[(length + 3) & ~3:]
    return found


def test_datagrams_are_numbered() -> None:
    pair = Pair()
    pair.b.udp(9)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING,
                  SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID)
    pair.run(lambda: [pair.a.sendto(fd, data, '10.0.0.2', 9) for data in (b'one', b'two')])
    stamps = [Stamp(pair.a, fd) for _ in range(4)]
    empty(pair.a, fd)
    assert [s.what for s in stamps] == [SCM_TSTAMP_SCHED, SCM_TSTAMP_SND] * 2
    assert [s.key for s in stamps] == [0, 0, 1, 1]
    assert stamps[1].packet.endswith(b'one')
    assert stamps[3].packet.endswith(b'two')


def test_one_send_alone_by_its_control_message() -> None:
    pair = Pair()
    pair.b.udp(9)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY)

    def send(flags: int) -> int:
        msg = Msghdr(b'x')
        msg.msg_name = Sockaddr(AF_INET, in_aton('10.0.0.2'), 9)
        msg.msg_control.append(Cmsg(SOL_SOCKET, SO_TIMESTAMPING, flags.to_bytes(4, 'little')))
        return sys.sys_sendmsg(pair.a.process, fd, msg)

    pair.run(lambda: pair.a.sendto(fd, b'y', '10.0.0.2', 9), lambda: send(SOF_TIMESTAMPING_TX_SOFTWARE))
    assert Stamp(pair.a, fd).what == SCM_TSTAMP_SND
    empty(pair.a, fd)
    with fails('EINVAL'):
        send(SOF_TIMESTAMPING_SOFTWARE)


def test_a_stream_by_the_control_message_of_a_send() -> None:
    pair = Pair()
    fd, _ = pair.connected()
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING,
                  SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID)

    def send(data: bytes, flags: int) -> int:
        msg = Msghdr(data)
        msg.msg_control.append(Cmsg(SOL_SOCKET, SO_TIMESTAMPING, flags.to_bytes(4, 'little')))
        return sys.sys_sendmsg(pair.a.process, fd, msg)

    pair.run(lambda: pair.a.send(fd, bytes(10)))
    pair.run(lambda: send(bytes(5), SOF_TIMESTAMPING_TX_ACK))
    stamp = Stamp(pair.a, fd)
    assert (stamp.what, stamp.key) == (SCM_TSTAMP_ACK, 14)
    empty(pair.a, fd)
    with fails('EINVAL'):
        pair.run(lambda: send(b'z', SOF_TIMESTAMPING_OPT_ID))


@pytest.mark.parametrize(('flag', 'key'), [(0, 9), (SOF_TIMESTAMPING_OPT_ID_TCP, 4)])
def test_where_the_count_of_bytes_begins(flag: int, key: int) -> None:
    # five bytes are on their way when the option is set: OPT_ID counts from what is acknowledged, OPT_ID_TCP from what is written
    pair = Pair()
    fd, _ = pair.connected()
    pair.dev_b.flags &= ~1  # the other host is down: nothing is acknowledged

    def program() -> None:
        pair.a.send(fd, bytes(5))
        pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING, flag | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_SOFTWARE
                      | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY)
        pair.a.setopt(fd, 6, 1, 1)
        pair.a.send(fd, bytes(5))

    pair.run(program, until=int(pair.world.clock.now) + 1000)
    assert Stamp(pair.a, fd).key == key


def test_statistics() -> None:
    pair = Pair()
    fd, _ = pair.connected()
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE
                  | SOF_TIMESTAMPING_OPT_STATS | SOF_TIMESTAMPING_OPT_TSONLY)
    pair.run(lambda: pair.a.send(fd, bytes(4000)))
    stamp = Stamp(pair.a, fd, 0)
    found = attributes(stamp.rest[SCM_TIMESTAMPING_OPT_STATS])
    assert found[4] == 3  # TCP_NLA_DATA_SEGS_OUT
    assert found[18] == 4000  # BYTES_SENT
    assert found[5] == found[19] == found[24] == 0  # TOTAL_RETRANS, BYTES_RETRANS, BYTES_NOTSENT
    assert found[8] == 10  # SND_CWND
    assert found[26] == 64  # TTL of the ACK
    assert set(found) >= set(range(1, 28)) - {0}


def test_the_device_that_it_left_by() -> None:
    pair = Pair()
    pair.b.udp(9)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.a.setopt(fd, SOL_IP, IP_PKTINFO, 1)
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING,
                  SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_CMSG)
    pair.run(lambda: pair.a.sendto(fd, b'x', '10.0.0.2', 9))
    assert int.from_bytes(Stamp(pair.a, fd).rest[IP_PKTINFO][:4], 'little') == pair.dev_a.ifindex


@pytest.mark.parametrize(('flags', 'told'), [
    (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE, True),
    (SOF_TIMESTAMPING_SOFTWARE, True),  # the stamps are taken for others anyhow
    (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_RX_FILTER, False),
    (SOF_TIMESTAMPING_RX_SOFTWARE, False),  # taken, but not told
])
@pytest.mark.parametrize('option', [SO_TIMESTAMPING, SO_TIMESTAMPING_NEW])
def test_received_datagrams(option: int, flags: int, told: bool) -> None:
    pair = Pair()
    pair.world.sched.run(1_000_000)
    there = pair.b.udp(9)
    pair.b.setopt(there, SOL_SOCKET, option, flags)
    fd = pair.a.socket(SOCK_DGRAM)
    pair.run(lambda: pair.a.sendto(fd, b'x', '10.0.0.2', 9))
    msg = Msghdr()
    assert sys.sys_recvmsg(pair.b.process, there, msg, 10) == 1
    kinds = [cmsg.cmsg_type for cmsg in msg.msg_control]
    assert kinds == ([SCM_TIMESTAMPING if option == SO_TIMESTAMPING else SCM_TIMESTAMPING_NEW] if told else [])


def test_a_host_may_keep_packets_from_programs() -> None:
    pair = Pair()
    pair.b.udp(9)
    pair.net_a.sysctl.set('net.core.tstamp_allow_data', '0')
    fd = pair.a.socket(SOCK_DGRAM)
    flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING, flags)
    pair.run(lambda: pair.a.sendto(fd, b'x', '10.0.0.2', 9))
    empty(pair.a, fd)
    pair.a.setopt(fd, SOL_SOCKET, SO_TIMESTAMPING, flags | SOF_TIMESTAMPING_OPT_TSONLY)
    pair.run(lambda: pair.a.sendto(fd, b'x', '10.0.0.2', 9))
    assert Stamp(pair.a, fd).what == SCM_TSTAMP_SND
