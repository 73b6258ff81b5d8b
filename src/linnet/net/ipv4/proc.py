# SPDX-License-Identifier: Apache-2.0
"""Figures for people and programs: the text of /proc/net/snmp, netstat and sockstat, and of `nstat -az`, in Linux's order."""
from __future__ import annotations

from typing import Final

from linnet.include.linux.socket import AF_INET
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import MIB_NAMES, TCP_MIB_CURRESTAB
from linnet.include.net.sock import Sock
from linnet.include.net.tcp_states import TCP_NEW_SYN_RECV, TCP_TIME_WAIT
from linnet.net.ipv4.inet_fragment import Fqdir

RTO_MIN_MS: Final = 200
RTO_MAX_MS: Final = 120_000
SNMP_GROUPS: Final = ('Ip', 'Icmp', 'Tcp', 'Udp', 'UdpLite')
NETSTAT_GROUPS: Final = ('TcpExt', 'IpExt')


def mib_group(name: str) -> str:
    """The protocol that a counter of nstat's belongs to: the first word of its line in /proc."""
    for group in ('TcpExt', 'IpExt', 'UdpLite', 'Icmp', 'Tcp', 'Udp'):
        if name.startswith(group):
            return group
    return 'Ip'


def group_fields(net: Net, group: str) -> list[tuple[str, int]]:
    """The counters of one protocol without its name in front, in order; the gauge CurrEstab is left out."""
    return [(name[len(group):], net.mib.counters[i]) for i, name in enumerate(MIB_NAMES)
            if i != TCP_MIB_CURRESTAB and mib_group(name) == group]


def two_lines(group: str, fields: list[tuple[str, int]]) -> str:
    """A line of names and one of values."""
    names = ' '.join([name for name, _ in fields])
    values = ' '.join([str(value) for _, value in fields])
    return f'{group}: {names}\n{group}: {values}\n'


def icmpmsg_fields(net: Net) -> list[tuple[str, int]]:
    """ICMP messages by type, those that were counted: received, then sent.  Linux: net/ipv4/proc.c, icmpmsg_put."""
    types = net.mib.icmp_types
    return ([(f'InType{i}', types[i]) for i in range(256) if types[i] != 0]
            + [(f'OutType{i}', types[256 + i]) for i in range(256) if types[256 + i] != 0])


def snmp_seq_show(net: Net) -> str:
    """/proc/net/snmp.  Linux: net/ipv4/proc.c."""
    text = ''
    for group in SNMP_GROUPS:
        fields = group_fields(net, group)
        if group == 'Ip':
            forwarding = 1 if net.ipv4.sysctl_ip_forward != 0 else 2
            fields = [('Forwarding', forwarding), ('DefaultTTL', int(net.ipv4.sysctl_ip_default_ttl)), *fields]
        elif group == 'Tcp':
            # RFC 4022: algorithm 1 is Van Jacobson's; MaxConn -1: no limit
            fields = [('RtoAlgorithm', 1), ('RtoMin', RTO_MIN_MS), ('RtoMax', RTO_MAX_MS), ('MaxConn', -1),
                      *fields[:4], ('CurrEstab', net.mib.counters[TCP_MIB_CURRESTAB]), *fields[4:]]
        text += two_lines(group, fields)
        if group == 'Icmp':
            messages = icmpmsg_fields(net)
            if messages:
                text += two_lines('IcmpMsg', messages)
    return text


def netstat_seq_show(net: Net) -> str:
    """/proc/net/netstat.  Linux: net/ipv4/proc.c."""
    return ''.join([two_lines(group, group_fields(net, group)) for group in NETSTAT_GROUPS])


def nstat_fields(net: Net, zeros: bool = True) -> list[tuple[str, int]]:
    """(name, value) as `nstat -a` (zeros: -az) lists them: the order of the reference, ICMP types after ICMP."""
    out: list[tuple[str, int]] = []
    for group in (*SNMP_GROUPS, *NETSTAT_GROUPS):
        out += [(group + name, value) for name, value in group_fields(net, group)]
        if group == 'Icmp':
            out += [('IcmpMsg' + name, value) for name, value in icmpmsg_fields(net)]
    return out if zeros else [(name, value) for name, value in out if value != 0]


def nstat_text(net: Net, zeros: bool = True) -> str:
    """What `nstat -az` prints."""
    return '#kernel\n' + ''.join([f'{name:<32}{value:<16}{0.0:6.1f}\n' for name, value in nstat_fields(net, zeros)])


def chain_len(head: Sock | None) -> int:
    """Sockets in a chain that a program holds or held: no requests, none in TIME_WAIT."""
    count = 0
    while head is not None:
        if head.sk_state != TCP_TIME_WAIT and head.sk_state != TCP_NEW_SYN_RECV:
            count += 1
        head = head.sk_hash_next
    return count


def tcp_inuse(net: Net) -> int:
    """TCP sockets in the hash tables.  Linux: sock_prot_inuse_get."""
    hashinfo = net.ipv4.tcp_hashinfo
    if hashinfo is None:
        return 0
    return sum([chain_len(head) for head in hashinfo.ehash.values()]) + sum([len(socks) for socks in hashinfo.lhash.values()])


def table_len(table: dict[int, list[Sock]]) -> int:
    """Sockets of AF_INET in a table of lists."""
    return sum([1 for socks in table.values() for sk in socks if sk.sk_family == AF_INET])


def sockstat_seq_show(net: Net) -> str:
    """/proc/net/sockstat.  Linux: net/ipv4/proc.c."""
    ipv4 = net.ipv4
    tcp, udp = ipv4.tcp_prot, ipv4.udp_prot
    orphans = 0 if tcp is None else int(tcp.mem.orphan_count)
    allocated = 0 if tcp is None else int(tcp.mem.sockets_allocated)
    tcp_mem = 0 if tcp is None else int(tcp.mem.memory_allocated)
    udp_mem = 0 if udp is None else int(udp.mem.memory_allocated)
    frags = ipv4.ip_frags
    queues, memory = (len(frags.queues), int(frags.mem)) if isinstance(frags, Fqdir) else (0, 0)
    return (f'sockets: used {int(net.core.sock_inuse)}\n'
            f'TCP: inuse {tcp_inuse(net)} orphan {orphans} tw {int(ipv4.tcp_death_row_tw_count)} '
            f'alloc {allocated} mem {tcp_mem}\n'
            f'UDP: inuse {table_len(ipv4.udp_table)} mem {udp_mem}\n'
            'UDPLITE: inuse 0\n'
            f'RAW: inuse {table_len(ipv4.raw_v4_hash)}\n'
            f'FRAG: inuse {queues} memory {memory}\n')
