"""`refute proxy` as a process, under real runs: found, armed and let go over the link, whatever becomes of either end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refute.core.arming import Arming
from refute.core.cohort import Seal
from refute.core.errors import RefuteError
from refute.core.link import TOKEN_VARIABLE
from refute.core.system import Component
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.injectors.door import signs
from refute.injectors.proxy import INJECTOR
from refute.safety.journal import Journal
from servers.calling import called
from servers.proxying import proxy_process

ROOT = Path(__file__).parents[2]
TTL_S = 1.0


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def component(url):
    return Component("llm", "llm", endpoint=f"{url}/v1", via="proxy")


def headers(link, arm="treatment", key="case/0"):
    return {"baggage": Seal(link.environment[TOKEN_VARIABLE]).baggage(key, arm)}


async def ask(proxy, link=None, arm="treatment", *, stream=False, protocol="openai", key="case/0"):
    more = {} if link is None else {"default_headers": headers(link, arm, key)}
    result = await called(proxy.url, protocol, "async", stream=stream, timeout=20, **more)
    return type(result).__name__ if isinstance(result, BaseException) else "answer"


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_a_run_arms_and_disarms_it_over_the_link(provider, protocol):
    with proxy_process(provider.url) as proxy:
        async with Link(lambda *_: None) as link:
            await invite_proxies(link, [component(proxy.url)])
            assert await ask(proxy, link, protocol=protocol) == "answer"
            for fault, stream in (("llm.rate_limit", False), ("llm.rate_limit", True), ("stream.cut", True)):
                handle = INJECTOR.prepare(Arming(component(proxy.url), fault))
                link.arm_joining([handle], 5.0)
                await link.arm_live()
                await ask(proxy, link, stream=stream, protocol=protocol)
                await ask(proxy, link, "control", stream=stream, protocol=protocol)
                await ask(proxy, stream=stream, protocol=protocol)
                await link.renew_live(5.0)
                assert await link.disarm()
                landing = link.landed(handle)
                assert (landing.eligible, landing.injected) == (1, 1)
                assert (landing.control_eligible, landing.control_injected) == (1, 0)
                assert landing.unattributed == 1
                assert await ask(proxy, link, stream=stream, protocol=protocol) == "answer"


async def test_a_lease_that_is_not_renewed_ends_what_is_armed(provider):
    with proxy_process(provider.url) as proxy:
        async with Link(lambda *_: None) as link:
            await invite_proxies(link, [component(proxy.url)])
            link.arm_joining([INJECTOR.prepare(Arming(component(proxy.url), "llm.rate_limit"))], TTL_S)
            await link.arm_live()
            assert await ask(proxy, link, key="a") == "RateLimitError"
            await asyncio.sleep(TTL_S + 0.1)
            assert await ask(proxy, link, key="b") == "answer"


RUNNER = """
import asyncio, json, sys
from refute.core.arming import Arming
from refute.core.system import Component
from refute.experiment.doors import invite_proxies
from refute.experiment.link import Link
from refute.injectors.proxy import INJECTOR

async def main():
    component = Component("llm", "llm", endpoint=sys.argv[1] + "/v1", via="proxy")
    async with Link(lambda *_: None) as link:
        await invite_proxies(link, [component])
        link.arm_joining([INJECTOR.prepare(Arming(component, sys.argv[2], magnitude=60.0, cohort=1.0))], 30.0)
        await link.arm_live()
        print(json.dumps(link.environment), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_kill_9_of_the_run_lets_everything_go_at_once(provider):
    """The lease would last 30 s."""
    with proxy_process(provider.url) as proxy:
        pipe = asyncio.subprocess.PIPE
        runner = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, proxy.url, "llm.delay", stdout=pipe)
        await runner.stdout.readline()
        held = asyncio.create_task(ask(proxy))
        await asyncio.sleep(0.5)
        assert not held.done()
        runner.kill()
        start = time.monotonic()
        assert await held == "answer"
        assert time.monotonic() - start < 2
        assert await ask(proxy) == "answer"
        await runner.wait()
        async with Link(lambda *_: None) as link:  # and it is free for the next run
            await invite_proxies(link, [component(proxy.url)])


async def test_one_run_at_a_time(provider):
    with proxy_process(provider.url) as proxy:
        async with Link(lambda *_: None) as first, Link(lambda *_: None) as second:
            await invite_proxies(first, [component(proxy.url)])
            with pytest.raises(RefuteError, match="it serves another run"):
                await invite_proxies(second, [component(proxy.url)])


async def test_without_a_proxy_before_the_component_nothing_begins(provider):
    with proxy_process(provider.url):
        async with Link(lambda *_: None) as link:
            with pytest.raises(RefuteError) as refused:
                await invite_proxies(link, [component("http://127.0.0.1:1")])
            assert refused.value.problems[0].code == "PROXY-NONE"


