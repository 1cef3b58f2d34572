"""How much of what evidence said still holds, once time has passed and things have changed.

The freshness δ of a piece of evidence is the probability that nothing relevant has changed since:

    δ = 2^(-age/half-life) · Π over kinds of dependency (1 - ρ·overlap)

where the overlap is the share of the dependencies of that kind whose hashes then and now differ, so that a revert restores. Confidence
now is a mixture: with probability δ the evidence counts in full, otherwise not at all,

    z now = δ·z(evidence) + (1-δ)·z₀.

With several pieces, one that is less fresh counts only in those worlds in which all fresher ones do. Discounting the counts instead would
leave 0.99 where the truth is 0.95.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

DAY_S = 86_400.0

USUAL_RHO: Mapping[str, float] = {
    "model": 0.5,
    "prompt": 0.4,
    "index": 0.3,
    "code": 0.4,
    "package": 0.2,
    "deployment": 0.3,
    "graph": 0.4,
    "belief": 0.5,
    "intent": 1.0,
}
"""ρ by kind of dependency before any re-run has told: the probability that a change of all of that kind changes the answer."""

_OCTAVES = tuple(step / 2 for step in range(-8, 7))
_RHOS = tuple(step / 20 for step in range(1, 21))
_LEAST, _MOST = 0.01, 0.99
_PRIOR_WEIGHT = 8.0
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Decay:
    """How quickly answers go stale.

    Attributes:
        half_life_d: days in which unseen change halves what evidence is worth.
        rho: by kind of dependency, the probability that a change of all of that kind changes the answer; 1 for unknown kinds.
    """

    half_life_d: float = 90.0
    rho: Mapping[str, float] = field(default_factory=lambda: dict(USUAL_RHO))

    def freshness(self, age_s: float, overlap: Mapping[str, float]) -> float:
        """Return δ, the probability that nothing relevant has changed.

        Args:
            age_s: of the evidence, seconds; a clock that was set back counts as no time.
            overlap: share of the dependencies that differ, in [0, 1], by kind.
        """
        kept = math.prod(1.0 - self.rho.get(kind, 1.0) * share for kind, share in overlap.items())
        return float(2.0 ** (-max(0.0, age_s) / (self.half_life_d * DAY_S)) * kept)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Two verdicts on one belief, one after the other.

    Attributes:
        age_s: seconds between them.
        overlap: what differed between them, by kind.
        agreed: whether they were the same.
        by_chance: probability that they agree although everything has changed, in [0, 1].
    """

    age_s: float
    overlap: Mapping[str, float]
    agreed: bool
    by_chance: float = 0.5


def overlaps(then: Mapping[str, str], now: Mapping[str, str], kind_of: Callable[[str], str]) -> dict[str, float]:
    """Return by kind the share of dependencies whose hashes differ; kinds in which none does are left out.

    Args:
        then: hash by name at the time of the evidence.
        now: hash by name now; a name on one side only differs.
        kind_of: kind of a dependency by its name.
    """
    names = sorted({*then, *now})
    by_kind: dict[str, list[bool]] = {}
    for name in names:
        by_kind.setdefault(kind_of(name), []).append(then.get(name) != now.get(name))
    return {kind: sum(differ) / len(differ) for kind, differ in by_kind.items() if any(differ)}


def mixed(stated: float, freshness: Sequence[float], pooled: Callable[[Sequence[int]], float]) -> float:
    """Return the confidence now from evidence of different freshness.

    Args:
        stated: z₀, the confidence without any evidence.
        freshness: δ of each piece, in [0, 1].
        pooled: confidence from some of the pieces, by position, as if nothing had changed.
    """
    order = sorted(range(len(freshness)), key=lambda place: -freshness[place])
    left, total = 1.0, 0.0
    for used, place in enumerate(order):
        if freshness[place] < left:  # pieces that are equally fresh count together
            total += (left - freshness[place]) * (pooled(sorted(order[:used])) if used else stated)
            left = freshness[place]
    return total + (left * (pooled(sorted(order)) if order else stated) if left > 0.0 else 0.0)


def learn_decay(repeats: Iterable[Repeat], start: Decay | None = None) -> Decay:
    """Return the half-life and the ρ that re-runs speak for: the most probable ones, by coordinate ascent on a grid.

    Each ρ starts as a beta of weight 8 around its usual value, the half-life as a log-normal one octave wide around what it begins with.

    Args:
        repeats: successive verdicts on the same beliefs.
        start: what to begin with; the usual values where None. Kinds that no repeat names keep theirs.
    """
    seen, usual = list(repeats), start or Decay()
    half_lives_d, decay = [usual.half_life_d * 2.0**octaves for octaves in _OCTAVES], usual
    kinds = sorted({kind for one in seen for kind in one.overlap})
    for _ in range(_ROUNDS):
        before = decay
        decay = max((replace(decay, half_life_d=days) for days in half_lives_d), key=lambda one: _log_posterior(one, usual, seen))
        for kind in kinds:
            options = [replace(decay, rho={**decay.rho, kind: rho}) for rho in _RHOS]
            decay = max(options, key=lambda one: _log_posterior(one, usual, seen))
        if decay == before:
            break
    return decay


def _log_posterior(decay: Decay, usual: Decay, repeats: Sequence[Repeat]) -> float:
    octaves = math.log2(decay.half_life_d / usual.half_life_d)
    prior = -0.5 * octaves**2
    for kind, rho in decay.rho.items():
        mean, inside = _inside(usual.rho.get(kind, 1.0)), _inside(rho)
        prior += _PRIOR_WEIGHT * (mean * math.log(inside) + (1.0 - mean) * math.log1p(-inside))
    return prior + math.fsum(_log_likelihood(decay, one) for one in repeats)


def _log_likelihood(decay: Decay, repeat: Repeat) -> float:
    fresh = decay.freshness(repeat.age_s, repeat.overlap)
    agree = _inside(fresh + (1.0 - fresh) * repeat.by_chance)
    return math.log(agree) if repeat.agreed else math.log1p(-agree)


def _inside(probability: float) -> float:
    return min(_MOST, max(_LEAST, probability))
