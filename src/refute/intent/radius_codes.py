"""What an intent file can be answered with about its blast radius: who sees a fault, and how that share grows."""

from __future__ import annotations

CODES: dict[str, tuple[str, str, str]] = {
    "RAMP-ORDER": (
        "A ramp that does not rise",
        "Each step of a ramp shows the fault to more units than the one before; the last step is the cohort.",
        "Write rising shares, such as `ramp: [1%, 5%, 20%]`.",
    ),
    "RAMP-COHORT": (
        "The cohort is stated twice",
        "The last step of `ramp` is the share of units in treatment, which `cohort` states too.",
        "State one of them.",
    ),
    "COHORT-BY": (
        "A case that belongs to nobody",
        "`cohort_by` names a field by which units are kept together in one arm, and a case does not have it.",
        "Give each case the field, or name another one.",
    ),
    "SCOPE-EMPTY": (
        "No case is left",
        "What `only` and `except` leave of the cases is nothing, so that no unit could see a fault.",
        "Widen `only`, or shorten `except`.",
    ),
    "SCOPE-WHOLE": (
        "A fault that spares nobody",
        "`only` or `except` keep some units away from faults, and a fault of a whole component strikes everybody's calls.",
        "Choose a fault that strikes single calls, or test this belief from a file without that promise.",
    ),
}
"""Code to title, explanation, and what to do."""
