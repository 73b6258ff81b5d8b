# SPDX-License-Identifier: Apache-2.0
"""The one processor of a world, and what runs on it between tasks.

A softirq is a bit in `cpu.pending` and an action.  Raising sets the bit; the action runs when the outermost
bottom-half disable ends: local_bh_enable() -> __local_bh_enable_ip() -> do_softirq() -> handle_softirqs().  The
handler runs with bottom halves disabled, so an enable inside it only counts down, and it loops until nothing is
pending.  That is how a packet which a task sends over a veth is received by the other host inside the sender's
__dev_queue_xmit(), as in Linux.

A raise outside of any disabled section waits for the main loop's next round (Linux wakes ksoftirqd).
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

HI_SOFTIRQ: Final = 0
TIMER_SOFTIRQ: Final = 1
NET_TX_SOFTIRQ: Final = 2
NET_RX_SOFTIRQ: Final = 3
NR_SOFTIRQS: Final = 10


@mypyc_attr(allow_interpreted_subclasses=True)
class SoftirqAction:
    """What a softirq does.  Linux: struct softirq_action."""

    def action(self, cpu: Cpu) -> None:
        """Do the work that was raised; the bit is already clear."""
        return


class Cpu:
    """Softirq bits, the bottom-half disable count, and the actions."""

    def __init__(self) -> None:
        self.pending: i64 = 0
        self.bh_disable: i64 = 0
        self.actions: list[SoftirqAction | None] = [None] * NR_SOFTIRQS
        self.softirqs: i64 = 0  # actions run, for statistics


def open_softirq(cpu: Cpu, nr: int, action: SoftirqAction) -> None:
    """Install the action of softirq `nr`.  Linux: kernel/softirq.c."""
    cpu.actions[nr] = action


def raise_softirq(cpu: Cpu, nr: i64) -> None:
    """Mark softirq `nr` as pending.  Linux: kernel/softirq.c."""
    cpu.pending |= 1 << nr


def local_bh_disable(cpu: Cpu) -> None:
    """Hold softirqs back; nests.  Linux: include/linux/bottom_half.h."""
    cpu.bh_disable += 1


def local_bh_enable(cpu: Cpu) -> None:
    """End a local_bh_disable(); the outermost runs what was raised.  Linux: include/linux/bottom_half.h."""
    __local_bh_enable_ip(cpu)


def __local_bh_enable_ip(cpu: Cpu) -> None:
    """Count down and run pending softirqs at zero.  Linux: kernel/softirq.c."""
    count: i64 = cpu.bh_disable - 1
    cpu.bh_disable = count
    if count == 0 and cpu.pending != 0:
        do_softirq(cpu)


def do_softirq(cpu: Cpu) -> None:
    """Run pending softirqs unless bottom halves are disabled.  Linux: kernel/softirq.c."""
    if cpu.bh_disable == 0 and cpu.pending != 0:
        handle_softirqs(cpu)


def handle_softirqs(cpu: Cpu) -> None:
    """Run the pending actions, lowest number first, until none is left.

    Linux: kernel/softirq.c.  Linux gives up after ten rounds and leaves the rest to ksoftirqd.
    """
    cpu.bh_disable += 1
    while cpu.pending != 0:
        pending: i64 = cpu.pending
        cpu.pending = 0
        nr: i64 = 0
        while pending != 0:
            if pending & 1 != 0:
                action = cpu.actions[nr]
                if action is not None:
                    cpu.softirqs += 1
                    action.action(cpu)
            pending >>= 1
            nr += 1
    cpu.bh_disable -= 1


def in_softirq(cpu: Cpu) -> bool:
    """True while bottom halves are disabled or run.  Linux: include/linux/preempt.h."""
    return cpu.bh_disable != 0
