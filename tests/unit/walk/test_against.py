# SPDX-License-Identifier: Apache-2.0
"""The walk against Linux: the 3.19 table with each of its conditions met, and the chains recorded on a real 6.18."""
from __future__ import annotations

from pathlib import Path

import pytest

from linnet.walk import scenes
from linnet.walk.against import TableRow, against_chains, against_table, read_chains, read_table
from linnet.walk.recorder import Recorder, Row

pytestmark = pytest.mark.pure  # watching functions needs the stack interpreted

CALLPATH = Path(__file__).parents[2] / 'callpath'
TABLE = CALLPATH / 'linux-3.19-socket-connect.tsv'
CHAINS = sorted((CALLPATH / 'linux-6.18').glob('*.tsv'))

# condition of the table -> what a scene must meet for it
CONDITIONS = {
    'the socket holds no valid route': {'no_route': True},
    'a hook is registered for the point': {'hook': True},
    'the packet is larger than the path MTU and may be fragmented': {'tiny_mtu': True},
    'the neighbour is resolved and its hardware header cached; else neigh->output': {},
    'the device transmits through a qdisc or has several queues': {},
    'the qdisc has a backlog, or cannot be bypassed': {'backlog': True},
}


def scene_of(path: Path) -> tuple[str, scenes.Conditions]:
    """The scene that a file of chains was recorded from."""
    if path.stem == 'connect-neighbour-unknown':
        return 'connect', scenes.Conditions(cold_neighbour=True)
    return path.stem, scenes.Conditions()


@pytest.mark.parametrize('call', ['socket', 'connect'])
def test_rows_of_the_table_are_entered_in_order(call: str) -> None:
    assert against_table(call, scenes.walk(call).rows, read_table(TABLE)) == []


def test_each_condition_of_the_table_is_known() -> None:
    assert {row.when for row in read_table(TABLE)} - {'always'} == set(CONDITIONS)


@pytest.mark.parametrize('when', sorted(CONDITIONS))
def test_conditional_rows_are_entered_under_their_condition(when: str) -> None:
    table = read_table(TABLE)
    for row in table:
        if row.when == when:
            row.when = 'always'
    assert any(row.when == 'always' for row in table)
    recorder = scenes.walk('connect', scenes.Conditions(**CONDITIONS[when]))
    assert against_table('connect', recorder.rows, table) == []


@pytest.mark.parametrize('path', CHAINS, ids=lambda p: p.stem)
def test_chains_of_a_real_kernel(path: Path) -> None:
    call, conditions = scene_of(path)
    complaints, held, _ = against_chains(scenes.walk(call, conditions).chains, read_chains(path))
    assert held > 0
    assert complaints == []


def test_a_missing_row_and_a_row_out_of_order_are_named() -> None:
    def row(name: str) -> Row:
        return Row(0, 'ip', 'call', name, 'net/ipv4/x.c', '', {})

    def want(name: str) -> TableRow:
        return TableRow('c', 'ip', 'call', name, 'net/ipv4/x.c', 'always')
    complaints = against_table('c', [row('b'), row('a')], [want('a'), want('b'), want('z')])
    assert [c.split(':')[0] for c in complaints] == ['out of order', 'missing']


def test_a_row_in_another_file_is_missing() -> None:
    ours = [Row(0, 'ip', 'call', 'a', 'net/ipv4/y.c', '', {})]
    complaints = against_table('c', ours, [TableRow('c', 'ip', 'call', 'a', 'net/ipv4/x.c', 'always')])
    assert len(complaints) == 1
    assert 'y.c' in complaints[0]


def test_a_walk_of_an_unknown_call_is_an_error() -> None:
    with pytest.raises(KeyError, match='frobnicate'):
        scenes.walk('frobnicate')


def test_recorder_sees_nothing_outside_its_block() -> None:
    recorder = Recorder()
    with recorder.recording():
        pass
    assert recorder.rows == []
