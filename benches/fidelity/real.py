# SPDX-License-Identifier: Apache-2.0
"""A bulk transfer of the real kernel's TCP to itself, over a wire that is this program.

Two network namespaces, a TUN device in each, plain IPv4 in packets of at most the MTU. What comes out of one TUN goes into the
other after a queue, a rate, a delay and a loss pattern by packet number, all kept by schedule: a packet's times follow from when
it was read and from the packets before it, never from when this process woke up. It runs with real-time priority, and since
writing into a TUN runs the kernel's receive path, it drives both TCPs itself; the programs only keep buffers full and empty.

Run as a process of its own, with the spec as JSON on stdin; the result is JSON on stdout. Needs root.
"""
from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from typing import Any

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
SENDER, RECEIVER, PORT = '10.9.0.1', '10.9.0.2', 5001
SPIN = 100_000  # ns before a packet is due that are spent awake
MTU, ETH_HLEN = 1500, 14  # a packet takes as long as it would on Ethernet
TCP_CC_INFO = 26


def namespace(name: str, addr: str, peer: str, sysctls: dict[str, str]) -> int:
    """Move into a new network namespace; its TUN's descriptor."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'unshare')
    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22s', name.encode(), IFF_TUN | IFF_NO_PI, b''))
    for key, value in {'net.ipv6.conf.all.disable_ipv6': '1', **sysctls}.items():
        with open('/proc/sys/' + key.replace('.', '/'), 'w') as file:
            file.write(value)
    for command in ('ip link set lo up', f'ip link set {name} mtu {MTU} txqueuelen 10000',
                    f'ip addr add {addr} peer {peer} dev {name}', f'ip link set {name} up'):
        subprocess.run(command.split(), check=True)
    return fd


class Direction:
    """One way through the wire. limit: packets that wait behind the one being sent; lost: numbers (from 1, after the queue)."""

    def __init__(self, fd_in: int, fd_out: int, rate: int, delay: int, limit: int, lost: set[int]) -> None:
        self.fd_in, self.fd_out = fd_in, fd_out
        self.rate, self.delay, self.limit, self.lost = rate, delay, limit, lost
        self.number = self.dropped = self.late = 0
        self.busy: deque[int] = deque()  # when each packet in the queue will have left it
        self.air: deque[tuple[int, bytes]] = deque()
        self.finish = 0

    def take(self) -> None:
        """Read what the kernel sends."""
        while True:
            try:
                packet = os.read(self.fd_in, 65536)
            except BlockingIOError:
                return
            now = time.monotonic_ns()
            if packet[0] >> 4 != 4:
                continue
            if len(packet) > MTU:
                raise SystemExit(f'a packet of {len(packet)} bytes: the device segments, it should not')
            while self.busy and self.busy[0] <= now:
                self.busy.popleft()
            if len(self.busy) > self.limit:
                self.dropped += 1
                continue
            self.finish = max(now, self.finish) + (len(packet) + ETH_HLEN) * 8_000_000_000 // self.rate
            self.busy.append(self.finish)
            self.number += 1
            if self.number not in self.lost:
                self.air.append((self.finish + self.delay, packet))

    def give(self, now: int) -> None:
        """Write what has arrived."""
        while self.air and self.air[0][0] <= now:
            due, packet = self.air.popleft()
            if now - due > 1_000_000:
                self.late += 1
            os.write(self.fd_out, packet)


def carry(ways: list[Direction], children: set[int], seconds: int) -> None:
    """Be the wire until the children have ended, a minute longer than `seconds` at most."""
    end = time.monotonic_ns() + 60_000_000_000 + seconds * 1_000_000_000
    while children:
        now = time.monotonic_ns()
        if now > end:
            raise SystemExit(f'the programs of the transfer do not end: {children}')
        for way in ways:
            way.give(now)
            way.take()
        due = min((way.air[0][0] for way in ways if way.air), default=now + 20_000_000)
        left = due - time.monotonic_ns() - SPIN
        if left > 0:
            select.select([way.fd_in for way in ways], [], [], min(left, 20_000_000) / 1e9)
            if left > 10_000_000:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid:
                    children.discard(pid)
                    if status:
                        raise SystemExit(f'a program of the transfer ended with {status}')


def info(sock: socket.socket) -> dict[str, int]:
    """What the sender's TCP says of itself."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 248)
    names = {'rtt': 68, 'ssthresh': 76, 'cwnd': 80, 'retrans': 100}
    found = {name: struct.unpack_from('I', raw, at)[0] for name, at in names.items()}
    found['pacing'], found['rate'] = struct.unpack_from('Q', raw, 104)[0], struct.unpack_from('Q', raw, 160)[0]
    found['state'] = raw[1]
    return found


def send(sock: socket.socket, spec: dict[str, Any], out: int) -> None:
    """The sending program: keep the buffer full; note TCP_INFO now and then."""
    sock.connect((RECEIVER, PORT))
    sock.setblocking(False)
    begin = time.monotonic()
    block, trace, next_look = bytes(1 << 16), [], 0.0
    while (now := time.monotonic() - begin) < spec['seconds'] + 4e-9 * spec['delay']:  # the receiver's time begins later
        if now >= next_look:
            trace.append([round(now, 4), info(sock), sock.getsockopt(socket.IPPROTO_TCP, TCP_CC_INFO, 20).hex()])
            next_look += spec['look']
        if select.select([], [sock], [], max(0.0, next_look - now))[1]:
            try:
                while True:
                    sock.send(block)
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                break
    os.write(out, json.dumps({'trace': trace}).encode())


def receive(listener: socket.socket, spec: dict[str, Any], out: int) -> None:
    """The receiving program: count the bytes of the given time since the connection was accepted."""
    conn = listener.accept()[0]
    end = time.monotonic() + spec['seconds']
    count, buffer = 0, bytearray(1 << 18)
    while time.monotonic() < end and (n := conn.recv_into(buffer)):
        count += n
    os.write(out, json.dumps({'bytes': count}).encode())


def child(fn: Any, sock: socket.socket, other: socket.socket, spec: dict[str, Any]) -> tuple[int, int]:
    """Fork: (pid, the descriptor to read its result from). The other program's socket is not its."""
    out, into = os.pipe()
    fcntl.fcntl(into, 1031, 1 << 20)  # F_SETPIPE_SZ: it writes all of it and goes
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))  # a loaded machine must not show as a slow program
            other.close()
            fn(sock, spec, into)
            code = 0
        finally:
            os._exit(code)
    os.close(into)
    return pid, out


def main() -> None:
    """See the file."""
    spec = json.load(sys.stdin)
    sysctls = {f'net.ipv4.{name}': str(value) for name, value in spec['sysctls'].items()}
    a = namespace('fid0', SENDER, RECEIVER, sysctls)
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, spec['algorithm'].encode())
    b = namespace('fid1', RECEIVER, SENDER, sysctls)
    listener = socket.create_server((RECEIVER, PORT))
    receiver, sender = child(receive, listener, sock, spec), child(send, sock, listener, spec)
    sock.close()
    listener.close()
    there = Direction(a, b, spec['rate'], spec['delay'], spec['limit'], set(spec['lost']))
    back = Direction(b, a, spec['rate'], spec['delay'], spec['limit'], set())
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    carry([there, back], {receiver[0], sender[0]}, int(spec['seconds']))
    result = {**json.loads(os.read(sender[1], 1 << 20)), **json.loads(os.read(receiver[1], 1 << 16))}
    result['packets'], result['dropped'], result['late'] = there.number, there.dropped, there.late + back.late
    json.dump(result, sys.stdout)


if __name__ == '__main__':
    main()
