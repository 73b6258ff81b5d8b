# SPDX-License-Identifier: Apache-2.0
"""docs/tcp_states.md is drawn from TCP_TRANSITIONS: this file run as a program writes it, the test holds it to the table."""

from __future__ import annotations

from pathlib import Path

from linnet.include.net.tcp_states import TCP_MAX_STATES, TCP_STATE_NAMES, TCP_TRANSITIONS

PAGE = Path(__file__).parents[2] / 'docs' / 'tcp_states.md'
# what moves a connection from one state to another; to CLOSE, where it has no cause of its own: ANY
ANY = 'RST, abort, time-out'
CAUSES = {
    ('CLOSE', 'LISTEN'): 'listen',
    ('CLOSE', 'SYN_SENT'): 'connect: send SYN',
    ('CLOSE', 'SYN_RECV'): 'the child of a handshake (Fast Open: with its SYN)',
    ('CLOSE', 'ESTABLISHED'): 'the child of a SYN cookie',
    ('LISTEN', 'SYN_RECV'): 'the child, copied from its listener',
    ('LISTEN', 'CLOSE'): 'close, shutdown',
    ('SYN_SENT', 'ESTABLISHED'): 'SYN-ACK: send ACK',
    ('SYN_SENT', 'SYN_RECV'): 'SYN (both open at once): send SYN-ACK',
    ('SYN_RECV', 'ESTABLISHED'): 'ACK of the SYN',
    ('SYN_RECV', 'FIN_WAIT1'): 'close: send FIN',
    ('SYN_RECV', 'CLOSE_WAIT'): 'FIN: send ACK',
    ('NEW_SYN_RECV', 'SYN_RECV'): 'ACK of the SYN: a full sock takes the place of the request',
    ('ESTABLISHED', 'FIN_WAIT1'): 'close: send FIN',
    ('ESTABLISHED', 'CLOSE_WAIT'): 'FIN: send ACK',
    ('FIN_WAIT1', 'FIN_WAIT2'): 'ACK of the FIN',
    ('FIN_WAIT1', 'CLOSING'): 'FIN: send ACK',
    ('FIN_WAIT1', 'TIME_WAIT'): 'FIN with the ACK of ours: send ACK',
    ('FIN_WAIT2', 'TIME_WAIT'): 'FIN: send ACK',
    ('CLOSING', 'TIME_WAIT'): 'ACK of the FIN',
    ('CLOSE_WAIT', 'LAST_ACK'): 'close: send FIN',
    ('LAST_ACK', 'CLOSE'): 'ACK of the FIN',
    ('TIME_WAIT', 'CLOSE'): '2 MSL are over (60 s)',
}


def moves() -> list[tuple[str, str]]:
    """All that the table allows."""
    return [(TCP_STATE_NAMES[old], TCP_STATE_NAMES[new]) for old in range(1, TCP_MAX_STATES) for new in range(1, TCP_MAX_STATES)
            if TCP_TRANSITIONS[old] & (1 << new) and old != new]


def page() -> str:
    """The page."""
    lines = [
        '# The states of a TCP connection',
        '',
        'Drawn from `TCP_TRANSITIONS` in `include/net/tcp_states.py` by `tests/docs/test_tcp_states.py`. `tcp_set_state()` alone',
        'moves a connection; the property test `tests/property/test_states.py` puts every kind of segment to every state and',
        'holds each move against this table, and each answer against RFC 9293. TIME_WAIT is a small sock: the full one',
        'goes to CLOSE. A handshake that a listener keeps is a request in NEW_SYN_RECV.',
        '',
        '```mermaid',
        'stateDiagram-v2',
    ]
    for old, new in moves():
        cause = CAUSES.get((old, new))
        if cause is not None:
            lines.append(f'    {old} --> {new}: {cause.replace(": ", " / ")}')
    lines += ['```', '', '| from | to | when |', '|---|---|---|']
    lines += [f'| {old} | {new} | {CAUSES.get((old, new), ANY)} |' for old, new in moves()]
    return '\n'.join(lines) + '\n'


def test_the_page_is_of_the_table() -> None:
    assert PAGE.read_text() == page(), 'python tests/docs/test_tcp_states.py writes it'


def test_each_move_has_a_cause() -> None:
    unexplained = [move for move in moves() if move not in CAUSES and move[1] != 'CLOSE']
    assert unexplained == []
    assert set(CAUSES) <= set(moves())


if __name__ == '__main__':
    PAGE.write_text(page())
