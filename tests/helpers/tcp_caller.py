# SPDX-License-Identifier: Apache-2.0
"""The other end of a connection that it opens itself, by hand, to a listener on a Wire's host."""
from __future__ import annotations

from helpers.tcp_wire import Peer, Segment, Wire


class Caller(Peer):
    """A client; sequence numbers are relative as in Peer."""

    def __init__(self, wire: Wire, dport: int, port: int = 4000, isn: int = 5000, mss: int = 1460, window: int = 65535,
                 wscale: int | None = None, ts: int | None = None) -> None:
        super().__init__(wire, port, mss, window, wscale)
        self.their_port = dport
        self.isn = isn
        self.ts = ts
        self.ts_ecr = 0

    def stamp(self) -> bytes:
        """The timestamp option, if the caller speaks it."""
        if self.ts is None:
            return b''
        return b'\1\1\x08\x0a' + (self.ts & 0xFFFFFFFF).to_bytes(4, 'big') + self.ts_ecr.to_bytes(4, 'big')

    def say(self, flags: str, data: bytes = b'', seq: int | None = None, ack: int | None = None) -> None:
        """Send a segment with the options that every segment of the caller has."""
        self.send(flags, seq=seq, ack=ack, data=data, options=self.stamp())

    def syn(self) -> Segment | None:
        """Send the SYN; returns the SYN-ACK, if there is one."""
        self.send('S', seq=0, options=self.syn_options() + self.stamp())
        for segment in self.wire.take():
            if segment.flags == 'S.':
                self.their_isn = segment.seq
                if self.ts is not None and segment.timestamps is not None:
                    self.ts_ecr = segment.timestamps[0]
                return segment
        return None

    def handshake(self) -> Segment:
        """Open the connection; returns the SYN-ACK."""
        answer = self.syn()
        assert answer is not None
        assert answer.ack == self.isn + 1
        self.say('.')
        return answer
