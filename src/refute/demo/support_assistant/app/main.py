"""The way in: `running()` starts what the assistant needs, `answer(case)` answers one customer."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from openai import AsyncOpenAI

from app import rag, tools
from app.agent import Agent
from app.server_process import model_server

TOOL_THREADS = 32
MODEL_TIMEOUT_S = 20.0

_agent: Agent | None = None


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Open a fresh database, index the articles and start the model server; stop and remove them at the end.

    Set SUPPORT_MODEL_URL to use a server that is already running, with SUPPORT_MODEL and SUPPORT_API_KEY to go with it.
    """
    global _agent
    with tempfile.TemporaryDirectory(prefix="support-assistant-") as folder:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(TOOL_THREADS))
        tools.open_database(Path(folder) / "support.db")
        index = asyncio.create_task(asyncio.to_thread(rag.load))  # while the server starts
        async with model_server() as (url, model):
            await index
            client = AsyncOpenAI(
                base_url=url,
                api_key=os.environ.get("SUPPORT_API_KEY", "sk-local"),
                timeout=MODEL_TIMEOUT_S,
            )
            async with client:
                _agent = Agent(client, model)
                try:
                    yield
                finally:
                    _agent = None


async def answer(case: dict) -> dict:
    """Answer the question of one case; each call is a conversation of its own."""
    if _agent is None:
        raise RuntimeError("nothing is running: use `async with app.main.running():` around answer()")
    return asdict(await _agent.answer(case["question"], conversation_id=uuid.uuid4().hex))


async def _once(question: str) -> None:
    async with running():
        print((await answer({"question": question}))["text"])


if __name__ == "__main__":
    asyncio.run(_once(" ".join(sys.argv[1:])))
