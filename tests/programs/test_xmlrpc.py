# SPDX-License-Identifier: Apache-2.0
"""CPython's xmlrpc, server and client."""

from __future__ import annotations

import time
import xmlrpc.client
import xmlrpc.server
from pathlib import Path
from typing import Any

from helpers.programs import twice
from linnet.lab import Host


def divide(a: int, b: int) -> float:
    return a / b


def serve() -> None:
    server = xmlrpc.server.SimpleXMLRPCServer(('', 8000), logRequests=False, allow_none=True)
    server.register_introspection_functions()
    server.register_multicall_functions()
    server.register_function(divide)
    server.register_function(lambda text: text * 20_000, 'repeat')
    server.serve_forever()


def test_xmlrpc(tmp_path: Path) -> None:
    def build(client: Host, server: Host, out: list[Any]) -> None:
        def talk() -> None:
            time.sleep(1)
            with xmlrpc.client.ServerProxy('http://server:8000/', allow_none=True) as proxy:
                out.append(proxy.divide(7, 2))
                out.append(len(proxy.repeat('linnet')))
                out.append('divide' in proxy.system.listMethods())
                batch = xmlrpc.client.MultiCall(proxy)
                for i in range(10):
                    batch.divide(i, 1)
                out.append(list(batch()))
                try:
                    proxy.divide(1, 0)
                except xmlrpc.client.Fault as exc:
                    out.append(exc.faultString)

        server.spawn(serve, daemon=True)
        client.spawn(talk)

    assert twice(tmp_path, build) == [
        3.5, 120_000, True, [float(i) for i in range(10)], "<class 'ZeroDivisionError'>:division by zero",
    ]
