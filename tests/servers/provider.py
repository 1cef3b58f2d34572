"""A small server that speaks every provider's protocol byte-exactly, on loopback, in a thread.

The name of the model that is asked for says what happens: with `json` or `tools` in it such an answer, else a text;
`-gzip` compresses, `-slow` waits 50 ms between events, `-error` answers 500.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from refute.wire.samples import answers
from refute.wire.samples.words import ARGUMENTS, TEXT, WORDS

GAP_S = 0.05
_GEMINI = re.compile(r"/models/([^/:]+):(\w+)")


def openai_whole(tools: bool) -> bytes:
    return answers.chat("tools" if tools else "text")


def openai_events(tools: bool) -> list[bytes]:
    return answers.chat_events("tools" if tools else "text")


def anthropic_whole(tools: bool) -> bytes:
    return answers.message("tools" if tools else "text")


def anthropic_events(tools: bool) -> list[bytes]:
    return answers.message_events("tools" if tools else "text")


class Served:
    """A Starlette application on a free port, in a thread."""

    def __init__(self, app: Any, lifespan: str = "off") -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan=lifespan, loop="asyncio"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)


class Provider(Served):
    """The server; `requests` holds what arrived, `unfinished` counts streams whose reader left."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict]] = []
        self.unfinished = 0
        places = {
            "/v1/chat/completions": "openai.chat",
            "/v1/responses": "openai.responses",
            "/v1/embeddings": "openai.embeddings",
            "/v1/messages": "anthropic.messages",
            "/{api}/models/{rest:path}": "gemini",
            "/api/chat": "ollama",
            "/search": "http",
        }
        routes = [Route(path, self._answering(protocol), methods=["POST"]) for path, protocol in places.items()]
        routes += [Route("/v1/models", self._models), Route("/orders/{id}", self._order, methods=["GET", "POST"])]
        super().__init__(Starlette(routes=routes))

    async def _models(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), {}))
        return JSONResponse({"object": "list", "data": []})

    async def _order(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), {}))
        return JSONResponse({"id": request.path_params["id"], "state": "shipped"})

    def _answering(self, protocol: str) -> Any:
        async def answer(request: Request) -> Response:
            body = await request.json()
            self.requests.append((request.url.path, dict(request.headers), body))
            found = _GEMINI.search(request.url.path)
            stream = found[2] == "streamGenerateContent" if found else bool(body.get("stream"))
            return self._reply(protocol, found[1] if found else str(body.get("model", "")), stream)

        return answer

    def _reply(self, protocol: str, model: str, stream: bool) -> Response:
        if "-error" in model:
            return JSONResponse({"error": {"message": "broken", "type": "server_error"}}, 500)
        content, packed = next((word for word in ("tools", "json") if word in model), "text"), "-gzip" in model
        headers = {"content-encoding": "gzip"} if packed else {}
        if stream:
            kind = "application/x-ndjson" if protocol == "ollama" else "text/event-stream"
            source = self._stream(answers.EVENTS[protocol](content), GAP_S if "-slow" in model else 0.0, packed)
            return StreamingResponse(source, media_type=kind, headers=headers)
        body = answers.WHOLE[protocol](content)
        if "-broken" in model:
            return StreamingResponse(iter([body[:20]]), media_type="application/json", headers={"content-length": str(len(body))})
        return Response(gzip.compress(body) if packed else body, media_type="application/json", headers=headers)

    async def _stream(self, events: list[bytes], gap_s: float, packed: bool) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(wbits=31) if packed else None
        finished = False
        try:
            for event in events:
                yield event if packer is None else packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
                await asyncio.sleep(gap_s)
            if packer is not None:
                yield packer.flush()
            finished = True
        finally:
            self.unfinished += not finished


__all__ = ["ARGUMENTS", "TEXT", "WORDS", "Provider", "Served"]
