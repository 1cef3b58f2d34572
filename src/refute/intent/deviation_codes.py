"""What an intent file can be answered with about intent deviation, and about beliefs that wait for others."""

from __future__ import annotations

CODES: dict[str, tuple[str, str, str]] = {
    "DEVIATION-EMPTY": (
        "Nothing to deviate from",
        (
            "An intent deviation is made of what is stated: which tools are meant, what is within scope, whether the agent is done, "
            "whether it should hand over, how long it may think. Nothing of it is."
        ),
        "State at least one: `tools: app.intent:tools`.",
    ),
    "DEVIATION-ACTIONS": (
        "Calls that nobody sees",
        (
            "`calls` are seen where the workload's own process makes them, through components that are Python functions; `spans` where "
            "that process writes them. Neither is so here."
        ),
        "Have the answer tell what was called, and name the function that reads it: `actions: app.intent:actions`.",
    ),
    "AFTER-UNKNOWN": (
        "A belief that is not there",
        "`after` names beliefs that must hold before this one is put to the test, and the file has none of that id.",
        "Correct the id, or state the belief.",
    ),
    "BELIEF-CIRCLE": (
        "Beliefs that wait for each other",
        "A belief is tested once those under `after` hold. Here that leads round in a circle.",
        "Take one of them out of `after`.",
    ),
}
"""Code to title, explanation, and what to do."""
