# SPDX-License-Identifier: Apache-2.0
"""What connection-oriented transports share: binding to a port, listening, accepting, connection requests, timers, the end.

A listener's requests stand in the established hash, each with its own timer that sends the SYN-ACK again (1 s, doubled,
net.ipv4.tcp_synack_retries times). The third ACK turns a request into a child and moves it to the accept queue
(inet_csk_complete_hashdance). Who binds to a port is decided by inet_csk_get_port(): SO_REUSEADDR shares a port where nobody
listens, SO_REUSEPORT shares it among those who all asked for it, and different addresses or devices never conflict.
"""
from __future__ import annotations

from mypy_extensions import i64

from linnet.include.linux.socket import SOCK_NONBLOCK
from linnet.include.net.dst import DstEntry
from linnet.include.net.flow import FLOWI_FLAG_ANYSRC, Flowi4, flowi4_init_output
from linnet.include.net.inet_connection_sock import (
    ICSK_ACK_TIMER,
    ICSK_TIME_DACK,
    InetBindBucket,
    InetConnectionSock,
    inet_csk_delack_init,
)
from linnet.include.net.inet_sock import InetSock, inet_sk_get_local_port_range
from linnet.include.net.net_namespace import Net
from linnet.include.net.request_sock import RequestSock, reqsk_queue_empty
from linnet.include.net.snmp import LINUX_MIB_LISTENDROPS, NET_INC_STATS
from linnet.include.net.sock import (
    MAX_SCHEDULE_TIMEOUT,
    SOCK_DEAD,
    AcceptResult,
    Sock,
    SockTimer,
    sock_hold,
    sock_net,
    sock_rcvtimeo,
)
from linnet.include.net.tcp import TcpSock
from linnet.include.net.tcp_states import TCP_CLOSE, TCP_LISTEN, TCP_NEW_SYN_RECV, TCP_SYN_RECV, TCP_TIME_WAIT
from linnet.kernel.clock import NSEC_PER_JIFFY
from linnet.kernel.errno import EADDRINUSE, EAGAIN, EINTR, EINVAL, ERESTARTSYS
from linnet.kernel.sched import schedule_timeout, signal_pending
from linnet.kernel.softirq import local_bh_disable, local_bh_enable
from linnet.kernel.timer import del_timer, mod_timer
from linnet.kernel.wait import TaskWait, finish_wait, prepare_to_wait_exclusive
from linnet.net.core.request_sock import (
    reqsk_fastopen_forget_reset,
    reqsk_put,
    reqsk_queue_added,
    reqsk_queue_alloc,
    reqsk_queue_remove,
    reqsk_queue_removed,
    reqsk_timeout,
)
from linnet.net.core.sock import (
    lock_sock,
    release_sock,
    sk_clone_lock,
    sk_dst_reset,
    sk_reset_timer,
    sk_setup_caps,
    sk_stop_timer,
    sock_put,
)
from linnet.net.core.stream import sk_stream_kill_queues
from linnet.net.ipv4.inet_hashtables import inet_bind_hash, inet_ehash_insert
from linnet.net.ipv4.inet_hashtables_chain import (
    ehash_del,
    inet_bind2_bucket_find,
    inet_bind_bucket_create,
    inet_hashinfo,
)
from linnet.net.ipv4.inet_rcv_saddr import inet_rcv_saddr_equal
from linnet.net.ipv4.inet_state import inet_sk_set_state, inet_sk_state_store
from linnet.net.ipv4.route import ip_route_output_flow


