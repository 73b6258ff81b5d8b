# SPDX-License-Identifier: Apache-2.0
"""TCP sends what this machine's kernel sends: the same script, the peer played by hand, on both; segment by segment.

Flags, sequence numbers, lengths, acknowledgements, windows, results and errors must be equal; times may differ by what a loaded
machine adds. SACK, timestamps, TLP and CUBIC are switched off in the kernel. The send buffer is set where a script fills it: its
default depends on how a kernel was configured (the room for headers in MAX_TCP_HEADER).
"""
from __future__ import annotations

import os

import pytest

from helpers.tcp_duel import Note, Step, connecting, on_kernel, on_linnet

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not os.access('/dev/net/tun', os.W_OK) or os.geteuid() != 0, reason='needs root and /dev/net/tun'),
]

MSS = [2, 4, 5, 180]
NODELAY = ('setopt', 6, 1, 1)
SNDBUF = ('setopt', 1, 7, 200_000)
SYN = ('peer', 'S', {'seq': 0, 'opt': MSS})
ACK: Step = ('peer', '.', {})
LINGER_0 = ('setopt', 1, 13, [1, 0, 0, 0, 0, 0, 0, 0])


def ack(n: int, **more: object) -> Step:
    """The peer acknowledges n - 1 bytes."""
    return ('peer', '.', {'ack': n, **more})


def data(n: int, **more: object) -> Step:
    """The peer sends n bytes."""
    return ('peer', 'P.', {'data': n, **more})


def acks(first: int, last: int, by: int = 2920, **more: object) -> list[Step]:
    """The peer acknowledges segment pairs."""
    return [ack(1 + by * i, **more) for i in range(first, last)]


