# SPDX-License-Identifier: Apache-2.0
"""Tracepoints of group neigh, named as in Linux's include/trace/events/neigh.h; each stands where Linux has it.

Free when nobody listens: one call and one flag. The walk of an interpreted run sees these functions entered.
"""
from __future__ import annotations

from linnet.include.net.neighbour import Neighbour, neigh_addr_text


def neigh_fields(neigh: Neighbour) -> dict[str, object]:
    """What every event of the group tells."""
    return {
        'dev': neigh.dev.name,
        'dst': neigh_addr_text(neigh),
        'nud_state': int(neigh.nud_state),
        'lladdr': neigh.ha.hex(':'),
    }


def trace_neigh_create(neigh: Neighbour) -> None:
    """An entry is made."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_create', neigh_fields(neigh))


def trace_neigh_update(neigh: Neighbour) -> None:
    """An entry is about to be updated."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_update', neigh_fields(neigh))


def trace_neigh_update_done(neigh: Neighbour) -> None:
    """An entry was updated."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_update_done', neigh_fields(neigh))


def trace_neigh_timer_handler(neigh: Neighbour) -> None:
    """The entry's timer fired."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_timer_handler', neigh_fields(neigh))


def trace_neigh_event_send_done(neigh: Neighbour) -> None:
    """Use of an entry began its resolution."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_event_send_done', neigh_fields(neigh))


def trace_neigh_event_send_dead(neigh: Neighbour) -> None:
    """A dead entry was used."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_event_send_dead', neigh_fields(neigh))


def trace_neigh_cleanup_and_release(neigh: Neighbour) -> None:
    """An entry ends."""
    t = neigh.dev.net.trace
    if t.enabled:
        t.emit('neigh:neigh_cleanup_and_release', neigh_fields(neigh))
