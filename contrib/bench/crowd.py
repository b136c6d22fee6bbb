#!/usr/bin/env python3
"""Many clients of a monitor service in one process, some of them bad.

    crowd.py [--token-file FILE] HOST PORT COUNT KIND...

The kinds take turns until there are COUNT clients:

    events    follows the events, as a browser does
    metrics   requests the metrics once a second, as Prometheus does
    slow      requests the events, and reads nothing of the answer
    silent    connects, and sends nothing
    wrong     sends a wrong token
    stranger  sends a wrong host name
    tricks    requests files outside of the service

It prints a line when all have started. When it reads a line, or the end of its input, it ends with one line
of JSON: how many clients of each kind received which HTTP status; 0 means no answer.
"""

import argparse
import collections
import contextlib
import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

KINDS = ("events", "metrics", "slow", "silent", "wrong", "stranger", "tricks")
TRICKS = ("/..%2f..%2f..%2fetc/passwd", "/../../etc/passwd", "//..%2f", "/%2e%2e/", "/status/")
LITTLE = 4096  # bytes in the receive buffer of a slow client
ANSWER = len(b"HTTP/1.1 200")
Answers = dict[str, dict[str, int]]


@contextlib.contextmanager
def crowd(
    host: str, port: int, count: int, *kinds: str, token_file: Path | None = None, on: Sequence[str] = ()
) -> Iterator[Answers]:
    """Run this program during the with statement; the answers are complete at its end.

    ``on`` is put before its command.
    """
    answers: Answers = {}
    if count == 0:
        yield answers
        return
    token = () if token_file is None else ("--token-file", token_file)
    command = [*on, sys.executable, "-I", "-S", __file__, *token, host, str(port), str(count), *kinds]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield answers
            process.stdin.close()
            answers.update(json.loads(process.stdout.readline()))
        finally:
            process.kill()


class Client:
    """One connection."""

    def __init__(self, kind: str, address: tuple[str, int], request: bytes) -> None:
        """Start to connect."""
        self.kind, self.request, self.answer = kind, request, b""
        self.next = 0.0
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003 (its only argument)
        if kind == "slow":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
        self.socket.connect_ex(address)

    @property
    def code(self) -> int:
        """The HTTP status that it received; 0 before."""
        return int(self.answer[-3:]) if len(self.answer) == ANSWER else 0

    def send(self) -> None:
        """Send the request."""
        if self.kind != "silent":
            self.socket.send(self.request)
        self.next = time.monotonic() + 1

    def receive(self) -> bool:
        """Receive what has arrived; return whether there may be more."""
        if self.kind == "slow":
            self.answer += self.socket.recv(ANSWER - len(self.answer))
            return 0 < len(self.answer) < ANSWER
        data = self.socket.recv(1 << 20)
        self.answer = (self.answer + data)[:ANSWER]
        return bool(data)


def request(kind: str, number: int, host: str, token: str) -> bytes:
    """Return the request of a client."""
    path = {"metrics": "/metrics", "tricks": TRICKS[number % len(TRICKS)]}.get(kind, "/events")
    name = "evil.example" if kind == "stranger" else host
    sent = token + ("x" if kind == "wrong" else "")
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\nAuthorization: Bearer {sent}\r\n\r\n".encode()


def serve(clients: list[Client], selector: selectors.BaseSelector) -> None:
    """Run the clients until stdin is readable."""
    waiting = set(clients)
    started = False
    while True:
        for key, _ in selector.select(0.05):
            if key.data is None:
                return
            client: Client = key.data
            try:
                if key.events == selectors.EVENT_WRITE:
                    client.send()
                    waiting.discard(client)
                    selector.modify(client.socket, selectors.EVENT_READ, client)
                elif not client.receive():
                    selector.unregister(client.socket)
            except OSError:
                waiting.discard(client)
                selector.unregister(client.socket)
        for client in clients:
            if client.kind == "metrics" and 0 < client.next < time.monotonic():
                client.send()
        if not waiting and not started:
            started = True
            print("started", flush=True)


def main() -> None:
    """Run a crowd."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    chosen = parser.parse_args()
    token = chosen.token_file.read_text().strip() if chosen.token_file else ""
    address = (socket.gethostbyname(chosen.host), chosen.port)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ, None)
        clients = []
        for number in range(chosen.count):
            kind = chosen.kinds[number % len(chosen.kinds)]
            asked = request(kind, number // len(chosen.kinds), chosen.host, token)
            client = Client(kind, address, asked)
            clients.append(client)
            selector.register(client.socket, selectors.EVENT_WRITE, client)
        serve(clients, selector)
    answers: dict[str, dict[int, int]] = {kind: collections.Counter() for kind in chosen.kinds}
    for client in clients:
        answers[client.kind][client.code] += 1
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
