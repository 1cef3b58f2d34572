"""What answers a case: a Python function, or an HTTP service that cases are posted to."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import json
import time
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from refute.core.cohort import HEADER
from refute.core.context import current_unit, shielded
from refute.core.errors import refuse
from refute.core.hosts import may_load
from refute.experiment.tally import Tally

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Answerer = Callable[[dict[str, Any]], Awaitable[Any]]
MAX_IN_FLIGHT = 1024
_PIECE_BYTES = 65536


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


def http_answerer(url: str, hosts: Collection[str], timeout_s: float, threads: ThreadPoolExecutor, tally: Tally) -> Answerer:
    """Return what posts a case as JSON and returns {status, body} where body is parsed JSON, or text.

    Any status below 500 is an answer, redirects too: they are not followed, so that load stays where it was sent. Each unit has a
    connection of its own.

    Args:
        url: of the service.
        hosts: to which load may be sent.
        timeout_s: time limit of one request, seconds.
        threads: where requests wait.
        tally: takes what the service reports of its units.

    Raises:
        RefuteError: load may not be sent there (`HOST-NOT-ALLOWED`).
    """
    if not may_load(url, hosts):
        raise refuse("HOST-NOT-ALLOWED", "load may not be sent there", seen=url, allowed=", ".join(sorted(hosts)))
    import urllib3

    def post(case: dict[str, Any], baggage: str) -> dict[str, Any]:
        shielded.set(True)  # the load generator's own client; the thread's context is this unit's alone
        until_s = time.monotonic() + timeout_s
        headers = {"content-type": "application/json", "connection": "close", HEADER: baggage}
        body = json.dumps(case).encode()
        with urllib3.PoolManager(retries=False, timeout=timeout_s) as own:  # what one unit's fault has broken must not fail another unit
            response = own.request("POST", url, body=body, headers=headers, redirect=False, preload_content=False)
            try:
                content = _read(response, until_s)
            finally:
                response.close()
        if response.status >= 500:
            raise ServiceError(f"HTTP {response.status}")
        return {"status": response.status, "body": _parsed(content)}

    async def answer(case: dict[str, Any]) -> Any:
        unit = current_unit.get()
        assert unit is not None
        with tally.counting(unit):
            return await call(post, threads, case, tally.seal.baggage(unit.key, unit.arm))

    return answer


def _read(response: BaseHTTPResponse, until_s: float) -> bytes:
    """Return the whole body; one that trickles on beyond the time limit is given up."""
    content = bytearray()
    for piece in response.stream(_PIECE_BYTES):
        content += piece
        if time.monotonic() > until_s:
            raise TimeoutError
    return bytes(content)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")


class ServiceError(Exception):
    """The service under load answered with a server error."""


def setup_of(reference: str) -> AbstractAsyncContextManager[Any]:
    """Return the named asynchronous context manager, made; an empty one for ""."""
    return resolve(reference)() if reference else nullcontext()
