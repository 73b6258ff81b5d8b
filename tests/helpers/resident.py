# SPDX-License-Identifier: Apache-2.0
"""What programs do beside their sockets, each a small one for `linnet exec`: resident.py NAME [HOST]. No word of Linnet.

HOST runs station.py serve. Each prints what it saw; none prints times.
"""
from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import ctypes
import gc
import io
import multiprocessing
import os
import queue
import select
import selectors
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

ECHO, SOURCE = 7, 19
PROGRAMS: dict[str, Callable[..., None]] = {}


def program(fn: Callable[..., None]) -> Callable[..., None]:
    """One of them."""
    PROGRAMS[fn.__name__] = fn
    return fn


def dial(host: str, port: int = ECHO) -> socket.socket:
    """A connection that gives up after 20 s."""
    sock = socket.create_connection((host, port), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def echoes(sock: socket.socket, data: bytes = b'hello') -> bool:
    """Does it come back?"""
    sock.sendall(data)
    got = b''
    while len(got) < len(data):
        part = sock.recv(65536)
        if not part:
            return False
        got += part
    return got == data


# -- threads

@program
def pool(host: str) -> None:
    """A pool of threads, each in its own blocking calls; the results come by a queue."""
    results: queue.Queue[int] = queue.Queue()

    def work(number: int) -> int:
        with dial(host) as sock:
            for i in range(10):
                assert echoes(sock, f'{number} {i} '.encode() * 100)
        results.put(number)
        return number

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        total = sum(threads.map(work, range(64)))
    print(total, sorted(results.get() for _ in range(64)) == list(range(64)),
          len([thread for thread in threading.enumerate() if thread.name != 'linnet']))


@program
def one_socket(host: str) -> None:
    """Two threads on one socket, one sends and one receives; and eight threads that wait for datagrams on one socket."""
    with dial(host) as sock:
        data = os.urandom(1 << 20)
        got = bytearray()

        def receive() -> None:
            while len(got) < len(data):
                got.extend(sock.recv(1 << 16))
        thread = threading.Thread(target=receive)
        thread.start()
        sock.sendall(data)
        thread.join()
        print(bytes(got) == data)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(('', 0))
    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(udp.recv(100))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for i in range(8):
        udp.sendto(bytes([i]), ('127.0.0.1', udp.getsockname()[1]))
    for thread in threads:
        thread.join()
    print(sorted(seen) == [bytes([i]) for i in range(8)])


@program
def waits(host: str) -> None:
    """Threads that wait in accept, in connect (to nobody), in recv, each at the same time; then in things that are no sockets,
    while the main thread's connection goes on.
    """
    listener = socket.create_server(('', 0))
    idle = dial(host)
    reader, writer = os.pipe()
    done: list[str] = []
    lock = threading.Lock()
    lock.acquire()

    def connect() -> None:
        try:
            socket.create_connection(('10.77.0.99', 9), 3)
        except OSError:
            done.append('connect')

    def read_pipe() -> None:
        with open(reader, 'rb') as file:  # in C
            done.append(file.readline().decode().strip())

    def take_lock() -> None:
        with lock:
            done.append('lock')

    def database() -> None:
        with tempfile.NamedTemporaryFile() as file:
            a, b = (sqlite3.connect(file.name, timeout=0.3, check_same_thread=False) for _ in range(2))
            a.execute('create table t (x)')
            a.execute('begin exclusive')
            try:
                b.execute('insert into t values (1)')  # waits in C
            except sqlite3.OperationalError:
                done.append('database')
            a.close()
            b.close()

    def process() -> None:
        subprocess.Popen(['sleep', '0.4']).wait()
        done.append('process')

    def compute() -> None:
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            pass
        done.append('compute')

    def sleep() -> None:
        time.sleep(0.4)
        done.append('sleep')

    jobs = [lambda: done.append(f'accept {listener.accept()[1][0]}'), connect, lambda: done.append(f'recv {idle.recv(9)!r}'),
            read_pipe, take_lock, database, process, compute, sleep, lambda: done.append(select_pipe(reader2))]
    reader2, writer2 = os.pipe()
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    with dial(host) as sock:
        end = time.monotonic() + 0.6
        rounds = 0
        while time.monotonic() < end:
            assert echoes(sock)
            rounds += 1
    before = len(done)
    os.write(writer, b'pipe\n')
    os.write(writer2, b'x')
    lock.release()
    idle.sendall(b'x')
    socket.create_connection(('127.0.0.1', listener.getsockname()[1])).close()
    for thread in threads:
        thread.join()
    print(rounds > 20, before, ', '.join(sorted(done)))


def select_pipe(fd: int) -> str:
    """Wait for a pipe alone."""
    return f'select {select.select([fd], [], [])[0] == [fd]}'


@program
def foreign(host: str) -> None:
    """A thread that C made (libc's, by pthread_create) and that Python knows nothing of calls back, and has a socket."""
    libc = ctypes.CDLL(None)
    seen: list[bool] = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    def body(_: int | None) -> int:
        with dial(host) as sock:
            seen.append(echoes(sock, b'from C'))
        return 0

    thread = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, body, None) == 0
    with dial(host) as sock:
        print(echoes(sock))
    libc.pthread_join(thread, None)
    print(seen)


