# SPDX-License-Identifier: Apache-2.0
"""The program's system calls: what a script's call means, and whether what it gave is what the script says.

Each call_* reads its arguments and returns a Prepared: `run` makes the call (in a task; an OSError is its errno), `check`
compares what came back beside the result. Descriptors of the script are mapped to live ones. Buffers are zeros.
"""
from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from linnet.drill.script import ELLIPSIS, Call, DrillError, Expr, Name, Struct, Syscall, Text
from linnet.drill.symbols import SYMBOLS
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_UNSPEC, MSG_FASTOPEN, BadAddress, Cmsg, Msghdr, Sockaddr
from linnet.net import files as f
from linnet.net import socket as s

if TYPE_CHECKING:
    from linnet.drill.run import Runner

SYSCALLS = (
    'socket bind listen accept connect read readv recv recvfrom recvmsg write writev send sendto sendmsg fcntl ioctl close '
    'shutdown getsockopt setsockopt poll epoll_create epoll_create1 epoll_ctl epoll_wait '
    'open pipe pipe2 splice tee vmsplice sendfile'
).split()
MS = 1_000_000
MAX_BUFFER = 1 << 30


class Prepared:
    """A call about to be made. makes_fd: any descriptor will do where the script says one; done: what follows a success."""

    def __init__(self, run: Callable[[], int], check: Callable[[int], None] | None = None, makes_fd: bool = False) -> None:
        self.run = run
        self.check = check
        self.makes_fd = makes_fd


def number(expr: Expr) -> int:
    """The value of a number or of symbols joined by |. DrillError for an unknown one."""
    if isinstance(expr, int):
        return expr
    if isinstance(expr, Name):
        total = 0
        for part in expr.parts:
            if isinstance(part, str):
                if part not in SYMBOLS:
                    raise DrillError(f'unknown symbol {part!r}')
                total |= SYMBOLS[part]
            else:
                total |= number(part)
        return total
    if isinstance(expr, Call) and expr.name == 'htons' and len(expr.args) == 1:
        return number(expr.args[0])
    raise DrillError(f'{expr!r} is not a number')


def single(expr: Expr) -> Expr:
    """The one element of [x]."""
    if not isinstance(expr, list) or len(expr) != 1:
        raise DrillError(f'{expr!r} is not an array of one element')
    return expr[0]


def fields(expr: Expr, names: str) -> list[Expr]:
    """The named members of a struct, all of them and no others."""
    wanted = names.split()
    if not isinstance(expr, Struct):
        raise DrillError(f'{expr!r} is not a struct')
    found = {name: value for name, value in expr.fields if not name.endswith('()')}
    if set(found) != set(wanted) or expr.items:
        raise DrillError(f'a struct of {", ".join(found)}, where {", ".join(wanted)} are meant')
    return [found[name] for name in wanted]


def is_null(expr: Expr) -> bool:
    """NULL, written out."""
    return isinstance(expr, Name) and expr.parts == ('NULL',)


def buffer(expr: Expr, size: int) -> bytes | BadAddress:
    """What a call sends."""
    if is_null(expr):
        return BadAddress(size)
    if expr == ELLIPSIS:
        if not 0 <= size < MAX_BUFFER:
            raise DrillError(f'a buffer of {size} bytes')
        return bytes(size)
    if isinstance(expr, Text):
        return expr.data[:size]
    raise DrillError(f'{expr!r} as a buffer')


def expect(what: str, want: object, got: object) -> None:
    """DrillError unless they are equal."""
    if want != got:
        raise DrillError(f'bad {what}: expected: {want!r} actual: {got!r}')


