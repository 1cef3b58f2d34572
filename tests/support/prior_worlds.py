"""Applications drawn from the propagation model's own prior."""

import random

import numpy as np

from refute.learning.propagation import responses as prior
from refute.learning.propagation.courses import SETS, UPSTREAM, courses
from refute.learning.propagation.effects import _BESIDE, _ELSEWHERE
from refute.learning.propagation.kinds import UPSTREAM_KIND, partitions
from refute.learning.propagation.space import Call, FaultSpace, Run, Site, faults_of
from refute.learning.propagation.structure import Slot, structure_of
from refute.learning.propagation.weighing import _places

KINDS = ("CE", "TO", "500", "502", "503")


def _pick(generator, weights):
    return int(generator.choice(len(weights), p=np.asarray(weights) / np.sum(weights)))


def _tree(generator):
    """Calls of a random tree of services, in the order of a walk."""
    parents = [int(generator.integers(0, n)) for n in range(1, int(generator.integers(4, 7)))]
    calls = []

    def walk(service):
        for child, parent in enumerate(parents, start=1):
            if parent == service:
                calls.append(Call(f"call-{len(calls) + 1}", Site(f"s{service}", f"s{child}", "GET"), 1))
                walk(child)

    walk(0)
    return {call.id: call for call in calls}


def _responses(generator, slots):
    """[slot][kind] a response, drawn as `responses` says; each site has one slot here."""
    kinds = [*KINDS, UPSTREAM_KIND]
    ways = partitions(kinds)
    tolerance, selective = _pick(generator, prior._TOLERANCE_PRIOR), _pick(generator, prior._SELECTIVE_PRIOR)
    exhausted = _pick(generator, prior._EXHAUSTED_PRIOR)
    styles = {}
    found = {}
    for slot in slots:
        style = styles.setdefault(slot.handler, _pick(generator, prior._STYLES))
        rate = tolerance * len(prior._STYLES) + style if slot.attempt == 1 else prior._FIRST + exhausted
        way = _pick(generator, prior._priors(ways)[selective])
        drawn = {block: _pick(generator, prior._DRAWS[rate]) for block in np.flatnonzero(ways.members[way])}
        found[slot] = {kind: next(drawn[b] for b in drawn if ways.blocks[b, n]) for n, kind in enumerate(kinds)}
    return found


def drawn_space(seed):
    """Return a fault space of an application whose responses and interactions are a draw from the prior."""
    generator = np.random.default_rng(seed)
    calls = _tree(generator)
    steady = Run((), True, False, tuple(calls))
    structure = structure_of(calls, steady)
    answers = _responses(generator, structure.slots())
    fatal: dict[tuple[Slot, Slot], bool] = {}
    runs = []
    names = list(calls)
    sets = [(name,) for name in names] + [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    rng = random.Random(seed)
    for struck in sets:
        found = courses(structure, struck)
        for _ in range(len(KINDS) if len(struck) == 1 else 6):
            kinds = [rng.choice(KINDS) for _ in struck]
            faults = faults_of(zip(struck, kinds, strict=True))
            course = next(one for one in found if all(_holds(answers, supposed, kinds) for supposed in one.supposed))
            if course.landed < len(struck):
                continue
            places = _places(course) if course.available and len(struck) > 1 else None
            if places is not None and places not in fatal:
                rate = _BESIDE if places[0].handler == places[1].handler else _ELSEWHERE
                fatal[places] = bool(generator.random() < rate)
            available = course.available and not (places and fatal[places])
            runs.append(Run(faults, available, False, tuple(name for name in names if name in course.calls)))
    unique = {run.faults: run for run in runs}
    return FaultSpace(f"prior-{seed}", calls, steady, tuple(unique.values()))


def _holds(answers, supposed, kinds):
    kind = UPSTREAM_KIND if supposed.kind == UPSTREAM else kinds[supposed.kind]
    return answers[supposed.slot][kind] in SETS[supposed.response]
