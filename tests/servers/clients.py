"""The real SDKs, asked one question each, with their own retries off; what their caller hears, in one shape for all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import httpx2

READ_TIMEOUT_S = 1.0
PATIENT_S = 20.0
QUICK_S = 0.15
QUESTION = "Where is my order A1?"
INSTRUCTIONS = "You answer questions about orders."


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        content: what the answer is to say: `text`, `json` or `tools`.
        stream: as a stream.
        mode: `sync` or `async`.
        hurry: whether the client's read time-out is short.
    """

    content: str
    stream: bool
    mode: str
    hurry: bool

    @property
    def timeout_s(self) -> float:
        return READ_TIMEOUT_S if self.hurry else PATIENT_S

    def limits(self, library: Any) -> Any:
        """Return the time limits for a library like httpx: only a read is hurried."""
        return library.Timeout(PATIENT_S, read=QUICK_S if self.hurry else PATIENT_S)


@dataclass(frozen=True)
class Heard:
    """What the caller of an SDK gets."""

    text: str = ""
    arguments: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ids: tuple[str | None, ...] = ()
    finish: str = ""
    model: str = ""
    tokens: int | None = None
    data: Any = None


@dataclass(frozen=True)
class Unreadable:
    """What an SDK returned without an error, and code that trusts it breaks on."""

    kind: str


Ask = Callable[[str, Question], Awaitable[Any]]
CLIENTS: dict[str, tuple[str, tuple[str, ...], Ask]] = {}
"""By name: protocol, modes, and what asks; asking returns `Heard`, or whatever else the SDK returned, or raises."""


def client(name: str, protocol: str, *modes: str) -> Callable[[Ask], Ask]:
    def register(ask: Ask) -> Ask:
        CLIENTS[name] = (protocol, modes or ("sync", "async"), ask)
        return ask

    return register


async def _run(question: Question, call: Callable[[], Any], read: Callable[[Any], Any]) -> Any:
    """Call, and read the answer or all events of it, in a thread or in the loop."""

    def trusted(answer: Any) -> Any:
        try:
            return read(answer)
        except (AttributeError, IndexError, KeyError, TypeError):
            return Unreadable("events" if isinstance(answer, list) else type(answer).__name__)

    def gathered() -> Any:
        answer = call()
        return trusted(list(answer) if question.stream and _iterable(answer) else answer)

    if question.mode == "sync":
        return await asyncio.to_thread(gathered)
    answer = call()
    answer = await answer if asyncio.iscoroutine(answer) else answer
    if question.stream and hasattr(answer, "__aiter__"):
        return trusted([event async for event in answer])
    return trusted(answer)


def _iterable(answer: Any) -> bool:
    return hasattr(answer, "__next__") or hasattr(answer, "_iterator")


