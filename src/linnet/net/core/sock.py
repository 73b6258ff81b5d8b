# SPDX-License-Identifier: Apache-2.0
"""struct sock's life and keeping: allocation, reference counts, the socket lock with its backlog, wake-ups, memory accounting.

A sock is counted: the program's socket holds one reference, timers and hash tables theirs; at nothing sk_free() waits for
the packets that are still charged to it (sk_wmem_alloc) and then destroys it. While a system call works on a sock it owns
it (lock_sock): packets that come meanwhile wait in sk_backlog and are worked on by release_sock(), in the caller's context.
Tasks change only where one waits, and who waits has let go of the sock first, so the lock itself never makes anybody wait.

sock_init_data() gives a sock its callbacks (SockDefCb); protocols subclass them. Options are in sock_opts.py.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.netdevice import NETIF_F_GSO, NETIF_F_HW_CSUM, NETIF_F_SG, NETIF_F_TSO, NETIF_F_TSO6, NETIF_F_TSO_ECN
from linnet.include.linux.skbuff import (
    MAX_TCP_HEADER,
    SkbDestructor,
    SkBuff,
    SkBuffHead,
    __skb_dequeue,
    __skb_queue_tail,
    skb_peek_tail,
)
from linnet.include.linux.socket import SEND_SHUTDOWN, SOCK_STREAM
from linnet.include.net.dst import DstEntry
from linnet.include.net.net_namespace import Net
from linnet.include.net.sock import (
    MAX_SCHEDULE_TIMEOUT,
    SOCK_ASYNC_NOSPACE,
    SOCK_DEAD,
    SOCK_DONE,
    SOCK_MIN_SNDBUF,
    SOCK_NOSPACE,
    SOCK_SNDBUF_LOCK,
    Proto,
    Sock,
    SockCb,
    Socket,
    SockTimer,
    sock_error,
    sock_hold,
    sock_net,
    sock_sndtimeo,
)
from linnet.include.net.tcp_states import TCP_CLOSE
from linnet.include.trace.events.sock import trace_sk_data_ready, trace_sock_rcvqueue_full
from linnet.kernel.errno import EAGAIN, EINTR, ENOBUFS, ENOMEM, EPIPE
from linnet.kernel.poll import EPOLLERR, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDBAND, EPOLLRDNORM, EPOLLWRBAND, EPOLLWRNORM
from linnet.kernel.sched import Task, sched_yield, schedule_timeout, signal_pending
from linnet.kernel.slab import KmemCache, kmem_cache_free, slab_alloc
from linnet.kernel.timer import del_timer, mod_timer
from linnet.kernel.wait import (
    TaskWait,
    WokenWait,
    add_wait_queue,
    finish_wait,
    prepare_to_wait,
    remove_wait_queue,
    wait_woken,
    waitqueue_active,
    wake_up_interruptible_all,
    wake_up_interruptible_poll,
    wake_up_interruptible_sync_poll,
)
from linnet.net.core.skbuff import alloc_skb, alloc_skb_with_frags, kfree_skb, skb_orphan, skb_queue_purge

PAGE_SIZE: Final = 4096
SK_RECLAIM_THRESHOLD: Final = 1 << 21  # bytes of unused charge that a sock may keep
SK_MEM_SEND: Final = 0
SK_MEM_RECV: Final = 1
NETIF_F_GSO_SOFTWARE: Final = NETIF_F_TSO | NETIF_F_TSO_ECN | NETIF_F_TSO6
NETIF_F_GSO_SHIFT: Final = 16
M32: Final = 0xFFFFFFFF


# -- callbacks

def current_task(sk: Sock) -> Task:
    """The task whose call works on sk. RuntimeError where a blocking call is made outside of one."""
    task = sock_net(sk).world.sched.current
    if task is None:
        raise RuntimeError('blocking call outside a task')
    return task


def sock_def_wakeup(sk: Sock) -> None:
    """The connection's state moved: wake everybody.  Linux: net/core/sock.c."""
    sock = sk.sk_socket
    if sock is not None and waitqueue_active(sock.wq):
        wake_up_interruptible_all(sock.wq)


def sock_def_error_report(sk: Sock) -> None:
    """Linux: net/core/sock.c."""
    sock = sk.sk_socket
    if sock is not None and waitqueue_active(sock.wq):
        wake_up_interruptible_poll(sock.wq, EPOLLERR)


