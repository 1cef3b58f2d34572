"""A service to break as a whole: answers GET /WHAT with how it fared, over HTTP or HTTPS. Nothing of it knows of Refute.

python whole.py PORT PIDFILE DIRECTORY [PEM]
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

QUESTION = bytes.fromhex("abcd01000001000000000000") + b"\7example\3com\0\0\1\0\1"
WRITTEN = 100_000


def well(_told: str) -> str:
    return "well"


def busy(_told: str) -> str:
    start, before = time.monotonic(), time.process_time()
    while time.process_time() - before < 0.08:
        pass
    return "slow" if time.monotonic() - start > 1.2 else "quick"


def memory(_told: str) -> str:
    """Allocate in a process of its own, which may be killed for it."""
    if not (pid := os.fork()):
        try:
            block = bytearray(100_000_000)
            block[::4096] = b"x" * len(block[::4096])
        except MemoryError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return "killed" if os.WIFSIGNALED(status) else "refused" if status else "got"


def file(_told: str) -> str:
    Path("/dev/null").open().close()
    return "opened"


def clock(told: str) -> str:
    """Compare with the caller's."""
    return "right" if abs(time.time() - float(told)) < 2.0 else "wrong"


def look_up(told: str) -> str:
    """Ask a resolver, as resolvers are asked: one socket a question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.5)
        asking.connect((told, 53))
        asking.send(QUESTION)
        try:
            reply = asking.recv(512)
        except TimeoutError:
            return "no answer"
        assert reply[:2] == QUESTION[:2]
        return f"code {reply[3] & 15}"


def write(_told: str) -> str:
    """Write to the directory, and wait until it is on the disk."""
    start = time.monotonic()
    descriptor = os.open(sys.argv[3], os.O_TMPFILE | os.O_RDWR)
    try:
        os.pwrite(descriptor, os.urandom(WRITTEN), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return "slow" if time.monotonic() - start > 0.4 else "quick"


DOES = {"well": well, "busy": busy, "memory": memory, "file": file, "clock": clock, "look-up": look_up, "write": write}


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        what, _, told = self.path.lstrip("/").partition("?")
        try:
            body = DOES[what](told)
        except Exception as error:  # noqa: BLE001
            body = f"{type(error).__name__} {getattr(error, 'errno', '')}"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        return


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(sys.argv[1])), Service)
    if len(sys.argv) > 4:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    Path(sys.argv[2]).write_text(str(os.getpid()))
    server.serve_forever()