def inet_csk_bind_conflict(sk: InetConnectionSock, tb: InetBindBucket, relax: bool, reuseport_ok: bool) -> bool:
    """Does one who uses the port keep sk from it? relax False: a port that was not asked for should not be shared at all.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    reuse = sk.sk_reuse != 0
    reuseport = sk.sk_reuseport and reuseport_ok
    for sk2 in tb.owners:
        if sk2 is sk:
            continue
        if sk.sk_bound_dev_if != 0 and sk2.sk_bound_dev_if != 0 and sk.sk_bound_dev_if != sk2.sk_bound_dev_if:
            continue
        if reuse and sk2.sk_reuse != 0 and sk2.sk_state != TCP_LISTEN:
            if relax or (reuseport and sk2.sk_reuseport):
                continue
            if inet_rcv_saddr_equal(sk, sk2, True):
                return True
            continue
        if reuseport and sk2.sk_reuseport:
            continue
        if sk2.sk_state == TCP_TIME_WAIT and reuse and sk2.sk_reuse != 0:
            continue
        if inet_rcv_saddr_equal(sk, sk2, True):
            return True
    return False


def inet_csk_find_open_port(sk: InetConnectionSock) -> i64:
    """A free port of the socket's range, the odd ones first (connect() prefers the even), or 0.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    net = sock_net(sk)
    hashinfo = inet_hashinfo(net)
    ports = inet_sk_get_local_port_range(sk)
    low = ports & 0xFFFF
    remaining = (ports >> 16) + 1 - low
    if remaining > 1:
        remaining &= ~1
    offset: i64 = net.random.below(int(remaining))
    offset |= 1  # odd from `low` on
    pass_nr: i64 = 0
    while pass_nr < 2:
        i: i64 = 0
        while i < remaining:
            port = low + (offset + i) % remaining
            i += 2
            tb = hashinfo.bhash.get(int(port))
            if tb is None or not inet_csk_bind_conflict(sk, tb, False, False):
                return port
        if remaining <= 1:
            break
        offset -= 1
        pass_nr += 1
    return 0


def inet_csk_update_fastreuse(tb: InetBindBucket, sk: InetConnectionSock) -> None:
    """Note in the bucket whether all its owners share.  Linux: net/ipv4/inet_connection_sock.c."""
    reuse: i64 = 1 if sk.sk_reuse != 0 and sk.sk_state != TCP_LISTEN else 0
    if len(tb.owners) == 0:
        tb.fastreuse = reuse
        tb.fastreuseport = 1 if sk.sk_reuseport else 0
        return
    if reuse == 0:
        tb.fastreuse = 0
    if not sk.sk_reuseport:
        tb.fastreuseport = 0


def inet_csk_get_port(sk: InetConnectionSock, snum: i64) -> int:
    """Bind sk to port snum (0: choose one). 0, or 1 where it is in use.  Linux: net/ipv4/inet_connection_sock.c."""
    hashinfo = inet_hashinfo(sock_net(sk))
    port = snum
    if port == 0:
        port = inet_csk_find_open_port(sk)
        if port == 0:
            return 1
    tb = hashinfo.bhash.get(int(port))
    if tb is None:
        tb = inet_bind_bucket_create(hashinfo, port)
    elif len(tb.owners) != 0 and inet_csk_bind_conflict(sk, tb, True, True):
        return 1
    inet_csk_update_fastreuse(tb, sk)
    if sk.icsk_bind_hash is None:
        inet_bind_hash(sk, tb, inet_bind2_bucket_find(hashinfo, port, sk), port)
    return 0


