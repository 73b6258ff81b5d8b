# SPDX-License-Identifier: Apache-2.0
"""Duplicate address detection (RFC 4862, 5.4; optimistic: RFC 4429; the nonce that tells our own question: RFC 7527), and the
router solicitations that follow it (RFC 4861, 6.3.7; RFC 7559).

    addrconf_dad_start > addrconf_dad_kick > (a random time) > addrconf_dad_work: dad_transmits solicitations from ::,
    retrans_time apart > addrconf_dad_completed: the address is ours
    addrconf_dad_failure: somebody else has it, or asks for it at the same time > addrconf_dad_stop

When a device's first link-local address is ours, its groups are reported from it and routers are asked for, with ever longer
pauses until one answers. A permanent address that failed stays, unusable (IFA_F_DADFAILED); others go. Temporary addresses
(RFC 8981) are made here, too, since one that fails has a successor.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from linnet.include.linux.in6 import IN6ADDR_ANY, IN6ADDR_LINKLOCAL_ALLNODES, IN6ADDR_LINKLOCAL_ALLROUTERS, in6_prefix_mask
from linnet.include.linux.netdevice import IFF_LOOPBACK, IFF_NOARP
from linnet.include.net.if_inet6 import (
    IF_RA_RCVD,
    IF_READY,
    IF_RS_SENT,
    IFA_F_DADFAILED,
    IFA_F_NODAD,
    IFA_F_OPTIMISTIC,
    IFA_F_PERMANENT,
    IFA_F_TEMPORARY,
    IFA_F_TENTATIVE,
    INET6_IFADDR_STATE_DAD,
    INET6_IFADDR_STATE_DEAD,
    INET6_IFADDR_STATE_ERRDAD,
    INET6_IFADDR_STATE_POSTDAD,
    INET6_IFADDR_STATE_PREDAD,
    Inet6Dev,
    Inet6Ifaddr,
)
from linnet.include.net.ipv6 import addrconf_addr_solict_mult, ipv6_addr_is_linklocal
from linnet.include.net.net_namespace import Net
from linnet.kernel.timer import TimerList, mod_timer
from linnet.net.ipv6.addrconf_down import addrconf_ifdown
from linnet.net.ipv6.addrconf_ifa import (
    HZ,
    RTM_NEWADDR,
    addrconf_del_dad_work,
    addrconf_ins_rt,
    ipv6_add_addr,
    ipv6_add_addr_check,
    ipv6_del_addr,
    ipv6_ifa_notify,
)
from linnet.net.ipv6.addrconf_saddr import ipv6_get_lladdr
from linnet.net.ipv6.anycast import addrconf_join_solict
from linnet.net.ipv6.mcast_mld import ipv6_mc_dad_complete
from linnet.net.ipv6.ndisc_send import ndisc_send_na, ndisc_send_ns, ndisc_send_rs

LINUX_FILE: Final = 'net/ipv6/addrconf.c'
NSEC_PER_SEC: Final = 1_000_000_000
MIN_RETRANS: Final = 10_000_000  # Linux: HZ/100


class DadTimer(TimerList):
    """Drives one address's DAD (Linux: dad_work). Somebody may wait for the address: the timer keeps a world running."""

    def __init__(self, ifp: Inet6Ifaddr) -> None:
        super().__init__(ifp.idev.dev.net.clock)
        self.ifp: Inet6Ifaddr = ifp

    def function(self) -> None:
        """See addrconf_dad_work."""
        addrconf_dad_work(self.ifp)


class RsTimer(TimerList):
    """The next router solicitation (Linux: idev->rs_timer). Nobody waits for it: there may be no router at all."""

    def __init__(self, idev: Inet6Dev) -> None:
        super().__init__(idev.dev.net.clock)
        self.idev: Inet6Dev = idev
        self.deferrable = True

    def function(self) -> None:
        """See addrconf_rs_timer."""
        addrconf_rs_timer(self.idev)


