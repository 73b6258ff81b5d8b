# SPDX-License-Identifier: Apache-2.0
"""Connection requests: references, the FIFO of accept, and the doubling of their time-out."""
from __future__ import annotations

from helpers.hosts import Alone
from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.net.core.request_sock import (
    reqsk_alloc,
    reqsk_put,
    reqsk_queue_added,
    reqsk_queue_remove,
    reqsk_queue_removed,
    reqsk_timeout,
)
from linnet.net.ipv4.inet_connection_sock import inet_csk_reqsk_queue_add
from linnet.net.ipv4.tcp_ipv4 import TCP_REQUEST_SOCK_OPS
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks


def listening() -> tuple[Alone, InetConnectionSock]:
    """A host and its listener."""
    prog = Alone()
    prog.server(80)
    sk = tcp_seq_socks(prog.net)[0]
    assert isinstance(sk, InetConnectionSock)
    return prog, sk


def test_a_request_holds_its_listener() -> None:
    prog, sk = listening()
    refs = sk.sk_refcnt
    req = reqsk_alloc(TCP_REQUEST_SOCK_OPS, sk)
    assert sk.sk_refcnt == refs + 1
    assert prog.world.slab.active()['request_sock_TCP'] == 1
    reqsk_put(req)
    assert sk.sk_refcnt == refs
    assert 'request_sock_TCP' not in prog.world.slab.active()


def test_the_accept_queue_is_a_fifo() -> None:
    _, sk = listening()
    queue = sk.icsk_accept_queue
    reqs = [reqsk_alloc(TCP_REQUEST_SOCK_OPS, sk) for _ in range(3)]
    for req in reqs:
        assert inet_csk_reqsk_queue_add(sk, req, sk) is sk
    assert sk.sk_ack_backlog == 3
    assert [reqsk_queue_remove(queue, sk) for _ in range(4)] == [*reqs, None]
    assert sk.sk_ack_backlog == 0
    assert queue.rskq_accept_tail is None
    for req in reqs:
        reqsk_put(req)


def test_young_requests_are_those_never_repeated() -> None:
    _, sk = listening()
    queue = sk.icsk_accept_queue
    req = reqsk_alloc(TCP_REQUEST_SOCK_OPS, sk)
    reqsk_queue_added(queue)
    reqsk_queue_added(queue)
    assert (queue.qlen, queue.young) == (2, 2)
    reqsk_queue_removed(queue, req)
    assert (queue.qlen, queue.young) == (1, 1)
    req.num_timeout = 1
    queue.young -= 1
    reqsk_queue_removed(queue, req)
    assert (queue.qlen, queue.young) == (0, 0)
    reqsk_put(req)


def test_timeout_doubles_up_to_its_bound() -> None:
    _, sk = listening()
    req = reqsk_alloc(TCP_REQUEST_SOCK_OPS, sk)
    req.timeout = 1000
    got = []
    for n in (0, 1, 2, 6, 7, 60):
        req.num_timeout = n
        got.append(reqsk_timeout(req, 120_000))
    assert got == [1000, 2000, 4000, 64_000, 120_000, 120_000]
    reqsk_put(req)
