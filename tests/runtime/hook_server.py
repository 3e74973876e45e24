"""A server that takes webhooks, on this machine, and answers as a test says. Not a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HookServer:
    """`answer(number)`: the status of the so-manyth request, or seconds to be silent for, as a float."""

    def __init__(self, answer: Callable[[int], int | float], port: int = 0) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status = answer(len(server.came))
                if isinstance(status, float):
                    server.closing.wait(status)
                    status = 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/a-secret-path"

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.came]

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def hooks(answer: Callable[[int], int | float] = lambda number: 200, port: int = 0) -> Iterator[HookServer]:
    server = HookServer(answer, port)
    try:
        yield server
    finally:
        server.close()
