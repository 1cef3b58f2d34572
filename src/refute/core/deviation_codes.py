"""What the codes mean that are about intent deviation in a run, and what to do about it."""

from __future__ import annotations

DEVIATION_CODES: dict[str, tuple[str, str, str]] = {
    "DEVIATION-SPANS": (
        "No spans can be read",
        "An intent deviation is to be read off the agent's spans, and the workload has set up no tracer provider of `opentelemetry-sdk`.",
        "Set one up in the workload's `setup`, or state `actions: calls`.",
    ),
}
"""Code to title, explanation, and what to do."""
