# SPDX-License-Identifier: Apache-2.0
"""The one queue of timers of a world: everything that happens later is a TimerList in a TimerBase.

The queue is a binary heap ordered by (time, order of arming), so equal times fire in the order in which they were armed
and a run is repeatable.  The heap itself is two vectors of native integers, the time and a code: the order of arming in
the high bits, the timer's slot in the low ones.  Sifting touches integers alone; the objects stay in their slots.

The heap is lazy where protocols are busiest.  A retransmission timer is pushed back with every acknowledgement and
removed with the last one: moving a pending timer later only notes the new time, removing it only clears a flag.  The
entry in the heap is a lower bound; when it reaches the top it is put right (sifted down to the true time, or dropped).
Moving earlier sifts up at once.  Dead entries are swept when they outnumber the living.
"""
from __future__ import annotations

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64, mypyc_attr

TIMER_NEVER: Final = 0x7FFFFFFFFFFFFFFF  # what next_expiry() gives when nothing is armed
SLOT_BITS: Final = 22  # so many timers can stand in the queue at once: 4 million
SLOT_MASK: Final = (1 << SLOT_BITS) - 1
SWEEP_MIN: Final = 64  # below this many dead entries a sweep does not pay


@mypyc_attr(allow_interpreted_subclasses=True)
class TimerList:
    """A timer; what owns one overrides `function`.  Linux: struct timer_list."""

    def __init__(self, base: TimerBase) -> None:
        self.base = base
        self.expires: i64 = 0  # ns, absolute: what the owner asked for
        self.armed = False  # see timer_pending()
        self.deferrable = False  # housekeeping: does not keep the world running; set before arming
        self._seq: i64 = 0  # order of arming
        self._slot: i64 = -1  # its slot in the queue, -1: it has none

    def function(self) -> None:
        """Run when the time has come, in softirq context; a bare timer only moves the clock."""
        return


class TimerBase:
    """The queue, and the present: `now` lives here so that reading it is one attribute.  Linux: struct timer_base."""

    def __init__(self) -> None:
        self.now: i64 = 0  # ns since the world's start
        self.nr_pending: i64 = 0  # armed timers that keep the world running
        self.nr_deferrable: i64 = 0  # armed timers that do not
        self.nr_dead: i64 = 0  # entries in the heap whose timer is not armed
        self._seq: i64 = 0
        self._len: i64 = 0  # entries in the heap; the vectors are as long as the slots, and never shrink
        self._keys: vec[i64] = vec[i64]()  # the heap: times, never later than the timer's expires ...
        self._codes: vec[i64] = vec[i64]()  # ... and order of arming << SLOT_BITS | slot
        self._slots: list[TimerList | None] = []
        self._places: vec[i64] = vec[i64]()  # by slot: its index in the heap, or if it is free, the next free slot
        self._free: i64 = -1  # the first free slot

    def __len__(self) -> int:
        """Entries in the queue, the dead among them."""
        return int(self._len)

    def _sift_up(self, key: i64, code: i64, pos: i64) -> None:
        """Place an entry at or above `pos`."""
        keys = self._keys
        codes = self._codes
        places = self._places
        i: i64 = pos
        while i > 0:
            p: i64 = (i - 1) >> 1
            pkey: i64 = keys[p]
            pcode: i64 = codes[p]
            if pkey < key or (pkey == key and pcode < code):
                break
            keys[i] = pkey
            codes[i] = pcode
            places[pcode & SLOT_MASK] = i
            i = p
        keys[i] = key
        codes[i] = code
        places[code & SLOT_MASK] = i

    def _sift_down(self, key: i64, code: i64, pos: i64) -> None:
        """Place an entry at or below `pos`."""
        keys = self._keys
        codes = self._codes
        places = self._places
        n: i64 = self._len
        i: i64 = pos
        c: i64 = 2 * i + 1
        while c < n:
            ckey: i64 = keys[c]
            ccode: i64 = codes[c]
            r: i64 = c + 1
            if r < n:
                rkey: i64 = keys[r]
                if rkey < ckey or (rkey == ckey and codes[r] < ccode):
                    ckey = rkey
                    ccode = codes[r]
                    c = r
            if key < ckey or (key == ckey and code < ccode):
                break
            keys[i] = ckey
            codes[i] = ccode
            places[ccode & SLOT_MASK] = i
            i = c
            c = 2 * i + 1
        keys[i] = key
        codes[i] = code
        places[code & SLOT_MASK] = i

    def _push(self, timer: TimerList) -> None:
        """Give `timer` a slot and an entry."""
        slot: i64 = self._free
        if slot >= 0:
            self._free = self._places[slot]
            self._slots[slot] = timer
        else:
            slot = len(self._slots)
            if slot > SLOT_MASK:
                raise OverflowError('too many timers')
            self._slots.append(timer)
            self._places = append(self._places, 0)
            self._keys = append(self._keys, 0)
            self._codes = append(self._codes, 0)
        timer._slot = slot
        n: i64 = self._len
        self._len = n + 1
        self._sift_up(timer.expires, (timer._seq << SLOT_BITS) | slot, n)

    def _release(self, timer: TimerList) -> None:
        """Free the slot of a timer whose entry is out of the heap."""
        slot: i64 = timer._slot
        timer._slot = -1
        self._slots[slot] = None
        self._places[slot] = self._free
        self._free = slot

    def _remove(self, timer: TimerList) -> None:
        """Take the entry of `timer` out of the heap."""
        pos: i64 = self._places[timer._slot]
        self._release(timer)
        n: i64 = self._len - 1
        self._len = n
        if pos == n:
            return
        key: i64 = self._keys[n]
        code: i64 = self._codes[n]
        if pos > 0:
            p: i64 = (pos - 1) >> 1
            pkey: i64 = self._keys[p]
            if key < pkey or (key == pkey and code < self._codes[p]):
                self._sift_up(key, code, pos)
                return
        self._sift_down(key, code, pos)

    def _settle(self) -> TimerList | None:
        """Bring the first living timer to the top, in its true place; None if there is none."""
        while self._len > 0:
            code: i64 = self._codes[0]
            slot: i64 = code & SLOT_MASK
            top = self._slots[slot]
            assert top is not None
            if not top.armed:
                self.nr_dead -= 1
                self._remove(top)
            elif code >> SLOT_BITS != top._seq:
                self._sift_down(top.expires, (top._seq << SLOT_BITS) | slot, 0)
            else:
                return top
        return None

    def _sweep(self) -> None:
        """Drop every dead entry and put the living in their true places."""
        n: i64 = 0
        for timer in self._slots:
            if timer is None:
                continue
            if timer.armed:
                self._keys[n] = timer.expires
                self._codes[n] = (timer._seq << SLOT_BITS) | timer._slot
                self._places[timer._slot] = n
                n += 1
            else:
                self._release(timer)
        self._len = n
        self.nr_dead = 0
        i: i64 = n >> 1
        while i > 0:
            i -= 1
            self._sift_down(self._keys[i], self._codes[i], i)

    def next_expiry(self) -> i64:
        """Time of the first armed timer in ns, or TIMER_NEVER."""
        top = self._settle()
        if top is None:
            return TIMER_NEVER
        return top.expires

    def take(self, limit: i64) -> TimerList | None:
        """Disarm and give the first timer that expires at or before `limit` (ns), or None."""
        top = self._settle()
        if top is None or top.expires > limit:
            return None
        top.armed = False
        if top.deferrable:
            self.nr_deferrable -= 1
        else:
            self.nr_pending -= 1
        self._release(top)
        n: i64 = self._len - 1
        self._len = n
        if n > 0:
            self._sift_down(self._keys[n], self._codes[n], 0)
        return top

    def armed_timers(self) -> list[TimerList]:
        """All armed timers in the order in which they will fire (for reports and tests of what is left behind)."""
        found = [timer for timer in self._slots if timer is not None and timer.armed]
        found.sort(key=_fire_order)
        return found


