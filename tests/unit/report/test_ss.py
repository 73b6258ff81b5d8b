# SPDX-License-Identifier: Apache-2.0
"""report/ss.py: what iproute2's `ss -tian` prints, in its words and its order (compared with a recording of it)."""

from __future__ import annotations

import re
import socket
import time

from linnet import Lab
from linnet.report.ss import ss

# The words of `ss -tian` (iproute2 6.1) in the order in which it prints them.
ORDER = [
    'ts',
    'sack',
    'reno',
    'cubic',
    'wscale',
    'rto',
    'backoff',
    'rtt',
    'ato',
    'mss',
    'pmtu',
    'rcvmss',
    'advmss',
    'cwnd',
    'ssthresh',
    'bytes_sent',
    'bytes_retrans',
    'bytes_acked',
    'bytes_received',
    'segs_out',
    'segs_in',
    'data_segs_out',
    'data_segs_in',
    'send',
    'lastsnd',
    'lastrcv',
    'lastack',
    'unacked',
    'retrans',
    'rcv_rtt',
    'rcv_space',
    'rcv_ssthresh',
    'minrtt',
    'snd_wnd',
]


def snapshot() -> dict[str, str]:
    """The texts of both hosts in the middle of a transfer, and of the client after it."""
    seen: dict[str, str] = {}
    with Lab(seed=1) as lab:
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, rate='10mbit', delay='10ms', loss='1 %')

        def serve() -> None:
            listener = socket.create_server(('', 8000), backlog=5)  # held: it is to be seen
            conn, _ = listener.accept()
            time.sleep(0.5)
            seen['server'] = ss(server.net)
            seen['brief'] = ss(server.net, info=False, listening=False)
            while conn.recv(65536):
                pass

        def send() -> None:
            with socket.create_connection(('server', 8000)) as sock:
                sock.sendall(bytes(300_000))
                seen['client'] = ss(client.net)
            time.sleep(1)
            seen['after'] = ss(client.net)

        server.spawn(serve)
        client.spawn(send)
        lab.run()
    return seen


def test_the_columns_and_the_words_of_ss() -> None:
    seen = snapshot()
    head, listener, row, info = seen['server'].splitlines()
    assert head.split() == 'State Recv-Q Send-Q Local Address:Port Peer Address:Port'.split()
    assert listener.split() == ['LISTEN', '0', '5', '0.0.0.0:8000', '0.0.0.0:*']
    state, received, sent, local, peer = row.split()
    assert (state, sent, local) == ('ESTAB', '0', '198.18.0.2:8000')
    assert int(received) > 0
    assert re.fullmatch(r'198\.18\.0\.1:\d+', peer)
    assert info.startswith('\t ')
    words = [word.split(':')[0] for word in info.split() if not re.fullmatch(r'[\d.]+bps', word)]
    assert set(words) <= set(ORDER)
    assert words == sorted(words, key=ORDER.index)
    assert re.search(r' rto:\d+(\.\d+)? rtt:[\d.]+/[\d.]+ ato:\d+ mss:1448 pmtu:1500 rcvmss:1448 advmss:1448 cwnd:\d+ ', info)
    assert 'wscale:' in info and 'segs_in:' in info


def test_options_and_states() -> None:
    seen = snapshot()
    assert len(seen['brief'].splitlines()) == 2
    assert 'LISTEN' not in seen['brief']
    sender = seen['client'].splitlines()
    assert len(sender) == 3
    assert int(sender[1].split()[2]) > 0  # Send-Q: not acknowledged yet
    assert re.search(r'send \d+bps', sender[2])
    assert 'TIME-WAIT' in seen['after'] or 'FIN-WAIT' in seen['after']


def test_a_host_without_sockets() -> None:
    with Lab() as lab:
        assert len(ss(lab.host('h').net).splitlines()) == 1
