# SPDX-License-Identifier: Apache-2.0
"""program/realtime.py and handlers.py: a process that is a program as a whole, on a host that has a loopback and nothing else.

There is no way back for a process, so each test has one of its own.
"""
from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import linnet

PREAMBLE = '''
import atexit, gc, os, queue, select, signal, socket, sys, threading, time, warnings
from linnet.kernel.clock import RealClock
from linnet.net.boot import new_net, new_world
from linnet.program import patches
from linnet.program.descriptors import MachineFiles
from linnet.program.handlers import Ended
from linnet.program.realtime import Residence
from linnet.kernel.sched import Work
from linnet.program.runtime import FIRST_FD, Program, Runtime, current_program, current_task, inside

real_get_ident = threading.get_ident
world = new_world(RealClock(), 1)
runtime = Runtime(world)
runtime.foreign = MachineFiles(world.sched)
net = new_net(world, 'h')
patches.install_sockets()
program = Program(runtime, net, 'p', ['p'], 1)
left = []
home = Residence(runtime, program, lambda: left.append('device'))
home.start()
atexit.register(home.close)

class Call(Work):
    def __init__(self, fn): self.fn = fn
    def run(self): self.fn()

def pair():
    listener = socket.create_server(('127.0.0.1', 0))
    one = socket.create_connection(listener.getsockname())
    two, _ = listener.accept()
    listener.close()
    return one, two
'''


