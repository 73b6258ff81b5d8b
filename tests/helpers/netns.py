# SPDX-License-Identifier: Apache-2.0
"""A network namespace of a test's own, with the real kernel in it, and `linnet exec` attached to it.

Everything is run with `ip netns exec`: the device is made in the namespace, and nothing of the machine's own network is
touched.
"""
from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import linnet

KERNEL, LINNET = '10.77.0.1', '10.77.0.2'
DEVICE = 'linnet0'
STATION = str(Path(__file__).with_name('station.py'))
EXEC = [sys.executable, '-c', 'from linnet.cli import main; main(prog_name="linnet")', 'exec']
numbers = itertools.count()


def lacking(*tools: str) -> str:
    """Why there can be no such test here; '' if there can."""
    if os.geteuid() != 0:
        return 'needs root, for a TUN device and a network namespace'
    if not os.path.exists('/dev/net/tun'):
        return 'needs /dev/net/tun'
    for tool in ('ip', *tools):
        if shutil.which(tool) is None:
            return f'needs {tool}'
    name = f'lnprobe{os.getpid()}'
    made = subprocess.run(['ip', 'netns', 'add', name], capture_output=True, text=True)
    if made.returncode:
        return f'needs network namespaces: {made.stderr.strip()}'
    subprocess.run(['ip', 'netns', 'del', name], check=True)
    return ''


def environment() -> dict[str, str]:
    """That of the processes: they test the build that the tests test."""
    return {**os.environ, 'PYTHONPATH': str(Path(linnet.__file__).parents[1]), 'PYTHONUNBUFFERED': '1'}


class Namespace:
    """A namespace with its loopback up; a context manager that ends what was started in it."""

    def __init__(self) -> None:
        self.name = f'ln{os.getpid()}x{next(numbers)}'
        self.children: list[subprocess.Popen[str]] = []
        subprocess.run(['ip', 'netns', 'add', self.name], check=True)
        self.run(['ip', 'link', 'set', 'lo', 'up'])

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        subprocess.run(['ip', 'netns', 'del', self.name], check=True)

    def run(self, command: Sequence[str], timeout: float = 120, check: bool = True) -> str:
        """Run on the kernel's side until it ends; its output, both streams."""
        done = subprocess.run(['ip', 'netns', 'exec', self.name, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=timeout, env=environment())
        assert not check or done.returncode == 0, f'{command} ended with {done.returncode}: {done.stdout}'
        return done.stdout

    def start(self, command: Sequence[str], ready: str = '') -> subprocess.Popen[str]:
        """Start on the kernel's side; wait for a line that begins with `ready`, if given."""
        child = subprocess.Popen(['ip', 'netns', 'exec', self.name, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, env=environment())
        self.children.append(child)
        seen = ''
        assert child.stdout is not None
        while ready and not seen.rpartition('\n')[2].startswith(ready):
            line = child.stdout.readline()
            assert line, f'{command} ended with {child.wait()}: {seen}'
            seen += '\n' + line.rstrip('\n')
        return child

    def exec(self, kind: str, program: Sequence[str], *options: str, ready: str = '') -> subprocess.Popen[str]:
        """`linnet exec` on a device of that kind ('tun', 'tap'; 'tun-plain' and 'tap-plain' without offload)."""
        device, _, plain = kind.partition('-')
        plainly = ['--no-offload'] if plain else []
        return self.start([*EXEC, f'--{device}', DEVICE, '--addr', f'{LINNET}/24', *plainly, *options, '--', 'python', *program],
                          ready)

    def linnet(self, kind: str, program: Sequence[str], *options: str, timeout: float = 120) -> str:
        """As exec(), until it ends: its output; it must exit with 0."""
        child = self.exec(kind, program, *options)
        text, _ = child.communicate(timeout=timeout)
        assert child.returncode == 0, f'{program} ended with {child.returncode}: {text}'
        return text

    def has_device(self) -> bool:
        """Is our device there?"""
        return DEVICE in self.run(['ip', '-br', 'link'])

    def wait_for(self, what: str, command: Sequence[str], seconds: float = 10) -> None:
        """Until the command's output has `what` in it."""
        end = time.monotonic() + seconds
        while what not in self.run(command, check=False):
            assert time.monotonic() < end, f'{command}: no {what!r}'
            time.sleep(0.02)
