# SPDX-License-Identifier: Apache-2.0
"""Tracepoints: who hears what, and `enabled`."""
from __future__ import annotations

from linnet.kernel.trace import Trace, TraceSink


class Sink(TraceSink):
    def __init__(self, trace: Trace | None = None) -> None:
        self.seen: list[str] = []
        self.trace = trace

    def event(self, name: str, fields: dict[str, object]) -> None:
        self.seen.append(f'{name} {fields}')
        if self.trace is not None:
            self.trace.unsubscribe(self)


def test_subscribe_and_unsubscribe() -> None:
    trace = Trace()
    assert trace.enabled is False
    a, b = Sink(), Sink()
    trace.subscribe(a)
    trace.subscribe(a)
    trace.subscribe(b)
    trace.emit('tcp:tcp_probe', {'x': 1})
    trace.unsubscribe(a)
    trace.emit('y', {})
    assert trace.enabled is True
    trace.unsubscribe(b)
    trace.unsubscribe(b)
    assert trace.enabled is False
    assert (a.seen, b.seen) == (["tcp:tcp_probe {'x': 1}"], ["tcp:tcp_probe {'x': 1}", 'y {}'])


def test_a_sink_may_leave_while_it_is_told() -> None:
    trace = Trace()
    a, b = Sink(trace), Sink()
    trace.subscribe(a)
    trace.subscribe(b)
    trace.emit('x', {})
    trace.emit('y', {})
    assert (a.seen, b.seen) == (['x {}'], ['x {}', 'y {}'])