def run(body: str, code: int = 0) -> list[str]:
    """What such a process prints."""
    text = PREAMBLE + textwrap.dedent(body)
    done = subprocess.run([sys.executable, '-c', text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env={'PYTHONPATH': str(Path(linnet.__file__).parents[1])})
    assert done.returncode == code, done.stdout
    return done.stdout.splitlines()


def test_only_sockets_are_replaced() -> None:
    assert run('''
        assert inside() and current_program() is program and current_task() is None
        assert socket.socket().fileno() >= FIRST_FD and socket.socket(socket.AF_UNIX).fileno() < FIRST_FD
        assert all(each.fileno() < FIRST_FD for each in socket.socketpair()) and max(os.pipe()) < FIRST_FD
        assert threading.get_ident is real_get_ident
        threads = []
        thread = threading.Thread(target=lambda: threads.append((threading.get_ident(), current_program() is program)))
        thread.start()
        thread.join()
        assert threads == [(thread.ident, True)]
        one, two = pair()
        copy = socket.fromfd(one.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        copy.sendall(b'x')
        print(two.recv(9), socket.gethostname(), [name for _, name in socket.if_nameindex()])
        home.close()
        print(inside(), socket.socket().fileno() < FIRST_FD, world.sched.gate)
    ''') == ["b'x' h ['lo']", 'False True None']


def test_threads_wait_each_for_its_own() -> None:
    assert run('''
        pairs = [pair() for _ in range(10)]
        results = queue.Queue()
        def serve(sock):
            while data := sock.recv(100):
                sock.sendall(data[::-1])
            results.put('closed')
        threads = [threading.Thread(target=serve, args=(two,)) for _, two in pairs]
        for thread in threads: thread.start()
        for i in range(20):
            for one, _ in pairs: one.sendall(b'%d!' % i)
            for one, _ in pairs: assert one.recv(100) == (b'%d!' % i)[::-1]
        for one, _ in pairs: one.close()
        for thread in threads: thread.join()
        print(results.qsize(), len(home.gate._idle))
    ''') == ['10 10']


def test_a_timer_that_a_thread_sets_wakes_a_loop_that_would_sleep_longer() -> None:
    assert run('''
        one, two = pair()
        two.settimeout(0.02)
        for _ in range(5):
            try: two.recv(1)
            except TimeoutError: print('late')
    ''') == ['late'] * 5


def test_polls_of_both_kinds_of_descriptor() -> None:
    assert run('''
        one, two = pair()
        r, w = os.pipe()
        poll = select.poll()
        poll.register(r, select.POLLIN)
        poll.register(two, select.POLLIN)
        assert poll.poll(0) == []
        threading.Timer(0.01, os.write, (w, b'x')).start()
        assert poll.poll(20000) == [(r, select.POLLIN)]
        threading.Timer(0.01, one.send, (b'x',)).start()
        os.read(r, 9)
        assert poll.poll(20000) == [(two.fileno(), select.POLLIN)]
        assert select.select([r, two], [w], [], 5) == ([two], [w], [])
        assert select.select([r], [], [], 0.01) == ([], [], [])
        epoll = select.epoll()
        epoll.register(r)
        os.close(r)
        assert not epoll.poll(0)
        print('good')
    ''') == ['good']


def test_a_handler_runs_at_the_border_of_a_call() -> None:
    assert run('''
        one, two = pair()
        calls = []
        def handler(signum, frame):
            calls.append((home.handlers.calls, home.gate._world.locked() and gc.isenabled()))
            one.sendall(b'from the handler')
        signal.signal(signal.SIGUSR1, handler)
        threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1)).start()
        print(two.recv(99), calls)
        assert signal.getsignal(signal.SIGUSR1) is handler
        assert signal.signal(signal.SIGUSR1, signal.SIG_IGN) is handler
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ''') == ["b'from the handler' [(0, False)]"]


def test_what_a_handler_raises_leaves_the_stack_whole() -> None:
    assert run('''
        one, two = pair()
        class Late(Exception): pass
        def late(signum, frame): raise Late
        signal.signal(signal.SIGALRM, late)
        caught = 0
        for _ in range(30):
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            try:
                while True:
                    one.sendall(b'x' * 1000)
                    two.recv(1 << 20)
            except Late:
                caught += 1
        while not two.recv(1 << 20).endswith(b'x'): pass
        one.sendall(b'last')
        print(caught, two.recv(9)[-4:], net.mib.get('TcpRetransSegs'))
    ''') == ["30 b'last' 0"]


def test_sigterm_ends_it_and_a_second_time_at_once() -> None:
    assert run('''
        one, two = pair()
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try: two.recv(9)
        except Ended as exc: print('ended', exc.signum, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, flush=True)
        one.sendall(b'still there')
        print(two.recv(99), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
    ''', -15) == ['ended 15 True', "b'still there'"]


def test_a_forked_child_leaves_the_stack_to_its_parent() -> None:
    assert run('''
        one, two = pair()
        warnings.simplefilter('ignore', DeprecationWarning)  # Python 3.12: the process has threads
        pid = os.fork()
        if pid == 0:
            assert not inside() and left == ['device'] and home.forked
            for attempt in (socket.socket, lambda: one.send(b'x'), lambda: two.recv(1)):
                try: attempt()
                except PermissionError as exc: assert 'was forked' in str(exc)
                else: os._exit(1)
            one.close()
            a, b = socket.socketpair()
            b.send(b'x')
            epoll = select.epoll()
            epoll.register(a, select.EPOLLIN)
            os._exit(7 if epoll.poll(5) else 0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        one.send(b'x')
        print(two.recv(9), left)
    ''') == ['7', "b'x' []"]


def test_when_the_device_is_lost_the_program_ends_in_order() -> None:
    assert run('''
        one, two = pair()
        threading.Timer(0.02, world.sched.call_soon_threadsafe, (Call(home.lose),)).start()
        try: two.recv(9)
        except Ended: print('ended', home.lost)
        one.send(b'x')
        print(two.recv(9))
        home.close()
        try: one.send(b'x')
        except OSError as exc: print(exc.strerror)
    ''') == ['ended True', "b'x'", 'Network is down']


def test_the_collector_is_off_in_the_stack_and_otherwise_as_the_program_wants_it() -> None:
    assert run('''
        one, two = pair()
        seen = []
        world.sched.call_soon_threadsafe(Call(lambda: seen.append(gc.isenabled())))
        two.settimeout(0.05)
        try: two.recv(1)
        except TimeoutError: print(seen, gc.isenabled())
        gc.disable()
        one.sendall(b'x')
        print(two.recv(1), gc.isenabled())
    ''') == ['[False] True', "b'x' False"]


def test_a_socket_that_was_dropped_is_closed_with_a_warning() -> None:
    said = run('''
        one, two = pair()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            del one
        print(two.recv(9), [each.category.__name__ for each in caught])
        one, two = pair()
        program.gate.call(lambda: None)
        class Cycle: pass
        cycle = Cycle()
        cycle.me, cycle.sock = cycle, one
        del one, cycle
        warnings.simplefilter('ignore')
        gc.collect()
        print(two.recv(9))
    ''')
    assert said == ["b'' ['ResourceWarning']", "b''"]


def test_at_the_end_threads_are_taken_out_of_their_calls() -> None:
    """The connection is closed, though two threads were waiting for it, one of them being the loop."""
    assert run('''
        one, two = pair()
        for _ in range(2): threading.Thread(target=one.recv, args=(9,), daemon=True).start()
        while len(home.gate._under_way) < 2: pass
        sockets = net.ipv4.tcp_hashinfo.ehash
        print(len(sockets) > 0)
        home.close()
        print([sk.sk_state for sk in sockets.values() if sk.sk_state in (1, 4, 8, 9)], home.gate._leader)
    ''') == ['True', '[] None']


def test_what_is_sent_last_arrives() -> None:
    assert run('''
        one, two = pair()
        got = []
        def slowly():
            time.sleep(0.05)
            while data := two.recv(1 << 16): got.append(len(data))
        thread = threading.Thread(target=slowly)
        thread.start()
        one.sendall(b'z' * 1_000_000)
        one.close()
        thread.join()
        print(sum(got))
        home.close()
    ''') == ['1000000']
