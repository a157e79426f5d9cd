"""A server of one release on the loopback, with the faults that a test asks for."""

import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tests.export.weights.checkpoints import weights


class ReleaseServer(http.server.ThreadingHTTPServer):
    """Serves `body`; what it does wrong is set by the test."""

    daemon_threads = True
    body = b""
    ranges = True
    redirect = False
    status = 200
    cut_after: list[int]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str | None] = []
        self.cut_after = []


class _Handler(http.server.BaseHTTPRequestHandler):
    server: ReleaseServer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output stays clean."""

    def do_GET(self) -> None:
        if self.server.redirect and not self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", f"/moved{self.path}")
            self.end_headers()
            return
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        body, start = self.server.body, 0
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.server.cut_after.pop(0) if self.server.cut_after else len(body)
        self.wfile.write(body[start:][:cut])


@contextmanager
def serving() -> Iterator[ReleaseServer]:
    stream = io.BytesIO()
    torch.save(weights(), stream)
    with ReleaseServer() as running:
        running.body = stream.getvalue()
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()