OPEN: dict[str, list[Step]] = {
    'active open': connecting(),
    'SYN is repeated': [('connect',), ('wait', 8000)],
    'SYN is refused': [('connect',), ('peer', 'R.', {'seq': 0}), ('connect',), ('wait', 200)],
    'SYN-ACK with a wrong ACK': [('connect',), ('peer', 'S.', {'seq': 0, 'ack': 5, 'opt': MSS}),
                                 ('peer', 'S.', {'seq': 0, 'opt': MSS})],
    'passive open': [('listen',), SYN, ACK, ('accept',), ('send', 100), ack(101), ('peer', 'F.', {'ack': 101}), ('recv', 10),
                     ('close',), ack(102)],
    'data with the third ACK': [('listen',), SYN, data(100), ('accept',), ('recv', 1000), ('send', 5000), ('wait', 100)],
    'SYN-ACK is repeated': [('listen',), SYN, ('wait', 6000)],
    'RST of a half-open one': [('listen',), SYN, ('peer', 'R', {'seq': 1}), ('accept',)],
    'third ACK is wrong': [('listen',), SYN, ack(77), ACK, ('accept',)],
    'SYN again': [('listen',), SYN, SYN, ACK, SYN, ('accept',)],
    'nobody listens': [('listen',), ('close',), SYN],
    'accept queue is dropped by close': [('listen',), SYN, ACK, ('close',)],
    'FIN before accept': [('listen',), SYN, ('peer', 'FP.', {'data': 10}), ('accept',), ('recv', 100), ('recv', 100), ('close',),
                          ack(2)],
    'window scale': [('listen',), ('peer', 'S', {'seq': 0, 'opt': [*MSS, 1, 3, 3, 4]}), ack(1, win=100), ('accept',), SNDBUF,
                     ('send', 20000), ack(2921, win=100)],
}
SEND: dict[str, list[Step]] = {
    'nagle': [*connecting(), ('send', 100), ('send', 100), ('send', 100), ack(101), ack(301)],
    'nagle with full segments': [*connecting(20), ('send', 1500), ('send', 1500), ('send', 10), ack(1461), ack(1501), ack(3011)],
    'nodelay': [*connecting(), NODELAY, ('send', 100), ('send', 100), ack(201)],
    'initial window': [*connecting(), ('send', 20000), *[ack(1461 * i) for i in (1, 2)], ack(14601), ack(20001)],
    'cork': [*connecting(), ('setopt', 6, 3, 1), ('send', 100), ('send', 2000), ('setopt', 6, 3, 0), ack(2101)],
    'cork is pushed': [*connecting(), ('setopt', 6, 3, 1), ('send', 100), ('wait', 400)],
    'cork and segments': [*connecting(20), ('setopt', 6, 3, 1), ('send', 1460), ('send', 100), ack(1461), ('send', 1360),
                          ('wait', 300), ('setopt', 6, 3, 0)],
    'MSG_MORE': [*connecting(), ('send', 100, 0x8000), ('send', 3000, 0x8000), ('send', 10), ack(3111)],
    'MSG_MORE alone': [*connecting(20), ('send', 100), ('send', 100, 0x8000), ack(101), ('wait', 300)],
    'MSG_EOR': [*connecting(), ('send', 100, 0x80), ('send', 100, 0x80), ('send', 100), ack(101), ack(201)],
    'small and large writes': [*connecting(20), ('send', 5000), ('send', 10), ('send', 2000, 0x8000), ack(5001), ('send', 10),
                               ack(7011), ('wait', 300)],
    'small window': [*connecting(win=4000), ('send', 20000), ack(1461, win=4000), ack(2921, win=4000), ack(4001, win=4000),
                     ack(5921, win=4000)],
    'window of one segment': [*connecting(20, win=1460), ('send', 6000), *[ack(1 + 730 * i, win=1460) for i in range(1, 9)]],
    'small MSS': [*connecting(mss=300), ('send', 5000), ack(601), ack(3001)],
    'bulk': [SNDBUF, *connecting(20, wscale=7), ('send', 150_000), *acks(1, 30, win=5000)],
    'idle restarts slow start': [SNDBUF, *connecting(20, wscale=7), ('send', 14600), ack(14601, win=5000), ('send', 29200),
                                 ack(43801, win=5000), ('wait', 2000), ('send', 58400), ack(58401, win=5000)],
    'limited by the program': [SNDBUF, *connecting(20, wscale=7), ('send', 1000), ack(1001, win=5000), ('wait', 1000),
                               ('send', 1000), ack(2001, win=5000), ('send', 60000), ack(16601, win=5000)],
    'urgent data': [*connecting(20), ('send', 10, 1), ('send', 10, 1), ('send', 5000), ack(11), ack(5021)],
    'send buffer': [*connecting(), ('setopt', 1, 7, 10000), ('send', 200_000), ack(14601), ('send', 200_000), ('getopt', 1, 7)],
}
LOSS: dict[str, list[Step]] = {
    'RTO': [*connecting(100), ('send', 100), ('wait', 3000), ack(101), ('send', 100), ('wait', 1000)],
    'RTO of a flight': [*connecting(100), ('send', 14600), ('wait', 700), ack(1461), ('wait', 100), ack(2921), ack(14601)],
    'small segments are joined': [*connecting(100), NODELAY, *[('send', 100)] * 5, ('wait', 500)],
    'partly acknowledged': [*connecting(100), ('send', 3000), ack(501), ('wait', 500)],
    'fast retransmit': [*connecting(100), ('send', 14600), ack(1461), *[ack(1461)] * 5, ack(14601), ('wait', 400)],
    'NewReno': [SNDBUF, *connecting(20), ('send', 29200), ack(1461), *[ack(1461)] * 6, ack(4381), ack(4381), ack(16061),
                ack(29201), ('send', 30000)],
    'limited transmit': [*connecting(20), ('send', 14600), ('send', 14600), *[ack(1461)] * 3, ('wait', 150)],
    'loss in bulk': [SNDBUF, *connecting(20, wscale=7), ('send', 150_000), *acks(1, 8, win=5000), *[ack(20441, win=5000)] * 12],
    'window probes': [*connecting(), ('send', 1000), ack(1001, win=0), ('send', 1000), ('wait', 2500), ack(1001, win=500),
                      ack(1501, win=2000)],
    'window shrinks': [*connecting(20), ('send', 14600), ack(2921, win=1000), ('wait', 500), ack(14601, win=60000)],
    'window shrinks to nothing': [*connecting(20), ('send', 14600), ack(2921, win=0), ('wait', 500), ack(14601, win=60000)],
    'keepalive': [*connecting(), ('setopt', 6, 4, 1), ('setopt', 6, 5, 1), ('setopt', 6, 6, 2), ('setopt', 1, 9, 1),
                  ('wait', 4500), ('recv', 10)],
    'user timeout': [*connecting(50), ('setopt', 6, 18, 1500), ('send', 10), ('wait', 3000), ('recv', 10)],
}
RECEIVE: dict[str, list[Step]] = {
    'quick ACKs': [*connecting(), *[data(1460)] * 3, ('recv', 10000), ('wait', 100), data(100), ('recv', 1000), ('send', 10),
                   data(100, ack=11), ('recv', 1000), ('wait', 300)],
    'delayed ACKs': [*connecting(20), data(100), ('recv', 100), data(100), ('wait', 100), ('send', 5), data(100, ack=6),
                     ('wait', 300), data(1460, ack=6), data(1460, ack=6), ('wait', 300)],
    'TCP_QUICKACK off': [*connecting(20), ('setopt', 6, 12, 0), data(100), ('wait', 100), ('recv', 1000), data(1460), data(1460),
                         ('wait', 100), ('recv', 10000)],
    'urgent byte': [*connecting(), ('peer', 'PU.', {'data': 5, 'urg': 3}), ('recv', 100, 1), ('recv', 100), ('recv', 100)],
    'out of the window': [*connecting(20), data(100, seq=100_000), data(100, seq=0), data(100), data(100, seq=50), ack(5000),
                          ('peer', 'S', {'seq': 101}), ('peer', 'R.', {'seq': 150}), ('peer', 'R', {'seq': 101}), ('recv', 10)],
}
CLOSE: dict[str, list[Step]] = {
    'half close': [*connecting(), ('send', 100), ('shutdown', 1), ack(102), ('peer', 'F.', {'ack': 102}),
                   ('recv', 10), ('close',)],
    'unread data': [*connecting(), data(100), ('close',)],
    'linger 0': [*connecting(), LINGER_0, ('send', 100), ('close',)],
    'RST': [*connecting(), ('peer', 'R', {'seq': 1}), ('send', 1), ('send', 1), ('recv', 1)],
    'data for an orphan': [*connecting(), ('close',), ack(2), data(10, ack=2), ('wait', 100)],
    'simultaneous close': [*connecting(), ('shutdown', 1), ('peer', 'F.', {}), ack(2), ('peer', 'F.', {'ack': 2, 'seq': 1})],
    'their FIN first': [*connecting(20), ('peer', 'F.', {}), ('recv', 10), ('send', 100), ('close',), ack(102), ack(102)],
    'FIN behind much data': [SNDBUF, *connecting(20), ('send', 30000), ('close',), ack(14601), ack(30001),
                             ('peer', 'F.', {'ack': 30002}), ('wait', 100)],
    'FIN is repeated': [*connecting(20), ('shutdown', 1), ('wait', 1000), ack(2), ('wait', 100)],
    'SHUT_RD': [*connecting(20), ('shutdown', 0), data(100), ('recv', 10), ('wait', 100), ('close',)],
}
SCRIPTS = {**OPEN, **SEND, **LOSS, **RECEIVE, **CLOSE}
# what IPv6's header says of answers without a socket, of requests, and of TIME_WAIT; class 0xb9 has the bits of ECN
IPV6: dict[str, list[Step]] = {
    'class of a RST': [('listen',), ('close',), ('peer', 'S', {'seq': 0, 'class': 0xB9})],
    'class of a RST by a socket': [('connect',), ('peer', '.', {'ack': 77, 'class': 0xB9})],
    'class of a SYN-ACK': [('listen',), ('peer', 'S', {'seq': 0, 'opt': MSS, 'class': 0xB8}), ('wait', 3500)],
    'class of a request that says where it is': [('listen',), SYN, ('peer', '.', {'seq': 100_000, 'class': 0xB9}), ACK],
    'class of TIME_WAIT': [*connecting(), ('close',), ('peer', 'F.', {'ack': 2, 'class': 0xB8}),
                           ('peer', 'F.', {'seq': 1, 'ack': 2, 'class': 0xB8}),
                           ('peer', '.', {'seq': 5000, 'ack': 2, 'class': 0xB8})],
    'RST in TIME_WAIT, then a SYN': [*connecting(), ('close',), ('peer', 'F.', {'ack': 2}), ('peer', 'S', {'seq': 90_000}),
                                     ('peer', 'R', {'seq': 2})],
    'data for a closed port': [('listen',), ('close',), ('peer', 'P.', {'data': 100, 'ack': 3, 'class': 1})],
    'no MSS': [('listen',), ('peer', 'S', {'seq': 0}), ACK, ('accept',), ('send', 3000), ('getopt', 6, 2)],
    'options of a connection leave less room': [*connecting(mss=1440), ('setopt', 41, 59, [0, 0, 1, 4, 0, 0, 0, 0]),
                                                 ('getopt', 6, 2)],
    'hop limit': [*connecting(), ('setopt', 41, 16, 7), ('send', 10), ('setopt', 41, 16, -1), ('send', 10)],
    'least hop limit': [*connecting(), ('setopt', 41, 73, 70), data(10), ('setopt', 41, 73, 64), data(10, seq=1), ('recv', 100)],
    'class of the program': [*connecting(), ('setopt', 41, 67, 0xB9), ('send', 10), ('getopt', 41, 67)],
    'no label': [('setopt', 41, 70, 0), *connecting(), ('send', 10)],
    'IPV6_MTU': [('setopt', 41, 24, 1300), *connecting(), ('send', 3000), ('getopt', 6, 2)],
    'MSS of little': [('listen',), ('peer', 'S', {'seq': 0, 'opt': [2, 4, 0, 100]}), ACK, ('accept',), ('send', 1000)],
}
CE = ('peer', 'P.', {'data': 100, 'ack': 101, 'class': 3})
ECN: list[Step] = [('connect',), ('peer', 'S.E', {'seq': 0, 'opt': MSS}), ('send', 100), ack(101), CE, ('recv', 100),
                   ('send', 100), data(100, ack=201), ('peer', 'W.', {'ack': 201}), ('shutdown', 1)]