def ipv6_accept_ra(idev: Inet6Dev) -> bool:
    """Are router advertisements heeded? A router does with accept_ra 2 alone.  Linux: net/ipv6/addrconf.c."""
    if idev.cnf.forwarding != 0:
        return idev.cnf.accept_ra == 2
    return idev.cnf.accept_ra != 0


# ---------------------------------------------------------------------------------------------------------------- DAD

def addrconf_mod_dad_work(ifp: Inet6Ifaddr, delay: i64) -> None:
    """DAD's next step is in delay ns.  Linux: net/ipv6/addrconf.c."""
    timer = ifp.dad_timer
    if timer is None:
        timer = DadTimer(ifp)
        ifp.dad_timer = timer
    mod_timer(timer, ifp.idev.dev.net.clock.now + delay)


def addrconf_dad_start(ifp: Inet6Ifaddr) -> None:
    """A new address: find out whether it is unique, where that has to be. Its state is PREDAD.

    Linux: net/ipv6/addrconf.c, addrconf_dad_start and addrconf_dad_begin.
    """
    idev = ifp.idev
    dev = idev.dev
    if ifp.state == INET6_IFADDR_STATE_DEAD:
        return
    ifp.state = INET6_IFADDR_STATE_DAD
    addrconf_join_solict(dev, ifp.addr)
    if ((dev.flags & (IFF_NOARP | IFF_LOOPBACK)) != 0
            or (dev.net.ipv6.devconf_all.accept_dad < 1 and idev.cnf.accept_dad < 1)
            or (ifp.flags & IFA_F_TENTATIVE) == 0 or (ifp.flags & IFA_F_NODAD) != 0):
        ifp.flags &= ~(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC | IFA_F_DADFAILED)
        addrconf_dad_completed(ifp, False)
        return
    if (idev.if_flags & IF_READY) == 0:
        # the link is not there yet: a permanent address stays tentative until it is
        addrconf_dad_stop(ifp, False)
        return
    if (ifp.flags & IFA_F_OPTIMISTIC) != 0:
        addrconf_ins_rt(ifp)
    addrconf_dad_kick(ifp)


def addrconf_dad_kick(ifp: Inet6Ifaddr) -> None:
    """Begin in a random time up to router_solicitation_delay, so that not all hosts ask at once; optimistic ones at once.

    Linux: net/ipv6/addrconf.c.  RFC 4862, 5.4.2.
    """
    idev = ifp.idev
    net = idev.dev.net
    random = net.ipv6.random
    delay: i64 = 0
    limit = idev.cnf.router_solicitation_delay * NSEC_PER_SEC
    if (ifp.flags & IFA_F_OPTIMISTIC) == 0 and limit > 0:
        delay = i64(random.below(int(limit)))
    ifp.dad_nonce = b''
    if idev.cnf.enhanced_dad != 0 or net.ipv6.devconf_all.enhanced_dad != 0:
        ifp.dad_nonce = (1 + random.below((1 << 48) - 1)).to_bytes(6, 'big')
    ifp.dad_probes = idev.cnf.dad_transmits
    addrconf_mod_dad_work(ifp, delay)


def addrconf_dad_work(ifp: Inet6Ifaddr) -> None:
    """Ask once more, or be content.  Linux: net/ipv6/addrconf.c."""
    idev = ifp.idev
    if ifp.state == INET6_IFADDR_STATE_ERRDAD:
        addrconf_dad_abort(ifp)
        return
    if idev.dead or (idev.if_flags & IF_READY) == 0 or ifp.state != INET6_IFADDR_STATE_DAD:
        return
    if ifp.dad_probes == 0:
        ifp.flags &= ~(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC | IFA_F_DADFAILED)
        addrconf_dad_completed(ifp, True)
        return
    ifp.dad_probes -= 1
    tbl = idev.dev.net.ipv6.nd_tbl
    wait = NSEC_PER_SEC if tbl is None else tbl.parms_of(idev.dev).retrans_time
    addrconf_mod_dad_work(ifp, wait if wait > MIN_RETRANS else MIN_RETRANS)
    ndisc_send_ns(idev.dev, ifp.addr, addrconf_addr_solict_mult(ifp.addr), IN6ADDR_ANY, ifp.dad_nonce)