def inet_csk_listen_start(sk: InetConnectionSock) -> int:
    """Begin to listen; the port is asked for again, as another may listen there by now.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    reqsk_queue_alloc(sk.icsk_accept_queue)
    sk.sk_ack_backlog = 0
    inet_csk_delack_init(sk)
    inet_sk_state_store(sk, TCP_LISTEN)
    err = -EADDRINUSE
    if sk.sk_prot.get_port(sk, sk.sk_num) == 0:
        sk.inet_sport = sk.sk_num
        sk_dst_reset(sk)
        if sk.sk_prot.hash(sk) == 0:
            return 0
    inet_sk_set_state(sk, TCP_CLOSE)
    return err


def inet_csk_wait_for_connect(sk: InetConnectionSock, timeo: i64) -> int:
    """Wait until a connection is there to accept: 0 or a negative errno. sk is locked on entry and on return.

    Waiters are exclusive: one connection wakes one.  Linux: net/ipv4/inet_connection_sock.c.
    """
    sched = sock_net(sk).world.sched
    task = sched.current
    sock = sk.sk_socket
    if task is None:
        schedule_timeout(sched, timeo)  # raises: nobody is there who could wait
        return -EAGAIN
    assert sock is not None
    wait = TaskWait(task)
    err = 0
    while True:
        prepare_to_wait_exclusive(sock.wq, wait)
        release_sock(sk)
        if reqsk_queue_empty(sk.icsk_accept_queue):
            task.wait_what = 'accept'
            timeo = schedule_timeout(sched, timeo)
        lock_sock(sk)
        err = 0
        if not reqsk_queue_empty(sk.icsk_accept_queue):
            break
        err = -EINVAL
        if sk.sk_state != TCP_LISTEN:
            break
        err = -ERESTARTSYS if timeo == MAX_SCHEDULE_TIMEOUT else -EINTR
        if signal_pending(task):
            break
        err = -EAGAIN
        if timeo == 0:
            break
    finish_wait(sock.wq, wait)
    return err


def inet_csk_accept(sk: InetConnectionSock, flags: int) -> AcceptResult:
    """Take the connection that waited longest, or wait for one.  Linux: net/ipv4/inet_connection_sock.c."""
    lock_sock(sk)
    queue = sk.icsk_accept_queue
    if sk.sk_state != TCP_LISTEN:
        release_sock(sk)
        return AcceptResult(None, -EINVAL)
    if reqsk_queue_empty(queue):
        timeo = sock_rcvtimeo(sk, (flags & SOCK_NONBLOCK) != 0)
        err = -EAGAIN
        if timeo != 0:
            err = inet_csk_wait_for_connect(sk, timeo)
        if err != 0:
            release_sock(sk)
            return AcceptResult(None, err)
    req = reqsk_queue_remove(queue, sk)
    assert req is not None
    newsk = req.rsk_child
    open_still = req.tfo_listener
    if open_still:
        req.rsk_child = None  # the child of a Fast Open lets go of the request when the handshake is over
    release_sock(sk)
    if not open_still:
        reqsk_put(req)
    return AcceptResult(newsk, 0)


def inet_csk_clear_xmit_timer(sk: InetConnectionSock, what: i64) -> None:
    """Stop the retransmit timer, whatever it stands for, or (ICSK_TIME_DACK) forget the delayed ACK.

    Linux: include/net/inet_connection_sock.h.
    """
    if what == ICSK_TIME_DACK:
        sk.ack_pending = 0
        sk.ack_retry = 0
        delack = sk.icsk_delack_timer
        if delack is not None:
            sk_stop_timer(sk, delack)
        return
    sk.icsk_pending = 0
    timer = sk.icsk_retransmit_timer
    if timer is not None:
        sk_stop_timer(sk, timer)


def inet_csk_reset_xmit_timer(sk: InetConnectionSock, what: i64, when: i64, max_when: i64) -> None:
    """Let a timer fire in `when` jiffies (at most max_when): the delayed ACK's, or the retransmit timer as ICSK_TIME_*.

    Linux: include/net/inet_connection_sock.h.
    """
    if when > max_when:
        when = max_when
    if what == ICSK_TIME_DACK:
        delack = sk.icsk_delack_timer
        assert delack is not None
        sk.ack_pending |= ICSK_ACK_TIMER
        sk.ack_timeout = delack.base.now + when * NSEC_PER_JIFFY
        sk_reset_timer(sk, delack, sk.ack_timeout)
        return
    timer = sk.icsk_retransmit_timer
    assert timer is not None
    sk.icsk_pending = what
    sk.icsk_timeout = timer.base.now + when * NSEC_PER_JIFFY
    sk_reset_timer(sk, timer, sk.icsk_timeout)


def inet_csk_init_xmit_timers(
    sk: InetConnectionSock, retransmit: SockTimer, delack: SockTimer, keepalive: SockTimer,
) -> None:
    """Give sk its three timers.  Linux: net/ipv4/inet_connection_sock.c; there handlers, here timer objects."""
    sk.icsk_retransmit_timer = retransmit
    sk.icsk_delack_timer = delack
    sk.sk_timer = keepalive
    sk.icsk_pending = 0
    sk.ack_pending = 0


def inet_csk_clear_xmit_timers(sk: InetConnectionSock) -> None:
    """Stop all three.  Linux: net/ipv4/inet_connection_sock.c."""
    sk.icsk_pending = 0
    sk.ack_pending = 0
    retransmit = sk.icsk_retransmit_timer
    if retransmit is not None:
        sk_stop_timer(sk, retransmit)
    delack = sk.icsk_delack_timer
    if delack is not None:
        sk_stop_timer(sk, delack)
    keepalive = sk.sk_timer
    if keepalive is not None:
        sk_stop_timer(sk, keepalive)


def inet_csk_delete_keepalive_timer(sk: InetConnectionSock) -> None:
    """Linux: net/ipv4/inet_connection_sock.c."""
    timer = sk.sk_timer
    if timer is not None:
        sk_stop_timer(sk, timer)


def inet_csk_reset_keepalive_timer(sk: InetConnectionSock, length: i64) -> None:
    """Let the keepalive timer fire in `length` jiffies.  Linux: net/ipv4/inet_connection_sock.c."""
    timer = sk.sk_timer
    assert timer is not None
    sk_reset_timer(sk, timer, timer.base.now + length * NSEC_PER_JIFFY)


def inet_csk_rto_backoff(sk: InetConnectionSock, max_when: i64) -> i64:
    """The RTO doubled icsk_backoff times, jiffies.  Linux: include/net/inet_connection_sock.h.  RFC 6298, 5.5."""
    shift = sk.icsk_backoff if sk.icsk_backoff < 32 else 32
    when = sk.icsk_rto << shift
    return when if when < max_when else max_when


def inet_csk_route_req(sk: Sock, fl4: Flowi4, req: RequestSock) -> DstEntry | None:
    """The route to the peer of a request, or None.  Linux: net/ipv4/inet_connection_sock.c."""
    assert isinstance(sk, InetSock)
    net = sock_net(sk)
    flags: i64 = FLOWI_FLAG_ANYSRC if sk.transparent else 0
    flowi4_init_output(fl4, req.sk_bound_dev_if, req.ir_mark, sk.tos, 0, sk.sk_protocol, flags,
                       req.ir_rmt_addr, req.ir_loc_addr, req.ir_rmt_port, req.ir_num)
    return ip_route_output_flow(net, fl4, sk)


def inet_csk_route_child_sock(sk: Sock, newsk: InetSock, req: RequestSock) -> DstEntry | None:
    """The route of a new child.  Linux: net/ipv4/inet_connection_sock.c."""
    fl4 = newsk.cork_fl
    flags: i64 = FLOWI_FLAG_ANYSRC if newsk.transparent else 0
    flowi4_init_output(fl4, req.sk_bound_dev_if, req.ir_mark, newsk.tos, 0, sk.sk_protocol, flags,
                       req.ir_rmt_addr, req.ir_loc_addr, req.ir_rmt_port, req.ir_num)
    return ip_route_output_flow(sock_net(sk), fl4, sk)


def inet_rtx_syn_ack(parent: Sock, req: RequestSock) -> int:
    """Send the SYN-ACK again and count it.  Linux: net/ipv4/inet_connection_sock.c."""
    ops = req.rsk_ops
    assert ops is not None
    err = ops.rtx_syn_ack(parent, req)
    if err == 0:
        req.num_retrans += 1
    return err


class ReqskTimer(SockTimer):
    """The SYN-ACK of a request was not answered in time."""

    def function(self) -> None:
        """Send it again or give up."""
        req = self.sk
        assert isinstance(req, RequestSock)
        reqsk_timer_handler(req)


def syn_ack_retries(sk: InetConnectionSock, net: Net) -> i64:
    """How often to send a SYN-ACK again: fewer times when the queue is half full of old requests.

    Part of Linux's reqsk_timer_handler.
    """
    queue = sk.icsk_accept_queue
    retries = sk.icsk_syn_retries if sk.icsk_syn_retries != 0 else net.ipv4.sysctl_tcp_synack_retries
    limit = sk.sk_max_ack_backlog if sk.sk_max_ack_backlog > 8 else 8
    if (queue.qlen << 1) > limit:
        young = queue.young << 1
        while retries > 2:
            if queue.qlen < young:
                break
            retries -= 1
            young <<= 1
    return retries


def reqsk_timer_handler(req: RequestSock) -> None:
    """Linux: net/ipv4/inet_connection_sock.c."""
    sk = req.rsk_listener
    ops = req.rsk_ops
    assert sk is not None and ops is not None
    if sk.sk_state != TCP_LISTEN:
        inet_csk_reqsk_queue_drop_and_put(sk, req)
        return
    queue = sk.icsk_accept_queue
    retries = syn_ack_retries(sk, sock_net(sk))
    defer = queue.rskq_defer_accept
    ops.syn_ack_timeout(req)
    expire: bool
    resend: bool
    if defer == 0:
        expire = req.num_timeout >= retries
        resend = True
    else:
        expire = req.num_timeout >= retries and (not req.acked or req.num_timeout >= defer)
        resend = not req.acked or req.num_timeout >= defer - 1
    if not expire and (not resend or inet_rtx_syn_ack(sk, req) == 0 or req.acked):
        if req.num_timeout == 0:
            queue.young -= 1
        req.num_timeout += 1
        timer = req.rsk_timer
        assert timer is not None
        mod_timer(timer, timer.base.now + reqsk_timeout(req, 120_000) * NSEC_PER_JIFFY)
        return
    inet_csk_reqsk_queue_drop_and_put(sk, req)


def reqsk_queue_unlink(req: RequestSock) -> bool:
    """Take the request out of the hash and stop its timer. True if it was in the hash.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    found = False
    if req.sk_hashed:
        found = ehash_del(inet_hashinfo(sock_net(req)), req)
        req.sk_refcnt -= 1
    timer = req.rsk_timer
    if timer is not None and del_timer(timer):
        reqsk_put(req)
    return found


