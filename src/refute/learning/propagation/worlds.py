"""Random applications with known truth, for checking learners and planners: programs, not draws from the propagation model.

An application is a tree of services, each with a program of steps; what a step does when its call fails is code: retries, another
service, a default, a cache, an early answer, a quorum of calls that run side by side, an error passed on or hidden, different for each
kind of failure or not. None of its rates is a parameter of the model; `Rates` states them.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Final

from refute.learning.propagation.space import Call, Fault, Faults, FaultSpace, Run, Site

KINDS: Final = ("CE", "TO", "500", "502", "503")
_EXCEPTIONS: Final = frozenset({"CE", "TO"})
_SELECTIONS: Final = (
    (_EXCEPTIONS, 4),
    (frozenset(KINDS) - _EXCEPTIONS, 3),
    (frozenset({"TO"}), 2),
    (frozenset({"CE"}), 2),
    (frozenset({"503"}), 1),
    (frozenset({"502", "503"}), 1),
    (frozenset(KINDS) - {"TO"}, 2),
)
_DEEPEST: Final = 12


@dataclass(frozen=True, slots=True)
class Rates:
    """How applications are made; each application draws its own rates around these.

    Attributes:
        services: fewest and most services.
        tolerant: lowest and highest share of calls whose failure is caught.
        selective: share of catching code that catches some kinds only.
        retries: share of catching code that tries again first.
        fallback: share that calls another service.
        early: share that answers at once.
        quorum: share of handlers whose calls run side by side and need only some answers.
        gather: share of handlers whose calls run side by side and all must answer.
        loops: share of calls that are made two or three times.
        translated: share of services that answer failures with 503, or hang, instead of 500.
        coupled: share of applications in which two tolerated failures together are fatal.
        poorer: share of defaults that a user notices.
        runs: fewest and most runs of a space.
    """

    services: tuple[int, int] = (3, 7)
    tolerant: tuple[float, float] = (0.1, 0.8)
    selective: float = 0.25
    retries: float = 0.3
    fallback: float = 0.3
    early: float = 0.08
    quorum: float = 0.06
    gather: float = 0.12
    loops: float = 0.12
    translated: float = 0.25
    coupled: float = 0.15
    poorer: float = 0.4
    runs: tuple[int, int] = (10, 400)


@dataclass(frozen=True, slots=True)
class _Catch:
    """What code does with a failed call.

    Attributes:
        kinds: that it catches.
        retries: how often it tries again.
        instead: site to call then, if any.
        ending: `default`, `poorer`, `early` or `raise`: what it does when nothing helped.
    """

    kinds: frozenset[str] = frozenset()
    retries: int = 0
    instead: Site | None = None
    ending: str = "raise"


@dataclass(frozen=True, slots=True)
class _Step:
    site: Site
    catch: _Catch
    times: int = 1


@dataclass(frozen=True, slots=True)
class _Program:
    """A service's code.

    Attributes:
        steps: its calls.
        mode: `sequence`, `gather` (all are made, all must answer) or `quorum` (all are made, one must).
        failure: kind in which its own failure shows.
    """

    steps: tuple[_Step, ...] = ()
    mode: str = "sequence"
    failure: str = "500"


class _GivesUpError(Exception):
    """A handler gives up."""


@dataclass(slots=True)
class Application:
    """A program that can be run under faults.

    Attributes:
        entry: service that users call.
        programs: by service.
        coupled: pairs of sites whose tolerated failures are fatal together.
    """

    entry: str
    programs: dict[str, _Program]
    coupled: frozenset[frozenset[Site]] = frozenset()

    def run(self, faults: dict[tuple[Site, int], str]) -> tuple[bool, bool, list[tuple[Site, int]], set[tuple[Site, int]]]:
        """Return whether the entry point answers, whether poorly, the calls made in order, and the faults that struck."""
        pass_ = _Pass(self, faults)
        try:
            pass_.handle(self.entry, 0)
            available = not any(pair <= pass_.survived for pair in self.coupled)
        except _GivesUpError:
            available = False
        return available, available and pass_.poorer, pass_.made, pass_.struck


@dataclass(slots=True)
class _Pass:
    application: Application
    faults: dict[tuple[Site, int], str]
    made: list[tuple[Site, int]] = field(default_factory=list)
    struck: set[tuple[Site, int]] = field(default_factory=set)
    survived: set[Site] = field(default_factory=set)
    counts: Counter[Site] = field(default_factory=Counter)
    poorer: bool = False

    def handle(self, service: str, depth: int) -> None:
        program = self.application.programs[service]
        failed = 0
        for step in program.steps:
            for _ in range(step.times):
                try:
                    early = self._step(step, depth)
                except _GivesUpError:
                    if program.mode == "sequence":
                        raise
                    failed += 1
                    continue
                if early and program.mode == "sequence":
                    return
        total = sum(step.times for step in program.steps)
        if failed and (program.mode == "gather" or failed == total):
            raise _GivesUpError
        self.poorer = self.poorer or failed > 0

    def _step(self, step: _Step, depth: int) -> bool:
        """Make a step's call; return whether its handler answers at once."""
        catch = step.catch
        kind = self._call(step.site, depth)
        for _ in range(catch.retries):
            if kind is not None and kind in catch.kinds:
                kind = self._call(step.site, depth)
        if kind is None:
            return False
        if kind not in catch.kinds:
            raise _GivesUpError
        if catch.instead is not None and self._call(catch.instead, depth) is None:
            self.survived.add(step.site)
            return False
        if catch.ending == "raise":
            raise _GivesUpError
        self.survived.add(step.site)
        self.poorer = self.poorer or catch.ending == "poorer"
        return catch.ending == "early"

    def _call(self, site: Site, depth: int) -> str | None:
        """Make a call; return the kind in which it fails, or None."""
        self.counts[site] += 1
        key = site, self.counts[site]
        self.made.append(key)
        if key in self.faults:
            self.struck.add(key)
            return self.faults[key]
        if depth >= _DEEPEST:
            return None
        try:
            self.handle(site.callee, depth + 1)
        except _GivesUpError:
            return self.application.programs[site.callee].failure
        return None


