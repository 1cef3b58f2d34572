"""Requests of each protocol as the SDKs send them, cut down to what counts."""

from __future__ import annotations

from typing import Any

from refute.wire.exchange import Request
from refute.wire.samples.words import INSTRUCTIONS, QUESTION, TOOL, Content
from refute.wire.sse import compact

_HOSTS = {
    "openai.chat": "https://api.openai.com/v1/chat/completions",
    "openai.responses": "https://api.openai.com/v1/responses",
    "openai.embeddings": "https://api.openai.com/v1/embeddings",
    "anthropic.messages": "https://api.anthropic.com/v1/messages",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
    "ollama": "http://127.0.0.1:11434/api/chat",
    "mcp": "http://127.0.0.1:8000/mcp",
    "mcp.stdio": "stdio:///mcp",
    "http": "http://127.0.0.1:8000/search",
}
_EARLIER = "call_5b0d77c1e2f4"
"""Id of a tool call of an earlier turn."""


def request(protocol: str, content: Content, *, stream: bool) -> Request:
    """Return a request; for tools, one that already holds the result of an earlier call."""
    url = _HOSTS[protocol]
    if protocol == "gemini" and stream:
        url = url.replace(":generateContent", ":streamGenerateContent?alt=sse")
    body = _BODIES[protocol](content)
    if stream and protocol in {"openai.chat", "openai.responses", "anthropic.messages"}:
        body |= {"stream": True}
    if protocol == "ollama":
        body |= {"stream": stream}
    session = (("accept", "application/json, text/event-stream"), ("mcp-session-id", "5f0c1d")) if protocol.startswith("mcp") else ()
    encoded = compact(body).encode()
    return Request("POST", url, (("content-type", "application/json"), *session, ("content-length", str(len(encoded)))), encoded)


def _chat(content: Content) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
    if content == "tools":
        call = {"id": _EARLIER, "type": "function", "function": {"name": TOOL, "arguments": "{}"}}
        messages += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": _EARLIER, "content": "no such order"}]
    return {"model": "gpt-4.1", "messages": messages}


def _response(content: Content) -> dict[str, Any]:
    given: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    if content == "tools":
        given += [{"type": "function_call", "call_id": _EARLIER, "name": TOOL, "arguments": "{}"},
                  {"type": "function_call_output", "call_id": _EARLIER, "output": "no such order"}]  # fmt: skip
    return {"model": "gpt-4.1", "instructions": INSTRUCTIONS, "input": given}


def _message(content: Content) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    if content == "tools":
        used = {"type": "tool_use", "id": _EARLIER, "name": TOOL, "input": {}}
        result = {"type": "tool_result", "tool_use_id": _EARLIER, "content": "no such order"}
        messages += [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    return {"model": "claude-sonnet-4-5", "max_tokens": 100, "system": INSTRUCTIONS, "messages": messages}


def _generate(_content: Content) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": QUESTION}], "role": "user"}], "systemInstruction": {"parts": [{"text": INSTRUCTIONS}]}}


def _ollama(content: Content) -> dict[str, Any]:
    return {"model": "llama3.2", "messages": _chat(content)["messages"][:2]}


def _embed(_content: Content) -> dict[str, Any]:
    return {"input": ["returns", "shipping"], "model": "text-embedding-3-large", "encoding_format": "base64"}


def _call(_content: Content) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": TOOL, "arguments": {"order_id": "A1"}}}


def _search(_content: Content) -> dict[str, Any]:
    return {"query": "returns and shipping", "messages": ["first", "second"]}


_BODIES = {
    "openai.chat": _chat,
    "openai.responses": _response,
    "openai.embeddings": _embed,
    "anthropic.messages": _message,
    "gemini": _generate,
    "ollama": _ollama,
    "mcp": _call,
    "mcp.stdio": _call,
    "http": _search,
}
