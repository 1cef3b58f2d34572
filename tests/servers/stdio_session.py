"""One MCP session over stdio through `refute proxy`, and faults that are armed in that proxy as a run does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from refute.core.arming import Arming, Landing
from refute.core.system import Component
from refute.experiment.link import Link
from refute.injectors.door import invite, signs
from refute.injectors.proxy.hands import INJECTOR

SERVER = "from servers.mcp_server import orders; orders().run(transport='stdio')"
COMPONENT = Component("orders", "mcp_server", endpoint="stdio://orders", via="proxy")
UNIT = "process"
"""The unit that requests without baggage belong to where all is in treatment."""


class StdioSession:
    """A session in a task of its own, so that it can be begun in one test and ended in another."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._state = tempfile.mkdtemp(prefix="refute-")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> ClientSession:
        ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(ready))
        await asyncio.wait([self._task, ready], return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        return ready.result()

    async def stop(self) -> None:
        self._over.set()
        if self._task is not None:
            await self._task

    async def _hold(self, ready: asyncio.Future[ClientSession]) -> None:
        tests = str(Path(__file__).parents[1])
        command = ["-m", "refute", "proxy", "--stdio", "orders", "--", sys.executable, "-c", SERVER]
        environ = {**os.environ, "XDG_STATE_HOME": self._state, "PYTHONPATH": tests}
        server = StdioServerParameters(command=sys.executable, args=command, env=environ)
        async with stdio_client(server) as (read, write), ClientSession(read, write, read_timeout_seconds=20) as session:
            await session.initialize()
            ready.set_result(session)
            await self._over.wait()

    @contextlib.asynccontextmanager
    async def armed(self, fault: str, magnitude: float | None, seed: int) -> AsyncIterator[Callable[[], Landing]]:
        """Arm a fault; what has landed is known once it is disarmed."""
        handle = INJECTOR.prepare(Arming(COMPONENT, fault, magnitude, cohort=1.0, seed=seed))
        async with Link(lambda _peer, _message: None) as link:
            (sign,) = signs(Path(self._state) / "refute" / "doors")
            assert await asyncio.to_thread(invite, sign, link.environment) == ""
            peer = await link.joined("proxy", 5)
            link.arm_joining([handle], 15.0)
            await link.arm_live()
            assert not peer.refused
            yield lambda: link.landed(handle)
            assert (await link.disarm()).proven


def refusal(fault: str) -> str:
    """Return why a fault cannot be injected over stdio, or ""."""
    return INJECTOR.refuses(Arming(COMPONENT, fault, cohort=1.0))


async def asked(session: ClientSession, method: str, timeout_s: float) -> Any:
    if method == "tools/list":
        return [tool.model_dump(exclude_none=True) for tool in (await session.list_tools()).tools]
    result = await session.call_tool("lookup_order", {"order_id": "A-1"}, read_timeout_seconds=timeout_s)
    return f"an error for the model: {result.content[0].text}" if result.is_error else result.structured_content or result.content[0].text
