"""A collector of traces that takes everything and keeps nothing: OTLP over HTTP; a program of its own.

It is started by path, with nothing but Python, and answers each request with an empty message, which says that all was
taken (OpenTelemetry's protocol specification, "OTLP/HTTP Response").
"""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CollectorHandler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say that it is up."""
        self._taken()

    def do_POST(self) -> None:
        """Take spans or metrics."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._taken()

    def _taken(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name
        """Keep quiet about requests: the relay before it counts those that meet a fault."""


class CollectorServer(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True


if __name__ == "__main__":
    CollectorServer(("127.0.0.1", 0), CollectorHandler).serve_forever()
