# SPDX-License-Identifier: Apache-2.0
"""The same IPv6 packets for the machine's kernel and for Linnet: extension headers, options, fragments, and what is told."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.ip6_kernel import COUNTERS
from helpers.ip6_sender import DATA, Sender, with_options
from helpers.ip6_wire import DSTOPTS, FAR, FRAGMENT, HOP, NONE, ROUTING, Bench6, fraghdr, fragment, ip6, options, routing
from helpers.netns import Namespace, lacking
from linnet.include.linux.socket import SOCK_RAW
from linnet.net.core.dev import dev_set_mtu

WHY = lacking()
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY)
HELPERS = Path(__file__).parents[1] / 'helpers'


def unknown(action: int) -> bytes:
    return bytes([action << 6 | 0x1E, 2, 0xAB, 0xCD])


RUNS: dict[str, list[bytes]] = {
    'plain': [ip6(), ip6(b'', tclass=255, label=0xFFFFF), ip6(b'x', hops=0), ip6(b'ab') + bytes(9), ip6(length=200)],
    'unknown protocol': [ip6(b'abc', 199), ip6(b'', 199), ip6(b'', NONE), ip6(b'abc', NONE)],
    'addresses': [ip6(src='::1'), ip6(src='ff02::1'), ip6(dst='ff01::1'), ip6(dst='ff00::1'), ip6(dst='ff02::1'),
                  ip6(dst='ff02::77'), ip6(b'', 199, dst='ff02::1')],
    **{f'{name} options': [ip6(options(content) + b'data', nexthdr) for content in (
        b'', b'\0' * 6, b'\x01\x04' + bytes(4), b'\x01\0' * 3, b'\0\x01\x03' + bytes(3), bytes(14), b'\x01\x06' + bytes(12),
        b'\x01\x04\0\0\x01\0', b'\x01\x05\0\0\0\0', b'\x1e\x09' + bytes(4), bytes(5) + b'\x1e', unknown(0), unknown(1),
        unknown(2), unknown(3), unknown(0) + unknown(2), b'\x05\x02\0\0', b'\x05\x03\0\0\0', b'\xc2\x04\0\0\xff\xff',
        b'\xc2\x03\0\0\0',
        b'\x1e\0' * 8, b'\x1e\0' * 9, b'\xc9\x10' + bytes(16))] for name, nexthdr in (
            ('hop-by-hop', HOP), ('destination', DSTOPTS))},
    'options to many': [ip6(options(unknown(action)) + b'data', DSTOPTS, dst='ff02::1') for action in range(4)],
    'order': [ip6(options(b'', HOP) + options(b'') + b'data', DSTOPTS), ip6(options(b'', HOP) + options(b'') + b'data', HOP),
              ip6(options(b'', DSTOPTS) + options(b'', DSTOPTS) + options(b'') + b'data', HOP),
              ip6(options(b'', 199) + b'data', DSTOPTS), ip6(options(b'', NONE) + b'data', DSTOPTS)],
    'cut off': [ip6(body, nexthdr) for nexthdr in (HOP, DSTOPTS, ROUTING, FRAGMENT)
                for body in (b'', b'\xfd\0\x01', b'\xfd\x01\x01\x04\0\0\0\0')],
    'routing': [ip6(routing(kind, left) + b'data', ROUTING) for kind in (0, 1, 2, 3, 4, 99) for left in (0, 1, 2)],
    'jumbo': [ip6(options(b'\xc2\x04\0\x01\0\0') + bytes(16), HOP, length=length) for length in (0, 16, 24)],
    'fragments': [fragment(DATA[16:32], 16, True), fragment(DATA[:16], 0, True), fragment(DATA[32:33], 32, False)],
    'fragments and headers': [
        ip6(routing(0, 0, DSTOPTS) + options(b'', FRAGMENT) + fraghdr(at, at == 0) + DATA[at:at + 800], ROUTING)
        for at in (800, 0)],
    'one fragment': [fragment(b'alone', 0, False), fragment(b'', 0, False), fragment(DATA[:8], 0, False, nexthdr=199)],
    'duplicates': [fragment(DATA[:16], 0, True), fragment(DATA[:16], 0, True), fragment(DATA[8:16], 8, True),
                   fragment(DATA[16:20], 16, False)],
    **{f'overlap {start}-{end}': [fragment(DATA[at:stop], at, stop < 40, ident=1000 * start + end) for at, stop in (
        (0, 16), (24, 32), (start, end), (16, 24), (32, 40))] for start, end in ((0, 24), (8, 24), (16, 40), (8, 32))},
    'ends that differ': [fragment(DATA[64:80], 64, False, ident=1), fragment(DATA[72:96], 72, False, ident=1),
                         fragment(DATA[80:96], 80, True, ident=2), fragment(DATA[64:80], 64, False, ident=2),
                         fragment(DATA[64:80], 64, False, ident=3), fragment(DATA[80:96], 80, True, ident=3)],
    'lengths': [fragment(DATA[:15], 0, True), fragment(DATA[:1000], 65000, False), fragment(b'', 16, True, ident=9),
                fragment(b'', 16, False, ident=10)],
    'a fragment of a fragment': [ip6(fraghdr(0, False, nexthdr=FRAGMENT) + fraghdr(0, True) + DATA[:8], FRAGMENT),
                                 ip6(fraghdr(0, False, nexthdr=FRAGMENT) + fraghdr(0, False) + DATA[:8], FRAGMENT)],
    'headers that are not all there': [
        fragment(bytes(16), 0, True, nexthdr=6), fragment(bytes(8), 0, True, nexthdr=6, ident=2),
        fragment(options(b'', 17), 0, True, nexthdr=DSTOPTS, ident=3),
        fragment(options(b'', DSTOPTS), 0, True, nexthdr=DSTOPTS, ident=4),
        fragment(options(bytes(6), 17, length=3), 0, True, nexthdr=DSTOPTS, ident=5),
        fragment(bytes(8), 0, True, nexthdr=58, ident=6), fragment(options(b'', NONE), 0, True, nexthdr=DSTOPTS, ident=7),
        fragment(bytes(8), 0, True, nexthdr=NONE, ident=8),
        fragment(bytes(8), 0, True, nexthdr=51, ident=9)],
    'ecn': [fragment(DATA[:16] if i % 2 == 0 else DATA[16:20], 16 * (i % 2), i % 2 == 0, ident=200 + i // 2, tclass=ecn)
            for i, ecn in enumerate((0, 2, 2, 3, 1, 3, 0, 3))],
}


def ours(packets: list[bytes]) -> list[list[list[object]]]:
    """What Linnet does."""
    host = Bench6()
    host.join('ff02::1')
    answers = []
    for packet in packets:
        host.sink.got, host.told.told = [], []
        before = [host.count(name) for name in COUNTERS]
        host.give(packet)
        counted = [[name, host.count(name) - old] for name, old in zip(COUNTERS, before, strict=True) if host.count(name) != old]
        # of what went to many, icmpv6_send tells two things alone (RFC 4443, 2.4 e)
        told = [error for error in host.told.told if packet[24] != 0xFF or error[0] == 2 or error[:2] == (4, 2)]
        answers.append([['got', data.hex()] for data in host.sink.got] + [['error', *error] for error in told] + counted)
    return answers


def kernel(script: str, questions: object) -> list:
    """The kernel's answers to a script of helpers/."""
    with Namespace() as ns:
        done = subprocess.run(['ip', 'netns', 'exec', ns.name, sys.executable, str(HELPERS / script)], timeout=120, text=True,
                              input=json.dumps(questions), capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def theirs() -> dict[str, list[list[list[object]]]]:
    """What the kernel did, run by run."""
    answers = kernel('ip6_kernel.py', [[packet.hex() for packet in packets] for packets in RUNS.values()])
    return dict(zip(RUNS, answers, strict=True))


@pytest.mark.parametrize('name', RUNS)
def test_each_packet_has_the_same_consequences(name: str, theirs: dict[str, list[list[list[object]]]]) -> None:
    for packet, kernel, linnet in zip(RUNS[name], theirs[name], ours(RUNS[name]), strict=True):
        assert linnet == kernel, packet.hex()


# -- the other way: how datagrams are cut

HOPOPT, DSTOPT = options(b'\x1e\x04abcd' * 2).hex(), options(b'\x1e\x04efgh').hex()
Job = tuple[int, str, str, list[int] | None, int, int | None]
JOBS: list[Job] = [
    *[(size, hop, dst, None, 1500, None) for hop in ('', HOPOPT) for dst in ('', DSTOPT) for size in (
        0, 1, 1436, 1437, 1444, 1445, 1452, 1453, 1460, 1461, 2000, 2896, 2897, 8000, 65000, 65535, 65536)],
    *[(0, '', '', corks, 1500, None) for corks in (
        [1000, 1000], [1460, 1], [1452, 9], [100, 1360, 1], [1456, 4, 8], [10, 20, 3000, 5], [0, 10], [1400, 60, 100])],
    *[(size, '', '', None, mtu, None) for mtu in (1280, 1281, 1287, 1288, 1495, 1496, 1497) for size in (1300, 3000)],
    *[(size, '', '', None, 1500, probe) for probe in range(6) for size in (1460, 1461, 3000)],
]


def anonymous(packet: bytes) -> bytes:
    """The packet without the identification of its fragment header."""
    nexthdr, at = packet[6], 40
    while nexthdr in (HOP, ROUTING, DSTOPTS):
        nexthdr, at = packet[at], at + 8 * (packet[at + 1] + 1)
    return packet[:at + 4] + bytes(4) + packet[at + 8:] if nexthdr == FRAGMENT else packet


def cut(job: Job) -> tuple[int, list[bytes]]:
    """What Linnet sends."""
    size, hop, dst, corks, mtu, probe = job
    host = Sender(mtu)
    host.net.ipv6.sysctl_auto_flowlabels = 0
    host.sk.sk_type = SOCK_RAW
    if probe is not None:
        host.np.pmtudisc = probe
    host.ipc.opt = with_options(bytes.fromhex(hop), bytes.fromhex(dst))
    err = host.send_corked(corks) if corks else host.send((DATA * 2)[:size])
    return err, [anonymous(packet) for packet in host.sent()]


def test_datagrams_are_cut_alike() -> None:
    for job, (err, packets) in zip(JOBS, kernel('ip6_kernel_send.py', JOBS), strict=True):
        assert cut(job) == (err, [anonymous(bytes.fromhex(packet)) for packet in packets]), job


# -- and through

THROUGH = [
    ip6(b'data', dst=FAR), ip6(bytes(1360), dst=FAR), ip6(bytes(1361), dst=FAR), ip6(b'', NONE, dst=FAR), ip6(b'', 199, dst=FAR),
    *[ip6(b'data', dst=FAR, hops=hops) for hops in (0, 1, 2, 255)], ip6(tclass=255, label=0xFFFFF, dst=FAR),
    *[ip6(src=src, dst=FAR) for src in ('::', 'fe80::9', 'ff02::1', '::1', '2001:db8:7::1')],
    *[ip6(b'', 199, dst=dst) for dst in (
        '2001:db8:99::1', '2001:db8:2::1', '2001:db8:2::', 'ff0e::1', 'ff05::3', '::', '::ffff:10.0.0.1')],
    *[ip6(options(content) + b'x', HOP, dst=FAR) for content in (b'', unknown(0), unknown(1), unknown(2), unknown(3), bytes(14))],
    *[ip6(options(unknown(action)) + b'x', DSTOPTS, dst=FAR) for action in range(4)],
    *[ip6(routing(kind, 1) + b'x', ROUTING, dst=FAR) for kind in (0, 4, 99)],
    fragment(DATA[:64], 64, True, dst=FAR), fragment(DATA[:1353], 64, False, dst=FAR), fragment(DATA[:63], 0, True, dst=FAR),
    ip6(b'ab', dst=FAR) + bytes(9), ip6(length=200, dst=FAR),
]


@pytest.mark.parametrize('mtu', [1400, 1280])
def test_packets_are_forwarded_alike(mtu: int) -> None:
    host = Bench6()
    assert host.net.sysctl.set('net.ipv6.conf.all.forwarding', '1') == 0
    assert dev_set_mtu(host.devices['d1'], mtu) == 0
    host.pass_time(10_000)
    host.taken()
    for packet, answer in zip(THROUGH, kernel('ip6_kernel_forward.py', [mtu, [p.hex() for p in THROUGH]]), strict=True):
        host.told.told = []
        before = [host.count(name) for name in COUNTERS]
        host.give(packet)
        linnet = [['error', *error] for error in host.told.told if may_be_told(packet, error)]
        linnet += [['out', sent.hex()] for sent in host.taken() if sent[8] == 0x20 and sent[24] != 0xFF]
        linnet += [[name, host.count(name) - old] for name, old in zip(COUNTERS, before, strict=True) if host.count(name) != old]
        assert linnet == answer, packet.hex()


def may_be_told(packet: bytes, error: tuple[int, int, int]) -> bool:
    """What icmpv6_send itself does not send: errors to senders that are none, and of what went to many (RFC 4443, 2.4 e)."""
    nobody = packet[8:24] == bytes(16) or packet[8] == 0xFF
    return not nobody and (packet[24] != 0xFF or error[0] == 2 or error[:2] == (4, 2))
