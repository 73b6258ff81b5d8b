# SPDX-License-Identifier: Apache-2.0
"""TCP options: any bytes parse without harm, and what is well formed is read."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.hosts import Alone
from linnet.include.linux.skbuff import SkBuff
from linnet.include.net.tcp import TCPHDR_ACK, TCPHDR_SYN, TcpOptionsReceived
from linnet.net.core.skbuff import skb_from_bytes
from linnet.net.ipv4.tcp_input_opt import tcp_parse_options, tcp_paws_check_now, tcp_paws_reject

HOST = Alone()


def segment(options: bytes, flags: int = TCPHDR_SYN) -> SkBuff:
    """A segment with these options."""
    options = options.ljust((len(options) + 3) // 4 * 4, b'\0')
    skb = skb_from_bytes(HOST.world, bytes(20) + options, 20 + len(options))
    skb.transport_header = 0
    skb.tcp_doff = 20 + len(options)
    skb.tcp_flags = flags
    return skb


def parse(options: bytes, flags: int = TCPHDR_SYN, estab: bool = False) -> TcpOptionsReceived:
    opt = TcpOptionsReceived()
    opt.tstamp_ok = estab
    tcp_parse_options(HOST.net, segment(options, flags), opt, estab)
    return opt


def test_syn_options() -> None:
    opt = parse(bytes.fromhex('020405b4 0402 080a 00000064 00000000 01 030307'))
    assert opt.mss_clamp == 1460
    assert opt.sack_ok == 1
    assert opt.saw_tstamp
    assert (opt.rcv_tsval, opt.rcv_tsecr) == (100, 0)
    assert opt.wscale_ok
    assert opt.snd_wscale == 7


def test_window_scale_is_at_most_14() -> None:
    assert parse(bytes.fromhex('0303ff')).snd_wscale == 14


def test_user_mss_bounds_the_peers() -> None:
    opt = TcpOptionsReceived()
    opt.user_mss = 1000
    tcp_parse_options(HOST.net, segment(bytes.fromhex('020405b4')), opt, False)
    assert opt.mss_clamp == 1000


def test_options_of_a_syn_do_not_count_later() -> None:
    opt = parse(bytes.fromhex('020405b4 030307'), TCPHDR_ACK, True)
    assert opt.mss_clamp == 0
    assert not opt.wscale_ok


def test_sack_blocks() -> None:
    opt = TcpOptionsReceived()
    opt.sack_ok = 1
    tcp_parse_options(HOST.net, segment(bytes.fromhex('0101 0512 00000001 00000002 00000005 00000009'), TCPHDR_ACK), opt, True)
    assert opt.num_sacks == 2
    assert opt.sack_start == [1, 5]
    assert opt.sack_end == [2, 9]


@pytest.mark.parametrize('options', ['0200', '0201', '02', '0204', '0303', '080a0000', 'ff', 'ff00', '01010108', '050a00000001'])
def test_cut_off_or_silly_lengths_end_the_parse(options: str) -> None:
    opt = parse(bytes.fromhex(options))
    assert opt.mss_clamp == 0
    assert not opt.saw_tstamp


@given(st.binary(max_size=40), st.booleans())
def test_any_bytes(options: bytes, estab: bool) -> None:
    parse(options, TCPHDR_ACK if estab else TCPHDR_SYN, estab)


@given(st.integers(0, 0xFFFFFFFF), st.integers(-0x7FFFFFFF, 0x7FFFFFFF))
def test_paws(recent: int, step: int) -> None:
    opt = TcpOptionsReceived()
    opt.ts_recent = recent
    opt.ts_recent_stamp = 1
    opt.rcv_tsval = (recent + step) & 0xFFFFFFFF
    assert tcp_paws_check_now(opt, 0, 0) == (step >= 0 or recent == 0)
    assert tcp_paws_check_now(opt, 0, 25 * 86400 * 1_000_000_000)
    assert tcp_paws_reject(opt, False, 0) == (step < 0 and recent != 0)
    assert not tcp_paws_reject(opt, True, 100 * 1_000_000_000)
