"""What is under test: components of a kind, and what they call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

ComponentKind = Literal[
    "service", "llm", "embedder", "retriever", "vector_store", "tool", "agent", "mcp_server", "model_server", "feature_store",
    "datastore", "queue", "cache", "guardrail_model", "trainer", "data_pipeline",
]  # fmt: skip
COMPONENT_KINDS: tuple[str, ...] = get_args(ComponentKind)

Hazard = Literal["availability", "wrong_answer", "state_write", "data_exposure"]
HAZARDS: tuple[str, ...] = get_args(Hazard)


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the system under test.

    Attributes:
        name: unique within the system.
        kind: one of `COMPONENT_KINDS`.
        calls: names of the components that it calls.
        endpoint: base URL at which others reach it, or "".
        python: `module:function` that is called to reach it, or "".
    """

    name: str
    kind: ComponentKind
    calls: tuple[str, ...] = ()
    endpoint: str = ""
    python: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"name": self.name, "kind": self.kind, "calls": list(self.calls), "endpoint": self.endpoint, "python": self.python}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Component:
        """Return the component that `to_json` wrote."""
        return cls(data["name"], data["kind"], tuple(data["calls"]), data["endpoint"], data["python"])
