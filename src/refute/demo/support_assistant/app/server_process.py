"""Starts the local model server as a process of its own, and stops it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

DEFAULT_PORT = 8781
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 5


@asynccontextmanager
async def model_server() -> AsyncIterator[tuple[str, str]]:
    """Yield the base URL of the model server and the name of its model."""
    if url := os.environ.get("SUPPORT_MODEL_URL"):
        yield url, os.environ.get("SUPPORT_MODEL", "extractive-1")
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app.model_server"),
        *("--port", os.environ.get("SUPPORT_PORT", str(DEFAULT_PORT))),
        *("--model", os.environ.get("SUPPORT_MODEL", "extractive-1")),
        cwd=Path(__file__).parent.parent,
        stdin=asyncio.subprocess.PIPE,  # never written to: its end tells the server that we are gone
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            ready = await process.stdout.readline()
        if not ready:
            raise RuntimeError((await process.stderr.read()).decode().strip() or "the model server did not start")
        status = json.loads(ready)
        errors = asyncio.create_task(_pass_on_errors(process.stderr))
        try:
            yield status["url"], status["model"]
        finally:
            errors.cancel()
    finally:
        await _stop(process)


async def _pass_on_errors(stream: asyncio.StreamReader) -> None:
    async for line in stream:
        sys.stderr.buffer.write(b"model server: " + line)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