@program
def finalizers(host: str) -> None:
    """Sockets that only the collector of cycles finds: their connections are closed, from whichever thread it runs in."""
    class Cycle:
        def __init__(self) -> None:
            self.me = self
            self.sock = dial(host)

    warnings.simplefilter('ignore', ResourceWarning)
    for _ in range(30):
        Cycle()
    with dial(host) as sock:
        for _ in range(300):
            assert echoes(sock, b'x' * 1000)
            [[] for _ in range(100)]
    gc.collect()
    print(len([each for each in gc.get_objects() if isinstance(each, socket.socket) and each.fileno() >= 0]))


# -- machine descriptors

@program
def descriptors(host: str) -> None:
    """A pipe, a UNIX socket, a terminal, inotify and a timer of the machine together with a connection, by each of the four."""
    pipe_r, pipe_w = os.pipe()
    left, right = socket.socketpair()
    master, slave = os.openpty()
    libc = ctypes.CDLL(None)
    folder = tempfile.mkdtemp()
    inotify = libc.inotify_init()
    libc.inotify_add_watch(inotify, folder.encode(), 0x100)
    timer = libc.timerfd_create(1, 0)
    sock = dial(host)

    def set_timer() -> None:
        libc.timerfd_settime(timer, 0, struct.pack('4q', 0, 0, 0, 1_000_000), None)

    def touch() -> None:
        with open(os.path.join(folder, 'x'), 'w'):
            pass
    events: list[tuple[str, int, Callable[[], Any], Callable[[], Any]]] = [
        ('connection', sock.fileno(), lambda: sock.send(b'x'), lambda: sock.recv(9)),
        ('pipe', pipe_r, lambda: os.write(pipe_w, b'x'), lambda: os.read(pipe_r, 9)),
        ('socketpair', left.fileno(), lambda: right.send(b'x'), lambda: left.recv(9)),
        ('terminal', master, lambda: os.write(slave, b'x\n'), lambda: os.read(master, 9)),
        ('inotify', inotify, touch, lambda: (os.read(inotify, 999), os.unlink(os.path.join(folder, 'x')))),
        ('timer', timer, set_timer, lambda: os.read(timer, 8)),
    ]
    names = {fd: name for name, fd, _, _ in events}
    for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
        with kind() as selector:
            for fd in names:
                selector.register(fd, selectors.EVENT_READ)
            said = []
            for name, _, cause, consume in events:
                assert selector.select(0) == []
                threading.Timer(0.02, cause).start()
                ready = [names[key.fd] for key, _ in selector.select(5)]
                assert [names[key.fd] for key, _ in selector.select(5)] == ready  # level-triggered
                consume()
                said.append(name if ready == [name] else f'{ready} for {name}')
            print(kind.__name__, *said)
    edges = select.epoll()
    for fd in names:
        edges.register(fd, select.EPOLLIN | select.EPOLLET)
    said = []
    for name, _, cause, consume in events:
        cause()
        ready = [names[fd] for fd, _ in edges.poll(5)]
        again = edges.poll(0.02)
        said.append(name if (ready, again) == ([name], []) else f'{ready} {again} for {name}')
        consume()
    print('edge-triggered', *said)
    with tempfile.TemporaryFile() as file, contextlib.suppress(PermissionError):
        edges.register(file.fileno(), select.EPOLLIN)
        print('a file was not refused')
    print([file in select.select([sock, file], [], [], 5)[0] for file in [tempfile.TemporaryFile()]])  # noqa: SIM115


