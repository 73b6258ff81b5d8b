# SPDX-License-Identifier: Apache-2.0
"""Fast Open and SYN cookies over a bad wire: a client gets the answer to what it sent, or an error; nothing is left.

A SYN with data that a wire duplicates may open twice (RFC 7413, 2.1): the server may see ghosts, the client must not.
"""
from __future__ import annotations

import hashlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linnet import Lab
from linnet.include.linux.inet import in_aton
from linnet.include.linux.socket import AF_INET, MSG_FASTOPEN, SOCK_STREAM, SOL_SOCKET, Sockaddr
from linnet.net import socket as sys_
from linnet.program.runtime import current_program

SHARES = st.floats(0, 0.2)
TCP_CACHES = ('TCP', 'request_sock_TCP', 'tw_sock_TCP', 'skbuff_head_cache', 'sock_inode_cache')
SO_RCVTIMEO = 20


def read_all(fd: int) -> bytes:
    """What comes up to the FIN."""
    me = current_program()
    data = b''
    while chunk := sys_.sys_recvfrom(me, fd, 65536, 0)[0]:
        data += chunk
    return data


def send_all(fd: int, data: bytes) -> None:
    """Send it, and a FIN."""
    me = current_program()
    while data:
        data = data[sys_.sys_sendto(me, fd, data, 0, None):]
    sys_.sys_shutdown(me, fd, 1)


def serve() -> None:
    """Send back what each client sends, backwards; whoever is silent for 100 s is given up."""
    me = current_program()
    listener = sys_.sys_socket(me, AF_INET, SOCK_STREAM, 0)
    sys_.sys_bind(me, listener, Sockaddr(AF_INET, 0, 5000))
    sys_.sys_listen(me, listener, 5)
    while True:
        fd = sys_.sys_accept4(me, listener, 0)[0]
        sys_.sys_setsockopt(me, fd, SOL_SOCKET, SO_RCVTIMEO, (100).to_bytes(8, 'little') + bytes(8))
        try:
            send_all(fd, read_all(fd)[::-1])
        except OSError:
            pass  # the client's own error tells
        sys_.sys_close(me, fd)


class Client:
    """Several connections in a row, each of them by MSG_FASTOPEN."""

    def __init__(self, target: Sockaddr, messages: list[bytes]) -> None:
        self.target = target
        self.messages = messages
        self.answers: list[bytes | OSError] = []

    def __call__(self) -> None:
        """Ask all."""
        me = current_program()
        for message in self.messages:
            fd = sys_.sys_socket(me, AF_INET, SOCK_STREAM, 0)
            sys_.sys_setsockopt(me, fd, SOL_SOCKET, SO_RCVTIMEO, (150).to_bytes(8, 'little') + bytes(8))
            try:
                send_all(fd, message[sys_.sys_sendto(me, fd, message, MSG_FASTOPEN, self.target):])
                self.answers.append(read_all(fd))
            except OSError as exc:
                self.answers.append(exc)
            sys_.sys_close(me, fd)


def run(seed: int, sizes: list[int], sysctls: dict[str, int], **faults: float) -> tuple[Lab, Client]:
    """The lab after all was asked and has come to rest."""
    lab = Lab(seed=seed)
    client, server = lab.host('client'), lab.host('server')
    lab.link(client, server, rate='10mbit', delay='5ms', **faults)
    for name, value in sysctls.items():
        for host in (client, server):
            host.sysctl(name, value)
    pattern = hashlib.sha256(seed.to_bytes(8, 'little')).digest() * 1000
    asker = Client(Sockaddr(AF_INET, in_aton(server.addr), 5000), [pattern[i:i + size] for i, size in enumerate(sizes)])
    server.spawn(serve, daemon=True)
    client.spawn(asker)
    lab.run(until=4000)
    lab.run(until=lab.now + 1500)
    return lab, asker


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), loss=SHARES, duplicate=SHARES, reorder=SHARES, cookieless=st.booleans(),
       syncookies=st.integers(0, 2), sizes=st.lists(st.integers(0, 4000), min_size=1, max_size=4))
def test_answers_are_right_or_errors(seed: int, loss: float, duplicate: float, reorder: float, cookieless: bool,
                                     syncookies: int, sizes: list[int]) -> None:
    sysctls = {'net.ipv4.tcp_fastopen': 0x607 if cookieless else 0x403, 'net.ipv4.tcp_syncookies': syncookies}
    lab, asker = run(seed, sizes, sysctls, loss=loss, duplicate=duplicate, reorder=reorder)
    assert len(asker.answers) == len(sizes)
    for message, answer in zip(asker.messages, asker.answers, strict=True):
        assert isinstance(answer, OSError) or answer == message[::-1]
    lab.close()
    assert {name: n for name, n in lab.live_objects().items() if name in TCP_CACHES} == {}


def test_over_a_good_wire_all_but_the_first_are_fast() -> None:
    lab, asker = run(1, [100, 5000, 0, 1], {'net.ipv4.tcp_fastopen': 0x403})
    assert asker.answers == [message[::-1] for message in asker.messages]
    client, server = lab.hosts['client'], lab.hosts['server']
    assert client.counter('TcpExtTCPFastOpenActive') == 2  # the empty one had nothing to send with its SYN
    assert server.counter('TcpExtTCPFastOpenPassive') == 3
    assert server.counter('TcpExtTCPFastOpenCookieReqd') == 1
    lab.close()
