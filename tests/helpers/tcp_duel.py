# SPDX-License-Identifier: Apache-2.0
"""The same TCP script on Linnet and on this machine's kernel, the peer played by hand; what each sends is noted step by step.

A script is a list of steps; a step is a tuple: an operation of the program ('send', n, flags), ('recv', n), ('close',) ... or of
the peer, ('peer', flags, ack, data length ...), ('burst', step, step ...) for segments of the peer without a pause between, or
('wait', ms); ('count', name ...) gives the host's counters. After each step the outgoing segments of the next SETTLE ms are
noted as (flags, seq, length, ack), relative to the initial sequence numbers; ('wait', ms) notes the time of each as well. Over
IPv6 the flags are followed by what the header says: traffic class, hop limit, and whether there is a flow label, or the peer's.
Sysctls are net.ipv4's, or with their folder ('ipv6/auto_flowlabels').
"""
from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from typing import Any

HERE, THERE = '10.0.0.1', '10.0.0.2'
HERE6, THERE6 = 'fd00::1', 'fd00::2'
PORT = 8080
LISTEN_PORT = 8081
SETTLE = 15  # ms
SYSCTLS = {
    'tcp_timestamps': '0', 'tcp_sack': '0', 'tcp_early_retrans': '0', 'tcp_congestion_control': 'reno', 'tcp_ecn': '0',
    'tcp_fastopen': '0', 'tcp_no_metrics_save': '1',
}
FLAG_NAMES = ((0x02, 'S'), (0x01, 'F'), (0x04, 'R'), (0x08, 'P'), (0x20, 'U'), (0x40, 'E'), (0x80, 'W'), (0x10, '.'))
ISN = 1000
Step = tuple[Any, ...]
Note = list[Any]


def bits_of(flags: str) -> int:
    """TCP flags by packetdrill's letters."""
    return sum(bit for bit, name in FLAG_NAMES if name in flags)


