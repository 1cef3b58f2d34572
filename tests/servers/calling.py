"""Arms a fault, starts a unit, and calls the provider through the real SDKs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import anthropic
import openai

from refute.core.arming import Arming
from refute.core.context import UnitContext, current_unit
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.http import INJECTOR

UNIT = "case/0"
READ_TIMEOUT_S = 0.5
MAGNITUDES = {"llm.rate_limit": 0.01, "llm.timeout": 5.0, "llm.delay": 0.03, "stream.slow_tokens": 0.01}
MODELS = {"toolcall.bad_arguments": "tools"}


@contextlib.contextmanager
def armed(url: str, fault: str, *, lease: Lease | None = None, **fields: Any) -> Iterator[Any]:
    component = fields.pop("component", None) or Component("llm", "llm", endpoint=f"{url}/v1")
    fields = {"magnitude": MAGNITUDES.get(fault)} | fields
    arming = Arming(component, fault, **fields)
    assert INJECTOR.refuses(arming) == ""
    handle = INJECTOR.prepare(arming)
    INJECTOR.apply(handle, lease or Lease(20))
    try:
        yield lambda: INJECTOR.landed(handle)
    finally:
        INJECTOR.rollback(handle)
        assert INJECTOR.verify(handle)


@contextlib.contextmanager
def unit(arm: str = "treatment", key: str = UNIT) -> Iterator[UnitContext]:
    context = UnitContext(key, arm)
    token = current_unit.set(context)
    try:
        yield context
    finally:
        current_unit.reset(token)


def client_of(url: str, protocol: str, mode: str, **options: Any) -> Any:
    module = {"openai": openai, "anthropic": anthropic}[protocol]
    http = (module.DefaultHttpxClient if mode == "sync" else module.DefaultAsyncHttpxClient)(verify=False)  # no TLS: starts quicker
    options = {"api_key": "k", "max_retries": 0, "timeout": READ_TIMEOUT_S, "http_client": http} | options
    if protocol == "openai":
        return (openai.OpenAI if mode == "sync" else openai.AsyncOpenAI)(base_url=f"{url}/v1", **options)
    return (anthropic.Anthropic if mode == "sync" else anthropic.AsyncAnthropic)(base_url=url, **options)


def ask(client: Any, protocol: str, *, stream: bool, model: str = "text") -> Any:
    messages = [{"role": "user", "content": "Where is my order?"}]
    if protocol == "openai":
        return client.chat.completions.create(model=model, messages=messages, stream=stream)
    return client.messages.create(model=model, messages=messages, stream=stream, max_tokens=100)


async def called(url: str, protocol: str, mode: str, *, stream: bool, model: str = "text", **options: Any) -> Any:
    """Call a provider through its SDK and return the answer, or the list of events, or the exception."""
    events: list[Any] = []
    try:
        if mode == "sync":
            with client_of(url, protocol, mode, **options) as client:
                answer = await asyncio.to_thread(ask, client, protocol, stream=stream, model=model)
                if stream and not isinstance(answer, str):
                    await asyncio.to_thread(lambda: events.extend(answer))
        else:
            async with client_of(url, protocol, mode, **options) as client:
                answer = await ask(client, protocol, stream=stream, model=model)
                if stream and not isinstance(answer, str):
                    events += [event async for event in answer]
    except Exception as error:  # noqa: BLE001 - what is raised is the result
        return error
    return events if stream and not isinstance(answer, str) else answer