def sock_def_readable(sk: Sock) -> None:
    """There is something to read or to accept: wake readers.  Linux: net/core/sock.c."""
    trace_sk_data_ready(sk)
    sock = sk.sk_socket
    if sock is not None and waitqueue_active(sock.wq):
        wake_up_interruptible_sync_poll(sock.wq, EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND)


def sock_def_write_space(sk: Sock) -> None:
    """Send buffer came free: wake writers once half of it is.  Linux: net/core/sock.c."""
    sock = sk.sk_socket
    if sock is not None and (sk.sk_wmem_alloc << 1) <= sk.sk_sndbuf and waitqueue_active(sock.wq):
        wake_up_interruptible_sync_poll(sock.wq, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)


def sock_def_destruct(sk: Sock) -> None:
    """Nothing of its own to free.  Linux: net/core/sock.c."""
    return


class SockDefCb(SockCb):
    """The callbacks that sock_init_data() gives."""

    def state_change(self, sk: Sock) -> None:
        """See sock_def_wakeup."""
        sock_def_wakeup(sk)

    def data_ready(self, sk: Sock) -> None:
        """See sock_def_readable."""
        sock_def_readable(sk)

    def write_space(self, sk: Sock) -> None:
        """See sock_def_write_space."""
        sock_def_write_space(sk)

    def error_report(self, sk: Sock) -> None:
        """See sock_def_error_report."""
        sock_def_error_report(sk)

    def destruct(self, sk: Sock) -> None:
        """See sock_def_destruct."""
        sock_def_destruct(sk)


SOCK_DEF_CB: Final = SockDefCb()


# -- allocation

def skb_queue_head_init(lst: SkBuffHead) -> None:
    """Make a queue empty.  Linux: include/linux/skbuff.h; the reference table has it here."""
    lst.next = None
    lst.prev = None
    lst.qlen = 0


def kmem_cache_alloc(cache: KmemCache) -> object:
    """An object of `cache`; the caller casts it.  Linux: mm/slub.c; the reference table has it here."""
    return slab_alloc(cache)


def sk_prot_alloc(prot: Proto) -> Sock:
    """The bare object.  Linux: net/core/sock.c."""
    sk = kmem_cache_alloc(prot.slab)
    assert isinstance(sk, Sock)
    sk.sk_prot_creator = prot
    return sk


def sk_alloc(net: Net, family: int, prot: Proto, kern: int) -> Sock:
    """A sock of `prot`, with one reference. kern is taken as Linux does and makes no difference: a Net outlives its socks.

    Linux: net/core/sock.c.
    """
    sk = sk_prot_alloc(prot)
    sk.sk_prot = prot
    sk.sk_family = family  # walk: state sk->sk_prot = prot; sk->sk_family = family
    sk.sk_net = net
    sk.sk_wmem_alloc = 1
    net.core.sock_inuse += 1
    return sk


def sock_init_data(sock: Socket | None, sk: Sock) -> None:
    """The part of a new sock that all protocols share; ties it to sock.  Linux: net/core/sock.c."""
    net = sock_net(sk)
    skb_queue_head_init(sk.sk_receive_queue)
    skb_queue_head_init(sk.sk_write_queue)
    skb_queue_head_init(sk.sk_error_queue)  # walk: state sk_receive_queue, sk_write_queue, sk_error_queue are empty queues
    sk.sk_rcvbuf = net.core.sysctl_rmem_default
    sk.sk_sndbuf = net.core.sysctl_wmem_default
    sk.sk_state = TCP_CLOSE  # walk: state sk->sk_state = TCP_CLOSE
    sk_set_socket(sk, sock)
    if sock is not None:
        sk.sk_type = sock.type
        sock.sk = sk
    sk.sk_cb = SOCK_DEF_CB
    sk.sk_rcvlowat = 1
    sk.sk_rcvtimeo = MAX_SCHEDULE_TIMEOUT
    sk.sk_sndtimeo = MAX_SCHEDULE_TIMEOUT
    sk.sk_pacing_rate = sk.sk_max_pacing_rate
    sk.sk_pacing_shift = 10
    sk.sk_refcnt = 1


def sk_set_socket(sk: Sock, sock: Socket | None) -> None:
    """Tie the sock to what the program holds.  Linux: include/net/sock.h; the reference table has it here."""
    sk.sk_socket = sock
    if sock is not None:
        sk.sk_ino = sock.ino


def sock_graft(sk: Sock, parent: Socket) -> None:
    """An accepted connection gets its socket.  Linux: include/net/sock.h."""
    parent.sk = sk
    sk_set_socket(sk, parent)


