"""Secrets, prompts and keys that are planted everywhere come out nowhere; channels listen to their owner alone."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from refute.core.link import ADDRESS_VARIABLE, TOKEN_VARIABLE, encode
from refute.experiment.link import Link
from refute.injectors.agent import connect
from refute.safety._post import Post
from refute.safety.guard import Guard
from refute.safety.journal import Journal

APP = """
import os
from contextlib import asynccontextmanager
import httpx

@asynccontextmanager
async def running():
    if os.environ.get("SETUP_FAILS"):
        raise RuntimeError("cannot log in with CANARY-setup-password")
    yield

async def answer(case):
    headers = {"authorization": "Bearer " + os.environ["PROVIDER_KEY"], "x-trace": "CANARY-header"}
    body = {"model": "m", "messages": [{"role": "user", "content": case["question"]}]}
    async with httpx.AsyncClient() as client:
        reply = await client.post("http://127.0.0.1:PORT/v1/chat/completions", json=body, headers=headers)
    if reply.status_code != 200:
        raise ValueError(f"CANARY-exception for {case['question']} with {headers}")
    print("CANARY-printed", reply.text)
    return reply.json()["choices"][0]["message"]["content"]

def answered(case, answer):
    if "odd" in case["id"]:
        return True
    return "CANARY" in answer

def length(case, answer):
    if case["id"].endswith("77"):
        raise KeyError(answer)  # an indicator that fails with what it was given
    return len(answer)
"""
INTENT = """
version: 1
system: {name: canaries, components: {app: {kind: agent, calls: [llm]}, llm: {kind: llm, endpoint: "http://127.0.0.1:PORT/v1"}}}
journeys: {ask: {entry: app}}
workload: {python: "app:answer", setup: "app:running", cases: cases.jsonl, rate: 60/s, timeout: 5 s}
indicators: {answered: {ratio: "app:answered"}, length: {cost: "app:length"}}
steady_state: {window: 500 ms, holds: ["answered >= 90%"]}
stop_when: [answered < 60%]
notify: [{webhook: HOOK}]
blast_radius: {cohort: 50%, units: 300, duration: 30 s, cohort_by: tenant}
beliefs:
  - id: b
    claim: c
    when: {fault: llm.rate_limit, target: llm}
    then: answered >= 90%
    confidence: 90%
    decides: d
