# SPDX-License-Identifier: Apache-2.0
"""The same script of datagram sockets over IPv6 on Linnet and on this machine's kernel; packets come and go by hand.

The host is HERE on a device without link layer, behind which THERE is the script. A step is a tuple: an operation of the program
on a named socket ('open', s, type, protocol), ('bind', s, host, port), ('connect', s, host, port), ('sendto', s, data, host,
port, flags), ('sendmsg', s, hex digits, control messages, host, port), ('recv', s, size, flags), ('recvmsg', s, size, flags),
('setopt', s, level, option, value), ('poll', s),
('getopt', s, level, option), ('names', s), ('disconnect', s), ('close', s); a packet ('packet', hex digits); or
('count', name ...).

Each step is noted with its result and the packets that left in the time after it: whole, but for flow labels and fragments'
identifications, which are numbered by first appearance. What ndisc and MLD say is left out.
"""
from __future__ import annotations

import contextlib
import ctypes
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
from collections.abc import Callable
from typing import Any

HERE, THERE, STRANGER = 'fd00:10::1', 'fd00:10::2', 'fd00:10::3'
SETTLE = 12  # ms
Step = tuple[Any, ...]
Note = list[Any]
WATCHED = ('packet', 'sendto', 'sendmsg', 'setopt', 'connect')  # steps after which packets are waited for
NEIGHBOURS = (130, 131, 132, 133, 134, 135, 136, 137, 143)


def in6(text: str) -> bytes:
    """An address's 16 bytes."""
    return socket.inet_pton(socket.AF_INET6, text)


