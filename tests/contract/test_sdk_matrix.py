"""What the real openai and anthropic SDKs make of every fault, over real HTTP: raised, returned, or not noticed at all.

`REFUTE_WRITE_DOCS=1` rewrites the reference page from what was seen.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from refute.core.arming import Landing
from refute.faults.catalogue import catalogue
from refute.wire.codec import recognise
from refute.wire.exchange import Request
from servers.calling import MODELS, UNIT, armed, called, unit
from servers.provider import ARGUMENTS, TEXT

PAGE = Path(__file__).parents[2] / "docs/reference/what-your-client-does.md"


@dataclass(frozen=True)
class Cell:
    """One fault (and, where it draws one, a variant), told by the effect that it must deliver."""

    fault: str
    effect: str
    seed: int
    protocol: str
    stream: bool


SEEN: dict[Cell, str] = {}
"""What the tests saw, so that the page need not ask again where they ran in the same process."""


def cells() -> list[Cell]:
    found = []
    for protocol in ("openai", "anthropic"):
        for stream in (False, True):
            for fault in PROVIDER_FAULTS:
                if fault.startswith("stream.") and not stream:
                    continue
                found += [Cell(fault, effect, seed, protocol, stream) for effect, seed in variants(fault, protocol).items()]
    return found


PROVIDER_FAULTS = [name for name in catalogue() if name.partition(".")[0] in {"llm", "stream", "content", "toolcall"}]


def variants(fault: str, protocol: str) -> dict[str, int]:
    """Return a seed for each effect that a fault may draw."""
    path = "chat/completions" if protocol == "openai" else "messages"
    _, call = recognise(Request("POST", f"http://x/v1/{path}"))
    strike = catalogue()[fault].strike_exchange
    drawn = {strike(call, None, random.Random(f"{seed}/{UNIT}/llm/0")).effect: seed for seed in range(40, -1, -1)}
    return dict(sorted(drawn.items()))


def told(result: Any, protocol: str) -> str:
    """Say in a few words what the caller saw."""
    if isinstance(result, BaseException):
        status = getattr(result, "status_code", None)
        return f"raises `{type(result).__name__}`{f' ({status})' if status else ''}"
    if isinstance(result, list):
        text, arguments, finish = OF_STREAM[protocol](result)
    elif isinstance(result, str):
        return "no error: returns a string" if result else "no error: returns an empty string"
    else:
        try:
            text, arguments, finish = OF_WHOLE[protocol](result)
        except (AttributeError, TypeError, IndexError):
            return f"no error: returns `{type(result).__name__}` without content"
    return f"no error: {content_told(text, arguments)}, finish reason {f'`{finish}`' if finish else 'missing'}"


def content_told(text: str, arguments: str) -> str:
    if arguments:
        try:
            whole = json.loads(arguments)
        except ValueError:
            return "arguments that are no JSON"
        return "whole arguments" if whole == ARGUMENTS else "arguments with entries missing"
    return "whole text" if text == TEXT else "text cut" if text else "no text"


def openai_stream(events: list[Any]) -> tuple[str, str, str]:
    choices = [choice for event in events for choice in event.choices]
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    return (
        "".join(choice.delta.content or "" for choice in choices),
        "".join(call.function.arguments or "" for call in calls),
        next((choice.finish_reason for choice in choices if choice.finish_reason), ""),
    )


def anthropic_stream(events: list[Any]) -> tuple[str, str, str]:
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    reasons = [event.delta.stop_reason for event in events if event.type == "message_delta"]
    return (
        "".join(delta.text for delta in deltas if delta.type == "text_delta"),
        "".join(delta.partial_json for delta in deltas if delta.type == "input_json_delta"),
        reasons[-1] if reasons else "",
    )


def openai_whole(answer: Any) -> tuple[str, str, str]:
    choice = answer.choices[0]
    calls = choice.message.tool_calls or ()
    return choice.message.content or "", "".join(call.function.arguments for call in calls), choice.finish_reason


def anthropic_whole(answer: Any) -> tuple[str, str, str]:
    blocks = answer.content
    text = "".join(block.text for block in blocks if block.type == "text")
    return text, "".join(json.dumps(block.input) for block in blocks if block.type == "tool_use"), answer.stop_reason


OF_STREAM = {"openai": openai_stream, "anthropic": anthropic_stream}
OF_WHOLE = {"openai": openai_whole, "anthropic": anthropic_whole}


async def seen(provider: Any, cell: Cell, mode: str) -> tuple[str, Landing]:
    with armed(provider.url, cell.fault, seed=cell.seed) as landing, unit():
        result = await called(provider.url, cell.protocol, mode, stream=cell.stream, model=MODELS.get(cell.fault, "text"))
    return told(result, cell.protocol), landing()


def name_of(cell: Cell) -> str:
    return f"{cell.fault}-{cell.effect.replace(' ', '_')}-{cell.protocol}-{'stream' if cell.stream else 'whole'}"


RAISED = {
    "status 429": "RateLimitError",
    "status 500": "InternalServerError",
    "status 502": "InternalServerError",
    "status 503": "InternalServerError",
    "status 504": ("InternalServerError", "GatewayTimeoutError"),
    "status 529": ("OverloadedError", "InternalServerError"),
    "no first byte": "APITimeoutError",
    "error event": ("APIError", "APIStatusError", "OverloadedError", "InternalServerError"),
}
RETURNED = {"delay": "whole text", "slow tokens": "whole text", "stream cut": "text cut", "truncated": "text cut"}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("cell", cells(), ids=name_of)
async def test_fault_reaches_the_caller_as_the_provider_would_send_it(provider, cell, mode):
    saw, landing = await seen(provider, cell, mode)
    SEEN[cell] = saw
    assert (landing.eligible, landing.injected, landing.effect) == (1, 1, {cell.effect: 1})
    if (expected := RAISED.get(cell.effect)) is not None:
        assert saw.startswith(tuple(f"raises `{name}`" for name in ((expected,) if isinstance(expected, str) else expected)))
    elif (text := RETURNED.get(cell.effect)) is not None:
        assert text in saw
    elif cell.fault == "toolcall.bad_arguments":
        assert "no JSON" in saw or ("entries missing" in saw and cell.protocol == "anthropic" and not cell.stream)
    if cell.effect == "truncated":
        assert saw.endswith("`length`" if cell.protocol == "openai" else "`max_tokens`")
    if cell.effect == "stream cut":
        assert saw.endswith("missing")


async def test_reference_page_is_what_the_clients_do(provider):
    page = await rendered(provider)
    if os.environ.get("REFUTE_WRITE_DOCS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "REFUTE_WRITE_DOCS=1 pytest tests/contract/test_sdk_matrix.py rewrites the page"


async def rendered(provider: Any) -> str:
    lines = [
        "# What your client does",
        "",
        "Every fault of the provider families, as the official SDKs hand it to the code that calls them, with their own retries switched",
        "off. Sync and async clients behave alike. The table is written by `tests/contract/test_sdk_matrix.py` from what it sees over real",
        f"HTTP, with openai {openai.__version__} and anthropic {anthropic.__version__}.",
        "",
        "| fault | delivered | openai | openai, streamed | anthropic | anthropic, streamed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    table: dict[tuple[str, str], dict[tuple[str, bool], str]] = {}
    for cell in cells():
        effect = "overloaded" if cell.effect in {"status 503", "status 529"} else cell.effect
        saw = SEEN.get(cell) or (await seen(provider, cell, "async"))[0]
        table.setdefault((cell.fault, effect), {})[cell.protocol, cell.stream] = saw
    for (fault, effect), row in sorted(table.items()):
        columns = [row.get((protocol, stream), "not eligible") for protocol in ("openai", "anthropic") for stream in (False, True)]
        lines.append(f"| `{fault}` | {effect} | {' | '.join(columns)} |")
    return "\n".join([*lines, ""])
