"""What real clients make of every fault, over real HTTP: raised, returned, or not noticed at all.

The reference page is the table that is checked against: `REFUTE_WRITE_DOCS=1` rewrites it from what was seen.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.faults.catalogue import catalogue
from refute.faults.preview import kinds_over, preview
from refute.faults.spec import Fault
from refute.injectors.http import INJECTOR
from refute.wire.exchange import Call
from refute.wire.samples import ARGUMENTS, TEXTS
from servers import stdio_session
from servers.clients import CLIENTS, Heard, Question, Unreadable, mcp_session

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

PAGE = Path(__file__).parents[2] / "docs/reference/what-your-client-does.md"
UNIT = "case/0"
STDIO = "mcp over stdio"
REFUSED = "–"
"""What a fault delivers that cannot be injected there."""
MAGNITUDES = {"llm.rate_limit": 0.01, "tool.timeout_after_commit": 5.0, "tool.timeout": 5.0, "stream.slow_tokens": 0.01}
RUN_OUT = {
    "llm.timeout", "stream.stall", "vector_store.timeout", "agent.peer_silent", "tool.timeout", "tool.timeout_after_commit",
    "service.timeout",
}  # fmt: skip
"""Faults that the client's read time-out ends."""
SEEDS = range(30, -1, -1)
ROW = re.compile(r"^\| `(\S+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Cell:
    """One fault (and, where it draws one, a variant, told by its effect) as one client meets it."""

    client: str
    fault: str
    effect: str
    stream: bool
    sample: str
    seed: int

    @property
    def row(self) -> tuple[str, str, str]:
        return self.client, self.fault, self.effect

    def __str__(self) -> str:
        return f"{self.client}-{self.fault}-{self.effect}-{'stream' if self.stream else 'whole'}".replace(" ", "_")


def cells() -> list[Cell]:
    return [
        Cell(client, fault.name, effect, stream, struck.sample, seed)
        for client, (protocol, _, _) in CLIENTS.items()
        for fault in catalogue().values()
        if fault.awaits is None or fault.awaits.data is None  # those answer from memory, and have a test of their own
        for stream in ((False,) if client == STDIO else (False, True))
        if (struck := preview(fault, protocol, stream=stream)) is not None and struck.sample != "GET"
        for effect, seed in variants(fault, struck.call, client).items()
    ]


def variants(fault: Fault, call: Call, client: str) -> dict[str, int]:
    """Return a seed for each effect that a fault may draw; over stdio, some cannot be."""
    if client == STDIO and stdio_session.refusal(fault.name):
        return {REFUSED: 0}
    whose = f"{stdio_session.UNIT}/{stdio_session.COMPONENT.name}" if client == STDIO else f"{UNIT}/target"
    drawn = {fault.strike_exchange(call, None, random.Random(f"{seed}/{whose}/0")).effect: seed for seed in SEEDS}
    return dict(sorted(drawn.items()))


CELLS = cells()
SEEN: dict[Cell, str] = {}
"""What the tests saw, for the page."""


def magnitude_of(fault: str) -> float | None:
    """A magnitude that a test can wait for: a moment where the fault only delays, longer than the client bears where it times out."""
    scale = catalogue()[fault].magnitude
    if fault in MAGNITUDES or scale is None or scale.unit != "s":
        return MAGNITUDES.get(fault)
    return 5.0 if fault in RUN_OUT else None if fault == "llm.long_retry_after" else max(scale.low, 0.03)


@contextlib.contextmanager
def armed(url: str, cell: Cell) -> Iterator[Any]:
    protocol = CLIENTS[cell.client][0]
    kind = min(kinds_over(catalogue()[cell.fault], protocol), key=lambda kind: (kind != "llm", kind))
    arming = Arming(Component("target", kind, endpoint=url), cell.fault, magnitude_of(cell.fault), seed=cell.seed)
    assert INJECTOR.refuses(arming) == ""
    handle = INJECTOR.prepare(arming)
    INJECTOR.apply(handle, Lease(20))
    try:
        yield lambda: INJECTOR.landed(handle)
    finally:
        INJECTOR.rollback(handle)
        assert INJECTOR.verify(handle)


@contextlib.contextmanager
def unit() -> Iterator[None]:
    token = current_unit.set(UnitContext(UNIT, "treatment"))
    try:
        yield
    finally:
        current_unit.reset(token)


# What was heard, in words


def told(result: Any, cell: Cell) -> str:
    if isinstance(result, BaseException):
        return f"raises {named(result)}"
    if isinstance(result, Unreadable):
        return "no error: events without content" if result.kind == "events" else f"no error: returns `{result.kind}` without content"
    if not isinstance(result, Heard):
        return "no error: returns None" if result is None else f"no error: returns {'a' if result else 'an empty'} string"
    parts = [said(result, cell.sample)]
    if CLIENTS[cell.client][0] in {"mcp", "http"}:
        return f"no error: {parts[0]}"
    if cell.sample != "vectors":
        parts.append(
            f"finish reason `{result.finish}`" if result.finish and " " not in result.finish else result.finish or "finish reason missing"
        )
    if cell.fault == "llm.wrong_model":
        parts.append(f"model `{result.model}`")
    if cell.fault in {"llm.missing_usage", "llm.token_spike"}:
        parts.append("no usage" if result.tokens is None else f"{result.tokens} tokens")
    return f"no error: {', '.join(parts)}"


def named(error: BaseException) -> str:
    inner = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    code = next((code for name in ("status_code", "code") if isinstance(code := getattr(inner, name, None), int) and code != -1), None)
    if (detail := getattr(inner, "error", None)) is not None and isinstance(getattr(detail, "code", None), int):
        code = detail.code
    if code is None and (response := getattr(inner, "response", None)) is not None:
        code = getattr(response, "status_code", None)
    return f"`{type(inner).__name__}`{f' ({code})' if code else ''}"


def said(heard: Heard, sample: str) -> str:
    if heard.data is not None:
        return data_told(heard.data, sample)
    if heard.names or sample == "tools":
        return calls_told(heard)
    return text_told(heard.text, TEXTS.get(sample, ""))


def text_told(text: str, whole: str) -> str:
    if text == whole:
        return "whole text"
    if not text:
        return "no text"
    if whole.startswith(text):
        return "text cut"
    return "text and more" if whole in text else "other text"


def calls_told(heard: Heard) -> str:
    if not heard.names:
        return "no tool call"
    parts = [f"{len(heard.names)} tool calls" if len(heard.names) > 1 else "tool call"]
    parts += [f"of `{heard.names[0]}`"] if heard.names[0] != "lookup_order" else []
    if not all(heard.ids):
        parts.append("without id")
    elif "call_5b0d" in heard.ids:
        parts.append("with an earlier id")
    parts.append(arguments_told(heard.arguments[0] if heard.arguments else ""))
    return ", ".join(parts)


def arguments_told(arguments: str) -> str:
    try:
        whole = json.loads(arguments)
    except ValueError:
        return "arguments that are no JSON"
    return "whole arguments" if whole == ARGUMENTS else "arguments with entries missing"


def data_told(data: Any, sample: str) -> str:
    if sample == "vectors":
        lengths = {len(vector) for vector in data}
        good = [[0.25, -0.5, 0.125, 0.75], [0.5, 0.0, -0.25, 0.125]]
        same = "the vectors" if data == good else "the vectors, swapped" if data == good[::-1] else "other vectors"
        return f"{len(data)} of {same}, {lengths.pop()} numbers each"
    return "the data" if data == GOOD[sample if sample in GOOD else "POST"] else "nothing" if not data else "other data"


GOOD: dict[str, Any] = {}
"""What is heard without a fault, by sample."""


# Tests


def expected() -> dict[tuple[str, str, str], tuple[str, str]]:
    found, client = {}, ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            client = line[3:]
        elif (row := ROW.match(line)) is not None:
            found[client, row[1], row[2]] = (row[3], row[4])
    return found


EXPECTED = expected()
RAISED = {"status 429": "429", "status 500": "500", "status 502": "502", "status 503": "503", "status 504": "504", "status 529": "529"}


@pytest.fixture(scope="module")
def servers(provider_server) -> Iterator[dict[tuple[str, bool], str]]:
    from servers.mcp_server import Mcp

    mcp = {stream: Mcp(stream=stream) for stream in (False, True)}
    for server in mcp.values():
        server.start()
    yield {("mcp", stream): server.url for stream, server in mcp.items()} | {
        (client, stream): provider_server.url for client in CLIENTS if client not in {"mcp", STDIO} for stream in (False, True)
    }
    for server in mcp.values():
        server.stop()


async def heard(url: str, cell: Cell, mode: str, arm: Any) -> Any:
    """Ask one question under a fault, and return what came of it."""
    try:
        if cell.client == "mcp":
            return await heard_over_mcp(url, cell, arm)
        with arm:
            question = Question(cell.sample, cell.stream, mode, cell.fault in RUN_OUT)
            return await CLIENTS[cell.client][2](url, question)
    except Exception as error:  # noqa: BLE001 - what is raised is the result
        return error


async def heard_over_mcp(url: str, cell: Cell, arm: Any) -> Any:
    if cell.sample == "initialize":
        with arm:
            async with mcp_session(url, hurry=False) as session:
                return Heard(data=await asked_over_mcp(session, "tools/call"))
    async with mcp_session(url, hurry=cell.fault in RUN_OUT) as session:
        with arm:
            return Heard(data=await asked_over_mcp(session, cell.sample))


async def asked_over_mcp(session: Any, method: str) -> Any:
    if method == "tools/list":
        return [tool.model_dump(exclude_none=True) for tool in (await session.list_tools()).tools]
    result = await session.call_tool("lookup_order", {"order_id": "A-1"})
    return f"an error for the model: {result.content[0].text}" if result.is_error else result.structured_content or result.content[0].text


async def good_answers(servers: Any) -> None:
    if "POST" not in GOOD:
        none = contextlib.nullcontext()
        for sample in ("tools/call", "tools/list"):
            answer = await heard(servers["mcp", False], Cell("mcp", "", "", False, sample, 0), "async", none)
            GOOD[sample] = answer.data
        GOOD["initialize"] = GOOD["tools/call"]
        GOOD["POST"] = (await heard(servers["httpx", False], Cell("httpx", "", "", False, "POST", 0), "async", none)).data


def modes() -> list[tuple[Cell, str]]:
    return [(cell, mode) for cell in CELLS if cell.client != STDIO for mode in CLIENTS[cell.client][1]]


@pytest.mark.parametrize(("cell", "mode"), modes(), ids=str)
async def test_fault_reaches_the_caller_as_the_provider_would_send_it(servers, cell, mode):
    await good_answers(servers)
    url = servers[cell.client, cell.stream]
    importlib.import_module(cell.client.partition(" ")[0].replace("google-", "google."))  # a slow import outlives a lease
    with contextlib.ExitStack() as stack:
        stack.enter_context(unit())
        landings: list[Any] = []

        @contextlib.contextmanager
        def arm() -> Iterator[None]:
            with armed(url, cell) as landing:
                try:
                    yield
                finally:
                    landings.append(landing())

        saw = told(await heard(url, cell, mode, arm()), cell)
    SEEN[cell] = saw
    (landing,) = landings
    assert list(landing.effect) == [cell.effect], landing
    assert landing.injected >= 1
    if (status := RAISED.get(cell.effect)) is not None and cell.client not in {"mcp", "litellm"}:
        assert saw.startswith("raises")
        assert f"({status})" in saw
    if not os.environ.get("REFUTE_WRITE_DOCS"):
        assert saw == EXPECTED[cell.row][cell.stream]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def over_stdio():
    held = stdio_session.StdioSession()
    yield held, await held.start()
    await held.stop()


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.client == STDIO and cell.effect != REFUSED], ids=str)
async def test_fault_over_stdio_reaches_the_caller_and_the_session_goes_on(over_stdio, cell):
    held, session = over_stdio
    GOOD[cell.sample] = await stdio_session.asked(session, cell.sample, 10.0)
    magnitude = 0.1 if cell.fault in RUN_OUT else magnitude_of(cell.fault)  # the proxy cannot see a caller on a pipe give up
    async with held.armed(cell.fault, magnitude, cell.seed) as landing:
        try:
            answer = Heard(data=await stdio_session.asked(session, cell.sample, 0.3 if cell.fault in RUN_OUT else 10.0))
        except Exception as error:  # noqa: BLE001 - what is raised is the result
            answer = error
    SEEN[cell] = saw = told(answer, cell)
    assert (list(landing().effect), landing().injected) == ([cell.effect], 1)
    assert await stdio_session.asked(session, cell.sample, 10.0) == GOOD[cell.sample], "it is gone with its lease"
    if not os.environ.get("REFUTE_WRITE_DOCS"):
        assert saw == EXPECTED[cell.row][False]


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.effect == REFUSED], ids=str)
async def test_what_has_no_likeness_over_stdio_is_refused(cell):
    SEEN[cell] = "refused"
    assert stdio_session.refusal(cell.fault)


