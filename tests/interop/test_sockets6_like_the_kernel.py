# SPDX-License-Identifier: Apache-2.0
"""As test_like_the_kernel.py, of sockets of AF_INET6: the same program runs on both, and its notes are compared."""
from __future__ import annotations

import os
import socket
import sys

import pytest

from helpers.socket_scripts import Note, differences
from helpers.socket_scripts6 import SCRIPTS6
from linnet.lab import Lab

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(sys.platform != 'linux', reason='the kernel to compare with is Linux'),
    pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists('/proc/net/if_inet6'), reason='this machine has no IPv6'),
]


def on_linnet(name: str, port: int) -> list[Note]:
    """The notes of a script that runs on a host of its own."""
    notes: list[Note] = []
    with Lab(seed=1) as lab:
        lab.host('host').spawn(lambda: notes.extend(SCRIPTS6[name](port)))
        lab.run('600s')
    assert lab.live_objects() == {}
    return notes


@pytest.mark.parametrize('name', SCRIPTS6)
def test_same_as_the_kernel(name: str) -> None:
    if name in ('raw6', 'options6') and os.geteuid() != 0:
        pytest.skip('raw sockets and some options ask for privilege')
    port = 20000 + os.getpid() % 200 * 100
    theirs = SCRIPTS6[name](port)
    assert list(differences(theirs, on_linnet(name, port))) == []
