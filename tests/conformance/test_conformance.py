# SPDX-License-Identifier: Apache-2.0
"""Our own packetdrill scripts, written from the RFCs: each must pass, in either build, over IPv4, over IPv6, and over IPv4 from
sockets of AF_INET6. Those in ipv6/ are of IPv6 alone; those listed here are of IPv4 alone.
"""
from __future__ import annotations

from pathlib import Path

import pytest

from linnet.drill.suite import VARIANTS, run_one

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.rglob('*.pkt'))

NOT_OVER = {
    # an option or a header field of IPv4, of which ipv6/ has the sibling
    'ipv6': {
        'api/tos', 'api/ttl', 'open/no_mss', 'reset/icmp_recverr_connect', 'timer/rto_revert_icmp',
        # "fragmentation needed" is another message in ICMPv6
        'attack/icmp_frag_needed', 'attack/icmp_min_pmtu', 'pmtu/frag_needed', 'pmtu/min_pmtu', 'pmtu/stale_icmp',
        # a cookie is made of the addresses, and the segment sizes that a SYN cookie can hold are others
        'cookies/plain', 'cookies/small_mss', 'fastopen/server_bad_cookie', 'fastopen/server_cookie_request',
        'fastopen/server_two_keys',
        # `ip route change` of an IPv4 destination
        'congestion/initial_window_of_route', 'mtu_probe/lost', 'mtu_probe/success', 'pmtu/locked_route', 'timer/rto_min_route',
    },
    # on a socket that speaks IPv4 the option of IPv6 does not ask for ICMP errors
    'ipv4-mapped-ipv6': {'attack/icmp_recverr', 'reset/icmp_recverr'},
}


def name(path: Path) -> str:
    return str(path.relative_to(HERE).with_suffix(''))


def runs() -> list[tuple[Path, str]]:
    """(script, variant) of all that must pass."""
    return [(path, variant) for path in SCRIPTS for variant in VARIANTS
            if name(path) not in NOT_OVER.get(variant, set()) and (path.parent.name != 'ipv6' or variant == 'ipv6')]


@pytest.mark.parametrize(('path', 'variant'), runs(), ids=lambda value: name(value) if isinstance(value, Path) else value)
def test_script(path: Path, variant: str) -> None:
    outcome = run_one(path, variant)
    assert outcome.status == 'passed', outcome.text


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 40
    assert not set().union(*NOT_OVER.values()) - {name(path) for path in SCRIPTS}