class Calls:
    """The calls of one script."""

    def __init__(self, runner: Runner) -> None:
        self.r = runner

    def prepare(self, call: Syscall) -> Prepared:
        """The call, with its arguments understood. DrillError: there is none such, or it does not take these."""
        if call.name not in SYSCALLS:
            raise DrillError(f'unknown system call {call.name!r}')
        method = getattr(self, 'call_' + call.name)
        want = method.__code__.co_argcount - 2
        least = want - len(method.__defaults__ or ())
        if not least <= len(call.args) <= want:
            raise DrillError(f'{call.name} takes {want} arguments, not {len(call.args)}')
        prepared = method(call, *call.args)
        assert isinstance(prepared, Prepared)
        return prepared

    # -- sockets

    def call_socket(self, call: Syscall, domain: Expr, kind: Expr, protocol: Expr) -> Prepared:
        """socket(..., SOCK_STREAM, IPPROTO_TCP)"""
        family = self.r.config.family if domain == ELLIPSIS else number(domain)
        args = family, number(kind), number(protocol)
        return Prepared(lambda: s.sys_socket(self.r.process, *args), lambda fd: self.r.opened(call, fd), True)

    def local(self) -> Sockaddr:
        """What `...` means to bind()."""
        return self.r.config.sockaddr(self.r.config.local, self.r.config.bind_port)

    def remote(self) -> Sockaddr:
        """What `...` means to connect()."""
        return self.r.config.sockaddr(self.r.config.remote, self.r.config.connect_port)

    def address(self, expr: Expr, default: Sockaddr) -> Sockaddr:
        """An address: `...`, AF_UNSPEC, or the struct."""
        if expr == ELLIPSIS:
            return default
        if isinstance(expr, Name) and number(expr) == AF_UNSPEC:
            return Sockaddr(AF_UNSPEC)
        family, port, addr = fields(expr, 'sa_family sin_port sin_addr')
        if not isinstance(addr, Call) or addr.name != 'inet_addr' or not isinstance(addr.args[0], Text):
            raise DrillError('sin_addr wants inet_addr("...")')
        return Sockaddr(number(family), in_aton(addr.args[0].data.decode()), number(port))

    def call_bind(self, call: Syscall, fd: Expr, addr: Expr, size: Expr) -> Prepared:
        """bind(3, ..., ...)"""
        live = self.r.live_fd(number(fd))
        name = self.address(addr, self.local())
        return Prepared(lambda: zero(s.sys_bind, self.r.process, live, name), lambda _: self.r.bound(number(fd), name))

    def call_listen(self, call: Syscall, fd: Expr, backlog: Expr) -> Prepared:
        """listen(3, 1)"""
        live, most = self.r.live_fd(number(fd)), number(backlog)
        return Prepared(lambda: zero(s.sys_listen, self.r.process, live, most), lambda _: self.r.listening(number(fd)))

    def call_accept(self, call: Syscall, fd: Expr, addr: Expr, size: Expr) -> Prepared:
        """accept(3, ..., ...)"""
        live = self.r.live_fd(number(fd))
        peer: list[Sockaddr] = []

        def run() -> int:
            new, name = s.sys_accept(self.r.process, live)
            peer.append(name)
            return new
        return Prepared(run, lambda new: self.r.accepted(call, new, peer[0]), True)

    def call_connect(self, call: Syscall, fd: Expr, addr: Expr, size: Expr) -> Prepared:
        """connect(3, ..., ...)"""
        live = self.r.live_fd(number(fd))
        name = self.address(addr, self.remote())
        self.r.connecting(number(fd), name)
        return Prepared(lambda: zero(s.sys_connect, self.r.process, live, name))

    def call_shutdown(self, call: Syscall, fd: Expr, how: Expr) -> Prepared:
        """shutdown(4, SHUT_WR)"""
        live, way = self.r.live_fd(number(fd)), number(how)
        return Prepared(lambda: zero(s.sys_shutdown, self.r.process, live, way))

    def call_close(self, call: Syscall, fd: Expr) -> Prepared:
        """close(4)"""
        live = self.r.live_fd(number(fd))
        self.r.closed(number(fd))
        return Prepared(lambda: zero(s.sys_close, self.r.process, live))

    # -- sending

    def call_write(self, call: Syscall, fd: Expr, buf: Expr, count: Expr) -> Prepared:
        """write(4, ..., 1000)"""
        live, data = self.r.live_fd(number(fd)), buffer(buf, number(count))
        return Prepared(lambda: s.sys_write(self.r.process, live, data))

    def call_writev(self, call: Syscall, fd: Expr, iov: Expr, count: Expr) -> Prepared:
        """writev(4, [{..., 100}, {..., 100}], 2)"""
        live, data = self.r.live_fd(number(fd)), bytes(sum(self.iovec(iov, number(count))))
        return Prepared(lambda: s.sys_write(self.r.process, live, data))

    def call_send(self, call: Syscall, fd: Expr, buf: Expr, count: Expr, flags: Expr) -> Prepared:
        """send(4, ..., 1000, MSG_MORE)"""
        live, data, bits = self.r.live_fd(number(fd)), buffer(buf, number(count)), number(flags)
        return Prepared(lambda: s.sys_send(self.r.process, live, data, bits))

    def call_sendto(self, call: Syscall, fd: Expr, buf: Expr, count: Expr, flags: Expr, addr: Expr, size: Expr) -> Prepared:
        """sendto(4, ..., 1000, MSG_FASTOPEN, ..., ...)"""
        live, data, bits = self.r.live_fd(number(fd)), buffer(buf, number(count)), number(flags)
        name = self.address(addr, self.remote())
        if bits & MSG_FASTOPEN:
            self.r.connecting(number(fd), name)
        return Prepared(lambda: s.sys_sendto(self.r.process, live, data, bits, name))

    def call_sendmsg(self, call: Syscall, fd: Expr, header: Expr, flags: Expr) -> Prepared:
        """sendmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 100}], msg_flags=0}, MSG_EOR)"""
        live, bits = self.r.live_fd(number(fd)), number(flags)
        head = self.msghdr(header)
        sizes = self.iovec(head['msg_iov'], number(head['msg_iov()']))
        msg = Msghdr(bytes(sum(sizes)))
        msg.iov_lens = sizes
        if 'msg_name' in head:
            msg.msg_name = self.address(head['msg_name'], self.remote())
        for item in head.get('msg_control', []):
            msg.msg_control.append(self.cmsg(item))
        if bits & MSG_FASTOPEN and msg.msg_name is not None:
            self.r.connecting(number(fd), msg.msg_name)
        return Prepared(lambda: s.sys_sendmsg(self.r.process, live, msg, bits))

    def iovec(self, expr: Expr, count: int) -> list[int]:
        """The lengths of [{..., 100}, ...]."""
        if not isinstance(expr, list) or len(expr) != count:
            raise DrillError(f'{expr!r} is not {count} iovecs')
        sizes = []
        for item in expr:
            if not isinstance(item, Struct) or item.fields or len(item.items) != 2:
                raise DrillError(f'{item!r} is no iovec')
            sizes.append(number(item.items[1]))
        return sizes

    def msghdr(self, expr: Expr) -> dict[str, Any]:
        """A struct msghdr's members; msg_iov() is its count."""
        if not isinstance(expr, Struct) or expr.items:
            raise DrillError(f'{expr!r} is no msghdr')
        found: dict[str, Any] = dict(expr.fields)
        unknown = set(found) - {'msg_name', 'msg_name()', 'msg_iov', 'msg_iov()', 'msg_flags', 'msg_control'}
        if unknown or 'msg_iov()' not in found:
            raise DrillError(f'a msghdr with {", ".join(sorted(unknown)) or "no msg_iov(n)"}')
        return found

    def cmsg(self, expr: Expr) -> Cmsg:
        """A control message to send."""
        level, kind, data = fields(expr, 'cmsg_level cmsg_type cmsg_data')
        return Cmsg(number(level), number(kind), struct.pack('<i', number(data)))

    # -- receiving

    def call_read(self, call: Syscall, fd: Expr, buf: Expr, count: Expr) -> Prepared:
        """read(4, ..., 1000)"""
        live, size = self.r.live_fd(number(fd)), self.room(buf, count)
        return Prepared(lambda: len(s.sys_read(self.r.process, live, size)))

    def call_readv(self, call: Syscall, fd: Expr, iov: Expr, count: Expr) -> Prepared:
        """readv(4, [{..., 100}], 1)"""
        live, size = self.r.live_fd(number(fd)), sum(self.iovec(iov, number(count)))
        return Prepared(lambda: len(s.sys_read(self.r.process, live, size)))

    def call_recv(self, call: Syscall, fd: Expr, buf: Expr, count: Expr, flags: Expr) -> Prepared:
        """recv(4, ..., 1000, MSG_PEEK)"""
        live, size, bits = self.r.live_fd(number(fd)), self.room(buf, count), number(flags)
        return Prepared(lambda: self.received(live, size, bits))

    def call_recvfrom(self, call: Syscall, fd: Expr, buf: Expr, count: Expr, flags: Expr, addr: Expr, size: Expr) -> Prepared:
        """recvfrom(4, ..., 1000, 0, ..., ...)"""
        live, most, bits = self.r.live_fd(number(fd)), self.room(buf, count), number(flags)
        return Prepared(lambda: self.received(live, most, bits))

    def received(self, live: int, size: int | BadAddress, flags: int) -> int:
        """What recv() returns: with MSG_TRUNC not the bytes that it gives."""
        if isinstance(size, BadAddress):
            return len(s.sys_recv(self.r.process, live, size, flags))
        return s.sys_recvmsg(self.r.process, live, Msghdr(), size, flags)

    def room(self, buf: Expr, count: Expr) -> int | BadAddress:
        """The size of a buffer to receive into."""
        if is_null(buf):
            return BadAddress(number(count))
        if buf != ELLIPSIS:
            raise DrillError(f'{buf!r} as a buffer')
        return number(count)

    def call_recvmsg(self, call: Syscall, fd: Expr, header: Expr, flags: Expr) -> Prepared:
        """recvmsg(3, {msg_name(...)=..., msg_iov(1)=[{...,0}], msg_flags=MSG_ERRQUEUE, msg_control=[...]}, MSG_ERRQUEUE)"""
        live, bits = self.r.live_fd(number(fd)), number(flags)
        head = self.msghdr(header)
        size = sum(self.iovec(head['msg_iov'], number(head['msg_iov()'])))
        msg = Msghdr()
        want_flags = number(head['msg_flags']) if 'msg_flags' in head else None

        def check(result: int) -> None:
            if want_flags is not None:
                expect('msg_flags', want_flags, msg.msg_flags)
            if 'msg_control' in head:
                wanted = head['msg_control']
                expect('number of control messages', len(wanted), len(msg.msg_control))
                for want, got in zip(wanted, msg.msg_control, strict=True):
                    self.check_cmsg(want, got)
        return Prepared(lambda: s.sys_recvmsg(self.r.process, live, msg, size, bits), check)

    def check_cmsg(self, want: Expr, got: Cmsg) -> None:
        """Level, type, and data: sock_extended_err, scm_timestamping, or a number."""
        level, kind, data = fields(want, 'cmsg_level cmsg_type cmsg_data')
        expect('cmsg_level', number(level), got.cmsg_level)
        expect('cmsg_type', number(kind), got.cmsg_type)
        if not isinstance(data, Struct):
            expect('cmsg_data', number(data), int.from_bytes(got.data[:4], 'little'))
            return
        names = [name for name, _ in data.fields]
        if 'scm_sec' in names:
            sec, nsec = fields(data, 'scm_sec scm_nsec')
            if len(got.data) < 16:
                raise DrillError('a time stamp of less than 16 bytes')
            live_sec, live_nsec = struct.unpack_from('<qq', got.data)
            stamp = live_sec * 10**9 + live_nsec - self.r.wall_start()
            self.r.check_stamp(number(sec) * 10**9 + number(nsec), stamp)
            return
        wanted = [number(value) for value in fields(data, 'ee_errno ee_origin ee_type ee_code ee_info ee_data')]
        if len(got.data) < 16:
            raise DrillError('a sock_extended_err of less than 16 bytes')
        errno, origin, kind_, code, _, info, value = struct.unpack_from('<IBBBBII', got.data)
        for name, a, b in zip('ee_errno ee_origin ee_type ee_code ee_info ee_data'.split(), wanted,
                              (errno, origin, kind_, code, info, value), strict=True):
            expect(name, a & 0xFFFFFFFF, b)

    # -- options and descriptors

    def call_setsockopt(self, call: Syscall, fd: Expr, level: Expr, name: Expr, value: Expr, size: Expr) -> Prepared:
        """setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4)"""
        live, args = self.r.live_fd(number(fd)), (number(level), number(name))
        most = number(size)
        if isinstance(value, Text):
            data = value.data[:most].ljust(most, b'\0')
        elif isinstance(value, Struct):
            data = struct.pack('<ii', *(number(item) for item in fields(value, 'onoff linger')))
        elif isinstance(value, list):
            data = struct.pack('<I', number(single(value)) & 0xFFFFFFFF)
        else:
            raise DrillError(f'{value!r} as an option')
        return Prepared(lambda: zero(s.sys_setsockopt, self.r.process, live, *args, data[:most]))

    def call_getsockopt(self, call: Syscall, fd: Expr, level: Expr, name: Expr, value: Expr, size: Expr) -> Prepared:
        """getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4])"""
        live, args = self.r.live_fd(number(fd)), (number(level), number(name))
        most = number(single(size))
        got: list[bytes] = []

        def run() -> int:
            got.append(s.sys_getsockopt(self.r.process, live, *args, most))
            return 0

        def check(result: int) -> None:
            if value == ELLIPSIS:
                return
            if isinstance(value, Struct):
                expect('option', tuple(number(item) for item in fields(value, 'onoff linger')), struct.unpack('<ii', got[0][:8]))
            elif isinstance(value, Text):
                expect('option', value.data, got[0].rstrip(b'\0'))
            else:
                expect('option', number(single(value)) & 0xFFFFFFFF, int.from_bytes(got[0][:4], 'little'))
        return Prepared(run, check)

    def call_fcntl(self, call: Syscall, fd: Expr, cmd: Expr, arg: Expr = 0) -> Prepared:
        """fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK)"""
        live, what, value = self.r.live_fd(number(fd)), number(cmd), number(arg)
        return Prepared(lambda: s.sys_fcntl(self.r.process, live, what, value))

    def call_ioctl(self, call: Syscall, fd: Expr, request: Expr, value: Expr) -> Prepared:
        """ioctl(4, SIOCINQ, [1000])"""
        live, cmd = self.r.live_fd(number(fd)), number(request)
        arg = number(single(value))
        got: list[int] = []

        def run() -> int:
            got.append(s.sys_ioctl(self.r.process, live, cmd, arg))
            return 0
        return Prepared(run, lambda _: expect('ioctl value', arg, got[0]))

    # -- files

    def call_open(self, call: Syscall, path: Expr, flags: Expr, mode: Expr = 0o666) -> Prepared:
        """open("/tmp/testfile", O_RDONLY)"""
        if not isinstance(path, Text):
            raise DrillError(f'{path!r} is no path')
        name, bits, access = path.data.decode(), number(flags), number(mode)
        return Prepared(lambda: f.sys_open(self.r.process, name, bits, access), lambda fd: self.r.opened_other(call, fd), True)

    def call_pipe(self, call: Syscall, fds: Expr, flags: Expr = 0) -> Prepared:
        """pipe([5, 6])"""
        if not isinstance(fds, list) or len(fds) != 2:
            raise DrillError(f'{fds!r} is not an array of two descriptors')
        names = [number(fd) for fd in fds]
        bits = number(flags)
        got: list[int] = []

        def run() -> int:
            got.extend(f.sys_pipe2(self.r.process, bits))
            return 0

        def check(result: int) -> None:
            for name, live in zip(names, got, strict=True):
                self.r.other_fds[self.r.free_fd(name)] = live
        return Prepared(run, check)

    def call_pipe2(self, call: Syscall, fds: Expr, flags: Expr) -> Prepared:
        """pipe2([5, 6], O_NONBLOCK)"""
        return self.call_pipe(call, fds, flags)

    def offset(self, expr: Expr) -> int | None:
        """NULL, or [n]."""
        return None if is_null(expr) else number(single(expr))

    def call_splice(self, call: Syscall, fd_in: Expr, off_in: Expr, fd_out: Expr, off_out: Expr, size: Expr, flags: Expr,
                    ) -> Prepared:
        """splice(4, NULL, 6, NULL, 99, 0)"""
        source, target = self.r.live_fd(number(fd_in)), self.r.live_fd(number(fd_out))
        args = source, self.offset(off_in), target, self.offset(off_out), number(size), number(flags)
        return Prepared(lambda: f.sys_splice(self.r.process, *args)[0])

    def call_tee(self, call: Syscall, fd_in: Expr, fd_out: Expr, size: Expr, flags: Expr) -> Prepared:
        """tee(5, 8, 100, 0)"""
        args = self.r.live_fd(number(fd_in)), self.r.live_fd(number(fd_out)), number(size), number(flags)
        return Prepared(lambda: f.sys_tee(self.r.process, *args))

    def call_vmsplice(self, call: Syscall, fd: Expr, iov: Expr, count: Expr, flags: Expr) -> Prepared:
        """vmsplice(6, [{..., 1000}], 1, 0)"""
        live, data, bits = self.r.live_fd(number(fd)), bytes(sum(self.iovec(iov, number(count)))), number(flags)
        return Prepared(lambda: f.sys_vmsplice(self.r.process, live, data, bits))

    def call_sendfile(self, call: Syscall, out_fd: Expr, in_fd: Expr, offset: Expr, count: Expr) -> Prepared:
        """sendfile(4, 5, [0], 5)"""
        args = self.r.live_fd(number(out_fd)), self.r.live_fd(number(in_fd)), self.offset(offset), number(count)
        return Prepared(lambda: f.sys_sendfile(self.r.process, *args)[0])

    # -- waiting

    def call_poll(self, call: Syscall, fds: Expr, count: Expr, timeout: Expr) -> Prepared:
        """poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, 100)"""
        if not isinstance(fds, list) or len(fds) != number(count):
            raise DrillError('poll of another number of descriptors')
        asked: list[tuple[int, int]] = []
        wanted: dict[int, int] = {}
        for item in fds:
            names = 'fd events revents' if isinstance(item, Struct) and item.get('revents') is not None else 'fd events'
            fd, events, *revents = fields(item, names)
            live = self.r.live_fd(number(fd))
            asked.append((live, number(events)))
            wanted[live] = number(revents[0]) if revents else 0
        wait = number(timeout)
        got: dict[int, int] = {}

        def run() -> int:
            got.update(s.sys_poll(self.r.process, asked, None if wait < 0 else wait * MS))
            return len(got)

        def check(result: int) -> None:
            for live, revents in wanted.items():
                expect('revents', revents, got.get(live, 0))
        return Prepared(run, check)

    def call_epoll_create(self, call: Syscall, size: Expr) -> Prepared:
        """epoll_create(1)"""
        number(size)
        return Prepared(lambda: s.sys_epoll_create1(self.r.process, 0), lambda fd: self.r.opened_other(call, fd), True)

    def call_epoll_create1(self, call: Syscall, flags: Expr) -> Prepared:
        """epoll_create1(0)"""
        bits = number(flags)
        return Prepared(lambda: s.sys_epoll_create1(self.r.process, bits), lambda fd: self.r.opened_other(call, fd), True)

    def epoll_event(self, expr: Expr) -> tuple[int, int]:
        """{events=EPOLLIN, fd=4} (or ptr, u32, u64): the mask, and the datum, a descriptor of the script as it is written."""
        if not isinstance(expr, Struct) or len(expr.fields) != 2:
            raise DrillError(f'{expr!r} is no epoll event')
        (first, events), (kind, value) = expr.fields
        if first != 'events' or kind not in ('fd', 'ptr', 'u32', 'u64'):
            raise DrillError(f'an epoll event of {first} and {kind}')
        return number(events) & 0xFFFFFFFF, number(value)

    def call_epoll_ctl(self, call: Syscall, epfd: Expr, op: Expr, fd: Expr, event: Expr) -> Prepared:
        """epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLET, fd=4})"""
        ep, live, what = self.r.live_fd(number(epfd)), self.r.live_fd(number(fd)), number(op)
        mask, data = self.epoll_event(event)
        return Prepared(lambda: zero(s.sys_epoll_ctl, self.r.process, ep, what, live, mask, data))

    def call_epoll_wait(self, call: Syscall, epfd: Expr, event: Expr, most: Expr, timeout: Expr) -> Prepared:
        """epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0)"""
        ep, limit, wait = self.r.live_fd(number(epfd)), number(most), number(timeout)
        mask, data = self.epoll_event(event)
        got: list[tuple[int, int]] = []

        def run() -> int:
            got.extend(s.sys_epoll_wait(self.r.process, ep, limit, None if wait < 0 else wait * MS))
            return len(got)

        def check(result: int) -> None:
            if result > 0:
                expect('epoll event', (data, mask), (got[0][0], got[0][1] & 0xFFFFFFFF))
        return Prepared(run, check)


def zero(call: Callable[..., None], *args: object) -> int:
    """A call that returns 0."""
    call(*args)
    return 0
