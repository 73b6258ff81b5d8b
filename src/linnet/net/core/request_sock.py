# SPDX-License-Identifier: Apache-2.0
"""Connection requests: making and ending them, and the FIFO of connections that wait for accept().

A request is born by a SYN (reqsk_alloc), lives in the established hash until the third ACK, and then stands in its listener's
accept queue, holding the child, until the program takes it. It holds a reference on its listener all the time, and is itself
held by the hash, by its timer and by whoever works on it; the last reqsk_put frees it.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.net.inet_connection_sock import InetConnectionSock
from linnet.include.net.request_sock import RequestSock, RequestSockOps, RequestSockQueue
from linnet.include.net.sock import Sock, sock_hold, sock_net
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_LISTEN
from linnet.kernel.slab import kmem_cache_free
from linnet.net.core.sock import kmem_cache_alloc, sock_put

FASTOPEN_RST_HOLD: Final = 60_000  # jiffies


def reqsk_queue_alloc(queue: RequestSockQueue) -> None:
    """Make the queue of a new listener empty.  Linux: net/core/request_sock.c."""
    queue.rskq_accept_head = None
    queue.rskq_accept_tail = None
    queue.qlen = 0
    queue.young = 0
    queue.synflood_warned = False
    queue.fastopenq_qlen = 0
    queue.fastopenq_rst_head = None
    queue.fastopenq_rst_tail = None


def reqsk_alloc(ops: RequestSockOps, sk_listener: InetConnectionSock) -> RequestSock:
    """A request of sk_listener, which it holds; the caller has its only reference.  Linux: include/net/request_sock.h."""
    cache = sk_listener.sk_prot.rsk_slab
    assert cache is not None
    req = kmem_cache_alloc(cache)
    assert isinstance(req, RequestSock)
    sock_hold(sk_listener)
    req.rsk_listener = sk_listener
    req.rsk_ops = ops
    req.sk_prot = sk_listener.sk_prot
    req.sk_net = sk_listener.sk_net
    req.sk_family = sk_listener.sk_family
    req.sk_protocol = sk_listener.sk_protocol
    return req


def reqsk_free(req: RequestSock) -> None:
    """End the request and let go of its listener.  Linux: include/net/request_sock.h."""
    cache = req.sk_prot.rsk_slab
    assert cache is not None
    listener = req.rsk_listener
    req.rsk_listener = None
    req.rsk_child = None
    if listener is not None:
        sock_put(listener)
    kmem_cache_free(cache, req)


def reqsk_put(req: RequestSock) -> None:
    """Drop a reference.  Linux: include/net/request_sock.h."""
    req.sk_refcnt -= 1
    if req.sk_refcnt == 0:
        reqsk_free(req)


def reqsk_queue_remove(queue: RequestSockQueue, parent: Sock) -> RequestSock | None:
    """Take the request that has waited longest for accept(), or None.  Linux: include/net/request_sock.h."""
    req = queue.rskq_accept_head
    if req is not None:
        parent.sk_ack_backlog -= 1
        queue.rskq_accept_head = req.dl_next
        if queue.rskq_accept_head is None:
            queue.rskq_accept_tail = None
        req.dl_next = None
    return req


def reqsk_queue_removed(queue: RequestSockQueue, req: RequestSock) -> None:
    """A handshake is no longer open: done or given up.  Linux: include/net/request_sock.h."""
    if req.num_timeout == 0:
        queue.young -= 1
    queue.qlen -= 1


def reqsk_queue_added(queue: RequestSockQueue) -> None:
    """One more handshake is open.  Linux: include/net/request_sock.h."""
    queue.young += 1
    queue.qlen += 1


def reqsk_timeout(req: RequestSock, max_timeout: i64) -> i64:
    """How long (jiffies) to wait for the answer to the SYN-ACK: doubled each time.  Linux: include/net/request_sock.h."""
    if req.num_timeout > 30:
        return max_timeout
    timeout = req.timeout << req.num_timeout
    return timeout if timeout < max_timeout else max_timeout


def reqsk_fastopen_remove(sk: TcpSock, req: RequestSock, reset: bool) -> None:
    """The handshake of a Fast Open child is over: completed, or (reset) ended by a RST.

    A request that was reset is kept for a minute and counts against the listener's limit meanwhile, lest one who sends SYNs under
    others' addresses, whose owners answer by a RST, opens without limit.  Linux: net/core/request_sock.c.  RFC 7413, 5.1.
    """
    listener = req.rsk_listener
    assert listener is not None
    queue = listener.icsk_accept_queue
    sk.fastopen_rsk = None
    queue.fastopenq_qlen -= 1
    req.tfo_listener = False
    if req.rsk_child is not None:
        return  # not accepted yet: accept() drops the reference
    if not reset or listener.sk_state != TCP_LISTEN:
        reqsk_put(req)
        return
    req.rst_expires = sock_net(sk).clock.jiffies() + FASTOPEN_RST_HOLD
    req.dl_next = None
    tail = queue.fastopenq_rst_tail
    if tail is None:
        queue.fastopenq_rst_head = req
    else:
        tail.dl_next = req
    queue.fastopenq_rst_tail = req
    queue.fastopenq_qlen += 1


def reqsk_fastopen_forget_reset(queue: RequestSockQueue) -> None:
    """Let go of the request that was reset first."""
    req = queue.fastopenq_rst_head
    if req is not None:
        queue.fastopenq_rst_head = req.dl_next
        if req.dl_next is None:
            queue.fastopenq_rst_tail = None
        req.dl_next = None
        queue.fastopenq_qlen -= 1
        reqsk_put(req)


def sk_acceptq_is_full(sk: Sock) -> bool:
    """Do more connections wait for accept() than listen()'s backlog allows?  Linux: include/net/sock.h."""
    return sk.sk_ack_backlog > sk.sk_max_ack_backlog
