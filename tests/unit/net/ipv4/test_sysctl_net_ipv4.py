# SPDX-License-Identifier: Apache-2.0
"""Every sysctl of IPv4 is there by Linux's name, with its range; devices bring theirs along."""
from __future__ import annotations

import pytest

from helpers.hosts import Alone, Pair
from linnet.drivers.net.veth import veth_newlink
from linnet.include.net.netns.ipv4 import NetnsCore, NetnsIpv4
from linnet.net.boot import new_net
from linnet.net.core.dev import unregister_netdevice

NOT_A_NAME_OF_ITS_OWN = {'sysctl_ip_forward', 'sysctl_local_port_range', 'sysctl_tcp_congestion_control'}


def test_every_field_has_a_name() -> None:
    net = Alone().net
    bound = {getattr(net.sysctl.entries[name], 'attr', '') for name in net.sysctl.names()}
    for struct in (NetnsIpv4(), NetnsCore()):
        fields = {name for name in dir(struct) if name.startswith('sysctl_')}
        assert fields - bound <= NOT_A_NAME_OF_ITS_OWN | {'sysctl_default_qdisc'}


@pytest.mark.parametrize(('name', 'value'), [
    ('net.ipv4.tcp_rmem', '4096\t131072\t33554432'), ('net.ipv4.tcp_syn_retries', '6'), ('net.core.somaxconn', '4096'),
    ('net.ipv4.ip_local_port_range', '32768\t60999'), ('net.ipv4.ip_forward', '0'), ('net.ipv4.tcp_congestion_control', 'cubic'),
    ('net.ipv4.conf.all.rp_filter', '0'), ('net.ipv4.conf.lo.forwarding', '0'), ('net.ipv4.route.min_adv_mss', '256'),
    ('net.ipv4.neigh.default.base_reachable_time_ms', '30000'), ('net.ipv4.neigh.default.gc_thresh3', '1024'),
    ('net.core.default_qdisc', 'pfifo_fast'),
])
def test_defaults(name: str, value: str) -> None:
    assert Alone().net.sysctl.get(name) == value


@pytest.mark.parametrize(('name', 'value', 'err'), [
    ('net.ipv4.tcp_syn_retries', '0', -22), ('net.ipv4.tcp_syn_retries', '128', -22), ('net.ipv4.tcp_syn_retries', '127', 0),
    ('net.ipv4.ip_default_ttl', '0', -22), ('net.ipv4.ip_default_ttl', '255', 0), ('net.ipv4.tcp_rmem', '0', -22),
    ('net.ipv4.tcp_rmem', '1 2 3 4', -22), ('net.ipv4.tcp_wmem', '8192', 0), ('net.ipv4.ip_local_port_range', '2000 1000', -22),
    ('net.ipv4.ip_local_port_range', '1000 2000', 0), ('net.ipv4.tcp_congestion_control', 'nonesuch', -2),
    ('net.ipv4.tcp_available_congestion_control', 'reno', -1), ('net.core.wmem_max', '1', -22),
    ('net.core.default_qdisc', 'x', -22), ('net.ipv4.nonesuch', '1', -2),
])
def test_ranges(name: str, value: str, err: int) -> None:
    assert Alone().net.sysctl.set(name, value) == err


def test_port_range_stays_when_refused() -> None:
    net = Alone().net
    net.sysctl.set('net.ipv4.ip_local_port_range', '2000 1000')
    assert net.ipv4.sysctl_local_port_range == [32768, 60999]


def test_ip_forward_reaches_every_device() -> None:
    pair = Pair()
    sysctl = pair.net_a.sysctl
    sysctl.set('net.ipv4.conf.eth0.forwarding', '1')
    assert sysctl.get('net.ipv4.conf.eth0.forwarding') == '1'
    assert sysctl.get('net.ipv4.conf.lo.forwarding') == '0'
    genid = pair.net_a.ipv4.rt_genid
    sysctl.set('net.ipv4.ip_forward', '1')
    assert sysctl.get('net.ipv4.conf.lo.forwarding') == '1'
    assert sysctl.get('net.ipv4.conf.all.accept_redirects') == '0'
    assert pair.net_a.ipv4.rt_genid != genid
    sysctl.set('net.ipv4.conf.all.forwarding', '0')
    assert sysctl.get('net.ipv4.conf.eth0.forwarding') == '0'


def test_a_new_device_starts_with_the_defaults() -> None:
    net = Alone().net
    for name, value in (('conf.default.rp_filter', '2'), ('conf.default.forwarding', '1'), ('neigh.default.ucast_solicit', '7')):
        assert net.sysctl.set('net.ipv4.' + name, value) == 0
    peer = new_net(net.world, 'peer')
    veth_newlink(net, 'eth0', peer, 'eth0')
    assert net.sysctl.get('net.ipv4.conf.eth0.rp_filter') == '2'
    assert net.sysctl.get('net.ipv4.conf.eth0.forwarding') == '1'
    assert net.sysctl.get('net.ipv4.conf.lo.rp_filter') == '0'
    assert net.sysctl.get('net.ipv4.neigh.eth0.ucast_solicit') == '7'
    assert peer.sysctl.get('net.ipv4.conf.eth0.rp_filter') == '0'


def test_neighbour_times_are_shown_in_their_unit() -> None:
    net = Pair().net_a
    assert net.sysctl.set('net.ipv4.neigh.eth0.base_reachable_time_ms', '1500') == 0
    assert net.sysctl.get('net.ipv4.neigh.eth0.base_reachable_time') == '1'
    assert net.sysctl.get('net.ipv4.neigh.default.base_reachable_time_ms') == '30000'


def test_a_device_takes_its_entries_along() -> None:
    pair = Pair()
    assert 'net.ipv4.conf.eth0.rp_filter' in pair.net_a.sysctl.names()
    unregister_netdevice(pair.dev_a)
    assert not [name for name in pair.net_a.sysctl.names() if '.eth0.' in name]
