# SPDX-License-Identifier: Apache-2.0
"""IPv4 addresses of devices: giving and taking them, choosing one as a source, and the text of `ip addr`.

A device that registers gets an InDevice, and loses it, with all addresses, when it unregisters. The first address of a subnet is
primary, further ones of the same subnet secondary; a primary that goes takes its secondaries along, or promotes the first of them
(promote_secondaries). Every change is told on net.inetaddr_chain, where fib_frontend makes and unmakes the routes that follow
from it, and whoever else cares (ARP) listens too. Nothing here knows about routes.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.if_ether import ARPHRD_ETHER, ARPHRD_LOOPBACK, mac_ntoa
from linnet.include.linux.inet import in_ntoa, ipv4_is_lbcast, ipv4_is_loopback, ipv4_is_multicast, ipv4_is_zeronet
from linnet.include.linux.inetdevice import (
    IFA_F_SECONDARY,
    InDevice,
    InIfaddr,
    __in_dev_get_rcu,
    inet_ifa_match,
    ipv4_devconf_copy,
)
from linnet.include.linux.netdevice import (
    IFF_ALLMULTI,
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_PROMISC,
    IFF_RUNNING,
    IFF_UP,
    NetDevice,
)
from linnet.include.linux.notifier import (
    NETDEV_CHANGEMTU,
    NETDEV_DOWN,
    NETDEV_REGISTER,
    NETDEV_UNREGISTER,
    NETDEV_UP,
    NotifierBlock,
    call_notifiers,
)
from linnet.include.net.ip_fib import RT_SCOPE_HOST, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV


def inetdev_init(dev: NetDevice) -> InDevice:
    """Give dev its IPv4 half.  Linux: net/ipv4/devinet.c."""
    in_dev = InDevice(dev)
    ipv4_devconf_copy(in_dev.cnf, dev.net.ipv4.devconf_dflt)
    dev.in_dev = in_dev
    return in_dev


def inetdev_destroy(in_dev: InDevice) -> None:
    """Take all addresses, and the IPv4 half, from an unregistering device.  Linux: net/ipv4/devinet.c."""
    in_dev.dead = True
    while in_dev.ifa_list:
        inet_del_ifa(in_dev, in_dev.ifa_list[0])
    in_dev.dev.in_dev = None


def inet_hash_insert(net: Net, ifa: InIfaddr) -> None:
    """Make the address findable.  Linux: net/ipv4/devinet.c."""
    net.ipv4.inet_addr_lst.setdefault(int(ifa.ifa_local), []).append(ifa)


def inet_hash_remove(net: Net, ifa: InIfaddr) -> None:
    """Linux: net/ipv4/devinet.c."""
    key = int(ifa.ifa_local)
    chain = net.ipv4.inet_addr_lst.get(key)
    if chain is not None and ifa in chain:
        chain.remove(ifa)
        if not chain:
            del net.ipv4.inet_addr_lst[key]


def inet_lookup_ifaddr_rcu(net: Net, addr: i64) -> InIfaddr | None:
    """The local address addr, on whatever device.  Linux: net/ipv4/devinet.c."""
    chain = net.ipv4.inet_addr_lst.get(addr)
    return None if chain is None else chain[0]


def inet_addr_onlink(in_dev: InDevice, a: i64, b: i64) -> bool:
    """Are a and (where it is not 0) b in one subnet of the device?  Linux: net/ipv4/devinet.c."""
    for ifa in in_dev.ifa_list:
        if inet_ifa_match(a, ifa) and (b == 0 or inet_ifa_match(b, ifa)):
            return True
    return False


def inet_insert_ifa(ifa: InIfaddr) -> int:
    """Put an address on its device: 0, -EEXIST where it is there, -EINVAL where it cannot be.  Linux: net/ipv4/devinet.c."""
    in_dev = ifa.ifa_dev
    net = in_dev.dev.net
    if ifa.ifa_local == 0 or ipv4_is_lbcast(ifa.ifa_local) or ipv4_is_multicast(ifa.ifa_local):
        return -EINVAL
    ifa.ifa_flags &= ~IFA_F_SECONDARY
    last_primary = 0
    for i, ifa1 in enumerate(in_dev.ifa_list):
        if ifa1.ifa_flags & IFA_F_SECONDARY == 0 and ifa.ifa_scope <= ifa1.ifa_scope:
            last_primary = i + 1
        if ifa1.ifa_mask == ifa.ifa_mask and inet_ifa_match(ifa1.ifa_address, ifa):
            if ifa1.ifa_local == ifa.ifa_local:
                return -EEXIST
            if ifa1.ifa_scope != ifa.ifa_scope:
                return -EINVAL
            ifa.ifa_flags |= IFA_F_SECONDARY
    if ifa.ifa_flags & IFA_F_SECONDARY:
        in_dev.ifa_list.append(ifa)
    else:
        in_dev.ifa_list.insert(last_primary, ifa)
    inet_hash_insert(net, ifa)
    call_notifiers(net.inetaddr_chain, NETDEV_UP, in_dev.dev, ifa.ifa_local, ifa.ifa_prefixlen)
    return 0


def inet_del_ifa(in_dev: InDevice, ifa1: InIfaddr) -> None:
    """Take an address from its device; what becomes of its secondaries: see the top.  Linux: net/ipv4/devinet.c."""
    net = in_dev.dev.net
    promote: InIfaddr | None = None
    if ifa1.ifa_flags & IFA_F_SECONDARY == 0:
        for ifa in list(in_dev.ifa_list):
            if (ifa.ifa_flags & IFA_F_SECONDARY == 0 or ifa.ifa_mask != ifa1.ifa_mask
                    or not inet_ifa_match(ifa1.ifa_address, ifa)):
                continue
            if in_dev.cnf.promote_secondaries:
                promote = ifa
                break
            _remove_ifa(net, in_dev, ifa)
    at = in_dev.ifa_list.index(ifa1)
    _remove_ifa(net, in_dev, ifa1)
    if promote is not None:
        in_dev.ifa_list.remove(promote)
        in_dev.ifa_list.insert(at, promote)
        promote.ifa_flags &= ~IFA_F_SECONDARY
        # the routes of all that stay were made for the one that went
        for ifa in list(in_dev.ifa_list):
            if ifa.ifa_mask == ifa1.ifa_mask and inet_ifa_match(ifa1.ifa_address, ifa):
                call_notifiers(net.inetaddr_chain, NETDEV_UP, in_dev.dev, ifa.ifa_local, ifa.ifa_prefixlen)


def _remove_ifa(net: Net, in_dev: InDevice, ifa: InIfaddr) -> None:
    in_dev.ifa_list.remove(ifa)
    inet_hash_remove(net, ifa)
    call_notifiers(net.inetaddr_chain, NETDEV_DOWN, in_dev.dev, ifa.ifa_local, ifa.ifa_prefixlen)


def inet_addr_add(dev: NetDevice, addr: i64, prefixlen: i64, broadcast: i64 = 0, peer: i64 = 0, scope: i64 = -1) -> int:
    """`ip addr add ADDR/PREFIXLEN brd BROADCAST dev DEV`: 0 or a negative errno.

    broadcast -1: the last address of the subnet where it has one (`brd +`); 0: none is shown (the subnet's last is one all the
    same). peer: of a point-to-point link.
    scope -1: host for 127/8, else universe.  Linux: inet_rtm_newaddr, net/ipv4/devinet.c.
    """
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return -ENODEV
    if prefixlen < 0 or prefixlen > 32:
        return -EINVAL
    ifa = InIfaddr(in_dev, addr, prefixlen)
    if peer != 0:
        ifa.ifa_address = peer
    if broadcast >= 0:
        ifa.ifa_broadcast = broadcast
    elif prefixlen < 31 and (dev.flags & IFF_BROADCAST) != 0:
        ifa.ifa_broadcast = (addr | ~ifa.ifa_mask) & 0xFFFFFFFF
    if scope >= 0:
        ifa.ifa_scope = scope
    else:
        ifa.ifa_scope = RT_SCOPE_HOST if ipv4_is_loopback(addr) else RT_SCOPE_UNIVERSE
    return inet_insert_ifa(ifa)


def inet_addr_del(dev: NetDevice, addr: i64, prefixlen: i64) -> int:
    """`ip addr del ADDR/PREFIXLEN dev DEV`: 0 or -EADDRNOTAVAIL.  Linux: inet_rtm_deladdr, net/ipv4/devinet.c."""
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        return -ENODEV
    for ifa in in_dev.ifa_list:
        if ifa.ifa_local == addr and ifa.ifa_prefixlen == prefixlen:
            inet_del_ifa(in_dev, ifa)
            return 0
    return -EADDRNOTAVAIL


def in_dev_select_addr(in_dev: InDevice, scope: i64) -> i64:
    """A primary address of this device for destinations of `scope`, 0 where it has none.  Linux: net/ipv4/devinet.c."""
    for ifa in in_dev.ifa_list:
        if ifa.ifa_flags & IFA_F_SECONDARY:
            continue
        if ifa.ifa_scope != RT_SCOPE_LINK and ifa.ifa_scope <= scope:
            return ifa.ifa_local
    return 0


def inet_select_addr(dev: NetDevice, dst: i64, scope: i64) -> i64:
    """A source address for dst (0: any) out of dev: of the subnet of dst if possible, else the first primary, else another
    device's.

    Addresses of a scope narrower than `scope` do not count. 0 where there is none.  Linux: net/ipv4/devinet.c.
    """
    in_dev = __in_dev_get_rcu(dev)
    addr: i64 = 0
    if in_dev is not None:
        for ifa in in_dev.ifa_list:
            if ifa.ifa_flags & IFA_F_SECONDARY:
                continue
            if ifa.ifa_scope > scope:
                continue
            if dst == 0 or inet_ifa_match(dst, ifa):
                return ifa.ifa_local
            if addr == 0:
                addr = ifa.ifa_local
    if addr != 0:
        return addr
    for other in dev.net.dev_base:
        in_dev = __in_dev_get_rcu(other)
        if in_dev is None or other is dev:
            continue
        addr = in_dev_select_addr(in_dev, scope)
        if addr != 0:
            return addr
    return 0


def inet_confirm_addr(net: Net, in_dev: InDevice | None, dst: i64, local: i64, scope: i64) -> i64:
    """Is `local` (0: any) an address on in_dev (None: any device), on the subnet of dst (0: any)? It, or 0.

    Linux: net/ipv4/devinet.c.
    """
    if in_dev is not None:
        return _confirm_addr_indev(in_dev, dst, local, scope)
    for dev in net.dev_base:
        other = __in_dev_get_rcu(dev)
        if other is None:
            continue
        addr = _confirm_addr_indev(other, dst, local, scope)
        if addr != 0:
            return addr
    return 0


def _confirm_addr_indev(in_dev: InDevice, dst: i64, local: i64, scope: i64) -> i64:
    addr: i64 = 0
    same = False
    for ifa in in_dev.ifa_list:
        min_scope = ifa.ifa_scope if ifa.ifa_scope > RT_SCOPE_LINK else RT_SCOPE_LINK
        if addr == 0 and (local == ifa.ifa_local or local == 0) and min_scope <= scope:
            addr = ifa.ifa_local
            if same:
                break
        if not same:
            same = (local == 0 or inet_ifa_match(local, ifa)) and (dst == 0 or inet_ifa_match(dst, ifa))
            if same and addr != 0:
                if local != 0 or dst == 0:
                    break
                if inet_ifa_match(addr, ifa):
                    break
                if min_scope <= scope:
                    addr = ifa.ifa_local
                    break
                same = False
    return addr if same else 0


class InetdevNotifier(NotifierBlock):
    """Devices come and go (Linux: ip_netdev_notifier)."""

    def notifier_call(self, event: int, dev: NetDevice, addr: i64 = 0, prefixlen: i64 = 0) -> None:
        """See inetdev_event."""
        inetdev_event(event, dev)


def inetdev_event(event: int, dev: NetDevice) -> None:
    """A device registers, comes up, changes its MTU or unregisters.  Linux: net/ipv4/devinet.c."""
    in_dev = __in_dev_get_rcu(dev)
    if in_dev is None:
        if event == NETDEV_REGISTER:
            inetdev_init(dev)
        elif event == NETDEV_CHANGEMTU and dev.mtu >= 68 and dev.registered:
            inetdev_init(dev)
        return
    if event == NETDEV_UP:
        if (dev.flags & IFF_LOOPBACK) != 0 and not in_dev.ifa_list:
            inet_addr_add(dev, 0x7F000001, 8, 0)
    elif event == NETDEV_CHANGEMTU:
        if dev.mtu < 68:
            inetdev_destroy(in_dev)
    elif event == NETDEV_UNREGISTER:
        inetdev_destroy(in_dev)


def devinet_init(net: Net) -> None:
    """Listen for devices; those that are there already get their IPv4 half.  Linux: net/ipv4/devinet.c."""
    net.netdev_chain.append(InetdevNotifier())
    for dev in net.dev_base:
        if dev.in_dev is None:
            inetdev_init(dev)


SCOPE_NAMES: Final = {RT_SCOPE_UNIVERSE: 'global', 200: 'site', RT_SCOPE_LINK: 'link', RT_SCOPE_HOST: 'host'}


def link_flags_text(dev: NetDevice) -> str:
    """'BROADCAST,MULTICAST,UP,LOWER_UP' as `ip link` prints them."""
    names: list[str] = []
    if dev.flags & IFF_UP and not dev.carrier:
        names.append('NO-CARRIER')
    for bit, name in ((IFF_LOOPBACK, 'LOOPBACK'), (IFF_BROADCAST, 'BROADCAST'), (IFF_POINTOPOINT, 'POINTOPOINT'),
                      (IFF_MULTICAST, 'MULTICAST'), (IFF_NOARP, 'NOARP'), (IFF_ALLMULTI, 'ALLMULTI'), (IFF_PROMISC, 'PROMISC'),
                      (IFF_UP, 'UP')):
        if dev.flags & bit:
            names.append(name)
    if dev.flags & IFF_UP and (dev.carrier or dev.flags & (IFF_RUNNING | IFF_LOWER_UP)):
        names.append('LOWER_UP')
    return ','.join(names)


def inet_dump_ifinfo(dev: NetDevice) -> str:
    """The first two lines that `ip addr` and `ip link` print of a device."""
    if dev.flags & IFF_LOOPBACK or dev.type not in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
        state = 'UNKNOWN' if dev.flags & IFF_UP else 'DOWN'
    else:
        state = 'UP' if dev.flags & IFF_UP and dev.carrier else 'DOWN'
    qdisc = 'noop' if dev.qdisc is None else dev.qdisc.id
    first = (f'{dev.ifindex}: {dev.name}: <{link_flags_text(dev)}> mtu {dev.mtu} qdisc {qdisc} state {state} '
             f'group default qlen {dev.tx_queue_len}')
    kind = 'loopback' if dev.type == ARPHRD_LOOPBACK else 'ether' if dev.type == ARPHRD_ETHER else 'none'
    second = f'    link/{kind}'
    if dev.addr_len or dev.dev_addr:
        second += f' {mac_ntoa(dev.dev_addr)} brd {mac_ntoa(dev.broadcast)}'
    return first + '\n' + second + '\n'


def inet_dump_ifaddr(net: Net, dev: NetDevice | None = None) -> str:
    """The text of `ip -4 addr show`.  Linux: net/ipv4/devinet.c gives it as netlink messages, which iproute2 prints so."""
    out: list[str] = []
    for one in net.dev_base:
        if dev is not None and one is not dev:
            continue
        out.append(inet_dump_ifinfo(one))
        in_dev = __in_dev_get_rcu(one)
        if in_dev is None:
            continue
        for ifa in in_dev.ifa_list:
            text = f'    inet {in_ntoa(int(ifa.ifa_local))}'
            if ifa.ifa_address != ifa.ifa_local:
                text += f' peer {in_ntoa(int(ifa.ifa_address))}'
            text += f'/{ifa.ifa_prefixlen}'
            if ifa.ifa_broadcast and not ipv4_is_zeronet(ifa.ifa_broadcast):
                text += f' brd {in_ntoa(int(ifa.ifa_broadcast))}'
            text += f' scope {SCOPE_NAMES.get(int(ifa.ifa_scope), str(ifa.ifa_scope))}'
            if ifa.ifa_flags & IFA_F_SECONDARY:
                text += ' secondary'
            out.append(f'{text} {ifa.ifa_label}\n       valid_lft forever preferred_lft forever\n')
    return ''.join(out)