def sock_orphan(sk: Sock) -> None:
    """The program has let go: nobody waits for the sock any more.  Linux: include/net/sock.h."""
    sk.sk_flags |= SOCK_DEAD
    sk_set_socket(sk, None)


def sock_i_ino(sk: Sock) -> i64:
    """The inode number of the socket that held it.  Linux: net/core/sock.c."""
    return sk.sk_ino


def __sock_gen_cookie(sk: Sock) -> i64:
    """A number for the sock that no other of the world ever has, made at the first asking.  Linux: net/core/sock_diag.c."""
    if sk.sk_cookie == 0:
        world = sock_net(sk).world
        sk.sk_cookie = world.next_cookie
        world.next_cookie += 1
    return sk.sk_cookie


def sk_net_capable(sk: Sock, cap: str) -> bool:
    """May the program whose call this is do what `cap` guards?  Linux: net/core/sock.c."""
    sock = sk.sk_socket
    if sock is None:
        return True
    caller = sock.caller
    return caller is None or caller.capable(cap)


def sock_copy(nsk: Sock, osk: Sock) -> None:
    """The fields of struct sock that a child has from its listener (Linux copies the object whole).  Linux: net/core/sock.c."""
    nsk.sk_daddr = osk.sk_daddr
    nsk.sk_rcv_saddr = osk.sk_rcv_saddr
    nsk.sk_v6_daddr = osk.sk_v6_daddr
    nsk.sk_v6_rcv_saddr = osk.sk_v6_rcv_saddr
    nsk.sk_ipv6only = osk.sk_ipv6only
    nsk.sk_dport = osk.sk_dport
    nsk.sk_num = osk.sk_num
    nsk.sk_family = osk.sk_family
    nsk.sk_state = osk.sk_state
    nsk.sk_reuse = osk.sk_reuse
    nsk.sk_reuseport = osk.sk_reuseport
    nsk.sk_bound_dev_if = osk.sk_bound_dev_if
    nsk.sk_prot = osk.sk_prot
    nsk.sk_net = osk.sk_net
    nsk.sk_type = osk.sk_type
    nsk.sk_protocol = osk.sk_protocol
    nsk.sk_cb = osk.sk_cb
    nsk.sk_flags = osk.sk_flags
    nsk.sk_userlocks = osk.sk_userlocks
    nsk.sk_sndbuf = osk.sk_sndbuf
    nsk.sk_rcvbuf = osk.sk_rcvbuf
    nsk.sk_rcvlowat = osk.sk_rcvlowat
    nsk.sk_rcvtimeo = osk.sk_rcvtimeo
    nsk.sk_sndtimeo = osk.sk_sndtimeo
    nsk.sk_lingertime = osk.sk_lingertime
    nsk.sk_priority = osk.sk_priority
    nsk.sk_mark = osk.sk_mark
    nsk.sk_route_caps = osk.sk_route_caps
    nsk.sk_route_nocaps = osk.sk_route_nocaps
    nsk.sk_gso_type = osk.sk_gso_type
    nsk.sk_gso_max_size = osk.sk_gso_max_size
    nsk.sk_gso_max_segs = osk.sk_gso_max_segs
    nsk.sk_pacing_rate = osk.sk_pacing_rate
    nsk.sk_max_pacing_rate = osk.sk_max_pacing_rate
    nsk.sk_pacing_status = osk.sk_pacing_status
    nsk.sk_pacing_shift = osk.sk_pacing_shift
    nsk.sk_no_check_tx = osk.sk_no_check_tx
    nsk.sk_tsflags = osk.sk_tsflags


def sk_clone_lock(sk: Sock) -> Sock | None:
    """A new sock like sk, with two references, no queues, no route and no socket.

    Linux: net/core/sock.c, which also returns it locked against softirqs; with one CPU nothing can come between.
    """
    prot = sk.sk_prot
    newsk = sk_prot_alloc(prot)
    sock_copy(newsk, sk)
    skb_queue_head_init(newsk.sk_receive_queue)
    skb_queue_head_init(newsk.sk_write_queue)
    skb_queue_head_init(newsk.sk_error_queue)
    newsk.sk_wmem_alloc = 1
    newsk.sk_flags &= ~SOCK_DONE
    newsk.sk_refcnt = 2
    sk_set_socket(newsk, None)
    sock_net(newsk).core.sock_inuse += 1
    prot.mem.sockets_allocated += 1
    return newsk


def __sk_destruct(sk: Sock) -> None:
    """Linux: net/core/sock.c."""
    sk.sk_cb.destruct(sk)
    sk.sk_dst_cache = None
    sk.sk_rx_dst = None
    sk_mem_reclaim_final(sk)
    kmem_cache_free(sk.sk_prot_creator.slab, sk)