def _history(tools: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
    if tools:
        call = {"id": "call_5b0d", "type": "function", "function": {"name": "lookup_order", "arguments": "{}"}}
        messages += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_5b0d", "content": "none"}]
    return messages


def _earlier(question: Question) -> str:
    return "tools" if question.content == "tools" else ""


# OpenAI


@cache
def openai_client(url: str, mode: str) -> Any:
    import openai

    http = (openai.DefaultHttpxClient if mode == "sync" else openai.DefaultAsyncHttpxClient)(verify=False)
    kind = openai.OpenAI if mode == "sync" else openai.AsyncOpenAI
    return kind(base_url=f"{url}/v1", api_key="k", max_retries=0, http_client=http)


@client("openai chat", "openai.chat")
async def openai_chat(url: str, question: Question) -> Any:
    sdk = openai_client(url, question.mode).with_options(timeout=question.limits(httpx2))
    options = {"stream_options": {"include_usage": True}} if question.stream else {}
    messages = _history(_earlier(question))
    create = sdk.chat.completions.create
    return await _run(
        question, lambda: create(model=f"gpt-4.1-{question.content}", messages=messages, stream=question.stream, **options), _chat_heard
    )


def _chat_heard(answer: Any) -> Any:
    if isinstance(answer, list):
        return _chat_streamed(answer)
    if isinstance(answer, str) or answer is None:
        return answer
    choice = answer.choices[0]
    calls = choice.message.tool_calls or ()
    return Heard(
        choice.message.content or "",
        tuple(call.function.arguments for call in calls),
        tuple(call.function.name for call in calls),
        tuple(getattr(call, "id", None) for call in calls),
        choice.finish_reason or "",
        answer.model,
        answer.usage.total_tokens if getattr(answer, "usage", None) else None,
    )


def _chat_streamed(chunks: list[Any]) -> Heard:
    choices = [choice for chunk in chunks for choice in chunk.choices or ()]
    pieces = [call for choice in choices for call in choice.delta.tool_calls or ()]
    numbers = sorted({call.index for call in pieces})
    usage = next((chunk.usage for chunk in chunks if getattr(chunk, "usage", None)), None)
    return Heard(
        "".join(choice.delta.content or "" for choice in choices),
        tuple("".join(call.function.arguments or "" for call in pieces if call.index == number) for number in numbers),
        tuple("".join(call.function.name or "" for call in pieces if call.index == number) for number in numbers),
        tuple(next((call.id for call in pieces if call.index == number and call.id), None) for number in numbers),
        next((choice.finish_reason for choice in choices if choice.finish_reason), ""),
        chunks[0].model if chunks else "",
        usage.total_tokens if usage else None,
    )


@client("openai responses", "openai.responses")
async def openai_responses(url: str, question: Question) -> Any:
    sdk = openai_client(url, question.mode).with_options(timeout=question.limits(httpx2))
    given: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    if _earlier(question):
        given += [{"type": "function_call", "call_id": "call_5b0d", "name": "lookup_order", "arguments": "{}"},
                  {"type": "function_call_output", "call_id": "call_5b0d", "output": "none"}]  # fmt: skip
    asked = {"model": f"gpt-4.1-{question.content}", "input": given, "instructions": INSTRUCTIONS, "stream": question.stream}
    return await _run(question, lambda: sdk.responses.create(**asked), _response_heard)


def _response_heard(answer: Any) -> Any:
    if isinstance(answer, str) or answer is None:
        return answer
    if not isinstance(answer, list):
        return _of_response(answer, answer.output_text)
    ended = next((event.response for event in answer if event.type in {"response.completed", "response.incomplete"}), None)
    text = "".join(event.delta for event in answer if event.type == "response.output_text.delta")
    if (error := next((event for event in answer if event.type == "error"), None)) is not None:
        return Heard(text, finish=f"event `error` ({error.code})")
    if ended is None:
        calls = "".join(event.delta for event in answer if event.type == "response.function_call_arguments.delta")
        model = next((event.response.model for event in answer if event.type == "response.created"), "")
        return Heard(text, (calls,) if calls else (), model=model)
    return _of_response(ended, text)


def _of_response(response: Any, text: str) -> Heard:
    calls = [item for item in response.output if item.type == "function_call"]
    details = response.incomplete_details
    return Heard(
        text,
        tuple(call.arguments for call in calls),
        tuple(call.name for call in calls),
        tuple(getattr(call, "call_id", None) for call in calls),
        f"{response.status}{f' ({details.reason})' if details else ''}",
        response.model,
        response.usage.total_tokens if getattr(response, "usage", None) else None,
    )


@client("openai embeddings", "openai.embeddings")
async def openai_embeddings(url: str, question: Question) -> Any:
    sdk = openai_client(url, question.mode).with_options(timeout=question.limits(httpx2))
    return await _run(question, lambda: sdk.embeddings.create(model="text-embedding-3-large", input=["a", "b"]), _embeddings_heard)


def _embeddings_heard(answer: Any) -> Any:
    if isinstance(answer, str) or answer is None:
        return answer
    usage = getattr(answer, "usage", None)
    vectors = [list(entry.embedding) for entry in answer.data]
    return Heard(model=answer.model, tokens=usage.total_tokens if usage else None, data=vectors)


# Anthropic


@cache
def anthropic_client(url: str, mode: str) -> Any:
    import anthropic

    http = (anthropic.DefaultHttpxClient if mode == "sync" else anthropic.DefaultAsyncHttpxClient)(verify=False)
    kind = anthropic.Anthropic if mode == "sync" else anthropic.AsyncAnthropic
    return kind(base_url=url, api_key="k", max_retries=0, http_client=http)


@client("anthropic", "anthropic.messages")
async def anthropic_messages(url: str, question: Question) -> Any:
    sdk = anthropic_client(url, question.mode).with_options(timeout=question.limits(httpx2))
    messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    if _earlier(question):
        used = {"type": "tool_use", "id": "call_5b0d", "name": "lookup_order", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "call_5b0d", "content": "none"}
        messages += [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    asked = {
        "model": f"claude-sonnet-4-5-{question.content}",
        "max_tokens": 100,
        "system": INSTRUCTIONS,
        "messages": messages,
        "stream": question.stream,
    }
    return await _run(question, lambda: sdk.messages.create(**asked), _message_heard)


def _message_heard(answer: Any) -> Any:
    if isinstance(answer, str) or answer is None:
        return answer
    if isinstance(answer, list):
        return _message_streamed(answer)
    calls = [block for block in answer.content if block.type == "tool_use"]
    usage = getattr(answer, "usage", None)
    return Heard(
        "".join(block.text for block in answer.content if block.type == "text"),
        tuple(json.dumps(call.input) for call in calls),
        tuple(call.name for call in calls),
        tuple(getattr(call, "id", None) for call in calls),
        answer.stop_reason or "",
        answer.model,
        usage.output_tokens if usage else None,
    )


def _message_streamed(events: list[Any]) -> Heard:
    deltas = [event for event in events if event.type == "content_block_delta"]
    calls = [event for event in events if event.type == "content_block_start" and event.content_block.type == "tool_use"]
    ends = [event for event in events if event.type == "message_delta"]
    begun = next((event.message for event in events if event.type == "message_start"), None)
    usage = getattr(ends[-1], "usage", None) if ends else None
    return Heard(
        "".join(event.delta.text for event in deltas if event.delta.type == "text_delta"),
        tuple(
            "".join(event.delta.partial_json for event in deltas if event.index == call.index and event.delta.type == "input_json_delta")
            for call in calls
        ),
        tuple(call.content_block.name for call in calls),
        tuple(getattr(call.content_block, "id", None) for call in calls),
        (ends[-1].delta.stop_reason or "") if ends else "",
        begun.model if begun else "",
        usage.output_tokens if usage else None,
    )


# Gemini


@cache
def gemini_client(url: str, timeout_s: float) -> Any:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(
        base_url=url,
        timeout=round(timeout_s * 1000),
        httpx_client=httpx2.Client(verify=False),
        httpx_async_client=httpx2.AsyncClient(verify=False),
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key="k", http_options=options)


@client("google-genai", "gemini")
async def google_genai(url: str, question: Question) -> Any:
    sdk = gemini_client(url, question.timeout_s)
    models = sdk.models if question.mode == "sync" else sdk.aio.models
    ask = models.generate_content_stream if question.stream else models.generate_content
    asked = {"model": f"gemini-2.5-pro-{question.content}", "contents": QUESTION, "config": {"system_instruction": INSTRUCTIONS}}
    return await _run(question, lambda: ask(**asked), _generated_heard)


def _generated_heard(answer: Any) -> Any:
    chunks = answer if isinstance(answer, list) else [answer]
    candidates = [candidate for chunk in chunks for candidate in chunk.candidates or ()]
    parts = [part for candidate in candidates if candidate.content for part in candidate.content.parts or ()]
    calls = [part.function_call for part in parts if part.function_call]
    reason = next((candidate.finish_reason for candidate in candidates if candidate.finish_reason), None)
    usage = next((chunk.usage_metadata for chunk in reversed(chunks) if chunk.usage_metadata), None)
    return Heard(
        "".join(part.text or "" for part in parts),
        tuple(json.dumps(call.args) for call in calls),
        tuple(call.name for call in calls),
        tuple(call.id for call in calls),
        reason.name if reason else "",
        (chunks[-1].model_version or "") if chunks else "",
        usage.total_token_count if usage else None,
    )


# Ollama


@cache
def ollama_client(url: str, mode: str, hurry: bool) -> Any:
    import ollama

    return (ollama.Client if mode == "sync" else ollama.AsyncClient)(
        url, timeout=httpx.Timeout(PATIENT_S, read=QUICK_S if hurry else PATIENT_S), verify=False
    )


@client("ollama", "ollama")
async def ollama_chat(url: str, question: Question) -> Any:
    sdk = ollama_client(url, question.mode, question.hurry)
    messages = _history("")
    return await _run(
        question, lambda: sdk.chat(model=f"llama3.2-{question.content}", messages=messages, stream=question.stream), _ollama_heard
    )


def _ollama_heard(answer: Any) -> Any:
    chunks = answer if isinstance(answer, list) else [answer]
    calls = [call.function for chunk in chunks for call in chunk.message.tool_calls or ()]
    last = chunks[-1] if chunks else None
    return Heard(
        "".join(chunk.message.content or "" for chunk in chunks),
        tuple(json.dumps(call.arguments) for call in calls),
        tuple(call.name for call in calls),
        tuple(None for _ in calls),
        next((chunk.done_reason for chunk in chunks if chunk.done_reason), ""),
        (last.model or "") if last else "",
        last.eval_count if last else None,
    )


# litellm, which brings the providers' errors into its own


@client("litellm", "openai.chat")
async def litellm_chat(url: str, question: Question) -> Any:
    import litellm

    litellm.disable_aiohttp_transport = True
    litellm.suppress_debug_info = True
    options = {"stream_options": {"include_usage": True}} if question.stream else {}
    asked = {
        "model": f"openai/gpt-4.1-{question.content}",
        "api_base": f"{url}/v1",
        "api_key": "k",
        "messages": _history(_earlier(question)),
        "stream": question.stream,
        "timeout": question.timeout_s,
        "max_retries": 0,
        "num_retries": 0,
    }
    call = litellm.completion if question.mode == "sync" else litellm.acompletion
    return await _run(question, lambda: call(**asked, **options), _chat_heard)


# MCP


@client("mcp", "mcp", "async")
async def mcp_client(url: str, question: Question) -> Any:
    raise NotImplementedError("asked by its own test, which arms between the session's start and the call")


@contextlib.asynccontextmanager
async def mcp_session(url: str, *, hurry: bool) -> Any:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    limits = httpx2.Timeout(PATIENT_S, read=QUICK_S if hurry else PATIENT_S)
    async with (
        httpx2.AsyncClient(verify=False, timeout=limits) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode="legacy") as session,
    ):
        yield session


@client("mcp over stdio", "mcp", "async")
async def mcp_stdio_client(url: str, question: Question) -> Any:
    raise NotImplementedError("asked by its own test, over a session through the proxy that outlasts the single test")


# Plain HTTP


@client("httpx", "http")
async def plain(url: str, question: Question) -> Any:
    def heard(reply: Any) -> Heard:
        reply.raise_for_status()
        return Heard(data=reply.json())

    asked = {"query": "returns and shipping", "messages": ["first", "second"]}
    if question.mode == "sync":

        def post() -> Heard:
            with httpx.Client(verify=False, timeout=question.limits(httpx)) as sdk:
                return heard(sdk.post(f"{url}/search", json=asked))

        return await asyncio.to_thread(post)
    async with httpx.AsyncClient(verify=False, timeout=question.limits(httpx)) as sdk:
        return heard(await sdk.post(f"{url}/search", json=asked))
