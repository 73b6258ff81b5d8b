# SPDX-License-Identifier: Apache-2.0
"""Tracepoints: named as Linux names them ('sock:inet_sock_set_state'), placed where Linux has them, one Trace a world.

A tracepoint in the stack reads `if trace.enabled: trace.emit(name, {...})`: one attribute when nobody listens.  Rooms
(walk, report, pcap comments) subscribe a TraceSink.
"""
from __future__ import annotations

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class TraceSink:
    """Somebody who listens; override `event`."""

    def event(self, name: str, fields: dict[str, object]) -> None:
        """One tracepoint was passed.

        `fields` is the sink's to keep, but not to change: other sinks see the same dict.
        """
        return


class Trace:
    """The listeners of one world."""

    def __init__(self) -> None:
        self.enabled = False
        self.sinks: list[TraceSink] = []

    def emit(self, name: str, fields: dict[str, object]) -> None:
        """Tell every sink, in the order of subscription."""
        for sink in list(self.sinks):
            sink.event(name, fields)

    def subscribe(self, sink: TraceSink) -> None:
        """Add a listener; twice is once."""
        if sink not in self.sinks:
            self.sinks.append(sink)
        self.enabled = True

    def unsubscribe(self, sink: TraceSink) -> None:
        """Remove a listener; an unknown one is no error."""
        if sink in self.sinks:
            self.sinks.remove(sink)
        self.enabled = len(self.sinks) > 0
