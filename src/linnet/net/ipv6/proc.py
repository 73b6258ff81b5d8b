# SPDX-License-Identifier: Apache-2.0
"""Figures of IPv6 for people and programs: the text of /proc/net/snmp6 and of /proc/net/sockstat6, in Linux's order."""
from __future__ import annotations

from linnet.include.linux.socket import AF_INET6
from linnet.include.net.net_namespace import Net
from linnet.include.net.snmp import ICMP6_NAMES, ICMP6_TYPE_NAMES, MIB6_NAMES
from linnet.include.net.tcp_states import TCP_NEW_SYN_RECV, TCP_TIME_WAIT
from linnet.net.ipv4.inet_fragment import Fqdir
from linnet.net.ipv4.tcp_ipv4_proc import tcp_seq_socks


def snmp6_fields(net: Net) -> list[tuple[str, int]]:
    """(name, value) in the file's order: IPv6, ICMPv6, its messages by name and by number where there were any, UDP."""
    mib = net.mib
    fields = [(name, int(mib.ipv6[field])) for name, field in MIB6_NAMES if name.startswith('Ip6')]
    fields += [(ICMP6_NAMES[i], int(mib.icmpv6[i])) for i in range(len(ICMP6_NAMES))]
    for way, offset in (('In', 0), ('Out', 256)):
        fields += [(f'Icmp6{way}{name}', int(mib.icmpv6_types[offset + type])) for name, type in ICMP6_TYPE_NAMES]
    for way, offset in (('In', 0), ('Out', 256)):
        for type in range(256):
            count = int(mib.icmpv6_types[offset + type])
            if count != 0:
                fields.append((f'Icmp6{way}Type{type}', count))
    fields += [(name, int(mib.ipv6[field])) for name, field in MIB6_NAMES if name.startswith('Udp6')]
    return fields


def snmp6_seq_show(net: Net) -> str:
    """/proc/net/snmp6. There is no UDP-Lite, whose lines end the file on Linux.  Linux: net/ipv6/proc.c."""
    return ''.join([f'{name:<32}\t{value}\n' for name, value in snmp6_fields(net)])


def tcp6_inuse(net: Net) -> int:
    """TCP sockets of AF_INET6 that a program holds or held."""
    return sum([1 for sk in tcp_seq_socks(net, AF_INET6) if sk.sk_state != TCP_TIME_WAIT and sk.sk_state != TCP_NEW_SYN_RECV])


def sockstat6_seq_show(net: Net) -> str:
    """/proc/net/sockstat6.  Linux: net/ipv6/proc.c."""
    udp = sum([1 for socks in net.ipv4.udp_table.values() for sk in socks if sk.sk_family == AF_INET6])
    raw = sum([len(socks) for socks in net.ipv6.raw_v6_hash.values()])
    frags = net.ipv6.ip6_frags
    queues, memory = (len(frags.queues), int(frags.mem)) if isinstance(frags, Fqdir) else (0, 0)
    return (f'TCP6: inuse {tcp6_inuse(net)}\n'
            f'UDP6: inuse {udp}\n'
            'UDPLITE6: inuse 0\n'
            f'RAW6: inuse {raw}\n'
            f'FRAG6: inuse {queues} memory {memory}\n')
