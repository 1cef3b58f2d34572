"""What an intent file can be answered with about what stands in for a component."""

from __future__ import annotations

CODES: dict[str, tuple[str, str, str]] = {
    "STAND-IN": (
        "Something that cannot take its place",
        (
            "`stand_in` says what a fault puts in the place of a model or an embedder: another model's name where it is reached at an "
            "endpoint, module:function with the same arguments where it is a Python function."
        ),
        "Name what can take its place, or leave it out: `refute faults show embedder.swapped` says what happens then.",
    ),
}
"""Code to title, explanation, and what to do."""