def __sk_free(sk: Sock) -> None:
    """Nothing refers to it any more.  Linux: net/core/sock.c."""
    sock_net(sk).core.sock_inuse -= 1
    __sk_destruct(sk)


def sk_free(sk: Sock) -> None:
    """The last reference went; packets on their way that are charged to it hold it a little longer.  Linux: net/core/sock.c."""
    left = sk.sk_wmem_alloc - 1
    sk.sk_wmem_alloc = left
    if left == 0:
        __sk_free(sk)


def sock_put(sk: Sock) -> None:
    """Let go of one reference.  Linux: include/net/sock.h."""
    left = sk.sk_refcnt - 1
    sk.sk_refcnt = left
    if left == 0:
        sk_free(sk)


# -- the lock and the backlog

def lock_sock(sk: Sock) -> None:
    """Own the sock: what comes from below waits in the backlog until release_sock().  Linux: lock_sock_nested."""
    while sk.sk_lock_owned:
        sched_yield(sock_net(sk).world.sched)
    sk.sk_lock_owned = True


def __release_sock(sk: Sock) -> None:
    """Work on what came while the sock was owned, and on what comes meanwhile.  Linux: net/core/sock.c."""
    backlog = sk.sk_backlog
    while True:
        skb = __skb_dequeue(backlog)
        if skb is None:
            break
        sk.sk_prot.backlog_rcv(sk, skb)
    sk.sk_backlog_len = 0


def release_sock(sk: Sock) -> None:
    """Let go of the sock, after the backlog and what timers put off.  Linux: net/core/sock.c."""
    if sk.sk_backlog.next is not None:
        __release_sock(sk)
    if sk.sk_tsq_flags != 0:
        sk.sk_prot.release_cb(sk)
    sk.sk_lock_owned = False


def sk_rcvqueues_full(sk: Sock, limit: i64) -> bool:
    """Linux: include/net/sock.h."""
    return sk.sk_backlog_len + sk.sk_rmem_alloc > limit


def sk_add_backlog(sk: Sock, skb: SkBuff, limit: i64) -> int:
    """Let skb wait for the owner: 0, or -ENOBUFS where there is no room (the caller keeps skb).  Linux: include/net/sock.h."""
    if sk_rcvqueues_full(sk, limit):
        return -ENOBUFS
    __skb_queue_tail(sk.sk_backlog, skb)
    sk.sk_backlog_len += skb.truesize
    return 0


def sk_backlog_rcv(sk: Sock, skb: SkBuff) -> int:
    """Linux: include/net/sock.h."""
    return sk.sk_prot.backlog_rcv(sk, skb)


def sk_receive_skb(sk: Sock, skb: SkBuff) -> int:
    """Receive skb now, or let it wait for the owner; takes a reference of sk.  Linux: net/core/sock.c, __sk_receive_skb."""
    rc = 0
    if not sk.sk_lock_owned:
        rc = sk.sk_prot.backlog_rcv(sk, skb)
    elif sk_add_backlog(sk, skb, sk.sk_rcvbuf) != 0:
        sk.sk_drops += 1
        kfree_skb(skb)
        rc = 1
    sock_put(sk)
    return rc


def sk_wait_data(sk: Sock, timeo: i64, skb: SkBuff | None = None) -> i64:
    """Wait until the receive queue's last packet is another than `skb`, or something else happened. Returns the ns left.

    sk is owned on entry and on return.  Linux: net/core/sock.c; there the time-out goes through a pointer.
    """
    sock = sk.sk_socket
    assert sock is not None
    task = current_task(sk)
    wait = WokenWait(task)
    wq = sock.wq
    add_wait_queue(wq, wait)
    release_sock(sk)
    if skb_peek_tail(sk.sk_receive_queue) is skb:
        task.wait_what = 'data'
        timeo = wait_woken(sock_net(sk).world.sched, wait, timeo)
        task.wait_what = ''
    lock_sock(sk)
    remove_wait_queue(wq, wait)
    return timeo


# -- charging packets to socks

def sk_mem_pages(amount: i64) -> i64:
    """Pages that hold `amount` bytes.  Linux: include/net/sock.h."""
    return (amount + PAGE_SIZE - 1) // PAGE_SIZE


