"""What the codes of plans and campaigns mean, and what to do about them."""

from __future__ import annotations

PLANNING_CODES: dict[str, tuple[str, str, str]] = {
    "CAMPAIGN-NONE": (
        "No campaign to go on with",
        "`--resume` goes on with the last campaign of this environment, if it was cut short. There is none, or it came to its end.",
        "Start one: `refute run --budget 30min --risk 2%`.",
    ),
    "CAMPAIGN-OPTION": (
        "A campaign that cannot be started like this",
        "A budget is a duration (`30min`), a risk a share of the error budget. A campaign chooses by itself, and only it has a risk.",
        "Leave out what does not fit, for example `refute run --budget 30min --risk 2%`.",
    ),
    "PLAN-ANSWERED": (
        "Already answered",
        "Fresh evidence answers this belief, and nothing that it depends on has changed since.",
        "Test it all the same with `--again`.",
    ),
    "PLAN-DEGRADED": (
        "The target was not well",
        "The last run on it found the system sick with no fault applied: an experiment would say nothing; the next best comes first.",
        "See to the system; the next `refute run` looks at it afresh.",
    ),
    "PLAN-BUDGET": (
        "It would cost too much of the error budget",
        "The experiment is expected to spend more of the error budget than `blast_radius.error_budget.spend` allows.",
        "Make the share, the cohort or the units smaller, or allow more if the budget's owner agrees.",
    ),
    "PLAN-GATED": (
        "Another belief comes first",
        "The belief is put to the test once those under its `after` hold: each phase is let in by the one before it.",
        "Test those first; one that was refuted has to be mended before.",
    ),
    "PLAN-UNANSWERABLE": (
        "Too small to answer",
        "Within this blast radius a verdict either way is less likely than not, so the risk would buy nothing.",
        "Allow more units or a larger cohort; the message names the smallest that would do.",
    ),
    "PLAN-WORTHLESS": (
        "Nothing to learn",
        "The answer is as good as known: whatever came out would hardly move the confidence.",
        "Spend the risk on another belief; `refute plan` ranks them.",
    ),
}
