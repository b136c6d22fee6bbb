#!/usr/bin/env python3
"""Many clients of a monitor service as one process of its own, some of them bad.

    crowd.py [--token-file FILE] HOST PORT COUNT KIND...

The kinds take turns until there are COUNT clients:

    events    looks on, as a browser does
    metrics   asks once a second, as Prometheus would
    slow      asks for events, and takes nothing of the answer
    silent    connects, and says nothing
    wrong     asks with another token
    stranger  calls the computer by another name
    tricks    asks for files that are none of its business

It prints a line when all have begun, and after a line that it is given, or when that is closed, one of JSON:
for each kind how many were answered with which number; 0 were not answered.
"""

import argparse
import collections
import json
import selectors
import socket
import sys
import time
from pathlib import Path

KINDS = ("events", "metrics", "slow", "silent", "wrong", "stranger", "tricks")
TRICKS = ("/..%2f..%2f..%2fetc/passwd", "/../../etc/passwd", "//..%2f", "/%2e%2e/", "/status/")
LITTLE = 4096  # bytes of the buffer of who takes nothing
ANSWER = len(b"HTTP/1.1 200")


class Client:
    """One connection; what it has been answered is a number, 0 before."""

    def __init__(self, kind: str, place: tuple[str, int], request: bytes) -> None:
        """Begin to connect."""
        self.kind, self.request, self.answer = kind, request, b""
        self.next = 0.0
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003 (its only argument)
        if kind == "slow":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
        self.socket.connect_ex(place)

    @property
    def number(self) -> int:
        """What it has been answered."""
        return int(self.answer[-3:]) if len(self.answer) == ANSWER else 0

    def send(self) -> None:
        """Ask."""
        if self.kind != "silent":
            self.socket.send(self.request)
        self.next = time.monotonic() + 1

    def take(self) -> bool:
        """Take what has come; says whether there may be more."""
        if self.kind == "slow":
            self.answer += self.socket.recv(ANSWER - len(self.answer))
            return 0 < len(self.answer) < ANSWER
        data = self.socket.recv(1 << 20)
        self.answer = (self.answer + data)[:ANSWER]
        return bool(data)


def request(kind: str, number: int, host: str, token: str) -> bytes:
    """Write down what a client asks for."""
    path = {"metrics": "/metrics", "tricks": TRICKS[number % len(TRICKS)]}.get(kind, "/events")
    name = "evil.example" if kind == "stranger" else host
    said = token + ("x" if kind == "wrong" else "")
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\nAuthorization: Bearer {said}\r\n\r\n".encode()


def serve(clients: list[Client], selector: selectors.BaseSelector) -> None:
    """Be the clients until a line comes on stdin."""
    waiting = set(clients)
    began = False
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
                elif not client.take():
                    selector.unregister(client.socket)
            except OSError:
                waiting.discard(client)
                selector.unregister(client.socket)
        for client in clients:
            if client.kind == "metrics" and 0 < client.next < time.monotonic():
                client.send()
        if not waiting and not began:
            began = True
            print("begun", flush=True)


def main() -> None:
    """Be a crowd."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    chosen = parser.parse_args()
    token = chosen.token_file.read_text().strip() if chosen.token_file else ""
    place = (socket.gethostbyname(chosen.host), chosen.port)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ, None)
        clients = []
        for number in range(chosen.count):
            kind = chosen.kinds[number % len(chosen.kinds)]
            clients.append(
                Client(kind, place, request(kind, number // len(chosen.kinds), chosen.host, token))
            )
            selector.register(clients[-1].socket, selectors.EVENT_WRITE, clients[-1])
        serve(clients, selector)
    answers: dict[str, dict[int, int]] = {kind: collections.Counter() for kind in chosen.kinds}
    for client in clients:
        answers[client.kind][client.number] += 1
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