def sk_mem_minimum(sk: Sock, kind: int) -> bool:
    """Has the sock less than every sock may have, whatever the pressure? (Part of Linux's __sk_mem_raise_allocated.)"""
    ipv4 = sock_net(sk).ipv4
    stream = sk.sk_type == SOCK_STREAM
    low: i64
    if kind == SK_MEM_RECV:
        low = ipv4.sysctl_tcp_rmem[0] if stream else ipv4.sysctl_udp_rmem_min
        return sk.sk_rmem_alloc < low
    low = ipv4.sysctl_tcp_wmem[0] if stream else ipv4.sysctl_udp_wmem_min
    return (sk.sk_wmem_queued if stream else sk.sk_wmem_alloc) < low


def sk_stream_moderate_sndbuf(sk: Sock) -> None:
    """Memory is short: shrink the send buffer to half of what is queued.  Linux: include/net/sock.h."""
    if (sk.sk_userlocks & SOCK_SNDBUF_LOCK) != 0:
        return
    val = sk.sk_wmem_queued >> 1
    if val > sk.sk_sndbuf:
        val = sk.sk_sndbuf
    sk.sk_sndbuf = val if val > SOCK_MIN_SNDBUF else SOCK_MIN_SNDBUF


def __sk_mem_schedule(sk: Sock, size: i64, kind: int) -> bool:
    """Take pages for `size` more bytes out of the protocol's memory (net.ipv4.tcp_mem, udp_mem), if there is some.

    Linux: net/core/sock.c, with __sk_mem_raise_allocated.
    """
    prot = sk.sk_prot
    pages = sk_mem_pages(size)
    allocated = prot.mem.memory_allocated + pages
    allowed = True
    if allocated <= prot.sysctl_mem[0]:
        if prot.mem.memory_pressure:
            prot.leave_memory_pressure(sk)
    else:
        high: i64 = prot.sysctl_mem[2]
        if allocated > prot.sysctl_mem[1] and not prot.mem.memory_pressure:
            prot.enter_memory_pressure(sk)
        allowed = False
        if allocated <= high:
            if sk_mem_minimum(sk, kind) or not prot.mem.memory_pressure:
                allowed = True
            else:
                used = sk_mem_pages(sk.sk_wmem_queued + sk.sk_rmem_alloc + sk.sk_forward_alloc)
                allowed = high > prot.mem.sockets_allocated * used
        if not allowed and kind == SK_MEM_SEND and sk.sk_type == SOCK_STREAM:
            sk_stream_moderate_sndbuf(sk)
            allowed = sk.sk_wmem_queued + size >= sk.sk_sndbuf
    if allowed:
        prot.mem.memory_allocated = allocated
        sk.sk_forward_alloc += pages * PAGE_SIZE
    return allowed


def sk_wmem_schedule(sk: Sock, size: i64) -> bool:
    """May `size` more bytes be queued for sending?  Linux: include/net/sock.h."""
    delta = size - sk.sk_forward_alloc
    return delta <= 0 or len(sk.sk_prot.sysctl_mem) == 0 or __sk_mem_schedule(sk, delta, SK_MEM_SEND)


def sk_rmem_schedule(sk: Sock, skb: SkBuff | None, size: i64) -> bool:
    """May `size` more bytes be queued for reading?  Linux: include/net/sock.h."""
    delta = size - sk.sk_forward_alloc
    return delta <= 0 or len(sk.sk_prot.sysctl_mem) == 0 or __sk_mem_schedule(sk, delta, SK_MEM_RECV)


def sk_forced_mem_schedule(sk: Sock, size: i64) -> None:
    """Take memory whatever the limits say: a FIN must go out.  Linux: net/ipv4/tcp_output.c."""
    delta = size - sk.sk_forward_alloc
    if delta <= 0 or len(sk.sk_prot.sysctl_mem) == 0:
        return
    pages = sk_mem_pages(delta)
    sk.sk_forward_alloc += pages * PAGE_SIZE
    sk.sk_prot.mem.memory_allocated += pages


def sk_mem_charge(sk: Sock, size: i64) -> None:
    """Use `size` bytes of what was scheduled.  Linux: include/net/sock.h."""
    if len(sk.sk_prot.sysctl_mem) != 0:
        sk.sk_forward_alloc -= size


def __sk_mem_reclaim(sk: Sock, amount: i64) -> None:
    """Give whole pages back to the protocol.  Linux: net/core/sock.c."""
    pages = amount // PAGE_SIZE
    prot = sk.sk_prot
    sk.sk_forward_alloc -= pages * PAGE_SIZE
    prot.mem.memory_allocated -= pages
    if prot.mem.memory_pressure and prot.mem.memory_allocated < prot.sysctl_mem[0]:
        prot.leave_memory_pressure(sk)


