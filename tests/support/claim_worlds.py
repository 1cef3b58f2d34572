"""Worlds of claims with known truth, to see whether confidence can be trusted where the model's own prior does not hold.

A world is one team with one system. Its claims share luck (some teams are wrong more often than they think, some less) and the kind of
trouble that the system has. Over all worlds the stated confidences are truthful on average; in one world they need not be.

| parameter | value |
| --- | --- |
| worlds, claims in each | 400, 25: 10,000 claims |
| bound c of a claim | 1, 2, 5, 10, 20 or 30 % |
| units of the run | 10 to 300, even on a logarithmic scale |
| stated confidence z | Beta(3, 1.3) cut to [5 %, 97 %] |
| is it true? | Φ⁻¹(z) > √ρ·luck of the world + √(1-ρ)·luck of the claim, both N(0, 1), ρ = 0.3: true with probability z over all worlds |
| breach rate | by the world's kind, below; units breach independently at that rate |

Kinds, drawn for each world: `even` (true: even on [0, c]; false: even on [c, 0.9]), `logarithmic` (true: down to c/100, false: up to 0.95,
even on a logarithmic scale), `close` (0.3 to 0.9 of c; 1.5 to 3.5 times c), `broken` (true: c/20, false: 0.5 to 1, as where a fault is
either handled or not), `bell` (the logit lies |N(0, s)| from the bound's, s between 0.5 and 2 for the world). None is a beta distribution.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

KINDS = ("even", "logarithmic", "close", "broken", "bell")
BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
SHARED_LUCK = 0.3


@dataclass(frozen=True)
class Case:
    """One claim, its run, and the truth."""

    world: int
    kind: str
    bound: float
    stated: float
    true: bool
    rate: float
    units: int
    breaches: int


def claims(worlds=400, each=25, seed=31):
    """Return claims of all worlds."""
    generator = np.random.default_rng(seed)
    return [case for world in range(worlds) for case in _world(world, each, generator)]


def _world(world, each, generator):
    kind, luck, spread = str(generator.choice(KINDS)), generator.normal(), generator.uniform(0.5, 2.0)
    for _ in range(each):
        bound, stated = float(generator.choice(BOUNDS)), float(np.clip(generator.beta(3.0, 1.3), 0.05, 0.97))
        latent = math.sqrt(SHARED_LUCK) * luck + math.sqrt(1 - SHARED_LUCK) * generator.normal()
        true = NormalDist().inv_cdf(stated) > latent
        rate = _rate(kind, bound, true, spread, generator)
        units = int(10 * 30 ** generator.random())
        yield Case(world, kind, bound, stated, true, rate, units, int(generator.binomial(units, rate)))


def _rate(kind, bound, true, spread, generator):
    u = generator.random()
    if kind == "even":
        return bound * u if true else bound + (0.9 - bound) * u
    if kind == "logarithmic":
        return bound * 10 ** (-2 * u) if true else bound * (0.95 / bound) ** u
    if kind == "close":
        return bound * (0.3 + 0.6 * u) if true else min(0.98, bound * (1.5 + 2.0 * u))
    if kind == "broken":
        return bound / 20 if true else 0.5 + 0.5 * u
    distance = abs(generator.normal()) * spread * (-1 if true else 1)
    return 1 / (1 + math.exp(-(math.log(bound / (1 - bound)) + distance)))


def matching(count=10_000, seed=37):
    """Return claims whose rates do come from the model's prior."""
    from refute.stats import balanced_base

    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        bound, stated = float(generator.choice(BOUNDS)), float(np.clip(generator.beta(3.0, 1.3), 0.05, 0.97))
        base, true = balanced_base(bound), bool(generator.random() < stated)
        rate = next(rate for rate in iter(lambda: generator.beta(base.a, base.b), None) if (rate < bound) == true)  # noqa: B023
        units = int(10 * 30 ** generator.random())
        found.append(Case(number, "matching", bound, stated, true, float(rate), units, int(generator.binomial(units, rate))))
    return found
