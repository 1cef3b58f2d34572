"""The proxy in the place of an MCP server's command: real SDK clients, real servers, and ends that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from refute.core.arming import Arming
from refute.core.errors import RefuteError
from refute.core.system import Component
from refute.experiment.link import Link
from refute.injectors.door import invite, knock, signs
from refute.injectors.proxy.hands import INJECTOR
from refute.injectors.registry import choose

SERVER = Path(__file__).parents[1] / "servers" / "mcp_stdio_server.py"
ORDERS = Component("orders", "mcp_server", endpoint="stdio://orders", via="proxy")
NO_REQUESTS = (
    b'{"jsonrpc":"2.0","method":"notifications/x"}\n',
    b"nonsense \xff\n",
    b'{"id": 7}\n',
    b"[1, 2]\n",
    b"\n",
    b"{" * 2000 + b"\n",
)
ECHO = "import sys\nfor line in sys.stdin.buffer:\n    sys.stdout.buffer.write(line); sys.stdout.buffer.flush()"


def proxied(*command, name="orders"):
    return [sys.executable, "-m", "refute", "proxy", "--stdio", name, "--", *map(str, command)]


def python(code):
    return proxied(sys.executable, "-c", code)


@pytest.fixture
def environ(tmp_path):
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}


@contextlib.asynccontextmanager
async def session(environ, tmp_path):
    command, *arguments = proxied(sys.executable, SERVER, tmp_path / "asked.txt")
    server = StdioServerParameters(command=command, args=arguments, env=environ)
    async with stdio_client(server) as (read, write), ClientSession(read, write, read_timeout_seconds=30) as client:
        await client.initialize()
        yield client


def until_armed(sign):
    while not knock(sign, op="armed")["handles"]:
        time.sleep(0.01)


@contextlib.asynccontextmanager
async def armed(environ, fault, **fields):
    """Invite the proxy at its door, as a run does, and arm a fault in it over the link."""
    arming = Arming(ORDERS, fault, cohort=1.0, **fields)
    assert choose(arming) is INJECTOR
    handle = INJECTOR.prepare(arming)
    async with Link(lambda _peer, _message: None) as link:
        (sign,) = signs(Path(environ["XDG_STATE_HOME"]) / "refute" / "doors")
        assert await asyncio.to_thread(invite, sign, link.environment) == ""
        await link.joined("proxy", 5)
        link.arm_joining([handle], 10.0)
        await link.arm_live()
        await asyncio.to_thread(until_armed, sign)
        yield lambda: link.landed(handle)
        assert (await link.disarm()).proven


def asked(tmp_path):
    return (tmp_path / "asked.txt").read_text().split() if (tmp_path / "asked.txt").exists() else []


def text_of(result):
    return result.content[0].text


async def test_a_session_works_through_it(environ, tmp_path):
    async with session(environ, tmp_path) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["lookup_order", "cancel_order"]
        assert '"parcels": 2' in text_of(await client.call_tool("lookup_order", {"order_id": "A1"}))
    assert asked(tmp_path) == ["A1"]


async def test_an_error_in_the_place_of_a_result_reaches_the_client_and_not_the_server(environ, tmp_path):
    async with session(environ, tmp_path) as client:
        async with armed(environ, "mcp.error"):
            with pytest.raises(Exception, match=r"Internal error|Invalid request|Method not found|Connection closed"):
                await client.call_tool("lookup_order", {"order_id": "A1"})
        assert asked(tmp_path) == []
        assert '"A2"' in text_of(await client.call_tool("lookup_order", {"order_id": "A2"})), "it is gone with its lease"


async def test_a_list_of_tools_is_short_flooded_and_poisoned(environ, tmp_path):
    seen = {}
    for fault in ("mcp.partial_tools", "mcp.tools_changed", "mcp.rug_pull", "mcp.shadowed_tool"):
        async with session(environ, tmp_path) as client, armed(environ, fault) as landing:
            seen[fault] = (await client.list_tools()).tools
        assert landing().injected == 1
    assert [tool.name for tool in seen["mcp.partial_tools"]] == ["lookup_order"]
    assert len(seen["mcp.tools_changed"]) == 202
    assert "IMPORTANT" in seen["mcp.rug_pull"][0].description
    assert seen["mcp.shadowed_tool"][0].name == "lookup_order_secure"


async def test_a_slow_server_and_a_result_that_changed_shape(environ, tmp_path):
    async with session(environ, tmp_path) as client, armed(environ, "mcp.slow", magnitude=0.3):
        start = time.perf_counter()
        await client.call_tool("lookup_order", {"order_id": "A1"})
        assert time.perf_counter() - start > 0.3
    async with session(environ, tmp_path) as client, armed(environ, "tool.replay"):
        await client.call_tool("lookup_order", {"order_id": "A3"})
    assert asked(tmp_path) == ["A1", "A3", "A3"]


def test_what_has_no_likeness_over_stdio_is_refused():
    for fault in ("mcp.session_lost", "mcp.new_session", "mcp.disconnect"):
        with pytest.raises(RefuteError, match="INJECTOR-NONE"):
            choose(Arming(ORDERS, fault, cohort=1.0))


def test_bytes_pass_untouched_whatever_they_are_and_however_they_are_cut(environ):
    rng = random.Random(5)
    data = b"".join(
        rng.choice(
            (b'{"jsonrpc":"2.0","id":1,"method":"x"}\r\n', b"\n", rng.randbytes(rng.choice((1, 50, 5000))), b"[" * 3000, b"\xff\xfe\n")
        )
        for _ in range(600)
    )
    echo = "import os\nwhile data := os.read(0, 777):\n    while data: data = data[os.write(1, data):]"
    process = subprocess.Popen(python(echo), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    out, _ = process.communicate(data, timeout=60)
    assert out == data
    assert process.returncode == 0


async def test_bytes_that_concern_no_fault_pass_untouched_while_one_is_armed(environ):
    rng = random.Random(6)
    lines = [
        rng.choice(NO_REQUESTS)
        for _ in range(400)
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*python(ECHO), stdin=-1, stdout=-1, env=environ)
    process.stdin.write(b"first\n")
    assert await process.stdout.readline() == b"first\n"
    async with armed(environ, "mcp.error"):
        process.stdin.write(b"".join(lines) + b"no end of line")
        process.stdin.close()
        assert await process.stdout.read() == b"".join(lines) + b"no end of line"
        assert await process.wait() == 0


def resident_kib(pid):
    return int(next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line).split()[1])


FLOOD = """import os
sent = 0
try:
    while True:
        sent += os.write(1, b"x" * 65536)
        os.write(2, b"%d\\n" % sent)
