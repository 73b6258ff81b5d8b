# SPDX-License-Identifier: Apache-2.0
"""What `tc qdisc` does: the disciplines by name, attached to a device, shown as tc shows them."""
from __future__ import annotations

from typing import Final

from linnet.include.linux.netdevice import NetDevice
from linnet.include.net.net_namespace import Net
from linnet.include.net.sch_generic import Qdisc, qdisc_qlen
from linnet.net.sched.sch_codel import CodelQdisc
from linnet.net.sched.sch_fifo import BfifoQdisc, PfifoQdisc
from linnet.net.sched.sch_fq import FqQdisc
from linnet.net.sched.sch_fq_codel import FqCodelQdisc
from linnet.net.sched.sch_generic import NoopQdisc, NoqueueQdisc, PfifoFastQdisc, dev_graft_qdisc

TC_H_FIRST_AUTO: Final = 0x8001  # handles that nobody asked for start here


def register_qdisc(net: Net, cls: type[Qdisc]) -> None:
    """Make a discipline known on a host by its id; one of the same id is replaced.  Linux: net/sched/sch_api.c."""
    net.qdisc_base[cls.id] = cls


def pktsched_init(net: Net) -> None:
    """The disciplines that every host knows.  Linux: net/sched/sch_api.c."""
    for cls in (NoopQdisc, NoqueueQdisc, PfifoFastQdisc, PfifoQdisc, BfifoQdisc, FqQdisc, CodelQdisc, FqCodelQdisc):
        register_qdisc(net, cls)


def qdisc_create(dev: NetDevice, id: str, opt: dict[str, int] | None = None) -> Qdisc:
    """Attach a discipline at the device's root, one a transmit queue, as `tc qdisc replace dev DEV root ID limit N`.

    KeyError: nobody registered that id. ValueError: it refuses the options.  Linux: net/sched/sch_api.c.
    """
    cls = dev.net.qdisc_base.get(id)
    if cls is None:
        raise KeyError(f'no qdisc {id!r} on {dev.net.name}; there are {", ".join(sorted(dev.net.qdisc_base))}')
    fresh: list[Qdisc] = []
    for i in range(len(dev.tx)):
        qdisc = cls(dev)
        qdisc.handle = TC_H_FIRST_AUTO + i
        if qdisc.init(opt or {}) != 0:
            raise ValueError(f'qdisc {id!r} refuses the options {opt!r}')
        fresh.append(qdisc)
    for i, qdisc in enumerate(fresh):
        dev_graft_qdisc(dev, qdisc, dev.tx[i])
    dev.qdisc = dev.tx[0].qdisc
    return dev.tx[0].qdisc


def tc_qdisc_show(dev: NetDevice, stats: bool = True) -> str:
    """The device's disciplines, as `tc -s qdisc show dev DEV` prints them."""
    lines = []
    for txq in dev.tx:
        q = txq.qdisc
        options = q.dump()
        lines.append(f'qdisc {q.id} {int(q.handle):x}: dev {dev.name} root refcnt 2 {options}')
        if stats:
            s = q.stats
            lines.append(f' Sent {s.bytes} bytes {s.packets} pkt (dropped {s.drops}, overlimits {s.overlimits} '
                         f'requeues {s.requeues}) ')
            lines.append(f' backlog {s.backlog}b {qdisc_qlen(q)}p requeues {s.requeues}')
            own = q.dump_stats()
            if own:
                lines.append(own)
    return '\n'.join(lines)
