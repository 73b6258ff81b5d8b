# SPDX-License-Identifier: Apache-2.0
"""The same call on this machine's own kernel: its trace events with the chains of functions that led to them (root, tracefs).

The call is made between two network namespaces joined by a veth pair, made for the purpose and removed afterwards.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from linnet.walk.recorder import Chain, Recorder
from linnet.walk.render import side_by_side

TRACEFS = Path('/sys/kernel/tracing')
SUFFIX = re.compile(r'\.(part|constprop|isra|cold)\.?\d*|_noprof$')
OUTER = ('entry_', 'do_syscall', '__x64_', '__arm64_', 'trace_event_raw', 'x64_sys_call', 'invoke_syscall', 'el0')


def parse(text: str) -> list[Chain]:
    """The events of a trace file with stack traces, outermost function first."""
    chains: list[Chain] = []
    event = ''
    stack: list[str] = []
    for line in [*text.splitlines(), 'end']:
        if line.startswith(' => '):
            stack.append(SUFFIX.sub('', line[4:].strip().split('+')[0]))
            continue
        if stack:
            functions = [f for f in reversed(stack) if not f.startswith(OUTER)]
            if functions and not functions[0].startswith(('do_sys_open', 'ksys_write')):
                chains.append(Chain(event, functions))
            stack = []
        match = re.match(r'\s*\S+-\d+\s+\[\d+\]\s+\S+\s+[\d.]+: (\w+): ', line)
        if match:
            event = match.group(1)
    return chains


def record(call: str) -> list[Chain]:
    """Make the call on the kernel and give its chains. OSError or RuntimeError where the machine does not allow it."""
    if os.geteuid() != 0:
        raise PermissionError('recording the kernel needs root: run this with sudo')
    if not (TRACEFS / 'trace').exists():
        subprocess.run(['mount', '-t', 'tracefs', 'nodev', str(TRACEFS)], check=False)
    if not (TRACEFS / 'trace').exists():
        raise RuntimeError(f'this kernel has no tracefs at {TRACEFS}: it cannot be recorded')
    names = [f'linnet-walk-{os.getpid()}-{side}' for side in 'ab']
    ip = ['ip']
    try:
        for name in names:
            subprocess.run([*ip, 'netns', 'add', name], check=True)
        subprocess.run(
            [*ip, '-n', names[0], 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', names[1]], check=True
        )
        for name, dev, addr in ((names[0], 'v0', '10.0.0.1/24'), (names[1], 'v1', '10.0.0.2/24')):
            subprocess.run([*ip, '-n', name, 'addr', 'add', addr, 'dev', dev], check=True)
            subprocess.run([*ip, '-n', name, 'link', 'set', dev, 'up'], check=True)
            subprocess.run([*ip, '-n', name, 'link', 'set', 'lo', 'up'], check=True)
        command = [sys.executable, '-m', 'linnet.walk.kernel_call', names[0], names[1], call]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    finally:
        for name in names:
            subprocess.run([*ip, 'netns', 'del', name], check=False, stderr=subprocess.DEVNULL)
    text: str = json.loads(result.stdout)
    return parse(text)


def compare(call: str, ours: Recorder, width: int) -> list[str]:
    """Lines of both walks side by side: event and innermost functions."""
    theirs = record(call)
    return side_by_side('linnet', lines(ours.chains), 'this kernel', lines(theirs), width)


def lines(chains: list[Chain]) -> list[str]:
    """One line an event, with the chain's steps indented below where they differ from the event before."""
    out: list[str] = []
    before: list[str] = []
    for chain in chains:
        same = 0
        while same < min(len(before), len(chain.functions)) and before[same] == chain.functions[same]:
            same += 1
        for depth in range(same, len(chain.functions)):
            out.append('  ' * min(depth, 12) + chain.functions[depth])
        out.append('  ' * min(len(chain.functions), 12) + f'* {chain.event}')
        before = chain.functions
    return out