@program
def closed_and_open_again(host: str) -> None:
    """A number that stands for another pipe than before is another file, however the first one was closed."""
    watch = select.epoll()
    sock = dial(host)
    watch.register(sock, select.EPOLLIN)
    for close in (os.close, lambda fd: io.FileIO(fd).close()):
        for _ in range(3):
            reader, writer = os.pipe()
            watch.register(reader, select.EPOLLIN)
            os.write(writer, b'x')
            assert watch.poll(5) == [(reader, select.EPOLLIN)]
            close(reader)
            close(writer)
            assert watch.poll(0) == []
    reader, writer = os.pipe()
    watch.register(reader, select.EPOLLIN)
    os.close(writer)
    assert watch.poll(5) == [(reader, select.EPOLLHUP)]
    watch.unregister(reader)
    print(watch.poll(0), echoes(sock))


# -- processes

@program
def processes(host: str) -> None:
    """subprocess beside a connection: run, communicate, poll on the pipes together with the socket, time-outs, kill."""
    with dial(host) as sock:
        done = subprocess.run(['sh', '-c', 'cat; echo err >&2; exit 3'], input=b'x' * 200_000, capture_output=True)
        print(done.returncode, len(done.stdout), done.stderr)
        child = subprocess.Popen(['sh', '-c', 'read x; echo got $x; exec sleep 60'], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        assert child.stdin is not None and child.stdout is not None
        poll = select.poll()
        poll.register(child.stdout, select.POLLIN)
        poll.register(sock, select.POLLIN)
        sock.send(b'hello')
        print(poll.poll(5000) == [(sock.fileno(), select.POLLIN)], sock.recv(9))
        child.stdin.write(b'word\n')
        child.stdin.flush()
        print(poll.poll(5000) == [(child.stdout.fileno(), select.POLLIN)], child.stdout.readline())
        try:
            child.wait(0.05)
        except subprocess.TimeoutExpired:
            child.kill()
        print(child.wait(), echoes(sock))
        try:
            subprocess.run(['sleep', '60'], timeout=0.05)
        except subprocess.TimeoutExpired:
            print('timed out')
        print(os.system('exit 5') >> 8, os.popen('echo popen').read().strip())


async def asyncio_main(host: str) -> None:
    reader, writer = await asyncio.open_connection(host, ECHO)

    async def ask(text: str) -> str:
        writer.write(text.encode())
        return (await reader.readexactly(len(text))).decode()
    child = await asyncio.create_subprocess_exec('cat', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = await child.communicate(b'y' * 200_000)
    print(len(out), child.returncode, await ask('one'))
    child = await asyncio.create_subprocess_shell('while read x; do echo "<$x>"; done; exit 7', stdin=subprocess.PIPE,
                                                  stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    for word in ('a', 'b'):
        child.stdin.write(f'{word}\n'.encode())
        print((await child.stdout.readline()).decode().strip(), await ask(word))
    child.stdin.close()
    print(await child.wait())
    child = await asyncio.create_subprocess_exec('sleep', '60')
    try:
        await asyncio.wait_for(child.wait(), 0.05)
    except TimeoutError:
        child.kill()
    print(await child.wait(), await ask('two'))
    many = [await asyncio.create_subprocess_exec('sh', '-c', f'exit {i}') for i in range(10)]
    print(await asyncio.gather(*(each.wait() for each in many)))
    print(await asyncio.to_thread(lambda: echoes(dial(host))), await asyncio.get_running_loop().run_in_executor(None, len, 'abc'))
    pipe_r, pipe_w = os.pipe()
    stream = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), open(pipe_r, 'rb', 0))
    asyncio.get_running_loop().call_later(0.02, os.write, pipe_w, b'piped\n')
    print(await stream.readline())
    path = os.path.join(tempfile.mkdtemp(), 'socket')

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
    async with await asyncio.start_unix_server(serve, path):
        r, w = await asyncio.open_unix_connection(path)
        w.write(b'unix\n')
        print(await r.readline())
        w.close()
    writer.close()


@program
def asyncio_processes(host: str) -> None:
    """asyncio's subprocesses, pipes, threads and UNIX sockets beside its connections."""
    asyncio.run(asyncio_main(host))


def in_child(host: str, results: Any) -> None:
    """What a process of multiprocessing does: compute, and try a socket."""
    results.put(sum(range(1000)))
    try:
        socket.create_connection((host, 1), 5).close()
    except OSError as exc:
        results.put(type(exc).__name__ + ('' if 'forked' in str(exc) else ', not forked'))


@program
def multiprocess(host: str, method: str) -> None:
    """multiprocessing: queues and results work; a forked child has no sockets, and says so."""
    warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12: the process has threads
    context: Any = multiprocessing.get_context(method)
    results = context.Queue()
    sock = dial(host)
    child = context.Process(target=in_child, args=(host, results))
    child.start()
    print(results.get(timeout=20), results.get(timeout=20))
    child.join()
    print(child.exitcode, echoes(sock))
    with context.Pool(2) as workers:
        print(workers.map(abs, [-1, -2, -3]))
    pid = os.fork()
    if pid == 0:
        sock.close()  # the parent's goes on
        sys.exit(4)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), echoes(sock))


