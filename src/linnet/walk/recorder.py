# SPDX-License-Identifier: Apache-2.0
"""Watching an interpreted run: a row for each function of the stack entered, for each annotated line run, and each tracepoint
passed.

It works by sys.settrace, so the stack must run as Python (linnet._pure). Rows of kind `call` are functions entered. Rows of
kind `indirect` and `state` are lines that carry a comment `# walk: indirect NAME` or `# walk: state NAME`, optionally with
`[layer; file]` where these are not the line's own: they appear when that line runs. A tracepoint (a function trace_* of
include/trace/events) is kept with the chain of functions that led to it.
"""
from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from linnet.walk.places import Place, Places

NOTE = re.compile(r'#\s*walk:\s*(indirect|state)\s+(.*?)(?:\s*\[([^;\]]*);\s*([^\]]*)\])?\s*$')


class Row:
    """One step of a walk. depth counts shown functions above it; host is the one on whose stack it ran."""

    def __init__(self, depth: int, layer: str, kind: str, name: str, file: str, host: str, values: dict[str, str]) -> None:
        self.depth = depth
        self.layer = layer
        self.kind = kind
        self.name = name
        self.file = file
        self.host = host
        self.values = values


class Chain:
    """A tracepoint passed: its name and the functions that led to it, outermost first."""

    def __init__(self, event: str, functions: list[str]) -> None:
        self.event = event
        self.functions = functions


def notes_of(code: CodeType) -> dict[int, tuple[str, str, str, str]]:
    """Line -> (kind, name, layer, file) of the annotated lines of a function."""
    notes = {}
    for _, _, line in code.co_lines():
        if line is None or line in notes:
            continue
        match = NOTE.search(linecache.getline(code.co_filename, line))
        if match:
            notes[line] = (match[1], match[2], match[3] or '', match[4] or '')
    return notes


class Recorder:
    """Collects rows and chains while it is on (see `recording`)."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.chains: list[Chain] = []
        self.places = Places()
        self.notes: dict[CodeType, dict[int, tuple[str, str, str, str]]] = {}
        self.shown: dict[int, tuple[int, str, str]] = {}  # id(frame) -> depth, layer, host of its row

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Watch what this greenlet does inside the with block."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield self
        finally:
            sys.settrace(before)

    # -- the trace function

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        place = self.places.of(frame.f_code, frame.f_globals)
        if place is None:
            return None
        if place.is_tracepoint:
            if place.name.startswith('trace_'):
                self.chains.append(Chain(place.name[len('trace_'):], self._chain(frame.f_back)))
            return None
        if place.shown:
            self._enter(frame, place)
        notes = self.notes.get(frame.f_code)
        if notes is None:
            notes = self.notes[frame.f_code] = notes_of(frame.f_code)
        return self._line if notes else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any]:
        if event == 'line':
            note = self.notes[frame.f_code].get(frame.f_lineno)
            if note is not None:
                kind, name, layer, file = note
                depth, own_layer, host = self._context(frame)
                place = self.places.of(frame.f_code, frame.f_globals)
                assert place is not None
                self.rows.append(Row(depth + 1, layer or own_layer, kind, name, file or place.file, host, {}))
        return self._line

    def _enter(self, frame: FrameType, place: Place) -> None:
        depth, layer, host = self._context(frame.f_back)
        layer = place.layer or layer
        values, host = values_of(frame, host)
        self.shown[id(frame)] = (depth + 1, layer, host)
        self.rows.append(Row(depth + 1, layer, 'call', place.name, place.file, host, values))

    def _context(self, frame: FrameType | None) -> tuple[int, str, str]:
        """Depth, layer and host of the innermost shown function at or above frame."""
        while frame is not None:
            place = self.places.of(frame.f_code, frame.f_globals)
            if place is not None and place.shown and id(frame) in self.shown:
                return self.shown[id(frame)]
            frame = frame.f_back
        return -1, '', ''

    def _chain(self, frame: FrameType | None) -> list[str]:
        names = []
        while frame is not None:
            place = self.places.of(frame.f_code, frame.f_globals)
            if place is not None and place.is_function:
                names.append(place.name)
                if place.name.startswith('sys_'):
                    break
            frame = frame.f_back
        names.reverse()
        return names


def values_of(frame: FrameType, host: str) -> tuple[dict[str, str], str]:
    """What is worth seeing of a function's arguments, and the host that they belong to."""
    from linnet.include.linux.in6 import in6_ntop
    from linnet.include.linux.inet import in_ntoa
    from linnet.include.linux.netdevice import NetDevice
    from linnet.include.linux.skbuff import SkBuff
    from linnet.include.linux.socket import AF_INET6, Sockaddr
    from linnet.include.net.flow import Flowi4, Flowi6
    from linnet.include.net.net_namespace import Net
    from linnet.include.net.sock import Sock
    from linnet.include.net.tcp_states import TCP_STATE_NAMES
    values: dict[str, str] = {}
    code = frame.f_code
    for name in code.co_varnames[:code.co_argcount]:
        value = frame.f_locals.get(name)
        if isinstance(value, Sock):
            if 0 < value.sk_state < len(TCP_STATE_NAMES) and value.sk_protocol == 6:
                values['state'] = TCP_STATE_NAMES[value.sk_state]
            if value.sk_net is not None:
                host = value.sk_net.name
        elif isinstance(value, SkBuff):
            values['len'] = str(value.len)
            if value.seq or value.tcp_flags:
                values['seq'] = str(value.seq)
            if value.dev is not None:
                host = value.dev.net.name
        elif isinstance(value, NetDevice):
            values['dev'] = value.name
            host = value.net.name
        elif isinstance(value, Flowi4):
            values['to'] = in_ntoa(int(value.daddr))
        elif isinstance(value, Flowi6):
            values['to'] = in6_ntop(value.daddr)
        elif isinstance(value, Net):
            host = value.name
        elif isinstance(value, Sockaddr) and value.sa_family == AF_INET6:
            values['addr'] = f'[{in6_ntop(value.sin6_addr)}]:{value.sin_port}'
        elif isinstance(value, Sockaddr):
            values['addr'] = f'{in_ntoa(int(value.sin_addr))}:{value.sin_port}'
        elif name in ('newstate', 'state') and isinstance(value, int) and code.co_name == 'tcp_set_state':
            values['to'] = TCP_STATE_NAMES[value]
    return values, host
