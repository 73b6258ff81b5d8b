# SPDX-License-Identifier: Apache-2.0
"""The runner is strict: every script that passes, changed in one place of what it expects, fails."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from linnet.drill.suite import run_one

PASSIVE = '''
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 32792 <mss 1000,nop,nop,TS val 700 ecr 0,nop,wscale 7>
   +0 > S. 0:0(0) ack 1 win 65160 <mss 1460,nop,nop,TS val 100 ecr 700,nop,wscale 10>
  +.1 < . 1:1(0) ack 1 win 257 <nop,nop,TS val 800 ecr 100>
   +0 accept(3, ..., ...) = 4
   +0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
   +0 read(4, ..., 100) = -1 EAGAIN (Resource temporarily unavailable)
   +0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%
   +0 < P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 810 ecr 100>
   +0 > . 1:1(0) ack 1001 <nop,nop,TS val 200 ecr 810>
   +0 getsockopt(4, SOL_TCP, TCP_NODELAY, [0], [4]) = 0
   +0 ioctl(4, SIOCINQ, [1000]) = 0
   +0 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 1
   +0 epoll_create(1) = 5
   +0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLOUT, fd=4}) = 0
   +0 epoll_wait(5, {events=EPOLLOUT, fd=4}, 1, 0) = 1
   +0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 2000}], msg_flags=0, msg_control=[]}, 0) = 1000
   +0 write(4, ..., 2500) = 2500
   +0 > P. 1:2501(2500) ack 1001 <nop,nop,TS val 210 ecr 810>
+.3~+.33 > . 1:989(988) ack 1001 <nop,nop,TS val 240 ecr 810>
   +0 < . 1001:1001(0) ack 2501 win 257 <nop,nop,TS val 900 ecr 210>
   +0 %{ assert tcpi_unacked == 0, tcpi_unacked }%
   +0 close(4) = 0
   +0 > F. 2501:2501(0) ack 1001 <nop,nop,TS val 300 ecr 900>
'''

# what is looked for in a line, what takes its place, and in which lines
MUTATIONS = {
    'sequence number': (r'^(.* > [^S]*? )(\d+):(\d+)\(', lambda m: f'{m[1]}{int(m[2]) + 1}:{int(m[3]) + 1}('),
    'length': (r'^(.* > [^S]*? \d+):(\d+)\((\d+)\)', lambda m: f'{m[1]}:{int(m[2]) + 1}({int(m[3]) + 1})'),
    'ACK number': (r'^(.* > .* ack )(\d+)', lambda m: f'{m[1]}{int(m[2]) + 1}'),
    'PSH added': (r'^(.* > )([SF]?\.)', lambda m: f'{m[1]}P{m[2]}'),
    'PSH removed': (r'^(.* > )P\.', lambda m: f'{m[1]}.'),
    'FIN added': (r'^(.* > )([SP]?\.)', lambda m: f'{m[1]}F{m[2]}'),
    'ECE added': (r'^(.* > )([FSP]?)\.', lambda m: f'{m[1]}{m[2]}E.'),
    'window': (r'^(.* > .* win )(\d+)', lambda m: f'{m[1]}{int(m[2]) + 1}'),
    'MSS': (r'^(.* > .*mss )(\d+)', lambda m: f'{m[1]}{int(m[2]) - 1}'),
    'window scale': (r'^(.* > .*wscale )(\d+)', lambda m: f'{m[1]}{int(m[2]) + 1}'),
    'options left out': (r'^(.* > .*?) <.*>', lambda m: m[1]),
    'an option more': (r'^(.* > .*<)', lambda m: f'{m[1]}nop,nop,nop,nop,'),
    'other order of options': (r'^(.* > .*)nop,nop,TS val (\d+) ecr (\d+)', lambda m: f'{m[1]}TS val {m[2]} ecr {m[3]},nop,nop'),
    'later': (r'^ +\+0 (> .*)', lambda m: f'+.01 {m[1]}'),
    'earlier': (r'^\+\.3~\+\.33 (> .*)', lambda m: f'+.2~+.25 {m[1]}'),
    'much later': (r'^\+\.3~\+\.33 (> .*)', lambda m: f'+.4~+.5 {m[1]}'),
    'result': (r'^(.*\) = )(\d+)$', lambda m: f'{m[1]}{int(m[2]) + 1}'),
    'errno': (r'^(.* = -1 )EAGAIN', lambda m: f'{m[1]}EPIPE'),
    'no error': (r'^(.* = )-1 EAGAIN.*', lambda m: f'{m[1]}0'),
    'tcp_info': (r'^(.*assert .* == )(\d+)', lambda m: f'{m[1]}{int(m[2]) + 1}'),
    'option value': (r'^(.*TCP_NODELAY, )\[0\]', lambda m: f'{m[1]}[1]'),
    'ioctl value': (r'^(.*SIOCINQ, )\[1000\]', lambda m: f'{m[1]}[999]'),
    'revents': (r'^(.*revents=)POLLIN', lambda m: f'{m[1]}POLLIN|POLLOUT'),
    'epoll event': (r'^(.*epoll_wait\(5, \{events=)EPOLLOUT', lambda m: f'{m[1]}EPOLLIN'),
    'epoll datum': (r'^(.*epoll_wait\(5, \{events=EPOLLOUT, fd=)4', lambda m: f'{m[1]}3'),
    'msg_flags': (r'^(.*recvmsg.*msg_flags=)0', lambda m: f'{m[1]}MSG_TRUNC'),
    'control messages': (r'^(.*msg_control=\[)\]', lambda m: f'{m[1]}{{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=0}}]'),
    'a packet more': (r'^( +\+0 > F\..*)', lambda m: f'{m[1]}\n   +0 > . 9:9(0) ack 1001'),
    'unknown call': (r'^(.*)poll\(\[', lambda m: f'{m[1]}ppoll(['),
    'unknown option': (r'^(.*ioctl.*)SIOCINQ', lambda m: f'{m[1]}SIOCFOO'),
    'unknown command': (r'^( +)\+0 close', lambda m: f'{m[1]}+0 `reboot`\n{m[1]}+0 close'),
    'an argument less': (r'^(.*write\(4), \.\.\.,', lambda m: f'{m[1]},'),
    'unknown script option': (r'^(    0 socket.*)', lambda m: f'--no_such_option=1\n{m[1]}'),
    'ports mixed up': (r'^(.*) bind\(3, \.\.\.', lambda m: f'{m[1]} bind(3, {{sa_family=AF_INET, sin_port=htons(81), '
                                                           'sin_addr=inet_addr("192.168.0.1")}'),
}
# An outcome that the script cannot tell from the right one: a descriptor is any number.
SAME = {('result', line) for line in ('socket(', 'accept(', 'epoll_create(')}


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """(name, script) of each change at each place."""
    lines = text.splitlines()
    for name, (pattern, change) in MUTATIONS.items():
        for number, line in enumerate(lines):
            changed = re.sub(pattern, change, line)
            if changed != line and not any(name == kind and call in line for kind, call in SAME):
                yield f'{name}, line {number + 1}', '\n'.join([*lines[:number], changed, *lines[number + 1:]])


MUTANTS = dict(mutants(PASSIVE))
OWN_SCRIPTS = sorted((Path(__file__).parents[2] / 'conformance').rglob('*.pkt'))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'mutant.pkt'
    path.write_text(text)
    return path


def test_the_original_passes(tmp_path: Path) -> None:
    outcome = run_one(write(tmp_path, PASSIVE), 'ipv4')
    assert outcome.status == 'passed', outcome.text
    assert {name.split(',')[0] for name in MUTANTS} == set(MUTATIONS)


@pytest.mark.parametrize('name', MUTANTS)
def test_a_mutant_fails(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, MUTANTS[name])
    outcome = run_one(path, 'ipv4')
    assert outcome.status == 'failed', name
    assert re.match(rf'{re.escape(str(path))}:\d+: ', outcome.text)
    assert 'the stack raised' not in outcome.text


@pytest.mark.parametrize('script', OWN_SCRIPTS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_mutants_of_our_own_scripts_fail(script: Path, tmp_path: Path) -> None:
    survivors = [name for name, text in mutants(script.read_text()) if run_one(write(tmp_path, text), 'ipv4').status != 'failed']
    assert survivors == []
