"""One protocol for all codecs, and the codec that a request calls for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from refute.wire.anthropic_messages import AnthropicMessages
from refute.wire.events import Answer, ErrorDetail, Finish, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request
from refute.wire.openai_chat import OpenAIChat
from refute.wire.plain import PlainHttp


class Codec(Protocol):
    """Reads and writes one provider protocol: bytes on one side, abstract events and answers on the other."""

    protocol: str

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """Say what a request asks for, from its head alone.

        Args:
            method: upper case.
            path: the URL's path.
            header: value by lower-case name, "" where there is none.

        Returns:
            `chat`, `embeddings`, …; "" where the request is not of this protocol.
        """
        ...

    def call(self, request: Request) -> Call:
        """Read a request that `operation` recognised."""
        ...

    def error(self, detail: ErrorDetail) -> Reply:
        """Return an error as this provider answers it: status, headers and body."""
        ...

    def error_event(self, detail: ErrorDetail) -> bytes:
        """Return an error as this provider sends it in a stream that has begun."""
        ...

    def terminal_event(self) -> bytes:
        """Return what ends a stream by this protocol's rules."""
        ...

    def event(self, block: bytes) -> StreamEvent:
        """Read one server-sent event."""
        ...

    def edit_event(
        self, event: StreamEvent, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> bytes:
        """Return an event's bytes with some of what it says replaced.

        Args:
            event: from `event`.
            text: text to put in place of its own; None leaves it.
            tools: as many pieces as it has, whose arguments replace its own; None leaves them.
            finish: reason to put in place of its own; "" leaves it.
        """
        ...

    def answer(self, reply: Reply) -> Answer | None:
        """Read a whole reply, its body decoded; None where it is no answer of a model."""
        ...

    def edit_answer(
        self, reply: Reply, answer: Answer, *, text: str | None = None, tools: tuple[ToolDelta, ...] | None = None, finish: Finish = ""
    ) -> Reply:
        """Return a whole reply with some of what it says replaced; arguments as in `edit_event`, no tools dropping all."""
        ...


PLAIN: Codec = PlainHttp()
_PROVIDERS: tuple[Codec, ...] = (OpenAIChat(), AnthropicMessages())
_BY_PROTOCOL: dict[str, Codec] = {codec.protocol: codec for codec in (*_PROVIDERS, PLAIN)}


def recognise_head(method: str, path: str, header: Callable[[str], str]) -> tuple[Codec, str]:
    """Return the codec and the operation of a request without looking at its body.

    Args:
        method: upper case.
        path: the URL's path.
        header: value by lower-case name, "" where there is none.

    Returns:
        The provider's codec and its operation, or plain HTTP and `request`.
    """
    for codec in _PROVIDERS:
        if operation := codec.operation(method, path, header):
            return codec, operation
    return PLAIN, "request"


def recognise(request: Request) -> tuple[Codec, Call]:
    """Return the codec that a request calls for, and what the request means."""
    codec, _ = recognise_head(request.method, request.path, request.header)
    return codec, codec.call(request)


def codec_of(call: Call) -> Codec:
    """Return the codec that recognised a call."""
    return _BY_PROTOCOL[call.protocol]
