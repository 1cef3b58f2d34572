"""The service: says what is in stock, by threads, and keeps its process id in a file."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Stock(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = os.environ.get("STOCK_SAYS", "in stock").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server((os.environ.get("SHOP_HOST", "127.0.0.1"), int(sys.argv[1])), Stock)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(str(os.getpid()))
    server.serve_forever()