except OSError:
    pass"""


async def test_a_held_back_client_holds_back_the_server(environ):
    process = await asyncio.create_subprocess_exec(*python(FLOOD), stdin=-1, stdout=-1, stderr=-1, env=environ, limit=1024)
    await asyncio.sleep(3)
    told = b""
    with contextlib.suppress(TimeoutError):
        while True:
            told = await asyncio.wait_for(process.stderr.readline(), 0.5) or told
    assert int(told) < 4 << 20
    assert resident_kib(process.pid) < 200_000
    process._transport.get_pipe_transport(1).close()  # the client is gone
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) in {0, 128 + signal.SIGTERM}


@pytest.mark.parametrize(
    ("code", "expected"), [("import sys; sys.exit(7)", 7), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137)]
)
def test_the_servers_end_is_the_proxys(environ, code, expected):
    process = subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert process.wait(20) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_the_servers(environ, number):
    code = (
        "import signal, sys, time\n"
        "def heard(number, _): print(number, flush=True); sys.exit(40 + number)\n"
        "for one in (1, 2, 15): signal.signal(one, heard)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.stdout.read() == b"%d\n" % number
    assert process.wait(10) == 40 + number


def test_a_client_that_is_gone_ends_both(environ, tmp_path):
    code = f"import os, sys\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nprint('up', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert process.stdout.readline() == b"up\n"
    process.stdin.close()
    assert process.wait(10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_server_that_dies_while_an_answer_is_awaited_hangs_nobody(environ):
    process = await asyncio.create_subprocess_exec(
        *python("import sys; sys.stdin.readline(); sys.exit(3)"), stdin=-1, stdout=-1, env=environ
    )
    await asyncio.sleep(1.0)
    async with armed(environ, "mcp.partial_tools"):
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n')
        assert await asyncio.wait_for(process.stdout.read(), 10) == b""
        assert await asyncio.wait_for(process.wait(), 10) == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--stdio", "orders", "--", "/no/such/server"], "PROXY-STDIO-START"),
        (["--stdio", "Or ders", "--", "cat"], "PROXY-STDIO-NAME"),
        (["--stdio", "orders"], "PROXY-FRONT"),
        (["--upstream", "http://127.0.0.1:1", "--stdio", "orders", "--", "cat"], "PROXY-FRONT"),
        ([], "PROXY-FRONT"),
    ],
)
def test_what_is_no_server_is_refused(environ, arguments, word):
    done = subprocess.run(
        [sys.executable, "-m", "refute", "proxy", *arguments],
        stdin=subprocess.PIPE,
        capture_output=True,
        env=environ,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert word in done.stderr.decode()
    assert done.stdout == b""
