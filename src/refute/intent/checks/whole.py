"""Faults that strike a component as a whole leave no unit out: is that agreed, and can the belief be tested all the same?"""

from __future__ import annotations

from collections.abc import Iterator

from refute.core.errors import Problem
from refute.faults.spec import Fault
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps
from refute.intent.shape import BeliefShape, WhenShape


def check_whole(subject: Subject, here: Steps, fault: Fault, belief: BeliefShape, when: WhenShape) -> Iterator[Problem]:
    """Yield a problem for each thing that a fault of a whole component cannot do, and for an agreement that nothing needs.

    Args:
        subject: the intent.
        here: the way to the fault.
        fault: the one that is named there.
        belief: as written, that it is a fault of.
        when: as written.
    """
    steps = here[: here.index("when")]
    if not fault.whole:
        if when.uncontrolled:
            what = f"`{fault.name}` strikes single calls: control is kept out of it"
            yield subject.problem("UNCONTROLLED-NEEDLESS", what, (*here, "uncontrolled"), "true", allowed="no `uncontrolled`")
        return
    if not when.uncontrolled:
        what = f"`{fault.name}` strikes a component as a whole: every unit of the injection sees it, whatever the cohort"
        allowed = "`uncontrolled: true` under `when`, if that may be risked"
        yield subject.problem("UNCONTROLLED-UNSAID", what, (*here, "fault"), fault.name, allowed=allowed)
    if when.share != 1.0:
        what = f"`{fault.name}` strikes a component as a whole: it has no share"
        yield subject.problem("UNCONTROLLED-SHARE", what, (*here, "share"), f"{when.share:.0%}", allowed="no `share`")
    if belief.among == "faulted":
        what = f"`{fault.name}` strikes a component as a whole: no unit can be told to have met it"
        yield subject.problem("UNCONTROLLED-AMONG", what, (*steps, "among"), "faulted", allowed="among: eligible")
    if belief.then.relative:
        what = "there is no concurrent control to compare with where every unit sees the fault"
        allowed = "an absolute bound with >= or <="
        yield subject.problem("UNCONTROLLED-RELATIVE", what, (*steps, "then"), belief.then.text, allowed=allowed)
    for number, stop in enumerate(subject.shape.stop_when):
        if stop.relative:
            what = f"this stop condition could never fire while `{fault.name}` is tested: it leaves no control to compare with"
            yield subject.problem(
                "UNCONTROLLED-STOP", what, ("stop_when", number), stop.text,
                allowed="an absolute bound; or test that belief from a file of its own",
            )  # fmt: skip
