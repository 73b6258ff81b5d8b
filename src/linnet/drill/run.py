# SPDX-License-Identifier: Apache-2.0
"""One script, run: a world of its own, a host with tun0, a program, and the events in order, in virtual time.

Time is relative to the first event, in µs. The world runs to each event's time; for an outbound packet it runs until the
stack sends one, since it may come too early or too late. Tolerance: the larger of 4 ms and 12.5 % of the gap since the event
before. A call that blocks runs in a task of its own; its end is checked when the next call, or the script's end, comes.

Packets belong to the socket under test: the one that last listened, connected or was opened by a SYN. Sequence numbers are
mapped between the script's and the live ones by the two initial numbers; timestamps by the pairs seen.
"""
from __future__ import annotations

import struct
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from linnet.drill.calls import Calls, Prepared
from linnet.drill.commands import Commands
from linnet.drill.config import Config, ip_of
from linnet.drill.device import drill_newlink
from linnet.drill.match import Sock, check_fragment, compare_header, compare_options, scripted, shift_edges
from linnet.drill.packets import (
    ACK,
    M32,
    SYN,
    Packet,
    icmp_packet,
    merge,
    packet_text,
    quoted_packet,
    read_tcp,
    tcp_packet,
)
from linnet.drill.script import (
    ABSOLUTE_RANGE,
    ANY,
    RELATIVE,
    RELATIVE_RANGE,
    Code,
    Command,
    DrillError,
    Event,
    IcmpSpec,
    Script,
    Syscall,
    TcpSpec,
    parse_script,
)
from linnet.drill.symbols import CODE_NAMES, ERRNO_NAMES, ERRNOS, unpack_tcp_info
from linnet.drivers.net.pcap import INBOUND, LINKTYPE_RAW, OUTBOUND, pcapng_interface, pcapng_packet, pcapng_section
from linnet.include.linux.sched import Process
from linnet.include.linux.socket import AF_UNSPEC, SOL_TCP, Sockaddr
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.include.net.ip6_fib import Fib6Config
from linnet.include.net.ip_fib import RT_SCOPE_LINK, FibConfig
from linnet.kernel.clock import VirtualClock
from linnet.kernel.sched import Task
from linnet.net import socket as s
from linnet.net.boot import new_net, new_world
from linnet.net.ipv4.devinet import inet_addr_add
from linnet.net.ipv4.fib_frontend import fib_add_route
from linnet.net.ipv6.addrconf import inet6_addr_add
from linnet.net.ipv6.route import ip6_route_add
from linnet.walk.recorder import Recorder

START_NS: Final = 100 * 10**9  # a machine that has been up for a while: no time in the stack's past is before its start
PATIENCE: Final = 2_000_000  # µs that a packet may be late before the wait for it ends
CALL_TIME: Final = 10  # µs that a system call takes, as on a real machine: no two things happen at one instant
FOREVER: Final = 3600 * 1_000_000
TCP_INFO: Final = 11
FIRST_PORT: Final = 32768
# net.ipv6.conf of tun0, whose other end is a script and no router
CONF: Final = {'disable_ipv6': '0', 'accept_ra': '0', 'router_solicitations': '0', 'dad_transmits': '0'}


