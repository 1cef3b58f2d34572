"""Can the actions of an agent be seen whose intent deviation is asked for? And can beliefs that wait for others ever be tested?"""

from __future__ import annotations

from collections.abc import Iterator

from refute.core.deviation import Deviation
from refute.core.errors import Problem
from refute.intent.checks.subject import Subject
from refute.intent.document import Steps


def check_deviation(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each deviation whose agent is unknown, or whose calls nobody could see."""
    for name, indicator in subject.intent.indicators.items():
        if indicator.deviation is not None:
            yield from _seen(subject, ("indicators", name, "deviation"), indicator.deviation)


def _seen(subject: Subject, steps: Steps, stated: Deviation) -> Iterator[Problem]:
    system, workload = subject.intent.system, subject.intent.workload
    agent = system.components.get(stated.agent)
    if agent is None:
        yield subject.document.unknown("COMPONENT-UNKNOWN", "component", stated.agent, system.components, (*steps, "agent"))
    elif ":" not in stated.actions and workload.kind != "python":
        what = f"the agent's calls are made in other processes than the workload's: `{stated.actions}` sees none of them"
        allowed = "actions: module:function, which takes them from the answer"
        yield subject.problem("DEVIATION-ACTIONS", what, (*steps, "actions"), stated.actions, allowed=allowed)
    elif stated.actions == "calls" and not any(system.components[name].python for name in agent.calls):
        what = f"`{agent.name}` calls no component that is a Python function, so that its calls cannot be seen"
        allowed = "`python` at the tools that it calls, or actions: spans"
        yield subject.problem("DEVIATION-ACTIONS", what, (*steps, "actions"), stated.actions, allowed=allowed)


def check_order(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each belief that waits for one that is not there, or for itself."""
    beliefs = subject.intent.beliefs
    for steps, belief in subject.beliefs():
        for number, name in enumerate(belief.after):
            here = (*steps, "after", number)
            if name not in beliefs:
                yield subject.document.unknown("AFTER-UNKNOWN", "belief", name, beliefs, here)
            elif belief.id in _awaited(subject, name):
                what = f"`{belief.id}` waits for `{name}`, which waits for it: neither would ever be tested"
                yield subject.problem("BELIEF-CIRCLE", what, here, name, allowed="beliefs that do not wait for each other")


def _awaited(subject: Subject, name: str) -> set[str]:
    """Return a belief and all that must hold before it."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            belief = subject.intent.beliefs.get(one)
            waiting += belief.after if belief is not None else ()
    return found
