"""Codes of beliefs about several faults at once."""

from __future__ import annotations

CODES: dict[str, tuple[str, str, str]] = {
    "FAULT-COMBINE": (
        "Faults that cannot strike at once",
        (
            "Of several faults on one component the first stands nearest to the caller, and each must be able to land. One that answers "
            "every call itself leaves nothing to those behind it, and no reply to change to those before it."
        ),
        "Change their order, give the one that answers a `share`, or state a belief for each.",
    ),
    "THRESHOLD-COMBINED": (
        "A threshold of several faults",
        "A threshold is the largest magnitude of one fault that is borne; several at once have none in common.",
        "Seek the threshold of one fault, or state a magnitude for each and a plain confidence.",
    ),
}