def checksum6(src: str, dst: str, proto: int, data: bytes) -> int:
    """The transport's checksum."""
    whole = in6(src) + in6(dst) + struct.pack('!II', len(data), proto) + data + b'\0' * (len(data) & 1)
    total = sum(struct.unpack(f'!{len(whole) // 2}H', whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ip6(payload: bytes, proto: int = 17, src: str = THERE, dst: str = HERE, hops: int = 64, tclass: int = 0, label: int = 0,
        length: int = -1) -> bytes:
    """A packet; length: what its header says."""
    said = len(payload) if length < 0 else length
    return struct.pack('!IHBB', 6 << 28 | tclass << 20 | label, said, proto, hops) + in6(src) + in6(dst) + payload


def udp6(data: bytes, sport: int = 7000, dport: int = 5000, src: str = THERE, dst: str = HERE, length: int = -1, check: int = -1,
         **more: int) -> bytes:
    """A datagram. length, check: what its header says, -1: what is right."""
    said = 8 + len(data) if length < 0 else length
    head = struct.pack('!HHHH', sport, dport, said, 0) + data
    value = checksum6(src, dst, 17, head) or 0xFFFF
    if check >= 0:
        value = check
    return ip6(head[:6] + struct.pack('!H', value) + data, src=src, dst=dst, **more)


def icmp6(type: int, code: int, body: bytes, src: str = THERE, dst: str = HERE, check: int = -1, **more: int) -> bytes:
    """An ICMPv6 message; body: all behind the checksum."""
    head = bytes([type, code, 0, 0]) + body
    value = checksum6(src, dst, 58, head) if check < 0 else check
    return ip6(head[:2] + struct.pack('!H', value) + body, 58, src, dst, **more)


class Player:
    """What both sides share: the program's operations, and how packets are noted."""

    def __init__(self) -> None:
        self.socks: dict[str, Any] = {}
        self.labels: dict[int, int] = {}
        self.idents: dict[int, int] = {}

    def note(self, packet: bytes) -> str | None:
        """A packet as it is compared; None where it is none of ours."""
        if packet[0] >> 4 != 6:
            return None
        proto, at = packet[6], 40
        if proto == 0:
            proto, at = packet[40], 40 + 8 + packet[41] * 8
        if proto == 58 and packet[at] in NEIGHBOURS:
            return None
        label = struct.unpack_from('!I', packet)[0] & 0xFFFFF
        if label:
            number = self.labels.setdefault(label, len(self.labels) + 1)
            packet = struct.pack('!I', struct.unpack_from('!I', packet)[0] & ~0xFFFFF | number) + packet[4:]
        if proto == 44:
            ident = struct.unpack_from('!I', packet, at + 4)[0]
            number = self.idents.setdefault(ident, len(self.idents) + 1)
            packet = packet[:at + 4] + struct.pack('!I', number) + packet[at + 8:]
        return packet.hex()

    def make(self, type: int, protocol: int) -> Any:
        """A socket of AF_INET6 that does not wait, with the methods of Python's."""
        raise NotImplementedError

    def poll(self, sock: Any) -> int:
        """The events that hold."""
        raise NotImplementedError

    def disconnect(self, sock: Any) -> None:
        """connect(2) to AF_UNSPEC."""
        raise NotImplementedError

    def names(self, sock: Any) -> list[Any]:
        """getsockname(2), and getpeername(2) if there is one."""
        names = [list(sock.getsockname())]
        with contextlib.suppress(OSError):
            names.append(list(sock.getpeername()))
        return names

    def program(self, op: str, name: str, *args: Any) -> Any:
        """One operation: its result, or the name of its error."""
        try:
            if op == 'open':
                self.socks[name] = self.make(args[0], args[1])
                return None
            sock = self.socks[name]
            if op in ('bind', 'connect'):
                return getattr(sock, op)(tuple(args))
            if op == 'sendto':
                data = bytes.fromhex(args[0]) if isinstance(args[0], str) else bytes(i % 251 for i in range(args[0]))
                return sock.sendto(data, args[3] if len(args) > 3 else 0, (args[1], args[2]))
            if op == 'recv':
                data, peer = sock.recvfrom(args[0], args[1] if len(args) > 1 else 0)
                return [data.hex(), list(peer)]
            if op == 'recvmsg':
                data, control, flags, peer = sock.recvmsg(args[0], 1000, args[1] if len(args) > 1 else 0)
                return [data.hex(), [[level, kind, value.hex()] for level, kind, value in control], flags, list(peer)]
            if op == 'sendmsg':
                control = [(level, kind, bytes.fromhex(value)) for level, kind, value in args[1]]
                return sock.sendmsg([bytes.fromhex(args[0])], control, 0, (args[2], args[3]))
            if op == 'setopt':
                value = args[2]
                return sock.setsockopt(args[0], args[1], bytes.fromhex(value) if isinstance(value, str) else value)
            if op == 'getopt':
                return sock.getsockopt(args[0], args[1])
            if op == 'poll':
                return self.poll(sock)
            if op == 'names':
                return self.names(sock)
            if op == 'disconnect':
                return self.disconnect(sock)
            assert op == 'close'
            return sock.close()
        except OSError as exc:
            return errno.errorcode[exc.errno or 0]


# -- on the kernel: in a child process, in a network namespace of its own

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000


class KernelHost(Player):
    """A TUN device, and sockets of the real kernel."""

    def __init__(self, sysctls: dict[str, str]) -> None:
        super().__init__()
        self.tun = os.open('/dev/net/tun', os.O_RDWR)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack('16sH22s', b'duel0', IFF_TUN | IFF_NO_PI, b''))
        self.sysctl('net.ipv6.conf.duel0.addr_gen_mode', '1')
        for command in ('ip link set lo up', 'ip link set duel0 up', f'ip addr add {HERE}/64 dev duel0 nodad'):
            subprocess.run(command.split(), check=True)
        for name, value in sysctls.items():
            self.sysctl(name, value)
        self.watch()

    def sysctl(self, name: str, value: str) -> None:
        """Set one."""
        with open('/proc/sys/' + name.replace('.', '/'), 'w') as file:
            file.write(value)

    def make(self, type: int, protocol: int) -> socket.socket:
        """See Player."""
        sock = socket.socket(socket.AF_INET6, type, protocol)
        sock.setblocking(False)
        return sock

    def poll(self, sock: socket.socket) -> int:
        """See Player."""
        poller = select.poll()
        poller.register(sock, 0x3FF7)
        ready = poller.poll(0)
        return ready[0][1] if ready else 0

    def disconnect(self, sock: socket.socket) -> None:
        """See Player."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.connect(sock.fileno(), struct.pack('=H26x', socket.AF_UNSPEC), 28) != 0:
            raise OSError(ctypes.get_errno(), 'connect')

    def inject(self, packet: bytes) -> None:
        """A packet comes in."""
        try:
            os.write(self.tun, packet)
        except OSError:
            return  # what is no IP packet the device refuses; Linnet's has no such edge

    def counters(self, names: tuple[str, ...]) -> list[int]:
        """Counters by nstat's names."""
        found: dict[str, int] = {}
        with open('/proc/self/net/snmp6') as file:
            for line in file:
                name, value = line.split()
                found[name] = int(value)
        return [found.get(name, 0) for name in names]

    def watch(self) -> list[str]:
        """What leaves in the next ms."""
        notes = []
        start = time.monotonic()
        while (left := start + SETTLE / 1000 - time.monotonic()) > 0:
            if select.select([self.tun], [], [], left)[0]:
                note = self.note(os.read(self.tun, 70000))
                if note is not None:
                    notes.append(note)
        return notes


# -- on Linnet

class LinnetHost(Player):
    """The same, in virtual time."""

    def __init__(self, sysctls: dict[str, str]) -> None:
        super().__init__()
        from helpers.wire6 import Wire6

        self.wire = Wire6(HERE)
        for name, value in sysctls.items():
            assert self.wire.net.sysctl.set(name, value) == 0, name
        self.watch()

    def make(self, type: int, protocol: int) -> Any:
        """See Player."""
        return self.wire.socket(type, protocol)

    def poll(self, sock: Any) -> int:
        """See Player."""
        return sock.poll()  # type: ignore[no-any-return]

    def disconnect(self, sock: Any) -> None:
        """See Player."""
        sock.disconnect()

    def inject(self, packet: bytes) -> None:
        """A packet comes in."""
        self.wire.inject(packet)

    def counters(self, names: tuple[str, ...]) -> list[int]:
        """Counters by nstat's names."""
        return [self.wire.net.mib.get(name) for name in names]

    def watch(self) -> list[str]:
        """What leaves in the next ms."""
        notes = [self.note(packet) for packet in self.wire.take(SETTLE * 1_000_000)]
        return [note for note in notes if note is not None]


def play(host: KernelHost | LinnetHost, script: list[Step]) -> list[Note]:
    """Run a script; for each step its result and the packets that followed."""
    notes: list[Note] = []
    for step in script:
        result: Any = None
        if step[0] == 'packet':
            host.inject(bytes.fromhex(step[1]))
        elif step[0] == 'count':
            result = host.counters(tuple(step[1:]))
        else:
            result = host.program(*step)
        notes.append([result, host.watch() if step[0] in WATCHED else []])
    return notes


def on_linnet(script: list[Step], sysctls: dict[str, str] | None = None) -> list[Note]:
    """The notes of a run on Linnet."""
    notes: list[Note] = json.loads(json.dumps(play(LinnetHost(sysctls or {}), script)))
    return notes


def on_kernel(script: list[Step], sysctls: dict[str, str] | None = None) -> list[Note]:
    """The notes of a run on this machine's kernel, in a network namespace of its own (root)."""
    done = subprocess.run(
        ['unshare', '-n', sys.executable, __file__], input=json.dumps([script, sysctls or {}]), capture_output=True, text=True,
        check=False, timeout=300,
    )
    assert done.returncode == 0, done.stderr
    notes: list[Note] = json.loads(done.stdout)
    return notes


def differences(script: list[Step], theirs: list[Note], ours: list[Note]) -> list[str]:
    """Where the notes part."""
    said = []
    for number, (step, one, two) in enumerate(zip(script, theirs, ours, strict=True)):
        if one != two:
            said.append(f'step {number} {str(step)[:200]}:\n  kernel {str(one)[:600]}\n  Linnet {str(two)[:600]}')
    return said


RUNNERS: dict[str, Callable[..., list[Note]]] = {'kernel': on_kernel, 'linnet': on_linnet}

if __name__ == '__main__':
    the_script, the_sysctls = json.load(sys.stdin)
    json.dump(play(KernelHost(the_sysctls), [tuple(step) for step in the_script]), sys.stdout)