async def trio_main(host: str) -> None:
    import trio

    async def answer(stream: Any) -> None:
        async for data in stream:
            await stream.send_all(data)
    stream = await trio.open_tcp_stream(host, ECHO)
    await stream.send_all(b'one')
    print(await stream.receive_some(9), (await trio.run_process(['cat'], stdin=b'two', capture_stdout=True)).stdout,
          await trio.to_thread.run_sync(len, 'abc'))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0)
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        own = await trio.open_tcp_stream('127.0.0.1', listeners[0].socket.getsockname()[1])
        await own.send_all(b'three')
        print(await own.receive_some(9))
        path = os.path.join(tempfile.mkdtemp(), 'socket')
        sock = trio.socket.socket(socket.AF_UNIX)
        await sock.bind(path)
        sock.listen(1)
        nursery.start_soon(trio.serve_listeners, answer, [trio.SocketListener(sock)])
        unix = await trio.open_unix_socket(path)
        await unix.send_all(b'four')
        print(await unix.receive_some(9))
        a, b = trio.socket.socketpair()
        await a.send(b'five')
        print(await b.recv(9))
        print('ready', flush=True)
        await stream.receive_some(1)


@program
def trio_program(host: str) -> None:
    """trio: connections, processes, threads, UNIX sockets; until Ctrl-C."""
    import trio
    trio.run(trio_main, host)


# -- signals

@program
def interrupted(host: str) -> None:
    """Ctrl-C in a blocking recv; what catches it may go on with its sockets."""
    with dial(host) as sock:
        try:
            print('ready', flush=True)
            sock.recv(9)
        except KeyboardInterrupt:
            print('interrupted', echoes(sock), flush=True)
        sock.recv(9)


@program
def handled(host: str) -> None:
    """Handlers run in the midst of a blocking call, which goes on; one may use the socket itself, one may raise."""
    sock = dial(host)

    def send(signum: int, frame: object) -> None:
        sock.send(b'sent by the handler')

    class Late(Exception):
        pass

    def late(signum: int, frame: object) -> None:
        raise Late
    signal.signal(signal.SIGUSR1, send)
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    sock.settimeout(None)
    print(sock.recv(99))
    signal.signal(signal.SIGALRM, late)
    for wait in (lambda: sock.recv(9), lambda: select.select([sock], [], []), lambda: select.epoll().poll(),
                 lambda: time.sleep(20), lambda: queue.Queue().get()):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            wait()
        except Late:
            print('late')
    ticks: list[int] = []
    signal.signal(signal.SIGALRM, lambda signum, frame: ticks.append(signum))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    print(all(echoes(sock, b'x' * 5000) for _ in range(200)))
    sock.settimeout(0.3)
    start = time.monotonic()
    try:
        sock.recv(9)
    except TimeoutError:
        print(0.29 < time.monotonic() - start < 2, len(ticks) > 20)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
          signal.getsignal(signal.SIGUSR1) is send)