def _fire_order(timer: TimerList) -> tuple[int, int]:
    return timer.expires, timer._seq


def mod_timer(timer: TimerList, expires: i64) -> bool:
    """(Re)arm `timer` for `expires` (ns, absolute; the past means at once).  True if it was pending.

    Linux: kernel/time/timer.c.  Time is in ns, not in jiffies.
    """
    was: bool = timer.armed
    if was and timer.expires == expires:
        return True
    base = timer.base
    seq: i64 = base._seq + 1
    base._seq = seq
    timer.expires = expires
    timer._seq = seq
    if not was:
        timer.armed = True
        if timer.deferrable:
            base.nr_deferrable += 1
        else:
            base.nr_pending += 1
        if timer._slot < 0:
            base._push(timer)
            return False
        base.nr_dead -= 1
    slot: i64 = timer._slot
    pos: i64 = base._places[slot]
    if expires < base._keys[pos]:
        base._sift_up(expires, (seq << SLOT_BITS) | slot, pos)
    return was


def del_timer(timer: TimerList) -> bool:
    """Disarm `timer`.  True if it was pending.  Its entry in the queue may stay (and hold the object) until its time.

    Linux: kernel/time/timer.c.
    """
    if not timer.armed:
        return False
    timer.armed = False
    base = timer.base
    if timer.deferrable:
        base.nr_deferrable -= 1
    else:
        base.nr_pending -= 1
    dead: i64 = base.nr_dead + 1
    base.nr_dead = dead
    if dead > SWEEP_MIN and dead * 2 > base._len:
        base._sweep()
    return True


def del_timer_sync(timer: TimerList) -> bool:
    """Disarm `timer` and let the queue forget it: for owners that are about to be destroyed.  True if it was pending.

    Linux: kernel/time/timer.c.  There is one CPU, so nothing has to be waited for.
    """
    was = timer.armed
    base = timer.base
    if was:
        timer.armed = False
        if timer.deferrable:
            base.nr_deferrable -= 1
        else:
            base.nr_pending -= 1
    elif timer._slot >= 0:
        base.nr_dead -= 1
    if timer._slot >= 0:
        base._remove(timer)
    return was


def timer_pending(timer: TimerList) -> bool:
    """True between arming and firing.  Linux: include/linux/timer.h."""
    return timer.armed
