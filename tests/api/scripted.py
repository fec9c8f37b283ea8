"""A server that answers with exactly the bytes a test wants: broken ones, cut ones, none at all."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple, Self


class Asked(NamedTuple):
    """One request as it came."""

    target: str
    headers: dict[str, str]


Answer = Callable[[Asked], bytes | None]
"""The raw bytes to send; None to say nothing and hang up."""


def reply(body: bytes | object = b"", status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    """A whole HTTP answer; a body that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = {"Content-Type": kind, "Content-Length": str(len(data)), **own}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + data


class ScriptedServer:
    """A loopback server whose `answer` a test sets; `asked` lists what came.

    An answer that holds ``Connection: close``, or is cut short by its own Content-Length, ends the connection.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda _: reply(b"", 500)
        self.asked: list[Asked] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()

    def answers(self, *raw: bytes | None) -> None:
        """Give these answers in turn, the last one from then on."""
        left = list(raw)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
                self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError), connection:
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = connection.recv(65536)
                    if not data:
                        return
                    buffer += data
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                request, *lines = head.decode("latin-1").split("\r\n")
                fields = (line.partition(":") for line in lines)
                asked = Asked(request.split(" ")[1], {name.lower(): value.strip() for name, _, value in fields})
                self.asked.append(asked)
                raw = self.answer(asked)
                if raw is None:
                    return
                connection.sendall(raw)
                head, _, body = raw.partition(b"\r\n\r\n")
                lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                if lengths != [len(body)] or b"\r\nconnection: close" in head.lower():
                    return
