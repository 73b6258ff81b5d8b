# SPDX-License-Identifier: Apache-2.0
"""The same transfer between two Linnet hosts in virtual time, over the same wire: a router whose queue, rate, delay and loss
pattern are those of real.py. Spec and result are the same; run as a process of its own, so that several go at once.
"""
from __future__ import annotations

import json
import socket
import sys
import threading
import time
from typing import Any

from real import PORT, TCP_CC_INFO, info

from linnet import Lab
from linnet.drivers.net.wire import WireLoss, wire_ops, wire_set_params


class Lost(WireLoss):
    """The numbers, counted from where the wire stood when the transfer began (ARP came before)."""

    def __init__(self, numbers: set[int], begin: int) -> None:
        self.numbers, self.begin = numbers, begin

    def lost(self, n: int) -> bool:
        """Is it one of them?"""
        return n - self.begin in self.numbers


def send(spec: dict[str, Any], result: dict[str, Any]) -> None:
    """The sending program."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, spec['algorithm'].encode())
    sock.connect(('receiver', PORT))
    begin = time.monotonic()
    trace: list[Any] = []

    def look() -> None:
        at = 0.0
        while at < spec['seconds']:
            time.sleep(max(0.0, begin + at - time.monotonic()))
            trace.append([round(time.monotonic() - begin, 4), info(sock),
                          sock.getsockopt(socket.IPPROTO_TCP, TCP_CC_INFO, 20).hex()])
            at += spec['look']
    watcher = threading.Thread(target=look)
    watcher.start()
    block = bytes(1 << 16)
    end = begin + spec['seconds'] + 4e-9 * spec['delay']  # the receiver's time begins later
    try:
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            sock.send(block)
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    watcher.join()
    result['trace'] = trace


def receive(spec: dict[str, Any], result: dict[str, Any]) -> None:
    """The receiving program."""
    listener = socket.create_server(('', PORT))
    conn = listener.accept()[0]
    end = time.monotonic() + spec['seconds']
    count, buffer = 0, bytearray(1 << 18)
    while time.monotonic() < end and (n := conn.recv_into(buffer)):
        count += n
    result['bytes'] = count


def warm(addr: str) -> None:
    """Have the neighbours know each other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b'x', (addr, 9))


def transfer(spec: dict[str, Any]) -> dict[str, Any]:
    """Run it."""
    result: dict[str, Any] = {}
    with Lab(seed=spec['seed']) as lab:
        sender, router, receiver = lab.host('sender'), lab.router('router'), lab.host('receiver')
        lab.link(sender, router, delay='0ms')
        slow = lab.link(router, receiver, rate=spec['rate'])
        assert slow.params is not None
        ports = (slow.a, slow.b)
        for port, params in zip(ports, slow.params, strict=True):
            params.delay_ns, params.ring_size = spec['delay'], 1
            wire_set_params(port.dev, params)
            port.host.qdisc(port.dev.name, 'pfifo', limit=spec['limit'])
        for host in (sender, receiver):
            for name, value in spec['sysctls'].items():
                host.sysctl(f'net.ipv4.{name}', value)
        sender.spawn(warm, receiver.addr)
        receiver.spawn(warm, sender.addr)
        lab.run()
        lab.run(until=lab.now + 5)
        wire = wire_ops(slow.a.dev)
        before = wire.nr_sent
        slow.params[0].loss_function = Lost(set(spec['lost']), before)
        wire_set_params(slow.a.dev, slow.params[0])
        receiver.spawn(receive, spec, result)
        sender.spawn(send, spec, result)
        lab.run()
        result['packets'], result['dropped'], result['late'] = wire.nr_sent - before, slow.a.dev.qdisc.stats.drops, 0
    return result


if __name__ == '__main__':
    json.dump(transfer(json.load(sys.stdin)), sys.stdout)
