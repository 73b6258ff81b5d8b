# SPDX-License-Identifier: Apache-2.0
"""fib_trie, fib_semantics, fib_frontend, fib_rules: tables against a plain model, and what makes and unmakes routes."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone
from helpers.ip_wire import Bench
from linnet.include.linux.inet import in_aton, in_ntoa
from linnet.include.net.flow import Flowi4
from linnet.include.net.ip_fib import (
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTN_BLACKHOLE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_PROHIBIT,
    RTN_THROW,
    RTN_UNICAST,
    RTN_UNREACHABLE,
    FibConfig,
    FibInfo,
    FibNh,
    FibResult,
    FibRule,
    FibTable,
)
from linnet.include.net.net_namespace import Net
from linnet.kernel.errno import EACCES, EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, ESRCH
from linnet.net.core.dev import dev_close, dev_open, netif_carrier_off, netif_carrier_on, unregister_netdevice
from linnet.net.ipv4.devinet import inet_addr_add, inet_addr_del, inet_dump_ifaddr
from linnet.net.ipv4.fib_frontend import fib_del_route, fib_dump, inet_addr_type
from linnet.net.ipv4.fib_rules import fib_lookup, fib_rule_add, fib_rule_del, fib_rules_dump
from linnet.net.ipv4.fib_trie import fib_table_insert, fib_table_lookup, fib_table_remove, fib_table_walk

NET = Alone().net


def info(priority: int = 0, name: int = 0) -> FibInfo:
    """A living route information; `name` tells it from others."""
    fi = FibInfo()
    fi.fib_priority = priority
    fi.fib_prefsrc = name
    fi.fib_nh = [FibNh(NET.loopback_dev)]
    return fi


def found(tb: FibTable, daddr: int, tos: int = 0) -> FibInfo | None:
    """What the table answers."""
    fl4 = Flowi4()
    fl4.daddr = daddr
    fl4.flowi4_tos = tos
    res = FibResult()
    return res.fi if fib_table_lookup(tb, fl4, res, 0, NET) == 0 else None


ROUTE = st.tuples(st.integers(0, 15), st.sampled_from([0, 1, 2, 3, 4]), st.sampled_from([0, 8]), st.integers(0, 2))
ROUTES = st.lists(ROUTE, max_size=12)


@given(ROUTES, st.data())
def test_longest_prefix_then_tos_then_priority(routes: list[tuple[int, int, int, int]], data: st.DataObject) -> None:
    """Against a list that is searched from end to end. Addresses vary in their top four bits alone."""
    tb = FibTable(RT_TABLE_MAIN)
    model: dict[tuple[int, int, int, int], FibInfo] = {}
    for value, plen, tos, priority in routes:
        network = (value << 28) & ((0xFFFFFFFF << (32 - plen)) & 0xFFFFFFFF)
        fi = info(priority)
        err = fib_table_insert(NET, tb, network, plen, tos, RTN_UNICAST, fi, False)
        if (network, plen, tos, priority) in model:
            assert err == -EEXIST
        else:
            assert err == 0
            model[network, plen, tos, priority] = fi
    for row in fib_table_walk(tb):
        if data.draw(st.booleans(), label='remove'):
            network, plen, fa = row
            fib_table_remove(tb, plen, network, fa)
            del model[network, plen, int(fa.fa_tos), int(fa.fa_info.fib_priority)]
    assert tb.count == len(model)
    for value in range(16):
        for tos in (0, 8, 16):
            daddr = value << 28
            fits = [key for key in model
                    if (daddr & ((0xFFFFFFFF << (32 - key[1])) & 0xFFFFFFFF)) == key[0] and key[2] in (0, tos)]
            best = max(fits, key=lambda key: (key[1], key[2], -key[3]), default=None)
            assert found(tb, daddr, tos) is (model[best] if best else None)


def test_replace_and_append() -> None:
    tb = FibTable(RT_TABLE_MAIN)
    first, second, third = info(), info(), info(name=5)
    assert fib_table_insert(NET, tb, 0, 0, 0, RTN_UNICAST, first, False) == 0
    assert fib_table_insert(NET, tb, 0, 0, 0, RTN_UNICAST, second, True) == 0
    assert found(tb, 1) is second
    assert fib_table_insert(NET, tb, 0, 0, 0, RTN_UNICAST, third, False, True) == 0
    assert found(tb, 1) is second
    assert len(fib_table_walk(tb)) == 2


def ask(net: Net, to: str, **key: int) -> tuple[int, str]:
    """fib_lookup: the errno, and 'gateway%device' of the next hop."""
    fl4 = Flowi4()
    fl4.daddr = in_aton(to)
    for name, value in key.items():
        setattr(fl4, name, value)
    res = FibResult()
    err = fib_lookup(net, fl4, res, 0)
    if err:
        return err, ''
    assert res.fi is not None
    nh = res.fi.fib_nh[res.nh_sel]
    return 0, f'{in_ntoa(int(nh.nh_gw))}%{nh.nh_dev.name if nh.nh_dev else ""}'


def test_routes_of_an_address() -> None:
    host = Bench()
    assert fib_dump(host.net) == '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 \n'
    assert fib_dump(host.net, RT_TABLE_LOCAL).splitlines()[:2] == [
        'local 10.0.0.1 dev eth0 proto kernel scope host src 10.0.0.1 ',
        'broadcast 10.0.0.255 dev eth0 proto kernel scope link src 10.0.0.1 ',
    ]
    assert inet_addr_del(host.eth0, in_aton('10.0.0.1'), 24) == 0
    assert fib_dump(host.net) == ''
    assert '10.0' not in fib_dump(host.net, RT_TABLE_LOCAL)
    assert host.net.ipv4.inet_addr_lst.keys() == {0x7F000001}


def test_two_addresses_of_a_subnet() -> None:
    host = Bench()
    assert inet_addr_add(host.eth0, in_aton('10.0.0.7'), 24) == 0
    assert inet_addr_add(host.eth0, in_aton('10.0.0.7'), 24) == -EEXIST
    assert 'inet 10.0.0.7/24 scope global secondary eth0' in inet_dump_ifaddr(host.net)
    assert 'local 10.0.0.7 dev eth0 proto kernel scope host src 10.0.0.1' in fib_dump(host.net, RT_TABLE_LOCAL)
    inet_addr_del(host.eth0, in_aton('10.0.0.7'), 24)
    assert '10.0.0.7' not in fib_dump(host.net, RT_TABLE_LOCAL)
    assert fib_dump(host.net) != ''
    inet_addr_add(host.eth0, in_aton('10.0.0.7'), 24)
    inet_addr_del(host.eth0, in_aton('10.0.0.1'), 24)  # the primary takes the secondary along
    assert fib_dump(host.net) == ''
    assert '10.0.0' not in fib_dump(host.net, RT_TABLE_LOCAL)


def test_a_secondary_can_be_promoted() -> None:
    host = Bench()
    assert host.eth0.in_dev is not None
    host.eth0.in_dev.cnf.promote_secondaries = 1
    inet_addr_add(host.eth0, in_aton('10.0.0.7'), 24)
    inet_addr_add(host.eth0, in_aton('10.0.0.8'), 24)
    inet_addr_del(host.eth0, in_aton('10.0.0.1'), 24)
    assert fib_dump(host.net) == '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.7 \n'
    local = fib_dump(host.net, RT_TABLE_LOCAL)
    assert 'local 10.0.0.7' in local and 'local 10.0.0.8' in local and '10.0.0.1 ' not in local


def test_addresses_that_cannot_be() -> None:
    host = Bench()
    for bad in ('0.0.0.0', '224.0.0.1', '255.255.255.255'):
        assert inet_addr_add(host.eth0, in_aton(bad), 24) == -EINVAL
    assert inet_addr_add(host.eth0, in_aton('10.5.0.1'), 33) == -EINVAL


def test_point_to_point_prefixes() -> None:
    host = Bench()
    dev = host.device('eth1', '')
    inet_addr_add(dev, in_aton('10.9.0.1'), 31)
    inet_addr_add(dev, in_aton('10.9.1.1'), 32)
    assert '10.9.0.0/31 dev eth1 proto kernel scope link src 10.9.0.1' in fib_dump(host.net)
    assert '10.9.1.1' not in fib_dump(host.net)
    local = fib_dump(host.net, RT_TABLE_LOCAL)
    assert 'broadcast 10.9' not in local
    assert 'local 10.9.1.1' in local


def test_down_and_up() -> None:
    host = Bench()
    host.route('192.0.2.0/24', via='10.0.0.2')
    dev_close(host.eth0)
    assert fib_dump(host.net) == ''
    # the address itself stays local, though its device is down
    assert [line for line in fib_dump(host.net, RT_TABLE_LOCAL).splitlines() if 'eth0' in line] == [
        'local 10.0.0.1 dev eth0 proto kernel scope host src 10.0.0.1 ']
    assert host.route('192.0.2.0/24', via='10.0.0.2') == -ENETUNREACH
    dev_open(host.eth0)
    assert fib_dump(host.net) == '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 \n'
    assert inet_addr_type(host.net, in_aton('10.0.0.1')) == RTN_LOCAL


def test_unregister_takes_all() -> None:
    host = Bench()
    unregister_netdevice(host.eth0)
    assert fib_dump(host.net) == ''
    assert 'eth0' not in fib_dump(host.net, RT_TABLE_LOCAL)
    assert host.eth0.in_dev is None
    assert [fi for fi in host.net.ipv4.fib_info_list if fi.fib_nh[0].nh_dev is host.eth0] == []


def test_what_a_gateway_must_be() -> None:
    host = Bench()
    assert host.route('192.0.2.0/24', via='10.0.0.2') == 0
    assert host.route('198.51.100.0/24', via='203.0.113.1') == -ENETUNREACH  # on no link
    assert host.route('198.51.100.0/24', via='192.0.2.1') == -ENETUNREACH  # behind another gateway
    assert host.route('198.51.99.0/24', via='10.0.0.1') == 0  # this host: as if there were no gateway
    assert host.route('198.51.100.0/24', via='10.0.0.255') == -EINVAL  # a broadcast
    assert host.route('198.51.100.0/24', via='203.0.113.1', dev='eth0', onlink=True) == 0
    assert host.route('192.0.2.0/24', via='10.0.0.3') == -EEXIST
    assert host.route('192.0.2.1/24', via='10.0.0.2') == -EINVAL  # bits behind the prefix
    assert host.route('203.0.113.0/24', oif=99) == -ENODEV
    assert host.route('203.0.113.0/24', dev='eth0', prefsrc=in_aton('10.0.0.9')) == -EINVAL
    down = host.device('eth1', '')
    dev_close(down)
    assert host.route('203.0.113.0/24', dev='eth1') == -ENETDOWN


def test_errors_of_routes() -> None:
    host = Bench()
    for last, (type, err) in enumerate([(RTN_BLACKHOLE, -EINVAL), (RTN_UNREACHABLE, -EHOSTUNREACH), (RTN_PROHIBIT, -EACCES),
                                        (RTN_THROW, -ENETUNREACH)]):
        assert host.route(f'192.0.2.{last}', type=type) == 0
        assert ask(host.net, f'192.0.2.{last}') == (err, '')
    assert 'blackhole 192.0.2.0' in fib_dump(host.net)
    assert ask(host.net, '203.0.113.1') == (-ENETUNREACH, '')


def test_deleting() -> None:
    host = Bench()
    host.route('192.0.2.0/24', via='10.0.0.2', priority=5)
    host.route('192.0.2.0/24', via='10.0.0.3', priority=9)
    cfg = FibConfig()
    cfg.fc_dst, cfg.fc_dst_len = in_aton('192.0.2.0'), 24
    cfg.fc_gw = in_aton('10.0.0.3')
    assert fib_del_route(host.net, cfg) == 0
    assert fib_del_route(host.net, cfg) == -ESRCH
    assert fib_dump(host.net).splitlines()[1] == '192.0.2.0/24 via 10.0.0.2 dev eth0 metric 5 '
    cfg.fc_gw = 0
    assert fib_del_route(host.net, cfg) == 0
    assert len(host.net.ipv4.fib_info_list) == len({id(fa.fa_info) for tb in host.net.ipv4.fib_tables.values()
                                                    for _, _, fa in fib_table_walk(tb)})


def test_text_of_routes() -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    hops = [FibNh(None, in_aton('10.0.0.2'), 1), FibNh(None, in_aton('10.1.0.2'), 2)]
    host.route('0.0.0.0/0', via='10.0.0.2', nexthops=hops)
    host.route('192.0.2.1', via='10.0.0.2', tos=16, protocol=4, mx={2: 1400, 1: 4, 8: 1000})
    lines = fib_dump(host.net).splitlines()
    assert lines[:3] == ['default ', '\tnexthop via 10.0.0.2 dev eth0 weight 1 ', '\tnexthop via 10.1.0.2 dev eth1 weight 2 ']
    assert lines[-1] == '192.0.2.1 tos 0x10 via 10.0.0.2 dev eth0 proto static mtu lock 1400 advmss 1000 '


def test_carrier() -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    host.route('192.0.2.0/24', via='10.0.0.2')
    host.route('192.0.2.0/24', via='10.1.0.2', priority=10)
    netif_carrier_off(host.eth0)
    assert ask(host.net, '192.0.2.1') == (0, '10.0.0.2%eth0')
    assert host.eth0.in_dev is not None
    host.eth0.in_dev.cnf.ignore_routes_with_linkdown = 1
    assert ask(host.net, '192.0.2.1') == (0, '10.1.0.2%eth1')
    assert 'linkdown' in fib_dump(host.net)
    netif_carrier_on(host.eth0)
    assert ask(host.net, '192.0.2.1') == (0, '10.0.0.2%eth0')


def test_types_of_addresses() -> None:
    net = Bench().net
    assert [inet_addr_type(net, in_aton(a)) for a in ('10.0.0.1', '10.0.0.255', '10.0.0.2', '127.3.4.5', '224.0.0.1', '0.0.0.0',
                                                      '255.255.255.255', '10.0.0.0')] == [
        RTN_LOCAL, RTN_BROADCAST, RTN_UNICAST, RTN_LOCAL, RTN_MULTICAST, RTN_BROADCAST, RTN_BROADCAST, RTN_UNICAST]


def test_rules() -> None:
    host = Bench()
    host.device('eth1', '10.1.0.1')
    host.route('0.0.0.0/0', via='10.0.0.2')
    host.route('0.0.0.0/0', via='10.1.0.2', table=100)
    host.route('203.0.113.0/24', table=100, type=RTN_THROW)
    assert fib_rules_dump(host.net).splitlines() == [
        '0:\tfrom all lookup local', '32766:\tfrom all lookup main', '32767:\tfrom all lookup default']
    rule = FibRule(0, 100)
    rule.src, rule.src_len = in_aton('10.9.0.0'), 16
    assert fib_rule_add(host.net, rule) == 0
    assert rule.pref == 32765
    assert ask(host.net, '192.0.2.1') == (0, '10.0.0.2%eth0')
    assert ask(host.net, '192.0.2.1', saddr=in_aton('10.9.1.1')) == (0, '10.1.0.2%eth1')
    assert ask(host.net, '203.0.113.1', saddr=in_aton('10.9.1.1')) == (0, '10.0.0.2%eth0')
    assert ask(host.net, '10.0.0.1', saddr=in_aton('10.9.1.1')) == (0, '0.0.0.0%eth0')
    mark = FibRule(50, 100)
    mark.mark = 7
    assert fib_rule_add(host.net, mark) == 0
    assert ask(host.net, '192.0.2.1', flowi4_mark=7) == (0, '10.1.0.2%eth1')
    assert '50:\tfrom all fwmark 0x7 lookup 100\n32765:\tfrom 10.9.0.0/16 lookup 100\n' in fib_rules_dump(host.net)
    assert fib_rule_del(host.net, 50) == 0
    assert ask(host.net, '192.0.2.1', flowi4_mark=7) == (0, '10.0.0.2%eth0')
    assert fib_dump(host.net).count('local') == 0
    # routes of addresses still come and go where they belong
    inet_addr_del(host.eth0, in_aton('10.0.0.1'), 24)
    assert '10.0.0' not in fib_dump(host.net, RT_TABLE_LOCAL)


def test_a_lookup_is_one_event_until_there_are_rules() -> None:
    """As in the recorded kernel: local stands in main."""
    from linnet.kernel.trace import TraceSink

    class Sink(TraceSink):
        def __init__(self) -> None:
            self.tables: list[object] = []

        def event(self, name: str, fields: dict[str, object]) -> None:
            if name == 'fib:fib_table_lookup':
                self.tables.append(fields['table'])

    host = Bench()
    sink = Sink()
    host.net.trace.subscribe(sink)
    ask(host.net, '10.0.0.1')
    ask(host.net, '10.0.0.2')
    assert sink.tables == [RT_TABLE_MAIN] * 2
    fib_rule_add(host.net, FibRule(9, 100))
    sink.tables.clear()
    ask(host.net, '10.0.0.2')
    assert sink.tables == [RT_TABLE_LOCAL, 100, RT_TABLE_MAIN]
