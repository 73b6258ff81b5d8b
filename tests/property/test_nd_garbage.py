# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in the guise of neighbour discovery or MLD: nothing breaks and nothing leaks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.nd_bench import ALL_NODES, MY_LL, MY_MAC, PEER_LL, Bench6
from linnet.include.linux.in6 import in6_bytes, in6_pton
from linnet.include.net.if_inet6 import IFA_F_NODAD
from linnet.net.ipv6.ndisc_opts import ndisc_parse_options

ADDRESSES = ['::', '::1', MY_LL, PEER_LL, ALL_NODES, 'ff02::2', 'ff02::1:ff00:aa', '2001:db8::5', '2001:db8::6', 'ff02::16',
             '2001:db8:7::1']
OPTION = st.one_of(
    st.tuples(st.sampled_from([1, 2, 3, 4, 5, 14, 24]), st.integers(0, 5), st.binary(max_size=40)).map(
        lambda o: bytes([o[0], o[1]]) + o[2]),
    st.tuples(st.sampled_from([1, 2, 3, 4, 5, 14, 24]), st.integers(1, 4), st.binary(min_size=30, max_size=30)).map(
        lambda o: bytes([o[0], o[1]]) + o[2][:o[1] * 8 - 2]),
    st.binary(max_size=16))


@st.composite
def message(draw: st.DrawFn) -> bytes:
    """One that may be sound: a type, flags, addresses and options, cut short now and then."""
    kind = draw(st.sampled_from([130, 131, 132, 133, 134, 135, 136, 137, 143]))
    body = bytes([kind, draw(st.sampled_from([0, 0, 0, 1])), 0, 0]) + draw(st.binary(min_size=4, max_size=4))
    for _ in range(2 if kind == 137 else 1):
        body += in6_bytes(in6_pton(draw(st.sampled_from(ADDRESSES))))
    body += b''.join(draw(st.lists(OPTION, max_size=4)))
    return body[:draw(st.integers(4, len(body)))] if draw(st.integers(0, 5)) == 0 else body


PACKET = st.tuples(message(), st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES), st.sampled_from([255, 255, 255, 64, 1]),
                   st.booleans(), st.floats(0, 3))


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.lists(PACKET, min_size=1, max_size=12))
def test_nothing_breaks_and_nothing_leaks(router: bool, packets: list[tuple[bytes, str, str, int, bool, float]]) -> None:
    bench = Bench6(accept_ra_rt_info_max_plen=128, proxy_ndp=1)
    assert bench.add('2001:db8::5', flags=IFA_F_NODAD) == 0
    bench.set('all.forwarding', int(router))
    bench.set('eth0.accept_ra', 2)
    assert bench.add('2001:db8::6') == 0
    for body, src, dst, hop, unicast, pause in packets:
        bench.receive(body, src, dst, hop=hop, dst_mac=MY_MAC if unicast else b'')
        bench.run(pause)
    bench.run(30)
    for sent in bench.take():
        assert sent.dst != '::' and not sent.src.startswith('ff')
    assert {k: v for k, v in bench.leaks().items() if v != 0} == {}
    tbl = bench.net.ipv6.nd_tbl
    assert tbl is not None
    assert not [n for n in tbl.hash.values() if n.arp_queue.qlen != 0 and n.nud_state != 1]
    for ifp in bench.idev.addr_list:
        assert bench.net.ipv6.inet6_addr_lst[ifp.addr] == [ifp]


@given(st.binary(max_size=120))
def test_options_are_read_whole_or_not_at_all(data: bytes) -> None:
    opts = ndisc_parse_options(data)
    if opts is None:
        return
    for option in (opts.src_lladdr, opts.tgt_lladdr, opts.mtu, opts.nonce, *opts.prefix_info, *opts.route_info):
        assert option == b'' or len(option) == option[1] * 8
    assert opts.redirect_hdr < 0 or data[int(opts.redirect_hdr)] == 4
