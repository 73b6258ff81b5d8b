# SPDX-License-Identifier: Apache-2.0
"""Initial sequence numbers and timestamp offsets: keyed by the host, told apart by the peer, moved on by the clock."""
from __future__ import annotations

from helpers.hosts import Alone
from linnet.net.boot import new_net
from linnet.net.core.secure_seq import secure_tcp_seq, secure_tcp_ts_off
from linnet.net.ipv4.inet_hashtables_chain import inet_hashinfo

HERE, THERE = 0x0A000001, 0x0A000002


def test_same_connection_later_starts_higher() -> None:
    prog = Alone()
    first = secure_tcp_seq(prog.net, HERE, THERE, 1000, 80)
    assert secure_tcp_seq(prog.net, HERE, THERE, 1000, 80) == first
    prog.world.sched.run(640)
    assert secure_tcp_seq(prog.net, HERE, THERE, 1000, 80) == (first + 10) & 0xFFFFFFFF


def test_other_connections_start_elsewhere() -> None:
    net = Alone().net
    numbers = {secure_tcp_seq(net, HERE, THERE + i, 1000 + j, 80) for i in range(8) for j in range(8)}
    assert len(numbers) == 64
    assert all(0 <= n <= 0xFFFFFFFF for n in numbers)


def test_clock_outruns_any_connection() -> None:
    """RFC 6528, 3, M: a step each 64 ns, 16 MB a second, round the whole space in 274 s; the hash stays the same."""
    prog = Alone()
    first = secure_tcp_seq(prog.net, HERE, THERE, 1000, 80)
    prog.world.sched.run(1_000_000_000)
    assert (secure_tcp_seq(prog.net, HERE, THERE, 1000, 80) - first) & 0xFFFFFFFF == 15_625_000
    prog.world.sched.run(64 << 32)
    assert secure_tcp_seq(prog.net, HERE, THERE, 1000, 80) == first


def test_distance_between_connections_tells_nothing() -> None:
    """One port further: half of the 32 bits differ, not one step."""
    net = Alone().net
    numbers = [secure_tcp_seq(net, HERE, THERE, port, 80) for port in range(257)]
    bits = [(a ^ b).bit_count() for a, b in zip(numbers, numbers[1:], strict=False)]
    assert 14 < sum(bits) / len(bits) < 18
    assert secure_tcp_seq(net, HERE, THERE, 80, 1000) != secure_tcp_seq(net, HERE, THERE, 1000, 80)
    assert secure_tcp_seq(net, THERE, HERE, 1000, 80) != secure_tcp_seq(net, HERE, THERE, 1000, 80)


def test_secrets_are_a_hosts_own() -> None:
    one = Alone()
    two = new_net(one.world, 'other')
    ours, theirs = inet_hashinfo(one.net), inet_hashinfo(two)
    assert ours.net_secret != theirs.net_secret
    assert ours.ts_secret != theirs.ts_secret
    assert ours.net_secret != ours.ts_secret
    numbers = [secure_tcp_seq(one.net, HERE, THERE, p, 80) ^ secure_tcp_seq(two, HERE, THERE, p, 80) for p in range(64)]
    assert len(set(numbers)) == 64
    assert secure_tcp_ts_off(one.net, HERE, THERE) != secure_tcp_ts_off(two, HERE, THERE)


def test_timestamp_offset_is_one_a_peer() -> None:
    net = Alone().net
    assert secure_tcp_ts_off(net, HERE, THERE) == secure_tcp_ts_off(net, HERE, THERE)
    assert secure_tcp_ts_off(net, HERE, THERE) != secure_tcp_ts_off(net, HERE, THERE + 1)
    assert len({secure_tcp_ts_off(net, HERE, THERE + i) for i in range(64)}) == 64
    net.ipv4.sysctl_tcp_timestamps = 2
    assert secure_tcp_ts_off(net, HERE, THERE) == 0
