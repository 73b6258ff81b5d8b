# SPDX-License-Identifier: Apache-2.0
"""TCP's states (RFC 9293, 3.3.2) by Linux's numbers, and the moves between them that are allowed.

TCP_TRANSITIONS is what tests hold tcp_set_state against, and what the diagram in the docs is drawn from.
"""
from __future__ import annotations

from typing import Final

TCP_ESTABLISHED: Final = 1
TCP_SYN_SENT: Final = 2
TCP_SYN_RECV: Final = 3
TCP_FIN_WAIT1: Final = 4
TCP_FIN_WAIT2: Final = 5
TCP_TIME_WAIT: Final = 6
TCP_CLOSE: Final = 7
TCP_CLOSE_WAIT: Final = 8
TCP_LAST_ACK: Final = 9
TCP_LISTEN: Final = 10
TCP_CLOSING: Final = 11
TCP_NEW_SYN_RECV: Final = 12
TCP_MAX_STATES: Final = 13

TCPF_ESTABLISHED: Final = 1 << 1
TCPF_SYN_SENT: Final = 1 << 2
TCPF_SYN_RECV: Final = 1 << 3
TCPF_FIN_WAIT1: Final = 1 << 4
TCPF_FIN_WAIT2: Final = 1 << 5
TCPF_TIME_WAIT: Final = 1 << 6
TCPF_CLOSE: Final = 1 << 7
TCPF_CLOSE_WAIT: Final = 1 << 8
TCPF_LAST_ACK: Final = 1 << 9
TCPF_LISTEN: Final = 1 << 10
TCPF_CLOSING: Final = 1 << 11
TCPF_NEW_SYN_RECV: Final = 1 << 12

TCP_STATE_NAMES: Final = (
    '', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT1', 'FIN_WAIT2', 'TIME_WAIT', 'CLOSE', 'CLOSE_WAIT', 'LAST_ACK',
    'LISTEN', 'CLOSING', 'NEW_SYN_RECV',
)

# from -> bits of the states that may follow. Any state may fall to CLOSE (RST, abort, time-out).
TCP_TRANSITIONS: Final = (
    0,
    TCPF_FIN_WAIT1 | TCPF_CLOSE_WAIT | TCPF_CLOSE,                                      # ESTABLISHED
    TCPF_ESTABLISHED | TCPF_SYN_RECV | TCPF_CLOSE,                                      # SYN_SENT
    TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_CLOSE_WAIT | TCPF_CLOSE,                   # SYN_RECV
    TCPF_FIN_WAIT2 | TCPF_CLOSING | TCPF_TIME_WAIT | TCPF_CLOSE,                        # FIN_WAIT1
    TCPF_TIME_WAIT | TCPF_CLOSE,                                                        # FIN_WAIT2
    TCPF_CLOSE,                                                                         # TIME_WAIT
    TCPF_SYN_SENT | TCPF_LISTEN | TCPF_SYN_RECV | TCPF_ESTABLISHED | TCPF_CLOSE,        # CLOSE
    TCPF_LAST_ACK | TCPF_CLOSE,                                                         # CLOSE_WAIT
    TCPF_CLOSE,                                                                         # LAST_ACK
    TCPF_SYN_RECV | TCPF_CLOSE,                                                         # LISTEN
    TCPF_TIME_WAIT | TCPF_CLOSE,                                                        # CLOSING
    TCPF_SYN_RECV | TCPF_CLOSE,                                                         # NEW_SYN_RECV
)