# both ends of the window scale's range depend on it, and today's kernels have more than Linnet's defaults
SYSCTLS = {'tcp_rmem': '4096 131072 6291456'}


def differences(script: list[Step], kernel: list[Note], linnet: list[Note]) -> list[str]:
    """Steps at which the two do not do the same; times are equal within 60 ms and a fifth."""
    found = []
    for step, theirs, ours in zip(script, kernel, linnet, strict=True):
        times = [(a[5], b[5]) for a, b in zip(theirs[1], ours[1], strict=False) if len(a) > 5 and len(b) > 5]
        late = any(abs(a - b) > 60 + a / 5 for a, b in times)
        if theirs[0] != ours[0] or [s[:5] for s in theirs[1]] != [s[:5] for s in ours[1]] or late:
            found.append(f'{step}\n  kernel {theirs}\n  linnet {ours}')
    return found


def compare(script: list[Step], sysctls: dict[str, str], v6: bool = False) -> None:
    """Run a script on both, and hold one against the other."""
    linnet = on_linnet(script, sysctls, v6)
    found: list[str] = []
    # the kernel's clock is the machine's: a busy one gets a second chance
    for _ in range(3):
        found = differences(script, on_kernel(script, sysctls, v6), linnet)
        if not found:
            break
    assert not found, '\n'.join(found)