def inet_csk_reqsk_queue_drop(sk: InetConnectionSock, req: RequestSock) -> bool:
    """Give a request up, if that has not happened yet. Never drops the caller's reference.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    unlinked = reqsk_queue_unlink(req)
    if unlinked:
        reqsk_queue_removed(sk.icsk_accept_queue, req)
    return unlinked


def inet_csk_reqsk_queue_drop_and_put(sk: InetConnectionSock, req: RequestSock) -> None:
    """Linux: net/ipv4/inet_connection_sock.c."""
    inet_csk_reqsk_queue_drop(sk, req)
    reqsk_put(req)


def inet_csk_reqsk_queue_hash_add(sk: InetConnectionSock, req: RequestSock, timeout: i64) -> None:
    """Make the request findable and start its timer (jiffies). The caller keeps its reference.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    timer = ReqskTimer(sock_net(sk), req)
    req.rsk_timer = timer
    mod_timer(timer, timer.base.now + timeout * NSEC_PER_JIFFY)
    inet_ehash_insert(req, None)
    req.sk_refcnt += 2  # the timer's and the hash's
    reqsk_queue_added(sk.icsk_accept_queue)


def inet_clone_fields(newsk: InetConnectionSock, sk: InetConnectionSock) -> None:
    """What a child inherits from its listener beyond struct sock (Linux copies the whole object in sk_prot_alloc's caller)."""
    newsk.uc_ttl = sk.uc_ttl
    newsk.mc_ttl = sk.mc_ttl
    newsk.mc_loop = sk.mc_loop
    newsk.mc_index = sk.mc_index
    newsk.mc_addr = sk.mc_addr
    newsk.tos = sk.tos
    newsk.min_ttl = sk.min_ttl
    newsk.pmtudisc = sk.pmtudisc
    newsk.recverr = sk.recverr
    newsk.freebind = sk.freebind
    newsk.transparent = sk.transparent
    newsk.nodefrag = sk.nodefrag
    newsk.bind_address_no_port = sk.bind_address_no_port
    newsk.is_icsk = sk.is_icsk
    newsk.cmsg_flags = sk.cmsg_flags
    newsk.icsk_rto_min = sk.icsk_rto_min
    newsk.icsk_rto_max = sk.icsk_rto_max
    newsk.icsk_delack_max = sk.icsk_delack_max
    newsk.icsk_ca_ops = sk.icsk_ca_ops
    newsk.icsk_ca_setsockopt = sk.icsk_ca_setsockopt
    newsk.icsk_af_ops = sk.icsk_af_ops
    newsk.icsk_syn_retries = sk.icsk_syn_retries
    newsk.icsk_user_timeout = sk.icsk_user_timeout
    newsk.icsk_ext_hdr_len = sk.icsk_ext_hdr_len


