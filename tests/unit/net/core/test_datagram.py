# SPDX-License-Identifier: Apache-2.0
"""What datagram sockets share: peeking at an offset, bad packets taken back out, events."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, fails
from linnet.include.linux.socket import MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, SO_SNDBUF, SOL_SOCKET, Msghdr
from linnet.include.net.sock import Sock
from linnet.kernel.poll import POLLIN, POLLOUT
from linnet.net import socket as sys
from linnet.net.core.datagram import ErrBox, __sk_queue_drop_skb, __skb_try_recv_datagram, __skb_try_recv_from_queue


def bound(host: Alone, *datagrams: bytes) -> tuple[int, Sock]:
    """A UDP socket with these datagrams queued."""
    fd = host.udp(5000, '127.0.0.1')
    for data in datagrams:
        host.sendto(fd, data, '127.0.0.1', 5000)
    return fd, host.net.ipv4.udp_table[5000][0]


def test_peek_offset_walks_over_the_queue() -> None:
    host = Alone()
    fd, sk = bound(host, b'abcdef', b'ghi', b'jkl')
    sk.sk_peek_off = 0  # SO_PEEK_OFF
    assert [host.recv(fd, 4, MSG_PEEK) for _ in range(4)] == [b'abcd', b'ef', b'ghi', b'jkl']
    with fails('EAGAIN'):
        host.recv(fd, 4, MSG_PEEK | MSG_DONTWAIT)
    assert sk.sk_peek_off == 12
    assert host.recv(fd, 100) == b'abcdef'
    assert sk.sk_peek_off == 6  # what was read moves it back
    host.sendto(fd, b'mno', '127.0.0.1', 5000)
    assert host.recv(fd, 100, MSG_PEEK) == b'mno'
    assert [host.recv(fd) for _ in range(3)] == [b'ghi', b'jkl', b'mno']
    assert sk.sk_peek_off == 0
    host.close(fd)
    assert not [k for k in host.world.slab.active() if k.startswith('skbuff')]


def test_peeked_packet_may_be_taken_by_another_reader() -> None:
    host = Alone()
    fd, sk = bound(host, b'one')
    box = ErrBox()
    skb = __skb_try_recv_datagram(sk, sk.sk_receive_queue, MSG_PEEK, -1, box)
    assert skb is not None
    assert skb.users == 2
    assert host.recv(fd) == b'one'
    assert __sk_queue_drop_skb(sk, sk.sk_receive_queue, skb, MSG_PEEK) == -2  # ENOENT
    assert not [k for k in host.world.slab.active() if k.startswith('skbuff')]


def test_bad_packet_is_dropped_from_the_queue() -> None:
    host = Alone()
    _, sk = bound(host, b'one', b'two')
    box = ErrBox()
    skb = __skb_try_recv_from_queue(sk, sk.sk_receive_queue, MSG_PEEK, -1, box)
    assert skb is not None
    assert __sk_queue_drop_skb(sk, sk.sk_receive_queue, skb, MSG_PEEK) == 0
    assert sk.sk_receive_queue.qlen == 1
    assert sk.sk_drops == 1


def test_pending_error_comes_before_data() -> None:
    host = Alone()
    fd, sk = bound(host, b'data')
    sk.sk_err = 111
    with fails('ECONNREFUSED'):
        host.recv(fd)
    assert host.recv(fd) == b'data'


@pytest.mark.parametrize('size', [0, 1, 5, 100])
def test_truncation(size: int) -> None:
    host = Alone()
    fd, _ = bound(host, b'hello')
    msg = Msghdr()
    assert sys.sys_recvmsg(host.process, fd, msg, size, MSG_TRUNC) == 5
    assert b''.join(msg.chunks) == b'hello'[:size]
    assert bool(msg.msg_flags & MSG_TRUNC) == (size < 5)


def test_writable_until_half_of_the_buffer_is_used() -> None:
    host = Alone()
    fd = host.udp(5000, '127.0.0.1')
    host.setopt(fd, SOL_SOCKET, SO_SNDBUF, 4608)
    sk = host.net.ipv4.udp_table[5000][0]
    assert host.poll(fd, POLLIN | POLLOUT) == POLLOUT
    sk.sk_wmem_alloc += sk.sk_sndbuf // 2
    assert host.poll(fd, POLLIN | POLLOUT) == 0
    sk.sk_wmem_alloc -= sk.sk_sndbuf // 2
