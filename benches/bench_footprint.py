# SPDX-License-Identifier: Apache-2.0
"""What Linnet takes: import time, memory of an idle connection, size of the build.

    python benches/bench_footprint.py

Import times are medians of fresh interpreters, as a ratio to `import asyncio` in the same run. The memory is that of the whole
process, after minus before, over connections that are established and idle (both ends live in it: a pair is measured).
"""
from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import linnet
from linnet import Lab
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, SOCK_STREAM, Sockaddr
from linnet.kernel.sched import sleep_ns
from linnet.net import socket as sys_
from linnet.program.runtime import current_program

CONNECTIONS = 2000


def import_seconds(statement: str, repeat: int = 7) -> float:
    """Median seconds that a statement takes in a fresh interpreter, its start not counted."""
    code = f'import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)'
    command = [sys.executable, '-c', code]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(repeat)]
    return statistics.median(float(seconds) for seconds in runs)


def resident() -> int:
    """Bytes of memory that this process holds now."""
    gc.collect()
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def connections(count: int) -> tuple[float, float]:
    """(bytes a connection, connections opened a wall second)."""
    lab = Lab(seed=1)
    client, server = lab.host('client'), lab.host('server')
    lab.link(client, server)
    target = Sockaddr(AF_INET, in_aton(server.addr), 7000)

    def serve() -> None:
        me = current_program()
        me.files.limit = count + 10
        fd = sys_.sys_socket(me, AF_INET, SOCK_STREAM, 0)
        sys_.sys_bind(me, fd, Sockaddr(AF_INET, 0, 7000))
        sys_.sys_listen(me, fd, 128)
        while True:
            sys_.sys_accept4(me, fd, 0)

    def connect() -> None:
        me = current_program()
        me.files.limit = count + 10
        for _ in range(count):
            fd = sys_.sys_socket(me, AF_INET, SOCK_STREAM, 0)
            sys_.sys_connect(me, fd, target)
        sleep_ns(lab.world.sched, 10**12)
    server.spawn(serve, daemon=True)
    client.spawn(connect)
    before = resident()
    begin = time.perf_counter()
    lab.run(until=100)
    wall = time.perf_counter() - begin
    used = resident() - before
    lab.close()
    return used / count, count / wall


def main() -> None:
    """See the file."""
    asyncio_s = import_seconds('import asyncio')
    for statement in ('import linnet', 'from linnet import Lab'):
        seconds = import_seconds(statement)
        print(f'{statement}: {seconds * 1000:.1f} ms, {seconds / asyncio_s:.2f} of `import asyncio` ({asyncio_s * 1000:.1f} ms)')
    size, rate = connections(CONNECTIONS)
    print(f'an idle connection, both ends: {size / 1024:.1f} KiB; opened {rate:,.0f} a wall second')
    package = Path(linnet.__file__).parent
    source = sum(p.stat().st_size for p in package.rglob('*.py'))
    native = sum(p.stat().st_size for p in package.rglob('*.so'))
    print(f'sources {source / 1e6:.2f} MB; native modules {native / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