class Connection:
    """What both sides of the duel share: packets of the hand-played peer, and what comes from the stack."""

    def __init__(self, v6: bool = False) -> None:
        self.v6 = v6
        self.here, self.there = (HERE6, THERE6) if v6 else (HERE, THERE)
        self.their_isn = 0
        self.their_port = 0
        self.nxt = 1
        self.highest = 1  # behind the last byte that came
        self.waited = 1  # likewise, as of the end of the last ('wait', ms): what {'ack': 'all'} acknowledges
        self.timestamps = False  # the peer's segments carry the option
        self.their_tsval = 0
        self.tsval = 5000

    def packet(self, flags: str, ack: int, length: int, window: int, seq: int | None, urg: int, options: bytes,
               tclass: int = 0) -> bytes:
        """A segment of the peer; length bytes of payload."""
        bits = bits_of(flags)
        rel = self.nxt if seq is None else seq
        if self.timestamps and 'R' not in flags:
            self.tsval += 10
            options += struct.pack('!BBBBII', 1, 1, 8, 10, self.tsval, self.their_tsval if bits & 0x10 else 0)
        tcp = struct.pack(
            '!HHIIBBHHH', PORT, self.their_port, (ISN + rel) & 0xFFFFFFFF,
            (self.their_isn + ack) & 0xFFFFFFFF if bits & 0x10 else 0, (5 + len(options) // 4) << 4, bits, window, 0, urg,
        ) + options + bytes(length)
        if seq is None:
            self.nxt += length + (1 if 'F' in flags else 0)
        if self.v6:
            addresses = socket.inet_pton(socket.AF_INET6, THERE6) + socket.inet_pton(socket.AF_INET6, HERE6)
            tcp = tcp[:16] + struct.pack('!H', checksum(addresses + struct.pack('!II', len(tcp), 6) + tcp)) + tcp[18:]
            return struct.pack('!IHBB', 6 << 28 | tclass << 20 | 0x12345, len(tcp), 6, 64) + addresses + tcp
        pseudo = socket.inet_aton(THERE) + socket.inet_aton(HERE) + struct.pack('!BBH', 0, 6, len(tcp))
        tcp = tcp[:16] + struct.pack('!H', checksum(pseudo + tcp)) + tcp[18:]
        ip = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0)
        ip += socket.inet_aton(THERE) + socket.inet_aton(HERE)
        ip = ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:]
        return ip + tcp

    def blocks(self, sack: list[list[int]]) -> bytes:
        """The SACK option for blocks of relative numbers."""
        if not sack:
            return b''
        numbers = [(self.their_isn + n) & 0xFFFFFFFF for block in sack for n in block]
        return struct.pack(f'!BBBB{len(numbers)}I', 1, 1, 5, 2 + 4 * len(numbers), *numbers)

    def note(self, packet: bytes) -> Note | None:
        """(flags, seq, length, ack, window) of an outgoing segment, flags with its SACK blocks; None where it is none."""
        if packet[0] >> 4 != (6 if self.v6 else 4) or packet[6 if self.v6 else 9] != 6:
            return None
        tcp = packet[40 if self.v6 else (packet[0] & 15) * 4:]
        sport, _, seq, ack, doff, bits, window = struct.unpack_from('!HHIIBBH', tcp)
        if bits & 0x02:
            self.their_isn, self.their_port = seq, sport
        if self.timestamps and (doff >> 4) >= 8:
            at = 20
            while tcp[at] != 8:
                at += 1 if tcp[at] == 1 else tcp[at + 1]
            self.their_tsval = struct.unpack_from('!I', tcp, at + 2)[0]
        flags = ''.join(name for bit, name in FLAG_NAMES if bits & bit)
        rel_ack = (ack - ISN) & 0xFFFFFFFF if bits & 0x10 else 0
        at = 20
        while at < (doff >> 4) * 4 and tcp[at] != 0:
            if tcp[at] == 5:
                numbers = struct.unpack_from(f'!{(tcp[at + 1] - 2) // 4}I', tcp, at + 2)
                flags += ' sack ' + ' '.join(str((n - ISN) & 0xFFFFFFFF) for n in numbers)
            at += 1 if tcp[at] == 1 else tcp[at + 1]
        if self.v6:
            word = int.from_bytes(packet[:4], 'big')
            label = word & 0xFFFFF
            flags += f' class {word >> 20 & 255} hops {packet[7]}'
            flags += ('', ' label', ' our label')[(label != 0) + (label == 0x12345)]
        rel, length = (seq - self.their_isn) & 0xFFFFFFFF, len(tcp) - (doff >> 4) * 4
        if length:
            self.highest = max(self.highest, rel + length)
        return [flags, rel, length, rel_ack, window]


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) & 1:
        data += b'\0'
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def error_name(exc: OSError) -> str:
    """EAGAIN and so on."""
    return errno.errorcode[exc.errno or 0]


# -- on the kernel: in a child process, in a network namespace of its own

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


