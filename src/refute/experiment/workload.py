"""What answers a case: a Python function, or an HTTP service that cases are posted to."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import urllib3

from refute.core.context import current_unit, shielded

Answerer = Callable[[dict[str, Any]], Awaitable[Any]]
MAX_IN_FLIGHT = 256


def resolve(reference: str) -> Any:
    """Return what `module:name` names; attributes may be dotted.

    Args:
        reference: validated before.
    """
    module, _, path = reference.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


async def call(function: Callable[..., Any], threads: ThreadPoolExecutor, *arguments: Any) -> Any:
    """Call a function that may be synchronous (then in a thread, with this context) or asynchronous."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    context = contextvars.copy_context()
    result = await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(function, *arguments))
    return await result if inspect.isawaitable(result) else result


def python_answerer(reference: str, threads: ThreadPoolExecutor) -> Answerer:
    """Return what calls the named function with a case."""
    function = resolve(reference)

    async def answer(case: dict[str, Any]) -> Any:
        return await call(function, threads, case)

    return answer


def http_answerer(url: str, timeout_s: float, threads: ThreadPoolExecutor) -> Answerer:
    """Return what posts a case as JSON and returns {status, body} where body is parsed JSON, or text.

    Args:
        url: of the service.
        timeout_s: time limit of one request, seconds.
        threads: where requests wait.
    """
    pool = urllib3.PoolManager(maxsize=MAX_IN_FLIGHT, retries=False, timeout=timeout_s)

    def post(case: dict[str, Any]) -> dict[str, Any]:
        unit = current_unit.get()
        headers = {"content-type": "application/json"}
        if unit is not None:
            headers["baggage"] = f"refute-unit={unit.key},refute-arm={unit.arm}"
        shielded.set(True)  # the load generator's own client; the thread's context is this unit's alone
        response = pool.request("POST", url, body=json.dumps(case).encode(), headers=headers)
        if response.status >= 500:
            raise ServiceError(f"HTTP {response.status}")
        try:
            body = response.json()
        except ValueError:
            body = response.data.decode(errors="replace")
        return {"status": response.status, "body": body}

    async def answer(case: dict[str, Any]) -> Any:
        return await call(post, threads, case)

    return answer


class ServiceError(Exception):
    """The service under load answered with a server error."""


def setup_of(reference: str) -> AbstractAsyncContextManager[Any]:
    """Return the named asynchronous context manager, made; an empty one for ""."""
    return resolve(reference)() if reference else nullcontext()