async def test_reference_page_has_every_fault_and_client(servers):
    if os.environ.get("REFUTE_WRITE_DOCS"):
        PAGE.write_text(rendered())
        return
    assert {cell.row for cell in CELLS} == EXPECTED.keys()
    for package in PACKAGES:
        assert f"{package} " in PAGE.read_text()


PACKAGES = ("openai", "anthropic", "google-genai", "ollama", "litellm", "mcp", "httpx")


def rendered() -> str:
    lines = [
        "# What your client does",
        "",
        "Every fault, as real clients hand it to the code that calls them, with their own retries switched off. Sync and async",
        "clients behave alike. The tables are what `tests/contract/test_sdk_matrix.py` sees over real HTTP and checks at each run, with",
        f"{', '.join(f'{package} {version(package)}' for package in PACKAGES)}.",
        "",
        "`no error` means that the caller is told nothing: whatever is to be noticed, your code has to notice.",
    ]
    for client in CLIENTS:
        rows: dict[tuple[str, str], dict[bool, str]] = {}
        for cell in CELLS:
            if cell.client == client:
                rows.setdefault((cell.fault, cell.effect), {})[cell.stream] = SEEN[cell]
        lines += ["", f"## {client}", "", "| fault | delivered | whole | streamed |", "| --- | --- | --- | --- |"]
        streamed = "–" if client == STDIO else "not eligible"
        lines += [
            f"| `{fault}` | {effect} | {row.get(False, 'not eligible')} | {row.get(True, streamed)} |"
            for (fault, effect), row in sorted(rows.items())
        ]
    return "\n".join([*lines, ""])