"""


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    notices: list[bytes]
    headers_seen: list[dict[str, str]]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/hook"):
            self.notices.append(body)
        else:
            self.headers_seen.append(dict(self.headers))
        reply = json.dumps({
            "id": "c", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "CANARY-answer"}, "finish_reason": "stop"}],
        }).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


@pytest.fixture
def planted(tmp_path):
    class Fresh(Provider):
        notices, headers_seen = [], []

    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # a workload that has ended hangs up

    server = Server(("127.0.0.1", 0), Fresh)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project = tmp_path / "project"
    project.mkdir()
    port = str(server.server_port)
    (project / "app.py").write_text(APP.replace("PORT", port))
    (project / "refute.yaml").write_text(INTENT.replace("PORT", port))
    cases = [
        {"id": f"{'odd' if at % 2 else 'even'}-{at}", "journey": "ask", "question": f"CANARY-prompt-{at}", "tenant": f"CANARY-tenant-{at}"}
        for at in range(200)
    ]
    (project / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))
    environ = os.environ | {
        "XDG_STATE_HOME": str(tmp_path / "state"), "PROVIDER_KEY": "CANARY-key", "HOOK": f"http://127.0.0.1:{port}/hook/CANARY-hook",
        "OPENAI_API_KEY": "CANARY-openai", "TMPDIR": str(tmp_path),
    }  # fmt: skip

    def refute(*arguments, **more):
        return subprocess.run(
            [sys.executable, "-m", "refute", *arguments], cwd=project, env=environ | more, capture_output=True, timeout=90, check=False
        )

    yield project, tmp_path / "state", refute, Fresh
    server.shutdown()


def kept(*folders):
    """Yield what every file holds that a run leaves, but what the team wrote itself and what the workload printed."""
    theirs = {"app.py", "cases.jsonl", "refute.yaml", "worker.log"}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and path.name not in theirs and "__pycache__" not in path.parts:
                yield path, path.read_bytes()


def clean(name, content):
    at = content.find(b"CANARY")
    assert at < 0, f"{name} holds {content[max(0, at - 80) : at + 60]!r}"


def test_a_whole_run_tells_nobody_what_was_asked_answered_or_held(planted):
    project, state, refute, provider = planted
    for arguments in (
        ["run", "--json"],
        ["run"],
        ["account"],
        ["report", "--out", "report.html"],
        ["ledger", "export"],
        ["plan", "--again"],
    ):
        done = refute(*arguments)
        assert done.returncode in {0, 1, 2, 3, 4}
        clean(" ".join(arguments), done.stdout + done.stderr)
    assert any(b'"inject"' in content for _, content in kept(project)), "a run did come to its injection"
    assert provider.notices
    for notice in provider.notices:
        clean("a notice", notice)
    for path, content in kept(project, state):
        clean(path, content)
    log = project / ".refute" / "worker.log"
    assert b"CANARY-printed" in log.read_bytes(), "what the workload prints stays with its owner"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert not [name for headers in provider.headers_seen for name, value in headers.items() if "refute" in f"{name}{value}".lower()]


def test_a_setup_that_fails_does_not_tell_its_secrets(planted):
    project, state, refute, _ = planted
    done = refute("run", "--json", SETUP_FAILS="1")
    assert done.returncode == 3
    assert b"WORKLOAD-SETUP" in done.stdout
    assert b"RuntimeError" in done.stdout
    clean("output", done.stdout + done.stderr)
    for path, content in kept(project, state):
        clean(path, content)
    assert b"CANARY-setup-password" in (project / ".refute" / "worker.log").read_bytes(), "where it can be read"


async def test_a_link_hears_nobody_without_its_token_and_none_of_an_earlier_run():
    async with Link(lambda *_: None) as link:
        address = link.environment[ADDRESS_VARIABLE]
        modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (os.path.dirname(address), address)]  # noqa: PTH116, PTH120
        assert modes == [0o700, 0o600]
        old_token = link.environment[TOKEN_VARIABLE]
        joined = await asyncio.to_thread(connect, "worker", link.environment)
        await link.joined("worker", 5)
        joined.close()
    async with Link(lambda *_: None) as link:
        for token in (old_token, "", link.environment[TOKEN_VARIABLE][:-1]):
            stranger = socket.socket(socket.AF_UNIX)
            stranger.connect(link.environment[ADDRESS_VARIABLE])
            stranger.sendall(encode({"op": "hello", "token": token, "role": "worker", "pid": 1}))
            stranger.settimeout(5)
            assert await asyncio.to_thread(stranger.recv, 1) == b"", "it hangs up"
        assert not link.peers


STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
reached = []
for path in sys.argv[1:]:
    try:
        if path.endswith("/abort"):
            open(path, "w").write("x")
        else:
            socket.socket(socket.AF_UNIX).connect(path)
        reached.append(path)
    except PermissionError:
        pass
print(reached)
"""


@pytest.mark.host
async def test_another_user_reaches_neither_link_nor_guardian_nor_the_kill_switch(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    state = tmp_path / "refute"
    journal, post = Journal(state / "journal"), Post(state / "guardian")
    async with Link(lambda *_: None) as link, Guard(journal, post):
        sockets = [str(path) for path in (state / "guardian").iterdir() if path.is_socket()]
        assert sockets
        wanted = [link.environment[ADDRESS_VARIABLE], *sockets, str(state / "abort")]
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", STRANGER, *wanted], capture_output=True, text=True, check=True, cwd="/"
        )
        assert done.stdout.strip() == "[]"
        assert stat.S_IMODE((state / "guardian").stat().st_mode) == 0o700
