# SPDX-License-Identifier: Apache-2.0
"""Initial sequence numbers and timestamp offsets: keyed by the host, told apart by the peer, moved on by the clock."""
from __future__ import annotations

from helpers.hosts import Alone
from linnet.net.core.secure_seq import secure_tcp_seq, secure_tcp_ts_off

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


def test_timestamp_offset_is_one_a_peer() -> None:
    net = Alone().net
    assert secure_tcp_ts_off(net, HERE, THERE) == secure_tcp_ts_off(net, HERE, THERE)
    assert secure_tcp_ts_off(net, HERE, THERE) != secure_tcp_ts_off(net, HERE, THERE + 1)
    net.ipv4.sysctl_tcp_timestamps = 2
    assert secure_tcp_ts_off(net, HERE, THERE) == 0