def application(rng: random.Random, rates: Rates) -> Application:
    """Return a random application."""
    names = [f"service-{n + 1}" for n in range(rng.randint(*rates.services))]
    children: dict[str, list[str]] = {name: [] for name in names}
    for position, name in enumerate(names[1:], start=1):
        children[names[max(rng.randrange(position), rng.randrange(position)) if rng.random() < 0.4 else rng.randrange(position)]].append(
            name
        )
    low, high = rates.tolerant
    tolerant, selective = low + (high - low) * rng.random(), rates.selective * rng.choice((0.0, 1.0, 2.0))
    programs = {}
    for name in names:
        style = min(0.95, max(0.03, rng.gauss(tolerant, 0.2)))
        steps = [_step(rng, rates, name, child, style, selective) for child in children[name]]
        roll = rng.random()
        mode = "quorum" if roll < rates.quorum else "gather" if roll < rates.quorum + rates.gather else "sequence"
        failure = rng.choice(("503", "503", "TO", "502")) if rng.random() < rates.translated else "500"
        programs[name] = _Program(tuple(steps), mode if len(steps) > 1 else "sequence", failure)
    spares = {step.catch.instead for program in programs.values() for step in program.steps if step.catch.instead}
    programs |= {site.callee: _Program() for site in spares if site.callee not in programs}
    return Application(names[0], programs, _coupled(rng, rates, programs))


def _coupled(rng: random.Random, rates: Rates, programs: dict[str, _Program]) -> frozenset[frozenset[Site]]:
    caught = [step.site for program in programs.values() for step in program.steps if step.catch.kinds]
    pairs = [frozenset(pair) for pair in combinations(caught, 2)]
    return frozenset({rng.choice(pairs)}) if pairs and rng.random() < rates.coupled else frozenset()


def _step(rng: random.Random, rates: Rates, caller: str, callee: str, tolerant: float, selective: float) -> _Step:  # noqa: PLR0913, PLR0917
    site = Site(caller, callee, "POST" if rng.random() < 0.25 else "GET")
    times = rng.choice((2, 2, 3)) if rng.random() < rates.loops else 1
    if rng.random() >= tolerant:
        return _Step(site, _Catch(), times)
    kinds = frozenset(KINDS)
    if rng.random() < selective:
        kinds = rng.choices([one for one, _ in _SELECTIONS], [weight for _, weight in _SELECTIONS])[0]
    retries = rng.choice((1, 1, 1, 2)) if rng.random() < rates.retries else 0
    instead = None
    if rng.random() < rates.fallback:
        spare = callee if rng.random() < 0.2 else f"spare-{rng.randrange(3)}"
        instead = Site(caller, spare, site.method if spare != callee else "HEAD")
    helped = retries > 0 or instead is not None
    ending = "raise" if helped and rng.random() < 0.7 else "poorer" if rng.random() < rates.poorer else "default"
    if not helped and rng.random() < rates.early:
        ending = "early"
    return _Step(site, _Catch(kinds, retries, instead, ending), times)


def fault_space(made: Application, name: str) -> FaultSpace:
    """Return the outcomes of every single fault and pair of faults that can strike."""
    ids: dict[tuple[Site, int], str] = {}
    answered, _, calls, _ = made.run({})
    for key in calls:
        ids.setdefault(key, f"call-{len(ids) + 1}")
    steady = Run((), answered, False, tuple(ids[key] for key in calls))
    runs: dict[Faults, Run] = {}
    for key, kind in product(list(ids), KINDS):
        _try(made, {key: kind}, ids, runs)
    for (first, one), (second, other) in product(product(list(ids), KINDS), repeat=2):
        if ids[first] < ids[second]:
            _try(made, {first: one, second: other}, ids, runs)
    known = {ident: Call(ident, *key) for key, ident in ids.items()}
    return FaultSpace(name, known, steady, tuple(runs.values()))


def _try(made: Application, faults: dict[tuple[Site, int], str], ids: dict[tuple[Site, int], str], runs: dict[Faults, Run]) -> None:
    answered, poorer, calls, struck = made.run(faults)
    if len(struck) < len(faults):
        return
    for key in calls:
        ids.setdefault(key, f"call-{len(ids) + 1}")
    named = tuple(sorted(Fault(ids[key], kind) for key, kind in faults.items()))
    runs[named] = Run(named, answered, poorer, tuple(ids[key] for key in calls))


def generated_spaces(count: int, seed: int, rates: Rates | None = None) -> list[FaultSpace]:
    """Return spaces of random applications.

    Args:
        count: how many.
        seed: of the generator.
        rates: how applications are made.
    """
    rates, rng = rates or Rates(), random.Random(seed)
    found: list[FaultSpace] = []
    while len(found) < count:
        space = fault_space(application(rng, rates), f"generated-{seed}-{len(found)}")
        if rates.runs[0] <= len(space.runs) <= rates.runs[1] and space.steady.calls:
            found.append(space)
    return found