def test_a_proxy_that_was_killed_leaves_a_sign_that_leads_nowhere(provider, state):
    with proxy_process(provider.url) as proxy:
        proxy.end(signal.SIGKILL)

    async def invite():
        async with Link(lambda *_: None) as link:
            await invite_proxies(link, [component(proxy.url)])

    with pytest.raises(RefuteError, match="nobody answers"):
        asyncio.run(invite())
    assert len(list(signs(state / "refute/doors"))) == 1


async def test_sigterm_lets_exchanges_end(provider, state):
    with proxy_process(provider.url) as proxy:
        asking = asyncio.create_task(called(proxy.url, "openai", "async", stream=True, model="text-slow", timeout=20))
        await asyncio.sleep(0.4)
        proxy.process.send_signal(signal.SIGTERM)
        events = await asking
        assert [choice.finish_reason for event in events for choice in event.choices][-1] == "stop"
        assert await asyncio.to_thread(proxy.process.wait, 5) == 0
    assert list(signs(state / "refute/doors")) == []


def test_the_door_is_for_its_user_alone(provider, state):
    with proxy_process(provider.url):
        (sign,) = signs(state / "refute/doors")
        (file,) = (state / "refute/doors").glob("*.json")
        assert file.stat().st_mode & 0o777 == 0o600
        assert Path(sign.address).stat().st_mode & 0o777 == 0o600
        assert Path(sign.address).parent.stat().st_mode & 0o777 == 0o700