def sk_mem_uncharge(sk: Sock, size: i64) -> None:
    """Give `size` bytes back to the sock.

    Linux: include/net/sock.h; while memory is not short the threshold is that of before 6.0, which spares work.
    """
    prot = sk.sk_prot
    if len(prot.sysctl_mem) == 0:
        return
    left = sk.sk_forward_alloc + size
    sk.sk_forward_alloc = left
    if left >= SK_RECLAIM_THRESHOLD:
        __sk_mem_reclaim(sk, left - PAGE_SIZE)
    elif prot.mem.memory_pressure and left >= PAGE_SIZE:
        __sk_mem_reclaim(sk, left)


def sk_mem_reclaim(sk: Sock) -> None:
    """Give back what is not used.  Linux: include/net/sock.h."""
    if len(sk.sk_prot.sysctl_mem) != 0 and sk.sk_forward_alloc >= PAGE_SIZE:
        __sk_mem_reclaim(sk, sk.sk_forward_alloc)


def sk_mem_reclaim_final(sk: Sock) -> None:
    """The sock ends: give back everything.  Linux: include/net/sock.h."""
    sk_mem_reclaim(sk)


def sk_under_memory_pressure(sk: Sock) -> bool:
    """Linux: include/net/sock.h."""
    return sk.sk_prot.mem.memory_pressure


def sock_wfree(skb: SkBuff) -> None:
    """A sent packet ends: its memory is the sender's again.  Linux: net/core/sock.c."""
    sk = skb.sk
    if sk is None:
        return
    skb.sk = None
    left = sk.sk_wmem_alloc - skb.truesize
    if left > 0:
        sk.sk_wmem_alloc = left
        if (sk.sk_flags & SOCK_DEAD) == 0:
            sk.sk_cb.write_space(sk)
        return
    sk.sk_wmem_alloc = 0
    __sk_free(sk)


def sock_rfree(skb: SkBuff) -> None:
    """A received packet was read or dropped.  Linux: net/core/sock.c."""
    sk = skb.sk
    if sk is None:
        return
    skb.sk = None
    sk.sk_rmem_alloc -= skb.truesize
    sk_mem_uncharge(sk, skb.truesize)


def sock_rmem_free(skb: SkBuff) -> None:
    """A packet of the error queue ends.  Linux: net/core/skbuff.c."""
    sk = skb.sk
    if sk is not None:
        skb.sk = None
        sk.sk_rmem_alloc -= skb.truesize


class SockWfree(SkbDestructor):
    """skb->destructor = sock_wfree."""

    def destruct(self, skb: SkBuff) -> None:
        """See sock_wfree."""
        sock_wfree(skb)


class SockRfree(SkbDestructor):
    """skb->destructor = sock_rfree."""

    def destruct(self, skb: SkBuff) -> None:
        """See sock_rfree."""
        sock_rfree(skb)


class SockRmemFree(SkbDestructor):
    """skb->destructor = sock_rmem_free."""

    def destruct(self, skb: SkBuff) -> None:
        """See sock_rmem_free."""
        sock_rmem_free(skb)


SOCK_WFREE: Final = SockWfree()
SOCK_RFREE: Final = SockRfree()
SOCK_RMEM_FREE: Final = SockRmemFree()


def skb_set_owner_w(skb: SkBuff, sk: Sock) -> None:
    """Charge a packet to its sender.  Linux: net/core/sock.c."""
    skb_orphan(skb)
    skb.sk = sk
    skb.destructor = SOCK_WFREE
    skb.hash = sk.sk_txhash
    sk.sk_wmem_alloc += skb.truesize


def skb_set_owner_r(skb: SkBuff, sk: Sock) -> None:
    """Charge a packet to its receiver.  Linux: include/net/sock.h."""
    skb_orphan(skb)
    skb.sk = sk
    skb.destructor = SOCK_RFREE
    sk.sk_rmem_alloc += skb.truesize
    sk_mem_charge(sk, skb.truesize)


def __sock_queue_rcv_skb(sk: Sock, skb: SkBuff) -> int:
    """Queue skb for reading: 0, -ENOMEM (the buffer is full) or -ENOBUFS; the caller keeps skb then.  Linux: net/core/sock.c."""
    if sk.sk_rmem_alloc >= sk.sk_rcvbuf:
        sk.sk_drops += 1
        trace_sock_rcvqueue_full(sk, int(skb.truesize))
        return -ENOMEM
    if not sk_rmem_schedule(sk, skb, skb.truesize):
        sk.sk_drops += 1
        return -ENOBUFS
    skb.dev = None
    skb_set_owner_r(skb, sk)
    __skb_queue_tail(sk.sk_receive_queue, skb)
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.data_ready(sk)
    return 0


