"""Where the demo's alerts arrive: a webhook receiver on loopback, such as Slack or PagerDuty would be."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import NamedTuple, Self


class Received(NamedTuple):
    """One notification, as it arrived."""

    subject: str
    body: str


class Receiver:
    """Takes POSTs of JSON ``{"subject": ..., "body": ...}`` and keeps them in `received`. A context manager."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.append(Received(message["subject"], message["body"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass  # the demo's own output says what arrived

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"

    def __enter__(self) -> Self:
        """Starts to listen."""
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops."""
        self._server.shutdown()
        self._server.server_close()