BAD = {
    "nonsense": ["--upstream", "nonsense"],
    "a query": ["--upstream", "http://x/?a=1"],
    "no port": ["--upstream", "http://x", "--listen", "127.0.0.1"],
    "a port too high": ["--upstream", "http://x", "--listen", "127.0.0.1:70000"],
    "another host": ["--upstream", "http://x", "--listen", "192.0.2.1:0"],
    "no upstream": [],
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD)
def test_bad_input_is_refused(arguments):
    done = subprocess.run([sys.executable, "-m", "refute", "proxy", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


# Large bodies


END = b"\r\n0\r\n\r\n"


def large_upstream(size):
    """Answer each request with so many bytes, having read all that it sent."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        end = b""
        while not end.endswith(END):
            end = (end + await reader.read(1 << 20))[-len(END) :]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            writer.write(block)
            await writer.drain()

    return asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(("fault", "framing", "most_kib"), [("", "sized", 16_000), ("llm.rate_limit", "sized", 16_000),
                                                            ("llm.rate_limit", "chunked", 180_000)])  # fmt: skip
async def test_a_gigabyte_each_way_takes_little_memory(fault, framing, most_kib):
    size = 1 << 30
    async with await large_upstream(size) as server:
        with proxy_process(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
            before = proxy.memory_kib()
            async with Link(lambda *_: None) as link:
                if fault:
                    await invite_proxies(link, [component(proxy.url)])
                    link.arm_joining([INJECTOR.prepare(Arming(component(proxy.url), fault))], 30.0)
                    await link.arm_live()
                reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
                length = "transfer-encoding: chunked" if framing == "chunked" else f"content-length: {size + len(END)}"
                told = f"baggage: {headers(link)['baggage']}\r\n{length}"
                writer.write(f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{told}\r\n\r\n".encode())
                block = bytes(1 << 20)
                for number in range(size >> 20):
                    writer.write(b"100000\r\n" + block + (b"\r\n" if number + 1 < size >> 20 else b"") if framing == "chunked" else block)
                    await writer.drain()
                writer.write(END)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                got = 0
                while got < size:
                    got += len(await reader.read(1 << 20))
                writer.close()
            assert proxy.memory_kib() - before < most_kib


# TLS upstream


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_upstream_behind_tls_is_checked(certificate, trusted):
    async def serve(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(head), head))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        environ = {"SSL_CERT_FILE": str(certificate / "cert.pem")} if trusted else {}
        with proxy_process(f"https://localhost:{port}/base", **environ) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
            for _ in range(2):
                writer.write(b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                body = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
                if not trusted:
                    assert head.startswith(b"HTTP/1.1 502 ")
                    assert b"certificate" in body.lower()
                    return
                assert body == f"GET /base/x HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
            writer.close()


# Without a file


@pytest.mark.parametrize("share", ["100%", "0%"])
def test_try_breaks_a_program_in_any_language(provider, tmp_path, share):
    script = "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1] + '/v1/chat/completions', b'{\"model\": \"text\"}'))"
    with proxy_process(provider.url) as proxy:
        command = [sys.executable, "-m", "refute", "try", "--json", "--fault", "llm.rate_limit", "--share", share, "--via", "proxy"]
        program = [sys.executable, "-I", "-S", "-c", script, proxy.url]
        done = subprocess.run(
            [*command, "--endpoint", f"{proxy.url}/v1", "--", *program], capture_output=True, text=True, timeout=60, check=False
        )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["eligible"] == 1, done.stderr
    assert told["rolled_back"]
    hit = share == "100%"
    assert (done.returncode, told["injected"], told["program_exit_code"]) == ((0, 1, 1) if hit else (3, 0, 0))
    assert told["processes"] == 0
    assert Journal().live() == []


def test_recover_hears_from_the_proxy_that_a_killed_run_left_nothing_armed(provider):
    with proxy_process(provider.url) as proxy:
        command = [sys.executable, "-m", "refute", "try", "--fault", "llm.delay", "--via", "proxy", "--endpoint", f"{proxy.url}/v1"]
        program = [sys.executable, "-I", "-S", "-c", "import time; print('started', flush=True); time.sleep(4)"]
        runner = subprocess.Popen([*command, "--", *program], stdout=subprocess.PIPE, text=True)
        assert runner.stdout.readline() == "started\n"
        assert len(Journal().live()) == 1
        runner.kill()
        runner.wait()
        recovering = [sys.executable, "-m", "refute", "recover", "--json"]
        until_s = time.monotonic() + 5  # it takes the proxy a moment to see that the link is closed
        while True:
            done = subprocess.run(recovering, capture_output=True, text=True, timeout=30, check=False)
            if done.returncode == 0 or time.monotonic() > until_s:
                break
    (one,) = json.loads(done.stdout)["handles"]
    assert (done.returncode, one["ending"], one["reason"]) == (0, "recovered", "its process says that it is not armed")
    assert Journal().live() == []


# The how-to page


PAGE = (ROOT / "docs/how-to/put-a-proxy-in-front.md").read_text()
BLOCK = re.compile(r"```\w+\n(?:#|//) (\S+)\n(.*?)```", re.DOTALL)
CASES = "".join(json.dumps({"id": f"case {number}", "question": "When do you open?"}) + "\n" for number in range(20))
PLAIN = """
import json, sys, urllib.request, urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        case = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = json.dumps({"model": "text", "messages": [{"role": "user", "content": case["question"]}]}).encode()
        headers = {"content-type": "application/json", sys.argv[3]: self.headers.get("baggage", "")}
        try:
            with urllib.request.urlopen(urllib.request.Request(sys.argv[2] + "/chat/completions", asked, headers)) as answer:
                told = json.load(answer)
                told = {"text": told["choices"][0]["message"]["content"], "tokens": told["usage"]["total_tokens"]}
                status, text = 200, json.dumps(told)
        except urllib.error.HTTPError:
            status, text = 502, ""
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def service_of(language, folder, port, url, header):
    """Start the page's service, or one in Python that knows nothing of Refute and cannot be hooked."""
    if language == "javascript":
        return subprocess.Popen(["node", str(folder / "service.mjs")], env=os.environ | {"OPENAI_BASE_URL": f"{url}/v1"})
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", PLAIN, str(port), f"{url}/v1", header])


@pytest.mark.parametrize(
    ("language", "passes_on"),
    [
        pytest.param("javascript", True, marks=pytest.mark.skipif(not Path("/usr/bin/node").exists(), reason="needs node")),
        ("python", True),
        ("python", False),
    ],
)
def test_the_page_as_a_reader_would_do_it(provider, tmp_path, language, passes_on):
    port, listen = free_port(), free_port()
    with proxy_process(provider.url, listen=f"127.0.0.1:{listen}") as proxy:
        for name, text in (dict(BLOCK.findall(PAGE)) | {"cases.jsonl": CASES}).items():
            (tmp_path / name).write_text(re.sub(r"\b8000\b", str(port), text.replace("127.0.0.1:8900", f"127.0.0.1:{listen}")))
        service = service_of(language, tmp_path, port, proxy.url, header="baggage" if passes_on else "x-baggage")
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            command = [sys.executable, "-m", "refute", "run", "refute.yaml", "--json"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        finally:
            service.kill()
            service.wait()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (verdict,) = [event for event in events if event["event"] == "verdict"]
    if not passes_on:
        assert (done.returncode, verdict["verdict"]) == (3, "void")
        assert re.search(r"calls to llm came from outside any unit \(does the service pass", verdict["reasons"][0])
        return
    assert (done.returncode, verdict["verdict"], verdict["landed"], verdict["rolled_back"]) == (1, "refuted", True, True), done.stderr
    (landing,) = [event for event in events if event["event"] == "landing"]
    assert landing["injected"] == landing["eligible"] > 10
    assert landing["control_eligible"] > 0 == landing["control_injected"] == landing["unattributed"]
    outcomes = [outcome for event in events if event["event"] == "outcomes" for outcome in event["outcomes"]]
    hit = [outcome for outcome in outcomes if outcome["hits"]]
    assert {outcome["arm"] for outcome in hit} == {"treatment"}
    assert sum(outcome["hits"]["llm"] for outcome in hit) == landing["injected"]
    assert not any(baggage for _, headers, _ in provider.requests if "refute" in (baggage := headers.get("baggage", "")))
