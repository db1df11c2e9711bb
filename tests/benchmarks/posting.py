"""`python -m tests.benchmarks.posting` posts lines of JSON: to each PORT as many REQUESTS as a line of its input says.

It prints a line when they are answered.
"""

from __future__ import annotations

import json
import socket
import sys

LINES = 1000
"""In one request."""


def body() -> bytes:
    """Return what is posted: lines as applications log them."""
    return b"".join(
        json.dumps(
            {
                "time": 1466000000 + number,
                "level": "info",
                "message": f'10.0.0.{number % 255} - "GET /orders/{number} HTTP/1.1" 200 {number * 7919 % 20_000}',
                "service": {"name": "shop", "version": "1.2.3"},
                "duration": number / 7,
                "ok": True,
            }
        ).encode()
        + b"\n"
        for number in range(LINES)
    )


def post(port: int, requests: int, kind: str = "application/x-ndjson") -> None:
    """Send so many requests over one connection, each when the one before is answered."""
    lines = body()
    head = f"POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(lines)}"
    request = f"{head}\r\n\r\n".encode() + lines
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for _ in range(requests):
            sock.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode())


if __name__ == "__main__":
    for turn in sys.stdin:
        to, count = turn.split()
        post(int(to), int(count))
        sys.stdout.write("answered\n")
        sys.stdout.flush()
