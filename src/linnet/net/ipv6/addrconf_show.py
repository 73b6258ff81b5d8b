# SPDX-License-Identifier: Apache-2.0
"""IPv6's addresses as people read them: the text of `ip -6 addr` and of /proc/net/if_inet6."""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_ETHER
from linnet.include.linux.in6 import in6_ntop
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_UP, NetDevice
from linnet.include.net.if_inet6 import (
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_MANAGETEMPADDR,
    IFA_F_MCAUTOJOIN,
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    IFA_F_OPTIMISTIC,
    IFA_F_PERMANENT,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    INFINITY_LIFE_TIME,
    Inet6Ifaddr,
    __in6_dev_get,
)
from linnet.include.net.ipv6 import IPV6_ADDR_LINKLOCAL, IPV6_ADDR_LOOPBACK, IPV6_ADDR_SITELOCAL
from linnet.include.net.net_namespace import Net
from linnet.net.ipv4.devinet import link_flags_text
from linnet.net.ipv6.addrconf_ifa import HZ

LINUX_FILE: Final = 'net/ipv6/addrconf.c'
SCOPE_NAMES: Final = {IPV6_ADDR_LOOPBACK: 'host', IPV6_ADDR_LINKLOCAL: 'link', IPV6_ADDR_SITELOCAL: 'site'}

# in iproute2's order; `dynamic` stands where an address is not permanent
FLAG_NAMES: Final = (
    (IFA_F_TEMPORARY, 'temporary'), (IFA_F_NODAD, 'nodad'), (IFA_F_OPTIMISTIC, 'optimistic'), (IFA_F_DADFAILED, 'dadfailed'),
    (IFA_F_DEPRECATED, 'deprecated'), (IFA_F_TENTATIVE, 'tentative'), (IFA_F_PERMANENT, 'dynamic'),
    (IFA_F_MANAGETEMPADDR, 'mngtmpaddr'), (IFA_F_NOPREFIXROUTE, 'noprefixroute'), (IFA_F_MCAUTOJOIN, 'autojoin'),
)


def lifetime_text(net: Net, ifp: Inet6Ifaddr, lifetime: i64) -> str:
    """'forever' or '86400sec': what is left of a lifetime."""
    if lifetime == INFINITY_LIFE_TIME:
        return 'forever'
    gone = (net.clock.jiffies() - ifp.tstamp) // HZ
    left = lifetime - gone
    return f'{left if left > 0 else 0}sec'


def inet6_fill_ifaddr(ifp: Inet6Ifaddr) -> str:
    """The two lines that `ip -6 addr` prints of an address.  Linux: net/ipv6/addrconf.c gives it as a netlink message."""
    words = [f'    inet6 {in6_ntop(ifp.addr)}/{ifp.prefix_len} scope {SCOPE_NAMES.get(int(ifp.scope), "global")}']
    for flag, name in FLAG_NAMES:
        if ((ifp.flags & flag) != 0) != (flag == IFA_F_PERMANENT):
            words.append(name)
    net = ifp.idev.dev.net
    return (' '.join(words) + ' \n       valid_lft ' + lifetime_text(net, ifp, ifp.valid_lft) + ' preferred_lft '
            + lifetime_text(net, ifp, ifp.prefered_lft) + '\n')


def inet6_dump_dev(dev: NetDevice) -> str:
    """The lines of dev's addresses."""
    idev = __in6_dev_get(dev)
    return '' if idev is None else ''.join([inet6_fill_ifaddr(ifp) for ifp in idev.addr_list])


def inet6_dump(net: Net, dev: NetDevice | None = None) -> str:
    """The text of `ip -6 addr show [dev DEV]`: devices without an address are left out."""
    out: list[str] = []
    for one in net.dev_base:
        lines = inet6_dump_dev(one) if dev is None or one is dev else ''
        if lines == '':
            continue
        known = (one.flags & IFF_LOOPBACK) == 0 and one.type == ARPHRD_ETHER
        state = 'DOWN' if (one.flags & IFF_UP) == 0 else 'UNKNOWN' if not known else 'UP' if one.carrier else 'DOWN'
        out.append(f'{one.ifindex}: {one.name}: <{link_flags_text(one)}> mtu {one.mtu} state {state} qlen {one.tx_queue_len}\n')
        out.append(lines)
    return ''.join(out)


def if6_seq_show(net: Net) -> str:
    """The text of /proc/net/if_inet6.  Linux: net/ipv6/addrconf.c."""
    lines = []
    for dev in net.dev_base:
        idev = __in6_dev_get(dev)
        if idev is not None:
            for ifp in idev.addr_list:
                lines.append(f'{ifp.addr:032x} {int(dev.ifindex):02x} {int(ifp.prefix_len):02x} {int(ifp.scope):02x} '
                             f'{int(ifp.flags) & 0xFF:02x} {dev.name:>8}\n')
    return ''.join(lines)