@program
def children(host: str) -> None:
    """SIGCHLD wakes the main thread."""
    ended: list[int] = []
    sock = dial(host)
    signal.signal(signal.SIGCHLD, lambda signum, frame: ended.append(os.waitpid(-1, os.WNOHANG)[0]))
    pid = subprocess.Popen(['true']).pid
    sock.settimeout(0.5)
    try:
        sock.recv(9)
    except TimeoutError:
        print(ended == [pid])


@program
def asyncio_signals(host: str) -> None:
    """SIGTERM by add_signal_handler: the server stops in order."""
    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        reader, writer = await asyncio.open_connection(host, ECHO)
        print('ready', flush=True)
        await stop.wait()
        writer.write(b'goodbye')
        print(await reader.readexactly(7), flush=True)
        writer.close()
        await writer.wait_closed()
    asyncio.run(main())


@program
def asyncio_interrupted(host: str) -> None:
    """Ctrl-C cancels what asyncio.run() runs."""
    async def main() -> None:
        reader, _ = await asyncio.open_connection(host, ECHO)
        print('ready', flush=True)
        try:
            await reader.read(1)
        except asyncio.CancelledError:
            print('cancelled', flush=True)
            raise
    asyncio.run(main())


@program
def threads_left(host: str) -> None:
    """The main thread ends; another serves on."""
    sock = dial(host)
    threading.Thread(target=lambda: print('answered', sock.recv(9), flush=True)).start()
    threading.Timer(0.1, sock.send, (b'late',)).start()
    sys.exit(6)


@program
def server_left(host: str) -> None:
    """The main thread is at its end, and waits for one that waits for a client."""
    def serve() -> None:
        while threading.main_thread().is_alive():
            time.sleep(0.001)
        print('ready', flush=True)
        listener.accept()
    listener = socket.create_server(('', 0))
    threading.Thread(target=serve).start()


@program
def wrong(host: str) -> None:
    """An error."""
    print(1 // len(host[:0]))


@program
def unsent(host: str, port: str) -> None:
    """It sends much and ends."""
    sock = dial(host, int(port))
    sock.sendall(b'z' * 3_000_000)


@program
def daemon(host: str, port: str, how: str) -> None:
    """It ends while a thread of no importance waits for an answer."""
    sock = dial(host, int(port))
    sock.sendall(b'abc')
    threading.Thread(target=sock.recv, args=(9,), daemon=True).start()
    if how == 'signal':
        os.kill(os.getpid(), signal.SIGTERM)


@program
def count(port: str) -> None:
    """The other side of that, slowly, on the kernel."""
    listener = socket.create_server(('', int(port)))
    print('ready', flush=True)
    conn, _ = listener.accept()
    total = 0
    time.sleep(0.3)
    while data := conn.recv(1 << 16):
        total += len(data)
    print(total)


@program
def at_exit(host: str) -> None:
    """atexit's functions run while the stack does."""
    sock = dial(host)
    atexit.register(lambda: print(echoes(sock)))
    print('main ends')


@program
def tls(host: str) -> None:
    """One thread writes to a TLS socket while another reads from it, at both ends, and the records stay in order."""
    with tempfile.NamedTemporaryFile(suffix='.pem') as file:
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', file.name, '-out',
                        file.name + '.crt', '-subj', '/CN=here', '-days', '2'], check=True, capture_output=True)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file.name + '.crt', file.name)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    listener = socket.create_server(('', 0))
    data = os.urandom(1 << 20)

    def both_ways(sock: ssl.SSLSocket) -> bool:
        got = bytearray()

        def receive() -> None:
            while len(got) < len(data):
                got.extend(sock.recv(1 << 14))
        reader = threading.Thread(target=receive)
        reader.start()
        for i in range(0, len(data), 5000):
            sock.sendall(data[i:i + 5000])
        reader.join()
        return bytes(got) == data
    with concurrent.futures.ThreadPoolExecutor() as threads:
        theirs = threads.submit(lambda: both_ways(server.wrap_socket(listener.accept()[0], server_side=True)))
        ours = both_ways(client.wrap_socket(socket.create_connection(('127.0.0.1', listener.getsockname()[1]))))
        print(ours, theirs.result())


if __name__ == '__main__':
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