def sock_queue_rcv_skb(sk: Sock, skb: SkBuff) -> int:
    """As __sock_queue_rcv_skb; Linux runs the socket's filter first.  Linux: net/core/sock.c."""
    return __sock_queue_rcv_skb(sk, skb)


def sock_queue_err_skb(sk: Sock, skb: SkBuff) -> int:
    """Queue skb for MSG_ERRQUEUE: 0, or -ENOMEM (the caller keeps skb).  Linux: net/core/skbuff.c."""
    if sk.sk_rmem_alloc + skb.truesize >= sk.sk_rcvbuf:
        return -ENOMEM
    skb_orphan(skb)
    skb.sk = sk
    skb.destructor = SOCK_RMEM_FREE
    sk.sk_rmem_alloc += skb.truesize
    __skb_queue_tail(sk.sk_error_queue, skb)
    if (sk.sk_flags & SOCK_DEAD) == 0:
        sk.sk_cb.error_report(sk)
    return 0


def sock_wmalloc(sk: Sock, size: i64, force: bool) -> SkBuff | None:
    """A packet charged to sk, unless its send buffer is full and force is False.  Linux: net/core/sock.c."""
    if force or sk.sk_wmem_alloc < sk.sk_sndbuf:
        skb = alloc_skb(sock_net(sk).world, size)
        skb_set_owner_w(skb, sk)
        return skb
    return None


def sock_wait_for_wmem(sk: Sock, timeo: i64) -> i64:
    """Wait for room in the send buffer, or for an error. Returns the ns left.  Linux: net/core/sock.c."""
    sock = sk.sk_socket
    assert sock is not None
    task = current_task(sk)
    sched = sock_net(sk).world.sched
    wait = TaskWait(task)
    sock.flags &= ~SOCK_ASYNC_NOSPACE
    task.wait_what = 'room in the send buffer'
    while timeo != 0 and not signal_pending(task):
        sock.flags |= SOCK_NOSPACE
        prepare_to_wait(sock.wq, wait)
        if sk.sk_wmem_alloc < sk.sk_sndbuf or (sk.sk_shutdown & SEND_SHUTDOWN) != 0 or sk.sk_err != 0:
            break
        timeo = schedule_timeout(sched, timeo)
    finish_wait(sock.wq, wait)
    task.wait_what = ''
    return timeo


def sock_alloc_send_skb(sk: Sock, size: i64, noblock: bool) -> SkBuff | int:
    """A packet charged to sk; waits for room in the send buffer. A negative errno where there is none.

    Linux: include/net/sock.h.
    """
    return sock_alloc_send_pskb(sk, size, noblock)


def sock_alloc_send_pskb(sk: Sock, size: i64, noblock: bool) -> SkBuff | int:
    """See sock_alloc_send_skb.  Linux: net/core/sock.c, where the errno goes through a pointer."""
    timeo = sock_sndtimeo(sk, noblock)
    while True:
        err = sock_error(sk)
        if err != 0:
            return err
        if (sk.sk_shutdown & SEND_SHUTDOWN) != 0:
            return -EPIPE
        if sk.sk_wmem_alloc < sk.sk_sndbuf:
            break
        sock = sk.sk_socket
        if sock is not None:
            sock.flags |= SOCK_ASYNC_NOSPACE | SOCK_NOSPACE
        if timeo == 0:
            return -EAGAIN
        if signal_pending(current_task(sk)):
            return -EINTR
        timeo = sock_wait_for_wmem(sk, timeo)
    skb = alloc_skb_with_frags(sock_net(sk).world, size)
    skb_set_owner_w(skb, sk)
    return skb


# -- the cached route

def __sk_dst_set(sk: Sock, dst: DstEntry | None) -> None:
    """Cache a route on the sock.  Linux: include/net/sock.h."""
    sk.sk_tx_queue_mapping = -1
    sk.sk_dst_cache = dst


def sk_dst_set(sk: Sock, dst: DstEntry | None) -> None:
    """Cache a route on the sock.  Linux: include/net/sock.h."""
    __sk_dst_set(sk, dst)


def sk_dst_get(sk: Sock) -> DstEntry | None:
    """The cached route, whatever its age.  Linux: include/net/sock.h; routes are not counted here."""
    return sk.sk_dst_cache


