"""The blast radius of an experiment, predicted before it and compared with what happened.

A failing component harms its callers unless they get over it, and so on up to the journeys' entry points. How often a call's failure is
passed on is learned from tested beliefs and from earlier predictions that were right or wrong.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from refute.core.intent import System

_PASSED_ON: Final = 0.6
_INERTIA: Final = 2.0
_ROUNDS: Final = 100
_CLOSE: Final = 1e-9


@dataclass(slots=True)
class PassedOn:
    """How often the failure of a component is passed on to whoever calls it.

    Attributes:
        counts: by component: failures that were passed on, and all.
    """

    counts: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def see(self, component: str, passed_on: float) -> None:
        """Learn from one test.

        Args:
            component: whose calls failed.
            passed_on: probability that callers suffered, in [0, 1].
        """
        count = self.counts[component]
        count[0] += passed_on
        count[1] += 1.0

    def rate(self, component: str) -> float:
        """Return the probability that a failure is passed on: the component's own, shrunk to that of all."""
        passed, seen = (math.fsum(count[n] for count in self.counts.values()) for n in range(2))
        base = (_INERTIA * _PASSED_ON + passed) / (_INERTIA + seen)
        own = self.counts.get(component, [0.0, 0.0])
        return (_INERTIA * base + own[0]) / (_INERTIA + own[1])


def learn_from(system: System, struck: Collection[str], harmed: Mapping[str, bool], passed_on: PassedOn) -> None:
    """Learn from what one run harmed how often failures are passed on.

    Only journeys are seen, so what happened on the way there is an expectation: of each component between, the probability that it
    passed the failure on, given what became of the journey (one step of expectation-maximisation, at the rates known so far). A journey
    that is spared says little of each component on a long way, and much of the one on a short way.

    Args:
        system: components and journeys by name.
        struck: names of those that failed.
        harmed: whether each journey was, of those of which it is known.
        passed_on: learns.
    """
    rates = {name: passed_on.rate(name) for name in system.components}
    told: dict[str, list[float]] = defaultdict(list)
    for entry in {journey.entry for name, journey in system.journeys.items() if name in harmed} - set(struck):
        became = any(harmed[name] for name, journey in system.journeys.items() if name in harmed and journey.entry == entry)
        harm = _harm(system, struck, rates)
        chance = harm.get(entry, 0.0)
        if not _CLOSE < chance < 1 - _CLOSE:
            continue
        for name in harm.keys() - {entry}:
            given = _harm(system, struck, rates | {name: 1.0}).get(entry, 0.0)
            if given - chance > _CLOSE:  # else it is on no way to that entry
                told[name].append(rates[name] * (given / chance if became else (1 - given) / (1 - chance)))
    for name, chances in told.items():
        passed_on.see(name, math.fsum(chances) / len(chances))


def predicted_harm(system: System, struck: Collection[str], passed_on: PassedOn) -> dict[str, float]:
    """Return the probability that each component is harmed when some fail at once; components that they cannot harm are left out.

    The least solution of: harm of a component = 1 - product over those it calls of (1 - rate · their harm). Cycles and calls to components
    that nobody declared do no harm.

    Args:
        system: components by name.
        struck: names of those that fail.
        passed_on: how often failures are.
    """
    return _harm(system, struck, {name: passed_on.rate(name) for name in system.components})


def _harm(system: System, struck: Collection[str], rates: Mapping[str, float]) -> dict[str, float]:
    harm = dict.fromkeys(system.components, 0.0)
    failing = {name: 1.0 for name in struck if name in harm}
    if not failing:
        return {}
    harm |= failing
    for _ in range(_ROUNDS):
        then = {
            name: 1 - math.prod(1 - rates[callee] * harm[callee] for callee in dict.fromkeys(component.calls) if callee in harm)
            for name, component in system.components.items()
        }
        then |= failing
        moved = max(abs(then[name] - harm[name]) for name in harm)
        harm = then
        if moved < _CLOSE:
            break
    return {name: chance for name, chance in harm.items() if chance > 0.0}


def predicted_journeys(system: System, harm: Mapping[str, float]) -> dict[str, float]:
    """Return the probability that each journey that can be harmed is.

    Args:
        system: journeys by name.
        harm: by component, from `predicted_harm`.
    """
    return {name: harm[journey.entry] for name, journey in system.journeys.items() if journey.entry in harm}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Predicted against actual.

    Attributes:
        brier: mean squared difference of the probability and what happened; 0.25 is what even odds get. None where nothing is certain.
        surprises: names that were harmed against the odds, or spared against them, the most surprising first.
    """

    brier: float | None
    surprises: tuple[str, ...]


def compare(harm: Mapping[str, float], actual: Mapping[str, bool]) -> Comparison:
    """Compare a prediction with what happened.

    Args:
        harm: probability by component or journey; 0 where one is left out.
        actual: whether each was harmed, and would not have been without the fault; only those of which that is known.
    """
    off = {name: abs(harmed - harm.get(name, 0.0)) for name, harmed in actual.items()}
    surprises = sorted((name for name in off if off[name] > 0.5), key=lambda name: (-off[name], name))
    return Comparison(math.fsum(one * one for one in off.values()) / len(off) if off else None, tuple(surprises))
