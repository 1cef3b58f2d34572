"""An example belief for a fault, ready to paste into an intent file."""

from __future__ import annotations

from refute.core.system import Component, ComponentKind, Place
from refute.core.units import show_seconds
from refute.faults.spec import Fault, Magnitude, seams

_ENDPOINTS = {"llm": "http://127.0.0.1:8081/v1", "embedder": "http://127.0.0.1:8081/v1", "mcp_server": "http://127.0.0.1:8000/mcp"}
_CRITERIA = {
    "availability": "answered >= 95%",
    "wrong_answer": "answered worse by <= 5 points",
    "state_write": "answered >= 99%",
    "data_exposure": "answered >= 99.9%",
}


_TRAINED = {"availability": "finished >= 90%", "wrong_answer": "accuracy worse by <= 2 points", "state_write": "finished >= 90%"}
_TRAINING: frozenset[ComponentKind] = frozenset({"trainer", "data_pipeline"})


def in_training(fault: Fault) -> bool:
    """Say whether a fault is one of training runs and their data, so that its example speaks of `accuracy` and `finished`."""
    return fault.kinds <= _TRAINING


def example_target(fault: Fault) -> Component:
    """Return a component that the fault can strike, named after its kind."""
    order = ("llm", "tool", "mcp_server", "retriever", "embedder", "agent", "model_server", "vector_store", "cache")
    kind = min(fault.kinds, key=lambda kind: (order.index(kind) if kind in order else len(order), kind))
    if "connection" in seams(fault):
        return Component(kind, kind, endpoint="tcp://127.0.0.1:5432", via="proxy")
    if fault.acts_on == "directory":
        return Component(kind, kind, endpoint=_ENDPOINTS.get(kind, "http://127.0.0.1:8082"), place=Place(directory="data"))
    if fault.trains:
        return Component(kind, kind)
    if fault.whole or "exchange" in seams(fault):
        return Component(kind, kind, endpoint=_ENDPOINTS.get(kind, "http://127.0.0.1:8082"))
    return Component(kind, kind, python=f"app.{kind}:call")


def example_belief(fault: Fault) -> str:
    """Return a belief in YAML that the fault usually tests.

    Args:
        fault: of the catalogue; the target is `example_target(fault)`, the indicator is called `answered`; see `in_training`.
    """
    when = [f"fault: {fault.name}", f"target: {example_target(fault).name}"]
    if fault.magnitude is not None:
        when.append(f'magnitude: "{_written(fault.magnitude)}"')
    if fault.whole:
        when.append("uncontrolled: true")
    elif fault.typical_share < 1:
        when.append(f"share: {fault.typical_share:.0%}")
    if fault.typical_draw != "call":
        when.append(f"draw: {fault.typical_draw}")
    lines = [
        f"- id: {fault.name.replace('.', '-').replace('_', '-')}",
        f'  claim: "{fault.belief.rstrip(".")}"',
        f"  when: {{{', '.join(when)}}}",
        f"  then: {_criterion(fault)}",
        "  confidence: 80%",
    ]
    return "\n".join(lines)


def _criterion(fault: Fault) -> str:
    if in_training(fault):
        return _TRAINED[fault.hazard]
    return "answered >= 90%" if fault.whole else _CRITERIA[fault.hazard]


def _written(scale: Magnitude) -> str:
    if scale.unit == "s":
        return show_seconds(scale.typical)
    return f"{scale.typical:g}" if scale.unit == "1" else f"{scale.typical:g}{'' if scale.unit == '%' else ' '}{scale.unit}"