def addrconf_dad_failure(ifp: Inet6Ifaddr) -> None:
    """Another host has the address, or wants it too. What follows, follows in a moment, behind the packet that told it.

    Linux: net/ipv6/addrconf.c.  RFC 4862, 5.4.5.
    """
    if ifp.state != INET6_IFADDR_STATE_DAD:
        return
    ifp.state = INET6_IFADDR_STATE_ERRDAD
    addrconf_mod_dad_work(ifp, 0)


def addrconf_dad_abort(ifp: Inet6Ifaddr) -> None:
    """DAD failed. With accept_dad 2, a duplicate of the address made of the hardware's disables IPv6 on the device.

    Linux: net/ipv6/addrconf.c, the DAD_ABORT of addrconf_dad_work.
    """
    idev = ifp.idev
    if idev.cnf.accept_dad > 1 and idev.cnf.disable_ipv6 == 0 and ipv6_addr_is_linklocal(ifp.addr):
        low = ipv6_generate_eui64(idev.dev.dev_addr)
        if low >= 0 and ifp.addr & ((1 << 64) - 1) == low:
            idev.cnf.disable_ipv6 = 1
            addrconf_ifdown(idev.dev, False)
            return
    addrconf_dad_stop(ifp, True)


def addrconf_dad_stop(ifp: Inet6Ifaddr, dad_failed: bool) -> None:
    """DAD ends without having found the address unique: a permanent one stays tentative, others go.

    Linux: net/ipv6/addrconf.c.
    """
    if dad_failed:
        ifp.flags |= IFA_F_DADFAILED
    if (ifp.flags & IFA_F_TEMPORARY) != 0:
        if ifp.ifpub is not None:
            ipv6_create_tempaddr(ifp.ifpub)
        ipv6_del_addr(ifp)
    elif (ifp.flags & IFA_F_PERMANENT) != 0 or not dad_failed:
        addrconf_del_dad_work(ifp)
        ifp.flags |= IFA_F_TENTATIVE
        ifp.state = INET6_IFADDR_STATE_POSTDAD if dad_failed else INET6_IFADDR_STATE_PREDAD
        if dad_failed:
            ipv6_ifa_notify(0, ifp)
    else:
        ipv6_del_addr(ifp)


def ipv6_lonely_lladdr(ifp: Inet6Ifaddr) -> bool:
    """Is it the only link-local address of its device that is ours?  Linux: net/ipv6/addrconf.c."""
    if not ipv6_addr_is_linklocal(ifp.addr):
        return False
    for other in ifp.idev.addr_list:
        if (other is not ifp and ipv6_addr_is_linklocal(other.addr)
                and (other.flags & (IFA_F_PERMANENT | IFA_F_TENTATIVE | IFA_F_OPTIMISTIC | IFA_F_DADFAILED)) == IFA_F_PERMANENT):
            return False
    return True


def addrconf_dad_completed(ifp: Inet6Ifaddr, send_na: bool) -> None:
    """The address is ours. With ndisc_notify and send_na the link is told.  Linux: net/ipv6/addrconf.c."""
    idev = ifp.idev
    dev = idev.dev
    net = dev.net
    ifp.state = INET6_IFADDR_STATE_POSTDAD
    addrconf_del_dad_work(ifp)
    ipv6_ifa_notify(RTM_NEWADDR, ifp)
    send_mld = ipv6_lonely_lladdr(ifp)
    send_rs = (send_mld and ipv6_accept_ra(idev) and idev.cnf.router_solicitations != 0
               and (dev.flags & IFF_LOOPBACK) == 0)
    if send_mld:
        ipv6_mc_dad_complete(idev)
    if send_na and (idev.cnf.ndisc_notify != 0 or net.ipv6.devconf_all.ndisc_notify != 0):
        ndisc_send_na(dev, IN6ADDR_LINKLOCAL_ALLNODES, ifp.addr, idev.cnf.forwarding != 0, False, True, True)
    if send_rs:
        addrconf_rs_start(idev)