def inet_csk_clone_lock(sk: InetConnectionSock, req: RequestSock) -> InetConnectionSock | None:
    """The child of a completed handshake: a copy of the listener with the request's addresses, locked.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    newsk = sk_clone_lock(sk)
    if newsk is None:
        return None
    assert isinstance(newsk, InetConnectionSock)
    inet_clone_fields(newsk, sk)
    inet_sk_set_state(newsk, TCP_SYN_RECV)
    newsk.icsk_bind_hash = None
    newsk.icsk_bind2_hash = None
    newsk.sk_dport = req.ir_rmt_port
    newsk.sk_num = req.ir_num
    newsk.inet_sport = req.ir_num
    newsk.sk_mark = req.ir_mark
    newsk.sk_lock_owned = False  # locked against other CPUs alone, of which there are none
    newsk.icsk_retransmits = 0
    newsk.icsk_backoff = 0
    newsk.icsk_probes_out = 0
    newsk.icsk_probes_tstamp = 0
    inet_csk_delack_init(newsk)
    return newsk


def inet_csk_destroy_sock(sk: InetConnectionSock) -> None:
    """The last of a connection: closed on both sides and orphaned.  Linux: net/ipv4/inet_connection_sock.c."""
    if sk.sk_num != 0 and sk.icsk_bind_hash is None:
        sk.sk_num = 0
    sk.sk_prot.destroy(sk)
    sk_stream_kill_queues(sk)
    sk_dst_reset(sk)
    sk.sk_rx_dst = None
    sk.sk_prot.mem.orphan_count -= 1
    sock_put(sk)


def inet_csk_prepare_forced_close(sk: InetConnectionSock) -> None:
    """Make a child that nobody will take ready for tcp_done().  Linux: net/ipv4/inet_connection_sock.c."""
    sock_put(sk)
    inet_csk_prepare_for_destroy_sock(sk)
    sk.sk_num = 0


def inet_csk_prepare_for_destroy_sock(sk: InetConnectionSock) -> None:
    """Linux: include/net/inet_connection_sock.h."""
    sk.sk_flags |= SOCK_DEAD
    sk.sk_prot.mem.orphan_count += 1


def inet_child_forget(sk: InetConnectionSock, req: RequestSock, child: InetConnectionSock) -> None:
    """A child that nobody accepted ends with a RST.  Linux: net/ipv4/inet_connection_sock.c."""
    sk.sk_prot.disconnect(child, 0)
    sock_orphan_child(child)
    child.sk_prot.mem.orphan_count += 1
    inet_csk_destroy_sock(child)


def sock_orphan_child(child: Sock) -> None:
    """A child that no program ever saw loses what it had of a struct socket.  Linux: include/net/sock.h, sock_orphan."""
    child.sk_flags |= SOCK_DEAD
    child.sk_socket = None


def inet_csk_reqsk_queue_add(sk: InetConnectionSock, req: RequestSock, child: InetConnectionSock) -> Sock | None:
    """Append a completed connection to the accept queue; None where the listener is gone.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    queue = sk.icsk_accept_queue
    if sk.sk_state != TCP_LISTEN:
        inet_child_forget(sk, req, child)
        return None
    req.rsk_child = child
    req.dl_next = None
    tail = queue.rskq_accept_tail
    if tail is None:
        queue.rskq_accept_head = req
    else:
        tail.dl_next = req
    queue.rskq_accept_tail = req
    sk.sk_ack_backlog += 1
    return child


