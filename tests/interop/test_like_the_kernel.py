# SPDX-License-Identifier: Apache-2.0
"""The system calls give what this machine's own kernel gives: the same program runs on both, and its notes are compared."""
from __future__ import annotations

import os
import sys

import pytest

from helpers.socket_scripts import SCRIPTS, Note, differences
from linnet.lab import Lab

pytestmark = [pytest.mark.interop, pytest.mark.skipif(sys.platform != 'linux', reason='the kernel to compare with is Linux')]


def on_linnet(name: str, port: int) -> list[Note]:
    """The notes of a script that runs on a host of its own."""
    notes: list[Note] = []
    with Lab(seed=1) as lab:
        lab.host('host').spawn(lambda: notes.extend(SCRIPTS[name](port)))
        lab.run('600s')
    assert lab.live_objects() == {}
    return notes


@pytest.mark.parametrize('name', SCRIPTS)
def test_same_as_the_kernel(name: str) -> None:
    port = 10000 + os.getpid() % 200 * 100
    theirs = SCRIPTS[name](port)
    if name == 'create' and os.geteuid() != 0:
        theirs = [note for note in theirs if ' 3 ' not in note[0]]  # raw sockets ask for privilege
    ours = on_linnet(name, port)
    if len(ours) != len(theirs):
        ours = [note for note in ours if ' 3 ' not in note[0]]
    assert list(differences(theirs, ours)) == []
