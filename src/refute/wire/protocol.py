"""What every codec does: read and write one provider protocol, bytes on one side, abstract events and answers on the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail, StreamEvent, ToolDelta
from refute.wire.exchange import Call, Reply, Request, replace_body
from refute.wire.framing import Splitter
from refute.wire.request import attempt_of, json_object, wants_stream, with_body
from refute.wire.shapes import mapping, string
from refute.wire.sse import SseSplitter, compact


class Codec:
    """A protocol; what stands here is what most of them have in common.

    Attributes:
        protocol: its name, such as `openai.chat`.
        weaker: models by the beginning of their names, longest first, and a weaker one of the same maker.
    """

    protocol = ""
    weaker: tuple[tuple[str, str], ...] = ()

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """Say what a request asks for, from its head alone.

        Args:
            method: upper case.
            path: the URL's path.
            header: value by lower-case name, "" where there is none.

        Returns:
            `chat`, `embeddings`, …; "" where the request is not of this protocol.
        """
        raise NotImplementedError

    def call(self, request: Request) -> Call:
        """Read a request that `operation` recognised."""
        body = json_object(request.body)
        operation = self.operation(request.method, request.path, request.header)
        return Call(self.protocol, operation, wants_stream(body), str(body.get("model", "")), attempt_of(request), request)

    def error(self, detail: ErrorDetail) -> Reply:
        """Return an error as this provider answers it: status, headers and body."""
        raise NotImplementedError

    def error_event(self, detail: ErrorDetail) -> bytes:
        """Return an error as this provider sends it in a stream that has begun."""
        raise NotImplementedError

    # Streams

    def splitter(self) -> Splitter:
        """Return what cuts this protocol's streams into events."""
        return SseSplitter()

    def event(self, block: bytes) -> StreamEvent:
        """Read one event of a stream."""
        return StreamEvent(block)

    def edit_event(self, event: StreamEvent, edit: Edit) -> bytes:
        """Return an event's bytes with some of what it says replaced; where there is nothing to replace, its own."""
        del edit
        return event.raw

    def add_tool(self, before: StreamEvent, tool: ToolDelta) -> bytes:
        """Return the events that add a whole tool call.

        Args:
            before: the event before which they go; it says why the model stopped.
            tool: the call, its arguments whole; its index is one that is not taken.
        """
        del before, tool
        return b""

    def terminal_event(self) -> bytes:
        """Return what ends a stream by this protocol's rules; b"" where a stream just ends."""
        return b""

    def keepalive(self) -> bytes:
        """Return what keeps an idle stream open and says nothing."""
        return b": keepalive\n\n"

    def hollow(self, like: StreamEvent) -> bytes:
        """Return an event of the right shape with nothing in it.

        Args:
            like: an event with text.
        """
        return self.edit_event(like, Edit(text=""))

    # Whole answers

    def answer(self, reply: Reply) -> Answer | None:
        """Read a whole reply, its body decoded; None where it is no answer of a model."""
        del reply
        return None

    def model(self, reply: Reply) -> str:
        """Return the name of the model that a whole reply says answers, "" where it names none."""
        answer = self.answer(reply)
        return "" if answer is None else model_of(answer.data)

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """Return a whole reply with some of what it says replaced."""
        del answer, edit
        return reply

    def data(self, call: Call, reply: Reply) -> Any:
        """Return what a reply carries as plain data: a tool's result, documents, a list of vectors; None where it carries none."""
        del call, reply
        return None

    def with_data(self, call: Call, reply: Reply, data: Any) -> Reply:
        """Return the reply with other data in it, as `data` read them."""
        del call, data
        return reply

    def event_data(self, call: Call, event: StreamEvent) -> Any:
        """Return what an event carries as plain data, as `data` does of a whole reply."""
        del call, event
        return None

    def with_event_data(self, call: Call, event: StreamEvent, data: Any) -> bytes:
        """Return the event's bytes with other data in it."""
        del call, data
        return event.raw

    # Requests

    def whole(self, request: Request) -> Request:
        """Return the request asking for a whole answer in the place of a stream."""
        body = json_object(request.body)
        return with_body(request, {name: value for name, value in body.items() if name not in {"stream", "stream_options"}})

    def for_model(self, request: Request, model: str) -> Request:
        """Return the request asking another model."""
        return with_body(request, json_object(request.body) | {"model": model})

    def uninstructed(self, request: Request) -> Request | None:
        """Return the request without the instructions that the application gives the model; None where there are none."""
        body = json_object(request.body)
        messages = body.get("messages")
        if not isinstance(messages, list):
            return None
        kept = [message for message in messages if string(mapping(message).get("role")) not in {"system", "developer"}]
        return with_body(request, body | {"messages": kept}) if 0 < len(kept) < len(messages) else None

    def weaker_than(self, model: str) -> str:
        """Return the name of a weaker model of the same maker, "" where none is known."""
        bare = model.rpartition("/")[2]
        found = next((weaker for start, weaker in self.weaker if bare.startswith(start)), "")
        return "" if bare.startswith(found) else found


def model_of(data: Any) -> str:
    """Return the model that a JSON object names as the one that answers."""
    return string(mapping(data).get("model")) or string(mapping(data).get("modelVersion"))


def of_json(reply: Reply, data: Any) -> Reply:
    """Return the reply with a JSON text as its body."""
    return replace_body(reply, compact(data).encode())