class KernelHost:
    """A TUN device and a socket of the real kernel."""

    def __init__(self, sysctls: dict[str, str], v6: bool = False) -> None:
        self.tun = os.open('/dev/net/tun', os.O_RDWR)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack('16sH22s', b'duel0', IFF_TUN | IFF_NO_PI, b''))
        for command in ('ip link set lo up', f'ip addr add {HERE}/24 dev duel0', 'ip link set duel0 up',
                        f'ip -6 addr add {HERE6}/64 dev duel0 nodad'):
            subprocess.run(command.split(), check=True)
        for name, value in {**SYSCTLS, **sysctls}.items():
            with open('/proc/sys/net/' + (name if '/' in name else f'ipv4/{name}'), 'w') as file:
                file.write(value)
        self.conn = Connection(v6)
        self.timestamps = sysctls.get('tcp_timestamps') == '1'
        self.fd = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
        self.fd.setblocking(False)

    def inject(self, packet: bytes) -> None:
        """The peer sends."""
        os.write(self.tun, packet)

    def counters(self, names: tuple[str, ...]) -> list[int]:
        """Counters by nstat's names."""
        found: dict[str, int] = {}
        for path in ('/proc/self/net/snmp', '/proc/self/net/netstat'):
            with open(path) as file:
                lines = [line.split() for line in file]
            for keys, values in zip(lines[::2], lines[1::2], strict=True):
                found.update({keys[0][:-1] + key: int(value) for key, value in zip(keys[1:], values[1:], strict=True)})
        return [found.get(name, 0) for name in names]

    def watch(self, ms: float, timed: bool) -> list[Note]:
        """What leaves in the next ms."""
        notes = []
        start = time.monotonic()
        while (left := start + ms / 1000 - time.monotonic()) > 0:
            if select.select([self.tun], [], [], left)[0]:
                note = self.conn.note(os.read(self.tun, 65536))
                if note is not None:
                    notes.append([*note, round((time.monotonic() - start) * 1000)] if timed else note)
        return notes

    def program(self, op: str, *args: Any) -> Any:
        """One operation of the program: its result, or the name of its error."""
        try:
            if op == 'connect':
                return self.fd.connect((self.conn.there, PORT))
            if op == 'listen':
                self.fd.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.fd.bind((self.conn.here, LISTEN_PORT))
                self.conn.their_port = LISTEN_PORT
                return self.fd.listen(args[0] if args else 5)
            if op == 'accept':
                self.listener = self.fd
                self.fd = self.fd.accept()[0]
                return self.fd.setblocking(False)
            if op == 'send':
                return self.fd.send(bytes(args[0]), (args[1] if len(args) > 1 else 0) | socket.MSG_NOSIGNAL)
            if op == 'recv':
                return len(self.fd.recv(args[0], args[1] if len(args) > 1 else 0))
            if op == 'setopt':
                value = args[2]
                return self.fd.setsockopt(args[0], args[1], bytes(value) if isinstance(value, list) else value)
            if op == 'getopt':
                return self.fd.getsockopt(args[0], args[1])
            if op == 'getraw':
                return self.fd.getsockopt(args[0], args[1], args[2]).hex()
            if op == 'shutdown':
                return self.fd.shutdown(args[0])
            assert op == 'close'
            return self.fd.close()
        except OSError as exc:
            return error_name(exc)


# -- on Linnet

class LinnetHost:
    """The same, in virtual time."""

    def __init__(self, sysctls: dict[str, str], v6: bool = False) -> None:
        from helpers.tcp_wire import Wire

        self.wire = Wire(v6=v6)
        for name, value in {**SYSCTLS, **sysctls}.items():
            full = 'net.' + name.replace('/', '.') if '/' in name else f'net.ipv4.{name}'
            assert self.wire.net.sysctl.set(full, value) == 0, name
        self.conn = Connection(v6)
        self.timestamps = sysctls.get('tcp_timestamps') == '1'
        self.fd = self.wire.prog.nonblocking(self.wire.prog.socket(family=socket.AF_INET6 if v6 else socket.AF_INET))
        self.closed = False

    def inject(self, packet: bytes) -> None:
        """The peer sends."""
        self.wire.inject(packet)

    def counters(self, names: tuple[str, ...]) -> list[int]:
        """Counters by nstat's names."""
        return [self.wire.net.mib.get(name) for name in names]

    def watch(self, ms: float, timed: bool) -> list[Note]:
        """What leaves in the next ms."""
        start = self.wire.now
        self.wire.advance(int(ms * 1_000_000))
        notes = []
        for segment in self.wire.take():
            note = self.conn.note(segment.packet)
            if note is not None:
                notes.append([*note, round((segment.time - start) / 1_000_000)] if timed else note)
        return notes

    def program(self, op: str, *args: Any) -> Any:
        """One operation of the program: its result, or the name of its error."""
        from linnet.net import socket as sys_

        prog = self.wire.prog

        def run() -> Any:
            try:
                if op == 'connect':
                    return prog.connect(self.fd, self.conn.there, PORT)
                if op == 'listen':
                    prog.bind(self.fd, self.conn.here, LISTEN_PORT)
                    self.conn.their_port = LISTEN_PORT
                    return prog.listen(self.fd, args[0] if args else 5)
                if op == 'accept':
                    self.fd = prog.accept(self.fd, 0o4000)[0]
                    return None
                if op == 'send':
                    return prog.send(self.fd, bytes(args[0]), args[1] if len(args) > 1 else 0)
                if op == 'recv':
                    return len(prog.recv(self.fd, args[0], args[1] if len(args) > 1 else 0))
                if op == 'setopt':
                    value = args[2]
                    return prog.setopt(self.fd, args[0], args[1], bytes(value) if isinstance(value, list) else value)
                if op == 'getopt':
                    return int.from_bytes(sys_.sys_getsockopt(prog.process, self.fd, args[0], args[1], 4), 'little')
                if op == 'getraw':
                    return bytes(sys_.sys_getsockopt(prog.process, self.fd, args[0], args[1], args[2])).hex()
                if op == 'shutdown':
                    return prog.shutdown(self.fd, args[0])
                assert op == 'close'
                return prog.close(self.fd)
            except OSError as exc:
                return error_name(exc)

        return self.wire.run(run)[0]


