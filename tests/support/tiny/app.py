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


@asynccontextmanager
async def running():
    global client
    if os.environ.get("TINY_SETUP") == "fails":
        raise RuntimeError("the database is down")
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["TINY_PORT"])), Provider)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{os.environ['TINY_PORT']}/v1", api_key="canary-key", max_retries=0)
    try:
        yield
    finally:
        await client.close()
        server.shutdown()


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
