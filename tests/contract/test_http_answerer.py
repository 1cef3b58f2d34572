"""What the load generator makes of whatever a service may answer."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from refute.core.cohort import Seal
from refute.core.context import UnitContext, current_unit
from refute.core.errors import RefuteError
from refute.experiment.tally import Tally
from refute.experiment.workload import ServiceError, http_answerer

SEEN: list[tuple[str, str, dict]] = []
CONNECTIONS: list[object] = []


class Service(BaseHTTPRequestHandler):
    """Answers as its path says, and keeps connections open whatever the client asks for."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        CONNECTIONS.append(self.connection)  # its address may be used again at once

    def do_POST(self):
        self.close_connection = False
        body = self.rfile.read(int(self.headers["content-length"]))
        SEEN.append((self.path, self.headers["baggage"], json.loads(body)))
        kind = self.path.strip("/")
        if kind == "slow":
            time.sleep(1)
        if kind == "trickle":
            self._trickle()
        elif kind == "broken":
            self.connection.close()
            self.close_connection = True
        else:
            self._answer(kind)

    def _answer(self, kind):
        status = int(kind) if kind.isdigit() else 200
        content = b"plain text" if kind == "text" else b'{"path": "%s"}' % self.path.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        if 300 <= status < 400:
            self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(content)

    def _trickle(self):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for _ in range(20):
            self.wfile.write(b"1\r\nx\r\n")
            time.sleep(0.1)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.handle_error = lambda *_: None  # the client that gives up is what is tested
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def ask():
    SEEN.clear()
    CONNECTIONS.clear()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as threads:
        tally = Tally({"REFUTE_LINK": str(Path(folder) / "link"), "REFUTE_LINK_TOKEN": "token"})
        answerers = {}

        async def asked(url, timeout_s=5.0):
            answer = answerers.setdefault(url, http_answerer(url, {"127.0.0.1"}, timeout_s, threads, tally))
            current_unit.set(UnitContext("case/1", "control"))
            return await answer({"id": "case"})

        yield asked


@pytest.mark.parametrize("status", [200, 201, 302, 307, 404, 422, 429])
async def test_a_status_below_500_is_an_answer_and_no_redirect_is_followed(service, ask, status):
    assert await ask(f"{service}/{status}") == {"status": status, "body": {"path": f"/{status}"}}
    ((path, baggage, body),) = SEEN
    assert (path, body) == (f"/{status}", {"id": "case"})
    assert Seal("token").opened(baggage) == ("case/1", "control")


async def test_a_body_that_is_no_json_is_text(service, ask):
    assert await ask(f"{service}/text") == {"status": 200, "body": "plain text"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("500", ServiceError),
        ("503", ServiceError),
        ("broken", urllib3.exceptions.ProtocolError),
        ("slow", urllib3.exceptions.ReadTimeoutError),
        ("trickle", TimeoutError),
    ],
)
async def test_what_is_no_answer_is_raised(service, ask, kind, error):
    start = time.monotonic()
    with pytest.raises(error):
        await ask(f"{service}/{kind}", 0.4)
    assert time.monotonic() - start < 0.9
    assert len(SEEN) == 1


async def test_a_refused_connection_is_raised(ask):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening
        with pytest.raises(urllib3.exceptions.NewConnectionError):
            await ask(f"http://127.0.0.1:{closed.getsockname()[1]}/")


async def test_no_unit_gets_a_connection_that_another_has_used(service, ask):
    for _ in range(3):
        await ask(f"{service}/200")
    assert len(CONNECTIONS) == 3


@pytest.mark.parametrize("hosts", [set(), {"staging.example.org"}])
def test_load_is_not_sent_to_a_host_that_is_not_allowed(hosts):
    before = len(SEEN)
    with ThreadPoolExecutor(1) as threads, pytest.raises(RefuteError, match="HOST-NOT-ALLOWED"):
        http_answerer("http://127.0.0.1:9/ask", hosts, 1.0, threads, None)
    assert len(SEEN) == before
