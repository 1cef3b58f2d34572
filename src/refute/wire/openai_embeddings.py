"""OpenAI embeddings, as OpenAI and servers compatible with it speak it: vectors as numbers, or as base64 of 32-bit floats."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

from refute.wire.events import Answer, Edit, ErrorDetail
from refute.wire.exchange import Call, Reply
from refute.wire.openai_errors import error_body, error_reply
from refute.wire.protocol import Codec, of_json
from refute.wire.shapes import mapping, mappings, string, with_usage
from refute.wire.sse import read_json, write_event


class OpenAIEmbeddings(Codec):
    """The codec; data are the vectors, in the order of the texts."""

    protocol = "openai.embeddings"

    def operation(self, method: str, path: str, header: Callable[[str], str]) -> str:
        """See `Codec.operation`."""
        del header
        return "embeddings" if method == "POST" and path.endswith("/embeddings") else ""

    def error(self, detail: ErrorDetail) -> Reply:
        """See `Codec.error`."""
        return error_reply(detail)

    def error_event(self, detail: ErrorDetail) -> bytes:
        """See `Codec.error_event`; embeddings are never streamed."""
        return write_event(error_body(detail))

    def answer(self, reply: Reply) -> Answer | None:
        """See `Codec.answer`; it has no text, but a model and a usage."""
        data = read_json(reply.body)
        return Answer("", (), "", data) if isinstance(data, dict) and mappings(data.get("data")) else None

    def edit_answer(self, reply: Reply, answer: Answer, edit: Edit) -> Reply:
        """See `Codec.edit_answer`."""
        renamed = answer.data | ({"model": edit.model} if edit.model and "model" in answer.data else {})
        return of_json(reply, with_usage(renamed, "usage", edit.usage))

    def data(self, call: Call, reply: Reply) -> Any:
        """See `Codec.data`."""
        del call
        vectors = [_read(entry.get("embedding")) for entry in mappings(mapping(read_json(reply.body)).get("data"))]
        return vectors if vectors and all(vectors) else None

    def with_data(self, call: Call, reply: Reply, data: Any) -> Reply:
        """See `Codec.with_data`; vectors are written as they were."""
        del call
        body = mapping(read_json(reply.body))
        written = [
            entry | {"embedding": _write(vector) if string(entry.get("embedding")) else list(vector)}
            for entry, vector in zip(mappings(body.get("data")), data, strict=False)
        ]
        return of_json(reply, body | {"data": written})


def _read(embedding: Any) -> list[float]:
    if isinstance(embedding, str):
        try:
            raw = base64.b64decode(embedding, validate=True)
            return [value for (value,) in struct.iter_unpack("<f", raw)]
        except (ValueError, struct.error):
            return []
    return embedding if isinstance(embedding, list) else []


def _write(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
