"""A small application on the openai SDK with a provider of its own, for runs that must be quick."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
import time
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai

HERE = Path(__file__).parent
client: openai.AsyncOpenAI | None = None
asked = itertools.count()


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        behave()
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "forty-two"}
        body = json.dumps(
            {
                "id": "c",
                "object": "chat.completion",
                "created": 0,
                "model": "tiny",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


answered_before = itertools.count()


def behave() -> None:
    """Do what TINY_PROVIDER says: `hangs N` and `dies N` from the Nth call on."""
    what, _, after = os.environ.get("TINY_PROVIDER", "").partition(" ")
    if what and next(answered_before) >= int(after):
        if what == "hangs":
            time.sleep(600)
        raise ConnectionAbortedError("the provider is down")


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        return


@asynccontextmanager
async def running():
    global client
    if os.environ.get("TINY_SETUP") == "fails":
        raise RuntimeError("the database is down")
    if os.environ.get("TINY_SETUP") == "slow":
        note("setting-up")
        await asyncio.sleep(5)
    server = QuietServer(("127.0.0.1", int(os.environ["TINY_PORT"])), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{os.environ['TINY_PORT']}/v1", api_key="canary-key", max_retries=0)
    try:
        yield
    finally:
        await client.close()
        server.shutdown()
        if os.environ.get("TINY_TEARDOWN") == "slow":
            await asyncio.sleep(2)


def note(what: str) -> None:
    with (HERE / "noted.txt").open("a") as file:
        file.write(f"{time.time()} {what}\n")


async def answer(case: dict) -> str:
    """No fallback and no retry: a provider's error reaches the user."""
    try:
        reply = await client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": case["question"]}])
    except openai.RateLimitError:
        note("rate-limited")
        raise
    return reply.choices[0].message.content


async def careful_answer(case: dict) -> str:
    """One good fallback."""
    try:
        return await answer(case)
    except openai.APIError:
        return "forty-two"


@asynccontextmanager
async def nothing_running():
    """The provider is down."""
    global client
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{os.environ['TINY_PORT']}/v1", api_key="canary-key", max_retries=0)
    yield


limited = False


async def scarring_answer(case: dict) -> str:
    """Once there has been a rate limit nobody is answered any more when it is over."""
    if limited and case["occurrence"].startswith("recover"):
        raise RuntimeError("circuit breaker is open")
    return await noting_answer(case)


async def careful_scarring_answer(case: dict) -> str:
    try:
        return await scarring_answer(case)
    except openai.APIError:
        return "forty-two"


async def noting_answer(case: dict) -> str:
    global limited
    try:
        return await answer(case)
    except openai.RateLimitError:
        limited = True
        raise


async def stuck_answer(case: dict) -> str:
    """Blocks its event loop for ever, and with it all units."""
    time.sleep(600)  # noqa: ASYNC251 - as people do
    return "forty-two"


async def stubborn_answer(case: dict) -> str:
    """Does not heed its time limit."""
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


async def broken_answer(case: dict) -> str:
    raise ZeroDivisionError


def thread_answer(case: dict) -> str:
    return asyncio.run(_in_a_thread(case))


async def _in_a_thread(case: dict) -> str:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{os.environ['TINY_PORT']}/v1", api_key="k", max_retries=0) as own:
        reply = await own.chat.completions.create(model="tiny", messages=[{"role": "user", "content": case["question"]}])
    return reply.choices[0].message.content


async def deaf_answer(case: dict) -> str:
    """Never calls the model through a client that is hooked."""
    import urllib.request

    def get() -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{os.environ['TINY_PORT']}/v1/chat/completions", data=b"{}")
        with urllib.request.urlopen(request) as reply:
            return reply.read()

    await asyncio.to_thread(get)
    return "forty-two"


def answered(case: dict, text: str) -> bool:
    return text == "forty-two"


def tokens(case: dict, text: str) -> int:
    return 1000


def shaky(case: dict, text: str) -> float:
    """No number at all in one unit of thirty."""
    return float("nan") if next(asked) % 30 == 29 else 1.0


async def lookup(question: str) -> str:
    return "forty-two"


async def redundant_answer(case: dict) -> str:
    """Bears a tool that fails and a model that fails, and not both at once."""
    try:
        found = await lookup(case["question"])
    except Exception:  # noqa: BLE001 - as people do
        return await answer(case)
    try:
        return await answer(case)
    except openai.APIError:
        return found


async def toolless_answer(case: dict) -> str:
    """Never calls the tool."""
    return await careful_answer(case)


@asynccontextmanager
async def running_without_lookup():
    """The tool is gone once the application runs, so that it cannot be wrapped any more."""
    del globals()["lookup"]
    async with running():
        yield