@pytest.mark.parametrize('name', SCRIPTS)
def test_sends_what_the_kernel_sends(name: str) -> None:
    compare(SCRIPTS[name], SYSCTLS)


@pytest.mark.parametrize('name', SCRIPTS)
def test_sends_what_the_kernel_sends_with_timestamps(name: str) -> None:
    compare(SCRIPTS[name], {**SYSCTLS, 'tcp_timestamps': '1'})


@pytest.mark.parametrize('name', SCRIPTS)
def test_sends_what_the_kernel_sends_over_ipv6(name: str) -> None:
    compare(SCRIPTS[name], SYSCTLS, v6=True)


@pytest.mark.parametrize('name', IPV6)
def test_headers_of_ipv6_as_the_kernels(name: str) -> None:
    compare(IPV6[name], SYSCTLS, v6=True)


@pytest.mark.parametrize('sysctls', [
    {'ipv6/flowlabel_reflect': '1'}, {'ipv6/flowlabel_reflect': '2'}, {'ipv6/auto_flowlabels': '0'}, {'tcp_reflect_tos': '1'},
], ids=str)
def test_what_is_reflected_as_the_kernels(sysctls: dict[str, str]) -> None:
    script = [('listen',), ('peer', 'S', {'seq': 0, 'opt': MSS, 'class': 0xB9}), ('wait', 1500), ACK, ('accept',), ('send', 100),
              ('peer', '.', {'seq': 90_000}), ('close',), ack(102), ('peer', 'F.', {'ack': 102}), ('peer', 'S', {'seq': 0})]
    compare(script, {**SYSCTLS, **sysctls}, v6=True)


def test_ecn_in_the_class_as_the_kernels() -> None:
    compare(ECN, {**SYSCTLS, 'tcp_ecn': '1'}, v6=True)
