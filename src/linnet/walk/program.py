# SPDX-License-Identifier: Apache-2.0
"""Walking any program: it runs on a host of a small lab, whose only other host, `server`, has a web server on port 80."""
from __future__ import annotations

import http.server

from linnet.kernel.trace import TraceSink
from linnet.lab import Lab, python_command
from linnet.walk.recorder import Recorder


class _Hello(http.server.BaseHTTPRequestHandler):
    """Answers every GET with a line."""

    def do_GET(self) -> None:
        """One line of text."""
        body = b'hello from the lab\n'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
        return


def _serve() -> None:
    http.server.HTTPServer(('', 80), _Hello).serve_forever()


def walk_program(argv: list[str]) -> Recorder:
    """Run `python ...` on the lab's host `client` and record what its calls enter. ValueError: nothing to run."""
    recorder = Recorder()
    fn, args = python_command(argv)

    def watched() -> None:
        with recorder.recording():
            fn()
    with Lab(seed=1) as lab:
        lab.world.trace.subscribe(TraceSink())  # tracepoints are passed only where somebody listens
        client, server = lab.host('client'), lab.host('server')
        lab.link(client, server, subnet='10.0.0.0/24')
        server.spawn(_serve, daemon=True)
        program = client.spawn(watched, name=args[0])
        program.argv = args
        lab.run()
    return recorder
