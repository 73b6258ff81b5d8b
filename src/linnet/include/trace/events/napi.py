# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group napi, named as in Linux's include/trace/events/napi.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.linux.netdevice import NapiStruct
from linnet.kernel.trace import Trace


def trace_napi_poll(trace: Trace, napi: NapiStruct, work: int, budget: int) -> None:
    """An instance was polled."""
    if trace.enabled:
        trace.emit('napi:napi_poll', {'dev': '' if napi.dev is None else napi.dev.name, 'work': work, 'budget': budget})