def say(host: KernelHost | LinnetHost, step: Step) -> None:
    """The peer sends the segment of a step."""
    options = dict(step[2]) if len(step) > 2 else {}
    if options.get('ack') == 'all':
        options['ack'] = host.conn.waited
    host.inject(host.conn.packet(
        step[1], options.get('ack', 1), options.get('data', 0), options.get('win', 65535), options.get('seq'),
        options.get('urg', 0), bytes(options.get('opt', [])) + host.conn.blocks(options.get('sack', [])), options.get('class', 0),
    ))


def play(host: KernelHost | LinnetHost, script: list[Step]) -> list[Note]:
    """Run a script; for each step its result and the segments that followed."""
    notes: list[Note] = []
    host.conn.timestamps = host.timestamps
    for step in script:
        op = step[0]
        result: Any = None
        if op == 'wait':
            segments = host.watch(step[1], True)
            host.conn.waited = host.conn.highest
        elif op == 'count':
            result, segments = host.counters(tuple(step[1:])), []
        else:
            if op == 'peer':
                say(host, step)
            elif op == 'burst':
                for part in step[1:]:
                    say(host, part)
            else:
                result = host.program(op, *step[1:])
            segments = host.watch(SETTLE, False)
        notes.append([result, segments])
    return notes


def connecting(delay: int = 0, win: int = 65535, mss: int = 1460, wscale: int | None = None) -> list[Step]:
    """The handshake, its answer `delay` ms late."""
    options = [2, 4, mss >> 8, mss & 255]
    if wscale is not None:
        options += [1, 3, 3, wscale]
    steps: list[Step] = [('connect',)]
    if delay:
        steps.append(('wait', delay))
    steps.append(('peer', 'S.', {'seq': 0, 'win': win, 'opt': options}))
    return steps


def on_linnet(script: list[Step], sysctls: dict[str, str] | None = None, v6: bool = False) -> list[Note]:
    """The notes of a run on Linnet."""
    return play(LinnetHost(sysctls or {}, v6), script)


def on_kernel(script: list[Step], sysctls: dict[str, str] | None = None, v6: bool = False) -> list[Note]:
    """The notes of a run on this machine's kernel, in a network namespace of its own (root)."""
    done = subprocess.run(
        ['unshare', '-n', sys.executable, __file__], input=json.dumps([script, sysctls or {}, v6]), capture_output=True,
        text=True, check=False, timeout=300,
    )
    assert done.returncode == 0, done.stderr
    notes: list[Note] = json.loads(done.stdout)
    return notes


if __name__ == '__main__':
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # what else runs on the machine must not show in the times
    the_script, the_sysctls, over_ipv6 = json.load(sys.stdin)
    json.dump(play(KernelHost(the_sysctls, over_ipv6), [tuple(step) for step in the_script]), sys.stdout)
