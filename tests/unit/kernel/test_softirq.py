# SPDX-License-Identifier: Apache-2.0
"""Softirqs: when they run, in which order, and that nesting only counts."""
from __future__ import annotations

from linnet.kernel.softirq import (
    NET_RX_SOFTIRQ,
    NET_TX_SOFTIRQ,
    Cpu,
    SoftirqAction,
    do_softirq,
    in_softirq,
    local_bh_disable,
    local_bh_enable,
    open_softirq,
    raise_softirq,
)


class Note(SoftirqAction):
    def __init__(self, name: str, log: list[str], again: int = 0) -> None:
        self.name = name
        self.log = log
        self.again = again

    def action(self, cpu: Cpu) -> None:
        assert in_softirq(cpu)
        self.log.append(self.name)
        local_bh_disable(cpu)
        if self.again > 0:
            self.again -= 1
            raise_softirq(cpu, NET_RX_SOFTIRQ)
        local_bh_enable(cpu)  # inside the handler: only counts down
        self.log.append('/' + self.name)


def make(again: int = 0) -> tuple[Cpu, list[str]]:
    cpu = Cpu()
    log: list[str] = []
    open_softirq(cpu, NET_RX_SOFTIRQ, Note('rx', log, again))
    open_softirq(cpu, NET_TX_SOFTIRQ, Note('tx', log))
    return cpu, log


def test_runs_when_the_outermost_disable_ends() -> None:
    cpu, log = make()
    local_bh_disable(cpu)
    local_bh_disable(cpu)
    raise_softirq(cpu, NET_RX_SOFTIRQ)
    local_bh_enable(cpu)
    assert log == []
    local_bh_enable(cpu)
    assert log == ['rx', '/rx']
    assert (cpu.pending, cpu.bh_disable) == (0, 0)


def test_lowest_number_first_and_raised_twice_runs_once() -> None:
    cpu, log = make()
    for nr in (NET_RX_SOFTIRQ, NET_TX_SOFTIRQ, NET_RX_SOFTIRQ):
        raise_softirq(cpu, nr)
    do_softirq(cpu)
    assert log == ['tx', '/tx', 'rx', '/rx']


def test_raised_by_a_handler_runs_in_the_next_round_not_inside() -> None:
    cpu, log = make(again=2)
    raise_softirq(cpu, NET_RX_SOFTIRQ)
    do_softirq(cpu)
    assert log == ['rx', '/rx'] * 3
    assert cpu.softirqs == 3


def test_raising_alone_runs_nothing_and_an_unopened_one_is_dropped() -> None:
    cpu, log = make()
    raise_softirq(cpu, NET_RX_SOFTIRQ)
    assert log == [] and not in_softirq(cpu)
    raise_softirq(cpu, 9)
    do_softirq(cpu)
    assert log == ['rx', '/rx'] and cpu.pending == 0


def test_do_softirq_respects_the_disable() -> None:
    cpu, log = make()
    local_bh_disable(cpu)
    raise_softirq(cpu, NET_TX_SOFTIRQ)
    do_softirq(cpu)
    assert log == []
    local_bh_enable(cpu)
    assert log == ['tx', '/tx']