def inet_csk_complete_hashdance(
    sk: InetConnectionSock, child: InetConnectionSock, req: RequestSock, own_req: bool,
) -> Sock | None:
    """The child has taken the request's place in the hash: the request moves to the accept queue.

    The caller's reference on req passes to the queue. None: there was no place for it.
    Linux: net/ipv4/inet_connection_sock.c.
    """
    if own_req:
        inet_csk_reqsk_queue_drop(sk, req)
        reqsk_queue_removed(sk.icsk_accept_queue, req)
        if inet_csk_reqsk_queue_add(sk, req, child) is not None:
            return child
        return None
    sock_put(child)
    return None


def inet_csk_listen_stop(sk: InetConnectionSock) -> None:
    """The listener closes: who waits for accept gets a RST, who still shakes hands is forgotten at his next segment.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    queue = sk.icsk_accept_queue
    cpu = sock_net(sk).world.cpu
    while True:
        req = reqsk_queue_remove(queue, sk)
        if req is None:
            break
        child = req.rsk_child
        if isinstance(child, InetConnectionSock):
            local_bh_disable(cpu)
            sock_hold(child)
            if req.tfo_listener and isinstance(child, TcpSock):
                child.fastopen_rsk = None  # its reference goes below
                req.tfo_listener = False
            inet_child_forget(sk, req, child)
            sock_put(child)
            local_bh_enable(cpu)
        reqsk_put(req)
    while queue.fastopenq_rst_head is not None:
        reqsk_fastopen_forget_reset(queue)
    if queue.qlen != 0:
        for key in list(inet_hashinfo(sock_net(sk)).ehash):
            drop_requests_of(sk, key)


def drop_requests_of(sk: InetConnectionSock, key: int) -> None:
    """Drop the open requests of sk in one chain.

    Linux lets their timers find out that the listener is gone; here they go with it, so that nothing is left behind.
    """
    entry = inet_hashinfo(sock_net(sk)).ehash.get(key)
    while entry is not None:
        after = entry.sk_hash_next
        if entry.sk_state == TCP_NEW_SYN_RECV and isinstance(entry, RequestSock) and entry.rsk_listener is sk:
            sock_hold(entry)
            inet_csk_reqsk_queue_drop_and_put(sk, entry)
        entry = after


def inet_csk_rebuild_route(sk: InetConnectionSock, fl4: Flowi4) -> DstEntry | None:
    """Look for sk's route again and cache it.  Linux: net/ipv4/inet_connection_sock.c."""
    flags: i64 = FLOWI_FLAG_ANYSRC if sk.transparent else 0
    flowi4_init_output(fl4, sk.sk_bound_dev_if, sk.sk_mark, sk.tos, 0, sk.sk_protocol, flags,
                       sk.sk_daddr, sk.inet_saddr, sk.sk_dport, sk.inet_sport)
    rt = ip_route_output_flow(sock_net(sk), fl4, sk)
    if rt is not None:
        sk_setup_caps(sk, rt)
    return rt


def inet_csk_update_pmtu(sk: InetConnectionSock, mtu: i64) -> DstEntry | None:
    """The path takes no more than mtu bytes: tell the route, and give the route to use from now on.

    Linux: net/ipv4/inet_connection_sock.c.
    """
    dst: DstEntry | None = sk.sk_dst_cache
    if dst is None or not dst.check():
        dst = inet_csk_rebuild_route(sk, sk.cork_fl)
        if dst is None:
            return None
    dst.update_pmtu(sk, None, mtu)
    dst = sk.sk_dst_cache
    if dst is None or not dst.check():
        dst = inet_csk_rebuild_route(sk, sk.cork_fl)
    return dst


def inet_csk_listen_poll_ready(sk: InetConnectionSock) -> bool:
    """Is there something to accept?  Linux: include/net/inet_connection_sock.h, inet_csk_listen_poll."""
    return not reqsk_queue_empty(sk.icsk_accept_queue)


def count_listen_drop(sk: Sock) -> None:
    """A SYN or a handshake was turned away: LINUX_MIB_LISTENDROPS and the socket's own count."""
    sk.sk_drops += 1
    NET_INC_STATS(sock_net(sk), LINUX_MIB_LISTENDROPS)
