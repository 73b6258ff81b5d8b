# SPDX-License-Identifier: Apache-2.0
"""Whatever is lost, doubled or late on the way: each MSG_ZEROCOPY send is told of once, in order, and leaves nothing behind;
stamps of acknowledgements name the ends of sends, in order, and the last of them is named.
"""
from __future__ import annotations

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.hosts import Pair, fails
from linnet.drivers.net.wire import LossPattern, WireParams, wire_newlink
from linnet.include.linux.inet import in_aton
from linnet.include.linux.net_tstamp import (
    SOF_TIMESTAMPING_OPT_ID,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK,
)
from linnet.include.linux.socket import (
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_ZEROCOPY,
    SO_SNDBUF,
    SO_TIMESTAMPING,
    SO_ZEROCOPY,
    SOL_SOCKET,
    Msghdr,
)
from linnet.net import socket as sys
from linnet.net.core.dev import dev_open
from linnet.net.ipv4.devinet import inet_addr_add

SEC = 10**9


def cabled(lost_there: set[int], lost_back: set[int], reorder: float, duplicate: float) -> Pair:
    """Two hosts, also joined by a cable with these faults."""
    pair = Pair()
    there = WireParams(20_000_000, 5_000_000, reorder=reorder, duplicate=duplicate, loss_function=LossPattern(lost_there))
    back = WireParams(20_000_000, 5_000_000, loss_function=LossPattern(lost_back))
    a, b = wire_newlink(pair.net_a, 'eth1', pair.net_b, 'eth1', there, back)
    for dev, addr in ((a, '10.1.0.1'), (b, '10.1.0.2')):
        dev_open(dev)
        assert inet_addr_add(dev, in_aton(addr), 24) == 0
    return pair


def errors(pair: Pair, fd: int) -> list[tuple[int, int, int]]:
    """The error queue, emptied: origin, ee_info, ee_data."""
    found = []
    while True:
        msg = Msghdr()
        try:
            sys.sys_recvmsg(pair.a.process, fd, msg, 0, MSG_ERRQUEUE | MSG_DONTWAIT)
        except BlockingIOError:
            return found
        _, origin, _, _, _, info, data = struct.unpack_from('<IBBBBII', msg.msg_control[-1].data)
        found.append((origin, info, data))


def exchange(pair: Pair, sends: list[tuple[int, bool]], options: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Make the sends (size, MSG_ZEROCOPY?) from a to b; what a found in its error queue once all was acknowledged."""
    listener = pair.b.server(80)
    data = [bytes([i & 255]) * size for i, (size, _) in enumerate(sends)]
    total = sum(len(part) for part in data)

    def client() -> list[tuple[int, int, int]]:
        fd = pair.a.client('10.1.0.2', 80)
        for option, value in options:
            pair.a.setopt(fd, SOL_SOCKET, option, value)
        for part, (_, zerocopy) in zip(data, sends, strict=True):
            sent = 0
            while sent < len(part):
                sent += pair.a.send(fd, part[sent:], MSG_ZEROCOPY if zerocopy else 0)
        pair.a.recv(fd, 1)  # b has it all
        while sys.sys_ioctl(pair.a.process, fd, 0x5411) != 0:  # SIOCOUTQ
            pair.a.poll(fd, 0, 10_000_000)
        found = errors(pair, fd)
        with fails('EAGAIN'):
            sys.sys_recvmsg(pair.a.process, fd, Msghdr(), 0, MSG_ERRQUEUE | MSG_DONTWAIT)
        pair.a.close(fd)
        return found

    def server() -> None:
        fd = pair.b.accept(listener)[0]
        got = b''
        while len(got) < total:
            got += pair.b.recv(fd)
        assert got == b''.join(data)
        pair.b.send(fd, b'!')
        pair.b.recvall(fd)
        pair.b.close(fd)
        pair.b.close(listener)

    found, _ = pair.run(client, server, until=int(pair.world.clock.now) + 600 * SEC)
    assert isinstance(found, list)
    return found


FAULTS = {
    'lost_there': st.sets(st.integers(2, 60), max_size=8),
    'lost_back': st.sets(st.integers(2, 60), max_size=8),
    'reorder': st.sampled_from([0.0, 0.1]),
    'duplicate': st.sampled_from([0.0, 0.1]),
}
SENDS = st.lists(st.tuples(st.integers(1, 30_000), st.booleans()), min_size=1, max_size=12)
RARELY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@RARELY
@given(sends=SENDS, buffer=st.sampled_from([8000, 100_000]), **FAULTS)
def test_each_zerocopy_send_is_told_of_once(
    sends: list[tuple[int, bool]], buffer: int, lost_there: set[int], lost_back: set[int], reorder: float, duplicate: float,
) -> None:
    pair = cabled(lost_there, lost_back, reorder, duplicate)
    before = pair.leftovers()
    found = exchange(pair, sends, [(SO_ZEROCOPY, 1), (SO_SNDBUF, buffer)])
    following = 0
    for origin, lo, hi in found:
        assert origin == 5
        assert lo == following
        assert hi >= lo
        following = hi + 1
    # one number a call: a call may have taken a part, so that there were more calls than sends
    assert following >= sum(zerocopy for _, zerocopy in sends)
    pair.world.sched.run(int(pair.world.clock.now) + 200 * SEC)
    assert pair.leftovers() == before


@RARELY
@given(sends=SENDS, **FAULTS)
def test_acknowledgements_are_stamped_in_order(
    sends: list[tuple[int, bool]], lost_there: set[int], lost_back: set[int], reorder: float, duplicate: float,
) -> None:
    pair = cabled(lost_there, lost_back, reorder, duplicate)
    flags = SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY
    found = exchange(pair, sends, [(SO_TIMESTAMPING, flags), (SO_SNDBUF, 1_000_000)])
    ends = []
    total = 0
    for size, _ in sends:
        total += size
        ends.append(total - 1)
    keys = [data for origin, info, data in found if (origin, info) == (4, 2)]
    assert keys == sorted(set(keys))
    assert set(keys) <= set(ends)
    assert keys[-1] == ends[-1]