def __sk_dst_reset(sk: Sock) -> None:
    """Linux: include/net/sock.h."""
    __sk_dst_set(sk, None)


def sk_dst_reset(sk: Sock) -> None:
    """Forget the cached route.  Linux: include/net/sock.h."""
    __sk_dst_set(sk, None)


def __sk_dst_check(sk: Sock, cookie: i64) -> DstEntry | None:
    """The cached route if it still is what a look-up would give, else None, and it is forgotten.  Linux: net/core/sock.c."""
    dst = sk.sk_dst_cache
    if dst is not None and not dst.check():
        sk.sk_tx_queue_mapping = -1
        sk.sk_dst_cache = None
        return None
    return dst


def sk_dst_check(sk: Sock, cookie: i64) -> DstEntry | None:
    """As __sk_dst_check, for callers that do not own the sock.  Linux: net/core/sock.c."""
    return __sk_dst_check(sk, cookie)


def dst_negative_advice(sk: Sock) -> None:
    """Retransmissions fail: perhaps the route does.  Linux: include/net/sock.h."""
    dst = sk.sk_dst_cache
    if dst is not None:
        ndst = dst.negative_advice()
        if ndst is not dst:
            __sk_dst_set(sk, ndst)


def sk_can_gso(sk: Sock) -> bool:
    """May the device below be handed super-segments?  Linux: include/net/sock.h."""
    feature = sk.sk_gso_type << NETIF_F_GSO_SHIFT
    return (sk.sk_route_caps & feature) == feature


def sk_setup_caps(sk: Sock, dst: DstEntry) -> None:
    """Cache a route, and take over what its device can do.  Linux: net/core/sock.c."""
    __sk_dst_set(sk, dst)
    dev = dst.dev
    caps = dev.features
    if sk.sk_type == SOCK_STREAM:
        caps |= NETIF_F_GSO
    if (caps & NETIF_F_GSO) != 0:
        caps |= NETIF_F_GSO_SOFTWARE
    sk.sk_route_caps = caps & ~sk.sk_route_nocaps
    if sk_can_gso(sk):
        sk.sk_route_caps |= NETIF_F_SG | NETIF_F_HW_CSUM
        sk.sk_gso_max_size = dev.gso_max_size - (MAX_TCP_HEADER + 1)  # Linux: sk_dst_gso_max_size
        sk.sk_gso_max_segs = dev.gso_max_segs if dev.gso_max_segs > 1 else 1
    else:
        sk.sk_gso_max_segs = 1


def sk_gso_disable(sk: Sock) -> None:
    """From now on nothing of sk is handed down as a super-segment.  Linux: include/net/sock.h, sk_gso_disable."""
    sk.sk_route_nocaps |= NETIF_F_GSO | NETIF_F_GSO_SOFTWARE
    sk.sk_route_caps &= ~(NETIF_F_GSO | NETIF_F_GSO_SOFTWARE)
    sk.sk_gso_max_segs = 1


def sk_set_txhash(sk: Sock) -> None:
    """A new flow hash, never 0.  Linux: include/net/sock.h."""
    txhash = sock_net(sk).random.u32()
    sk.sk_txhash = txhash if txhash != 0 else 1


def sk_rethink_txhash(sk: Sock) -> bool:
    """The path seems to fail: another flow hash may find another.  Linux: include/net/sock.h."""
    if sk.sk_txhash == 0 or not sk.sk_txrehash:
        return False
    sk_set_txhash(sk)
    return True


# -- timers

def sk_reset_timer(sk: Sock, timer: SockTimer, expires: i64) -> None:
    """Arm a timer of the sock for `expires` (ns); a pending timer holds a reference.  Linux: net/core/sock.c."""
    if not mod_timer(timer, expires):
        sock_hold(sk)


def sk_stop_timer(sk: Sock, timer: SockTimer) -> None:
    """Disarm it.  Linux: net/core/sock.c."""
    if del_timer(timer):
        sock_put(sk)


def sk_common_release(sk: Sock) -> None:
    """close() of protocols without a connection: out of the tables, then the last reference goes.  Linux: net/core/sock.c."""
    sk.sk_prot.destroy(sk)
    sk.sk_prot.unhash(sk)
    sock_orphan(sk)
    sock_put(sk)


def sk_purge_queues(sk: Sock) -> None:
    """Drop what was received and not read, and what could not be sent. (Part of Linux's inet_sock_destruct.)"""
    skb_queue_purge(sk.sk_receive_queue)
    skb_queue_purge(sk.sk_error_queue)