class Runner:
    """A script under way."""

    def __init__(self, script: Script, config: Config) -> None:
        self.script = script
        self.config = config
        self.version = 6 if config.ip_version == 'ipv6' else 4  # of packets
        self.world = new_world(VirtualClock(), seed=1)
        self.net = new_net(self.world, 'drill')
        self.sched = self.world.sched
        self.sched.run(START_NS)
        if config.ip_version == 'ipv6':
            for name, value in CONF.items():
                self.net.sysctl.set(f'net.ipv6.conf.default.{name}', value)
        self.dev, self.ops = drill_newlink(self.net, 'tun0', config.mtu)
        self.configure()
        self.process = Process(self.net, 'drill', 2)
        self.calls = Calls(self)
        self.commands = Commands(self.net, self.dev, script.path.parent)
        self.socks: list[Sock] = []
        self.test: Sock | None = None
        self.other_fds: dict[int, int] = {}
        self.start_ns = 0
        self.last: Event | None = None
        self.last_start = 0  # µs of the event before, in the script's time
        self.blocked: tuple[Task, Event, Prepared, int] | None = None
        self.codes: list[tuple[Event, str, dict[str, int]]] = []
        self.next_port = FIRST_PORT
        self.event: Event = script.events[0]
        self.start = 0
        self.end = 0
        self.waits = False  # for a call: the world's run ends when it returns
        self.lines: list[str] = []
        self.recorder: Recorder | None = Recorder() if config.walk else None
        self.seen_rows = 0  # the recorder's rows when an expected packet was last seen

    def watched(self) -> AbstractContextManager[object]:
        """Around all that this greenlet does: it is recorded if a walk was asked for."""
        return self.recorder.recording() if self.recorder is not None else nullcontext()

    def configure(self) -> None:
        """tun0's address, and the route to the remote host."""
        local, remote, dev = self.config.local, self.config.remote, self.dev
        if self.config.ip_version == 'ipv6':
            err = inet6_addr_add(dev, local, self.config.prefixlen, IFA_F_NODAD)
            cfg6 = Fib6Config()
            cfg6.fc_dst, cfg6.fc_dst_len, cfg6.fc_ifindex = remote, 128, dev.ifindex
            err = err or ip6_route_add(self.net, cfg6)
        else:
            err = inet_addr_add(dev, local, self.config.prefixlen)
            cfg = FibConfig()
            cfg.fc_dst, cfg.fc_dst_len, cfg.fc_oif, cfg.fc_scope = remote, 32, dev.ifindex, RT_SCOPE_LINK
            err = err or fib_add_route(self.net, cfg)
        if err:
            raise OSError(-err, 'cannot configure tun0')

    # -- time

    def now(self) -> int:
        """µs since the first event."""
        return (int(self.world.clock.now) - self.start_ns) // 1000

    def wall_start(self) -> int:
        """Wall time of the first event, ns."""
        return int(self.world.clock.epoch_ns) + self.start_ns

    def settle(self) -> None:
        """Let the stack finish what is due now."""
        self.sched.run(int(self.world.clock.now))

    def run_to(self, micros: int) -> None:
        """Let virtual time pass until then."""
        self.sched.run(max(self.start_ns + micros * 1000, int(self.world.clock.now)))

    def check_time(self, what: str, actual: int, kind: str, start: int, end: int, before: int | None) -> None:
        """DrillError unless it happened when the script says."""
        if kind == ANY:
            return
        tolerance = self.config.tolerance
        if before is not None:
            tolerance = max(tolerance, int(self.config.percent / 100 * (start - before)))
        last = end if kind in (ABSOLUTE_RANGE, RELATIVE_RANGE) else start
        if start - tolerance <= actual <= last + tolerance:
            return
        when = f'at {start / 1e6:.6f} sec' if last == start else f'in time range {start / 1e6:.6f}~{last / 1e6:.6f} sec'
        raise DrillError(f'timing error: expected {what} {when} but happened at {actual / 1e6:.6f} sec; '
                         f'tolerance {tolerance / 1e6:.6f} sec')

    def check_stamp(self, want_ns: int, got_ns: int) -> None:
        """A time stamp within the tolerance."""
        tolerance = max(self.config.tolerance, int(self.config.percent / 100 * want_ns / 1000)) * 1000
        if abs(want_ns - got_ns) > tolerance:
            raise DrillError(f'bad time stamp: expected: {want_ns} ns actual: {got_ns} ns')

    # -- the script

    def run(self) -> None:
        """Run it all. DrillError: it did not pass."""
        try:
            if self.script.init is not None:
                self.guarded(self.script.init, lambda: self.command(self.script.init))
            self.start_ns = int(self.world.clock.now)
            with self.watched():
                self.events()
            if self.script.cleanup is not None:
                self.guarded(self.script.cleanup, lambda: self.command(self.script.cleanup))
            self.run_codes()
        finally:
            self.sched.close()

    def events(self) -> None:
        """One after the other, and the end of a call that still blocks."""
        for number, event in enumerate(self.script.events):
            if number == 0 and event.when.kind != ANY and event.when.start != 0:
                raise DrillError(f'{self.script.path}:{event.line}: first event should be at time 0')
            self.guarded(event, lambda event=event: self.step(event))
            if self.recorder is not None and isinstance(event.action, TcpSpec) and not event.action.inbound:
                self.seen_rows = len(self.recorder.rows)
        if self.blocked is not None:
            self.guarded(self.blocked[1], lambda: self.finish_blocked())

    def guarded(self, event: Event, action: Any) -> None:
        """Run it; what it raises names file and line."""
        try:
            action()
        except DrillError as exc:
            text = str(exc)
            if not text.startswith(f'{self.script.path}:'):
                text = f'{self.script.path}:{event.line}: {text}'
            raise DrillError(text) from None

    def command(self, event: Event | None) -> None:
        """What stands in backticks."""
        if event is None or not isinstance(event.action, Command):
            return
        try:
            self.commands.run(event.action.text)
        except (ValueError, KeyError, IndexError) as exc:
            raise DrillError(f'error executing `{event.action.text.strip()}`: {exc!r}') from None

    def step(self, event: Event) -> None:
        """One event."""
        when = event.when
        anchored = isinstance(event.action, TcpSpec | IcmpSpec) and event.action.inbound
        offset = 0
        if when.kind in (RELATIVE, RELATIVE_RANGE, ANY):
            before = self.last.action if self.last is not None else None
            both = anchored and isinstance(before, TcpSpec | IcmpSpec) and before.inbound
            offset = self.last_start if both else self.now()
        self.event, self.start, self.end = event, when.start + offset, when.end + offset
        action = event.action
        if isinstance(action, TcpSpec) and not action.inbound:
            self.outbound(action)
        else:
            self.run_to(self.start)
            before_start = self.last_start if self.last is not None else None
            if self.last is not None:
                self.check_time('event', self.now(), when.kind, self.start, self.end, before_start)
            if isinstance(action, TcpSpec):
                self.inbound(action)
            elif isinstance(action, IcmpSpec):
                self.icmp(action)
            elif isinstance(action, Syscall):
                self.syscall(event, action, offset if when.kind == RELATIVE else 0)
            elif isinstance(action, Command):
                self.command(event)
            else:
                self.code(event, action)
        if self.blocked is not None and not self.blocked[0].alive():
            self.guarded(self.blocked[1], lambda: self.finish_blocked())
        self.last, self.last_start = event, self.start

    # -- calls

    def syscall(self, event: Event, call: Syscall, offset: int) -> None:
        """Make a call; one that blocks goes on while the script does."""
        if self.blocked is not None:
            self.guarded(self.blocked[1], lambda: self.finish_blocked())
        prepared = self.calls.prepare(call)
        task = self.sched.spawn(lambda: self.made(prepared), call.name, self.process)
        self.settle()
        if call.end is not None:
            self.blocked = task, event, prepared, call.end + offset
            return
        if task.alive():
            self.await_call(task, FOREVER)
            if task.alive():
                raise DrillError(f'runtime error in {call.name} call: it blocks for ever')
        self.judge(call, prepared, task)
        self.run_to(self.now() + CALL_TIME)

    def made(self, prepared: Prepared) -> tuple[int, int, int]:
        """In the task: result, errno, and when it returned (µs)."""
        try:
            with self.watched():
                result, errno = prepared.run(), 0
        except OSError as exc:
            result, errno = -1, exc.errno or 0
        if self.waits:
            self.sched.stop()
        return result, errno, self.now()

    def await_call(self, task: Task, patience: int) -> None:
        """Let time pass until a call returns, `patience` µs at the most."""
        limit = self.now() + patience
        self.waits = True
        while task.alive() and self.now() < limit:
            self.run_to(limit)
        self.waits = False
        self.settle()

    def finish_blocked(self) -> None:
        """Judge the blocked call, which has a second more to return, as in packetdrill."""
        assert self.blocked is not None
        task, event, prepared, end = self.blocked
        self.await_call(task, 1_000_000)
        call = event.action
        assert isinstance(call, Syscall)
        if task.alive():
            raise DrillError(f'runtime error in {call.name} call: it has not returned')
        self.blocked = None
        self.judge(call, prepared, task)
        assert isinstance(task.result, tuple)
        start = end - (call.end or 0) + event.when.start
        self.check_time('system call return', task.result[2], event.when.kind, end, end, start)

    def judge(self, call: Syscall, prepared: Prepared, task: Task) -> None:
        """Compare result and errno, and what the call gave."""
        if task.exception is not None:
            raise task.exception
        assert isinstance(task.result, tuple)
        result, errno, _ = task.result
        want = call.result
        happened = f'{result}' + (f' with errno {errno} ({ERRNO_NAMES.get(errno, "?")})' if result < 0 else '')
        text = f'runtime error in {call.name} call: '
        if isinstance(want, str):
            raise DrillError(f'{text}unknown result {want!r}')
        if isinstance(want, int):
            if prepared.makes_fd and want >= 0:
                if result < 0:
                    raise DrillError(f'{text}Expected non-negative result but got {happened}')
            elif result != want:
                raise DrillError(f'{text}Expected result {want} but got {happened}')
        if call.errno is not None:
            if call.errno not in ERRNOS:
                raise DrillError(f'{text}unknown errno {call.errno!r}')
            if errno != ERRNOS[call.errno]:
                raise DrillError(f'{text}Expected errno {ERRNOS[call.errno]} ({call.errno}) but got {happened}')
        if result >= 0 and prepared.check is not None:
            try:
                prepared.check(result)
            except DrillError as exc:
                raise DrillError(f'{text}{exc}') from None

    # -- descriptors

    def live_fd(self, fd: int) -> int:
        """The live descriptor of the script's."""
        if fd in self.other_fds:
            return self.other_fds[fd]
        sock = self.find(fd)
        return sock.live_fd if sock is not None else -1 if fd < 0 else 10**6 + fd

    def find(self, fd: int) -> Sock | None:
        """The open socket of a script's descriptor."""
        for sock in reversed(self.socks):
            if sock.script_fd == fd and not sock.closed:
                return sock
        return None

    def new_fd(self, call: Syscall) -> int:
        """The script's number of a new descriptor, which must be free."""
        return self.free_fd(call.result)

    def free_fd(self, fd: object) -> int:
        """A number that no descriptor of the script has yet."""
        if not isinstance(fd, int) or self.find(fd) is not None or fd in self.other_fds:
            raise DrillError(f'duplicate fd {fd} in script')
        return fd

    def opened(self, call: Syscall, live: int) -> None:
        """socket()"""
        self.test = Sock(script_fd=self.new_fd(call), live_fd=live)
        self.socks.append(self.test)

    def opened_other(self, call: Syscall, live: int) -> None:
        """epoll_create()"""
        self.other_fds[self.new_fd(call)] = live

    def bound(self, fd: int, addr: Sockaddr) -> None:
        """bind()"""
        sock = self.find(fd)
        if sock is not None:
            sock.local, sock.local_port = ip_of(addr), int(addr.sin_port)

    def listening(self, fd: int) -> None:
        """listen()"""
        sock = self.find(fd)
        if sock is not None:
            sock.state = 'listening'

    def connecting(self, fd: int, addr: Sockaddr) -> None:
        """connect(), or a sendto() that connects."""
        sock = self.find(fd)
        if sock is None:
            return
        if addr.sa_family == AF_UNSPEC:
            sock.state = 'new'
        elif sock.state == 'new':
            sock.state = 'connecting'
            sock.remote, sock.remote_port = ip_of(addr), int(addr.sin_port)
            sock.first_ts = None
            sock.ts_vals.clear()

    def accepted(self, call: Syscall, live: int, peer: Sockaddr) -> None:
        """accept(): the script may use the number of an older descriptor that it never closed; from now on it means this one."""
        fd = call.result
        if not isinstance(fd, int) or fd < 0:
            raise DrillError(f'accept() gave a connection, not {fd!r}')
        for sock in reversed(self.socks):
            if sock.live_fd < 0 and sock.remote_port == peer.sin_port and sock.remote == ip_of(peer):
                sock.script_fd, sock.live_fd = fd, live
                return
        raise DrillError('unable to find socket matching accept() call')

    def closed(self, fd: int) -> None:
        """close()"""
        sock = self.find(fd)
        if sock is not None:
            sock.closed = True
        self.other_fds.pop(fd, None)

    # -- packets from the script

    def inbound(self, spec: TcpSpec) -> None:
        """Send the script's segment to the stack."""
        sock = self.test
        if sock is None or sock.state == 'listening':
            sock = Sock('syn received', remote=self.config.remote, remote_port=self.next_port, local=self.config.local,
                        local_port=self.config.bind_port, remote_isn=spec.seq)
            self.next_port += 1
            self.socks.append(sock)
            self.test = sock
        elif sock.state == 'syn sent' and spec.flags & (SYN | ACK) == SYN | ACK:
            sock.state = 'syn acked'
            sock.remote_isn = spec.seq
        syn = bool(spec.flags & SYN)
        offset = sock.out_offset(syn)
        ack = spec.ack + offset if spec.flags & ACK else spec.ack
        options = [self.live_option(sock, spec, kind, data, offset) for kind, data in spec.options or []]
        self.send(tcp_packet(self.version, spec, sock.remote, sock.local, spec.sport or sock.remote_port,
                             spec.dport or sock.local_port, spec.seq + sock.in_offset(syn), ack, options))
        self.note('inbound injected', packet_text(spec.flags, spec.seq, spec.length, spec.ack, spec.win, spec.urg, spec.options))

    def live_option(self, sock: Sock, spec: TcpSpec, kind: int, data: bytes, offset: int) -> tuple[int, bytes]:
        """Sack edges and echoed timestamps in live numbers."""
        if kind == 5:
            return kind, shift_edges(data, offset)
        if kind == 8 and spec.flags & ACK:
            val, ecr = struct.unpack('!II', data)
            if ecr in sock.ts_vals:
                return kind, struct.pack('!II', val, sock.ts_vals[ecr])
            if not self.config.ts_scaled or sock.first_ts is None:
                raise DrillError(f'unable to infer live TS ecr for script TS ecr {ecr}; no matching or preceding outbound TS val')
            return kind, struct.pack('!II', val, (ecr - sock.first_ts[0] + sock.first_ts[1]) & M32)
        return kind, data

    def icmp(self, spec: IcmpSpec) -> None:
        """Send an ICMP error to the stack."""
        sock = self.test
        if sock is None:
            raise DrillError('no matching socket for script packet')
        if not spec.inbound:
            raise DrillError('outbound ICMP packets are not supported')
        seq = (0 if spec.echoed is None else spec.echoed[0]) + sock.out_offset(False)
        quoted = quoted_packet(self.version, sock.local, sock.remote, sock.local_port, sock.remote_port, seq)
        self.send(icmp_packet(self.version, spec, sock.remote, sock.local, quoted))

    def send(self, data: bytes) -> None:
        """To the stack, which does all that follows at once."""
        self.ops.receive(self.dev, data, self.config.mss)
        self.settle()

    # -- packets from the stack

    def outbound(self, spec: TcpSpec) -> None:
        """Wait for the stack's segment, or several that make up the script's, and compare."""
        sock = self.test
        if sock is None:
            raise DrillError('error handling packet: no matching socket for script packet')
        if sock.state == 'connecting' and spec.flags & (SYN | ACK) == SYN:
            sock.state = 'syn sent'
            sock.script_local_isn = spec.seq
        if sock.state == 'syn received' and spec.flags & (SYN | ACK) == SYN | ACK:
            sock.script_local_isn = spec.seq
        try:
            packet = self.collect(sock, spec)
            self.compare(sock, spec, packet)
        except DrillError as exc:
            raise DrillError(f'error handling packet: {exc}') from None

    def collect(self, sock: Sock, spec: TcpSpec) -> Packet:
        """The next segment, with those behind it until the script's length is reached."""
        first = last = self.sniff(sock, spec)
        payload = [first.payload]
        total = len(first.payload)
        while total < spec.length and not self.config.strict_segments:
            packet = self.sniff(sock, spec)
            check_fragment(packet, last, spec.length - total)
            last = packet
            payload.append(packet.payload)
            total += len(packet.payload)
        if total != spec.length:
            shown = merge(first, last, b''.join(payload))
            raise DrillError(f'live packet payload: expected {spec.length} bytes vs actual {total} bytes\n'
                             + self.dump(sock, spec, shown))
        return first if first is last else merge(first, last, b''.join(payload))

    def sniff(self, sock: Sock, spec: TcpSpec) -> Packet:
        """The next segment of the socket under test; others are passed over."""
        limit = max(self.start, self.end, self.now()) + (FOREVER if self.event.when.kind == ANY else PATIENCE)
        while True:
            while self.ops.sent:
                time, data = self.ops.sent.popleft()
                packet = read_tcp(data, (time - self.start_ns) // 1000)
                if packet is not None and self.is_ours(sock, packet):
                    if sock.state == 'syn received' and packet.flags & spec.flags & SYN and packet.flags & spec.flags & ACK:
                        sock.state = 'synack sent'
                        sock.live_local_isn = packet.seq
                    self.note('outbound sniffed', self.text(sock, packet))
                    return packet
            if self.now() >= limit:
                raise DrillError(f'Timed out waiting for packet\n{self.dump(sock, spec, None)}')
            self.ops.waiting = True
            self.run_to(limit)
            self.ops.waiting = False

    def is_ours(self, sock: Sock, packet: Packet) -> bool:
        """Of the socket under test? The SYN of a connect() tells its port and number."""
        if (packet.daddr, packet.dport) != (sock.remote, sock.remote_port):
            return False
        if sock.state == 'syn sent' and packet.flags & (SYN | ACK) == SYN:
            if any((packet.saddr, packet.sport) == (other.local, other.local_port)
                   for other in self.socks if other is not sock and not other.closed):
                return False  # an earlier socket sends its SYN again
            sock.local, sock.local_port, sock.live_local_isn = packet.saddr, packet.sport, packet.seq
            return True
        return (packet.saddr, packet.sport) == (sock.local, sock.local_port)

    def compare(self, sock: Sock, spec: TcpSpec, packet: Packet) -> None:
        """All that the script says of the segment."""
        try:
            if packet.problem:
                raise DrillError(packet.problem)
            script = scripted(sock, packet, spec)
            compare_header(spec, script)
            if spec.options is not None:
                compare_options(self.config, self.start, spec, script)
            if any(packet.payload):
                raise DrillError('incorrect outbound data payload')
            before = self.last_start if self.last is not None else None
            self.check_time('outbound packet', packet.time, self.event.when.kind, self.start, self.end, before)
        except DrillError as exc:
            raise DrillError(f'{exc}\n{self.dump(sock, spec, packet)}') from None

    # -- what failures show

    def text(self, sock: Sock, packet: Packet) -> str:
        """A live segment in the script's words."""
        got = scripted(sock, packet, None)
        return packet_text(got.flags, got.seq, len(got.payload), got.ack, got.window, got.urg, list(got.options))

    def dump(self, sock: Sock, spec: TcpSpec, packet: Packet | None) -> str:
        """The two segments, one under the other."""
        wanted = packet_text(spec.flags, spec.seq, spec.length, spec.ack, spec.win, spec.urg, spec.options)
        text = f'script packet: {self.start / 1e6:9.6f} {wanted}'
        if packet is not None:
            text += f'\nactual packet: {packet.time / 1e6:9.6f} {self.text(sock, packet)}'
        return text

    def note(self, what: str, text: str) -> None:
        """For -v."""
        if self.config.verbose:
            self.lines.append(f'{what}: {self.now() / 1e6:9.6f} {text}')

    def write_pcap(self, path: Path) -> None:
        """The run as a pcapng file: IP packets in both directions, at their virtual times."""
        with path.open('wb') as file:
            file.write(pcapng_section() + pcapng_interface(LINKTYPE_RAW, 'tun0', 262144))
            for time, data, sent in self.ops.log:
                stamp = int(self.world.clock.epoch_ns) + time
                file.write(pcapng_packet(0, stamp, data, len(data), OUTBOUND if sent else INBOUND, ''))

    # -- %{ }%

    def code(self, event: Event, code: Code) -> None:
        """Keep the block with the tcp_info of this moment."""
        info: dict[str, int] = {}
        sock = self.test
        if sock is not None and sock.live_fd >= 0:
            try:
                info = unpack_tcp_info(s.sys_getsockopt(self.process, sock.live_fd, SOL_TCP, TCP_INFO, 512))
            except OSError:
                info = {}  # a closed socket has none: a block that asks for it fails with a NameError
        self.codes.append((event, code.text, info))

    def run_codes(self) -> None:
        """All blocks, in one namespace, after the script and its clean-up."""
        names: dict[str, Any] = dict(CODE_NAMES)
        for event, text, info in self.codes:
            names.update(info)
            try:
                exec(compile('\n' * (event.line - 1) + text + '\n', str(self.script.path), 'exec'), names)
            except AssertionError as exc:
                raise DrillError(f'{self.script.path}:{event.line}: AssertionError: {exc}\n%{{ {text} }}%') from None
            except Exception as exc:
                raise DrillError(f'{self.script.path}:{event.line}: {type(exc).__name__}: {exc}\n%{{ {text} }}%') from None


def load(path: Path, config: Config) -> Runner:
    """Read a script and make its world; run() runs it. Options that stand in it count unless the command line fixed them.

    DrillError: it cannot be read, or asks for something unknown.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise DrillError(f'{path}: {exc}') from None
    script = parse_script(path, text, config.defines)
    config = replace(config)
    for name, value, line in script.options:
        try:
            if name in config.fixed:
                replace(config).set(name, value)  # still an error where the option or its value is none
            else:
                config.set(name, value)
        except DrillError as exc:
            raise DrillError(f'{path}:{line}: {exc}') from None
    return Runner(script, config)
