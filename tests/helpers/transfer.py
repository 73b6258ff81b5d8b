# SPDX-License-Identifier: Apache-2.0
"""A bulk transfer in virtual time over a bottleneck, watched: what congestion control is tested with."""
from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from linnet import Lab
from linnet.drivers.net.wire import LossPattern, WireOps, wire_ops, wire_set_params
from linnet.include.net.tcp import TcpSock
from linnet.report.ss import tcp_sockets


class Transfer:
    """client -- router == server: 10 Mbit/s and 20 ms there and back by default, and a queue of `limit` packets at the router."""

    def __init__(self, lab: Lab, rate: str = '10mbit', delay: str = '10ms', limit: int = 100, kind: str = 'pfifo',
                 **options: int) -> None:
        self.lab = lab
        self.client, self.router, self.server = lab.host('client'), lab.router('router'), lab.host('server')
        lab.link(self.client, self.router, delay='0ms')
        self.link = lab.link(self.router, self.server, rate=rate, delay=delay)
        assert self.link.params is not None
        self.link.params[0].ring_size = 1
        wire_set_params(self.link.a.dev, self.link.params[0])
        self.router.qdisc(self.server, kind, limit=limit, **options)
        self.received: list[tuple[float, int]] = []
        self.server.spawn(self._serve, daemon=True)

    @property
    def wire(self) -> WireOps:
        """The end at the router of the slow link."""
        return wire_ops(self.link.a.dev)

    def lose(self, *numbers: int) -> None:
        """Lose these packets of the way there (ARP counts as well)."""
        assert self.link.params is not None
        self.link.params[0].loss_function = LossPattern(set(numbers))
        wire_set_params(self.link.a.dev, self.link.params[0])

    def _serve(self) -> None:
        listener = socket.create_server(('', 9))
        while True:
            conn, _ = listener.accept()
            with conn:
                while data := conn.recv(1 << 20):
                    self.received.append((time.monotonic(), len(data)))

    def sock(self) -> TcpSock:
        """The client's connection."""
        found = [sk for sk in tcp_sockets(self.client.net) if isinstance(sk, TcpSock)]
        assert len(found) == 1
        return found[0]

    def run(self, algorithm: str, seconds: float, look: Callable[[TcpSock], object] | None = None, every: float = 0.01,
            pauses: tuple[tuple[float, float], ...] = (), options: tuple[tuple[int, int, int], ...] = ()) -> list[Any]:
        """Send for some seconds, but in the pauses (from, to); what look() said of the connection, from its start on."""
        looks: list[Any] = []

        def program() -> None:
            with socket.socket() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
                for option in options:
                    sock.setsockopt(*option)
                sock.connect(('server', 9))
                begin = time.monotonic()

                def watch() -> None:
                    while time.monotonic() - begin < seconds:
                        if look is not None:
                            looks.append(look(self.sock()))
                        time.sleep(every)

                thread = threading.Thread(target=watch)
                thread.start()
                while (now := time.monotonic() - begin) < seconds:
                    wait = max((end - now for start, end in pauses if start <= now < end), default=0.0)
                    if wait > 0:
                        time.sleep(wait)
                    sock.sendall(bytes(3000))
                thread.join()

        self.client.spawn(program)
        self.lab.run()
        return looks

    def goodput(self, start: float, end: float) -> float:
        """Mbit/s of what the server read between two times of the lab's clock."""
        return sum(n for at, n in self.received if start <= at < end) * 8e-6 / (end - start)
