"""Can what is to stand in for a component take its place?"""

from __future__ import annotations

from collections.abc import Iterator

from refute.core.errors import Problem
from refute.intent.checks.subject import Subject

_SWAPPED = ("llm", "guardrail_model", "embedder")


def check_stand_in(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each stand-in that no fault could use: of a kind that none swaps, or reached in another way."""
    for name, component in subject.intent.system.components.items():
        steps, one = ("system", "components", name, "stand_in"), component.stand_in
        if one and component.kind not in _SWAPPED:
            what = f"no fault puts anything in the place of a component of the kind {component.kind}"
            yield subject.problem("STAND-IN", what, steps, one, allowed=f"components of the kinds {', '.join(_SWAPPED)}")
        elif one and bool(component.python) != (":" in one):
            function = bool(component.python)
            what = f"`{name}` is {'a Python function' if function else 'reached at its endpoint'}, and what stands in for it is not"
            yield subject.problem("STAND-IN", what, steps, one, allowed="module:function" if function else "a model's name")