def addrconf_dad_run(idev: Inet6Dev) -> None:
    """The link is there: addresses that waited for it begin.  Linux: net/ipv6/addrconf.c."""
    for ifp in list(idev.addr_list):
        if ifp.state == INET6_IFADDR_STATE_PREDAD:
            addrconf_dad_start(ifp)


def ipv6_generate_eui64(dev_addr: bytes) -> int:
    """The interface identifier made of a hardware address of six bytes, -1 where it is none.  RFC 4291, appendix A."""
    if len(dev_addr) != 6:
        return -1
    return int.from_bytes(bytes([dev_addr[0] ^ 2]) + dev_addr[1:3] + b'\xff\xfe' + dev_addr[3:], 'big')


# ------------------------------------------------------------------------------------------------- temporary addresses

def ipv6_get_regen_advance(idev: Inet6Dev) -> i64:
    """How many seconds before a temporary address is deprecated its successor is made, so that DAD has its time.

    Linux: net/ipv6/addrconf.c.  RFC 8981, 3.8, REGEN_ADVANCE.
    """
    tbl = idev.dev.net.ipv6.nd_tbl
    retrans = NSEC_PER_SEC if tbl is None else tbl.parms_of(idev.dev).retrans_time
    if retrans < MIN_RETRANS:
        retrans = MIN_RETRANS
    return idev.cnf.regen_min_advance + idev.cnf.regen_max_retry * idev.cnf.dad_transmits * retrans // NSEC_PER_SEC


def ipv6_gen_rnd_iid(net: Net) -> int:
    """A random interface identifier that is none of the reserved ones (RFC 5453).  Linux: net/ipv6/addrconf.c."""
    while True:
        low = net.ipv6.random.u64()
        if low != 0 and (low >> 32) != 0x0200_5EFF and (low >> 7) != (0xFDFF_FFFF_FFFF_FF80 >> 7):
            return low


def ipv6_create_tempaddr(ifp: Inet6Ifaddr) -> bool:
    """Make a temporary address beside the public one, ifp: random, used for a day and valid for a week, or as the sysctls say.

    False where it would be deprecated at once, or where too many failed DAD one after the other (use_tempaddr is then off).
    Linux: net/ipv6/addrconf.c.  RFC 8981, 3.4.
    """
    idev = ifp.idev
    cnf = idev.cnf
    net = idev.dev.net
    if cnf.use_tempaddr <= 0:
        return False
    ifp.regen_count += 1
    if ifp.regen_count > cnf.regen_max_retry:
        cnf.use_tempaddr = -1
        return False
    now = net.clock.jiffies()
    age = (now - ifp.tstamp) // HZ
    advance = ipv6_get_regen_advance(idev)
    most = cnf.temp_prefered_lft - advance
    if cnf.max_desync_factor < most:
        most = cnf.max_desync_factor
    if idev.desync_factor > most:
        idev.desync_factor = i64(net.ipv6.random.below(int(most))) if most > 0 else 0
    valid = cnf.temp_valid_lft + age
    prefered = cnf.temp_prefered_lft + age - idev.desync_factor
    if ifp.valid_lft < valid:
        valid = ifp.valid_lft
    if ifp.prefered_lft < prefered:
        prefered = ifp.prefered_lft
    if prefered <= advance + (now - ifp.tstamp + HZ - 1) // HZ:
        return False
    addr = (ifp.addr & in6_prefix_mask(64)) | ipv6_gen_rnd_iid(net)
    flags: i64 = IFA_F_TEMPORARY | (ifp.flags & IFA_F_OPTIMISTIC)
    if ipv6_add_addr_check(idev, addr, False) != 0:
        return False
    temporary = ipv6_add_addr(idev, addr, ifp.prefix_len, flags, valid, prefered)
    temporary.ifpub = ifp
    temporary.tstamp = ifp.tstamp
    addrconf_dad_start(temporary)
    return True


