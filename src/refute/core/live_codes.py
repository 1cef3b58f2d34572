"""What the codes mean that are about live traffic, and what to do about it."""

from __future__ import annotations

LIVE_CODES: dict[str, tuple[str, str, str]] = {
    "OBSERVE-INDICATOR": (
        "A service cannot evaluate an indicator",
        "Indicators on live traffic are evaluated in the service itself, which could not import one of them. Nothing was injected.",
        "Make its module importable in the service, or name one that is there.",
    ),
    "OBSERVE-NONE": (
        "No process of an observed service is here",
        (
            "A service is observed where its processes have Refute's middleware, or its span processor, run as the same user, share "
            "`$XDG_STATE_HOME` with this run, and have served a request since they started. Nothing was injected."
        ),
        "Add `ObserveMiddleware(app, service=NAME)` to the service, send it a request, and see `refute doctor`.",
    ),
}
"""Code to title, explanation, and what to do."""
