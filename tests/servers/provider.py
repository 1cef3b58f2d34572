"""A small server that speaks OpenAI chat and Anthropic messages byte-exactly, on loopback, in a thread.

The model that is asked for says what happens: `text` or `tools` answers; `-gzip` compresses, `-slow` waits 50 ms between
events, `-error` answers 500.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = ["Your", " order", " A-1", " left", " the", " warehouse", " on", " Monday", ",", " and", " will", " arrive", " soon", "."]
TEXT = "".join(WORDS)
ARGUMENTS = {"order_id": "A-1", "with_history": True}
GAP_S = 0.05


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))


def _openai_head(kind: str) -> dict:
    return {"id": "chatcmpl-1", "object": kind, "created": 1760000000, "model": "text", "service_tier": "default"}


def openai_whole(tools: bool) -> bytes:
    call = {"id": "call_1", "type": "function", "function": {"name": "lookup_order", "arguments": _json(ARGUMENTS)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]} if tools else {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message | {"refusal": None}, "logprobs": None, "finish_reason": "tool_calls" if tools else "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 14, "total_tokens": 23}
    return _json(_openai_head("chat.completion") | {"choices": [choice], "usage": usage}).encode()


def openai_events(tools: bool) -> list[bytes]:
    def chunk(delta: dict, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return f"data: {_json(_openai_head('chat.completion.chunk') | {'choices': [choice]})}\n\n".encode()

    if tools:
        function = {"name": "lookup_order", "arguments": ""}
        start = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}],
        }
        text = _json(ARGUMENTS)
        pieces = [text[place : place + 5] for place in range(0, len(text), 5)]
        content = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    else:
        start, content = {"role": "assistant", "content": "", "refusal": None}, [{"content": word} for word in WORDS]
    return [*map(chunk, [start, *content]), chunk({}, "tool_calls" if tools else "stop"), b"data: [DONE]\n\n"]


def anthropic_whole(tools: bool) -> bytes:
    block = {"type": "tool_use", "id": "toolu_1", "name": "lookup_order", "input": ARGUMENTS} if tools else {"type": "text", "text": TEXT}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "text", "content": [block]}
    rest = {"stop_reason": "tool_use" if tools else "end_turn", "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 14}}
    return _json(head | rest).encode()


def anthropic_events(tools: bool) -> list[bytes]:
    def event(kind: str, **data: object) -> bytes:
        return f"event: {kind}\ndata: {_json({'type': kind} | data)}\n\n".encode()

    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "text", "content": [], "stop_reason": None}
    if tools:
        block = {"type": "tool_use", "id": "toolu_1", "name": "lookup_order", "input": {}}
        text = _json(ARGUMENTS)
        pieces = ["", *(text[place : place + 5] for place in range(0, len(text), 5))]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    else:
        block, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in WORDS]
    reason = {"stop_reason": "tool_use" if tools else "end_turn", "stop_sequence": None}
    return [
        event("message_start", message=message | {"stop_sequence": None, "usage": usage}),
        event("content_block_start", index=0, content_block=block),
        event("ping"),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
        event("message_delta", delta=reason, usage={"output_tokens": 14}),
        event("message_stop"),
    ]


class Provider:
    """The server; `requests` holds what arrived, `unfinished` counts streams whose reader left."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict]] = []
        self.unfinished = 0
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        routes = [
            Route("/v1/chat/completions", self._openai, methods=["POST"]),
            Route("/v1/messages", self._anthropic, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/orders/{id}", self._order, methods=["GET", "POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off", loop="asyncio")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)

    async def _openai(self, request: Request) -> Response:
        return await self._answer(request, openai_whole, openai_events)

    async def _anthropic(self, request: Request) -> Response:
        return await self._answer(request, anthropic_whole, anthropic_events)

    async def _models(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), {}))
        return JSONResponse({"object": "list", "data": []})

    async def _order(self, request: Request) -> Response:
        self.requests.append((request.url.path, dict(request.headers), {}))
        return JSONResponse({"id": request.path_params["id"], "state": "shipped"})

    async def _answer(self, request: Request, whole, events) -> Response:
        body = await request.json()
        self.requests.append((request.url.path, dict(request.headers), body))
        model = body["model"]
        tools, packed = model.startswith("tools"), "-gzip" in model
        if "-error" in model:
            return JSONResponse({"error": {"message": "broken", "type": "server_error"}}, 500)
        headers = {"content-encoding": "gzip"} if packed else {}
        if body.get("stream"):
            source = self._stream(events(tools), GAP_S if "-slow" in model else 0.0, packed)
            return StreamingResponse(source, media_type="text/event-stream", headers=headers)
        content = whole(tools)
        if "-broken" in model:
            return StreamingResponse(iter([content[:20]]), media_type="application/json", headers={"content-length": str(len(content))})
        return Response(gzip.compress(content) if packed else content, media_type="application/json", headers=headers)

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
