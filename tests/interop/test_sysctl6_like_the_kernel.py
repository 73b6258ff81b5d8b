# SPDX-License-Identifier: Apache-2.0
"""net.ipv6's sysctls: which values the kernel of this machine takes, and what is read then; Linnet does the same.

Times in milliseconds are left out: the kernel rounds them to its ticks. So are mld_qrv and mld_max_msf, which a network namespace
does not have.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from helpers.nd_bench import Bench6
from helpers.netns import lacking
from linnet.net.ipv6.sysctl_net_ipv6 import CONF, INTS

WHY = lacking()
pytestmark = [pytest.mark.interop, pytest.mark.skipif(WHY != '', reason=WHY), pytest.mark.xdist_group('tun')]

VALUES = ['-7', '-1', '0', '1', '2', '3', '8', '128', '255', '256', '1280', '1500', '65536', '2147483647', '2147483648', '', 'x',
          '0x10', '010']
LEFT_OUT = ('mld', 'unsolicited_report', 'icmp/ratelimit')
NAMES = [name for name, _, _ in CONF] + ['forwarding', 'force_forwarding', 'disable_ipv6', 'mtu', 'addr_gen_mode']
PATHS = [path for path in [f'conf/nd0/{name}' for name in NAMES] + [name.replace('.', '/') for name, _, _, _ in INTS]
         + ['ip6frag_low_thresh', 'ip6frag_high_thresh'] if not any(part in path for part in LEFT_OUT)]


def on_the_kernel() -> list[str]:
    """One line for each value: the path, the value, and what is read then, or `no`."""
    script = 'cd /proc/sys/net/ipv6\n'
    for path in PATHS:
        values = ' '.join(repr(value) for value in VALUES)
        script += (f'o=$(cat {path}); echo "{path} $o"; for v in {values}; do if (echo $v > {path}) 2>/dev/null; '
                   f'then echo "{path} [$v] $(cat {path})"; else echo "{path} [$v] no"; fi; done; echo $o > {path}\n')
    name = f'lns{os.getpid()}'
    subprocess.run(['ip', 'netns', 'add', name], check=True)
    try:
        for command in ('ip tuntap add mode tap name nd0', 'sysctl -qw net.ipv6.conf.nd0.addr_gen_mode=0'):
            subprocess.run(['ip', 'netns', 'exec', name, *command.split()], check=True)
        return subprocess.run(['ip', 'netns', 'exec', name, 'sh', '-c', script], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.splitlines()
    finally:
        subprocess.run(['ip', 'netns', 'del', name], check=True)


def on_linnet() -> list[str]:
    bench = Bench6.__new__(Bench6)
    bench.prepare('nd0')
    sysctl = bench.net.sysctl
    lines = []
    for path in PATHS:
        name = 'net.ipv6.' + path.replace('/', '.')
        before = sysctl.get(name)
        lines.append(f'{path} {before}')
        for value in VALUES:
            lines.append(f'{path} [{value}] {sysctl.get(name) if sysctl.set(name, value) == 0 else "no"}')
        sysctl.set(name, before)
    return lines


def test_the_same_values_are_taken() -> None:
    assert on_linnet() == on_the_kernel()