# ------------------------------------------------------------------------------------------------ router solicitations

def addrconf_rs_start(idev: Inet6Dev) -> None:
    """Ask for routers at once: DAD has waited a random time already.  Linux: addrconf_dad_completed.  RFC 4861, 6.3.7."""
    net = idev.dev.net
    saddr = ipv6_get_lladdr(idev.dev, IFA_F_TENTATIVE)
    if saddr == 0:
        return
    ndisc_send_rs(idev.dev, saddr, IN6ADDR_LINKLOCAL_ALLROUTERS)
    idev.rs_interval = rfc3315_s14_backoff_init(net, idev.cnf.router_solicitation_interval * NSEC_PER_SEC)
    idev.rs_probes = 1
    idev.if_flags |= IF_RS_SENT
    addrconf_mod_rs_timer(idev, idev.rs_interval)


def rfc3315_s14_backoff_init(net: Net, irt: i64) -> i64:
    """The first pause: the initial one, up to a tenth more or less.  Linux: net/ipv6/addrconf.c.  RFC 7559, 2; RFC 3315, 14."""
    return i64(int(irt) * (900_000 + net.ipv6.random.below(200_001)) // 1_000_000)


def rfc3315_s14_backoff_update(net: Net, rt: i64, mrt: i64) -> i64:
    """The pause after rt: about twice as long, but not beyond about mrt.  Linux: net/ipv6/addrconf.c."""
    pause = i64(int(rt) * (1_900_000 + net.ipv6.random.below(200_001)) // 1_000_000)
    if pause > mrt:
        pause = i64(int(mrt) * (900_000 + net.ipv6.random.below(200_001)) // 1_000_000)
    return pause


def addrconf_mod_rs_timer(idev: Inet6Dev, delay: i64) -> None:
    """The next solicitation is in delay ns.  Linux: net/ipv6/addrconf.c."""
    if delay < MIN_RETRANS:
        delay = MIN_RETRANS  # an interval of 0 s or less asks no faster
    timer = idev.rs_timer
    if timer is None:
        timer = RsTimer(idev)
        idev.rs_timer = timer
    mod_timer(timer, idev.dev.net.clock.now + delay)


def addrconf_rs_timer(idev: Inet6Dev) -> None:
    """No router answered yet: ask again, unless that was done often enough.  Linux: net/ipv6/addrconf.c."""
    cnf = idev.cnf
    if idev.dead or (idev.if_flags & IF_READY) == 0 or not ipv6_accept_ra(idev) or (idev.if_flags & IF_RA_RCVD) != 0:
        return
    again = idev.rs_probes < cnf.router_solicitations or cnf.router_solicitations < 0
    idev.rs_probes += 1
    if not again:
        return
    saddr = ipv6_get_lladdr(idev.dev, IFA_F_TENTATIVE)
    if saddr == 0:
        return
    ndisc_send_rs(idev.dev, saddr, IN6ADDR_LINKLOCAL_ALLROUTERS)
    idev.rs_interval = rfc3315_s14_backoff_update(idev.dev.net, idev.rs_interval,
                                                  cnf.router_solicitation_max_interval * NSEC_PER_SEC)
    last = idev.rs_probes == cnf.router_solicitations
    addrconf_mod_rs_timer(idev, cnf.router_solicitation_delay * NSEC_PER_SEC if last else idev.rs_interval)
