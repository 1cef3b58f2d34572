"""The shape of an intent deviation in an intent file."""

from __future__ import annotations

from pydantic import Field, model_validator

from refute.core.deviation import WEIGHTS
from refute.intent.part import Part
from refute.intent.values import ActionsSource, Duration, PositiveShare, Reference, Text, mistake


class WeightsShape(Part):
    """How much each dimension of an intent deviation counts."""

    tools: PositiveShare = Field(default=WEIGHTS["tools"], description="Other tools were called than were meant, or more often, or less.")
    scope: PositiveShare = Field(default=WEIGHTS["scope"], description="Calls went beyond what the case is about.")
    completion: PositiveShare = Field(default=WEIGHTS["completion"], description="It says that it is done and is not, or the reverse.")
    escalation: PositiveShare = Field(
        default=WEIGHTS["escalation"], description="It handed over to a human and need not have, or the reverse."
    )
    latency: PositiveShare = Field(default=WEIGHTS["latency"], description="It took longer to decide than it may.")


class DeviationShape(Part):
    """How far an agent strays from what it was meant to do. At least one dimension is stated; those that are not do not count."""

    agent: Text = Field(description="Component whose calls of tools are looked at.")
    actions: ActionsSource = Field(
        default="calls",
        description="Where its calls are seen: `calls` of the Python functions of the components that it calls, `spans` of its own "
        "OpenTelemetry, or module:function taking (case, answer).",
    )
    tools: Reference | None = Field(
        default=None,
        description="module:function taking a case: names of the tools that it is meant to call, each as often as it is meant to.",
    )
    scope: Reference | None = Field(
        default=None, description="module:function taking (case, action): is this call within what the case is about?"
    )
    completion: Reference | None = Field(
        default=None, description="module:function taking (case, answer): does it say that it is done, and is it? Two truth values."
    )
    escalation: Reference | None = Field(
        default=None,
        description="module:function taking (case, answer): did it hand over to a human, and should it have? Two truth values.",
    )
    patience: Duration | None = Field(
        default=None, description="How long it may take to decide what to do next; twice as long is the worst."
    )
    weights: WeightsShape = Field(default=WeightsShape(), description="How much each dimension counts, beside the others that are stated.")

    @model_validator(mode="after")
    def _states_a_dimension(self) -> DeviationShape:
        if all(getattr(self, name) is None for name in ("tools", "scope", "completion", "escalation", "patience")):
            raise mistake("DEVIATION-EMPTY", "states nothing to deviate from", allowed="tools, scope, completion, escalation or patience")
        return self
