"""Where each belief stands: its stated confidence, moved by the evidence in the ledger as far as that is fresh."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refute.campaign.freshness import Aging, Stale, aging_of
from refute.campaign.search import Search, Tried, search_of
from refute.core.errors import EXIT_INCONCLUSIVE, refuse
from refute.core.intent import Belief, Intent
from refute.core.measure import measure
from refute.experiment.assess import Look
from refute.intent.dependency import answered_mark
from refute.intent.fingerprint import Fingerprint, around, fingerprint_of
from refute.learning import Claim, Counts, Seen, combined, mixed, relative_counts

_CERTAIN = 1e-9
_NEEDED = {"belief", "experiment", "verdict", "n", "breaches", "bound"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What one run said, and how much of it still holds.

    Attributes:
        seen: its counts.
        tried: the same at its magnitude, where a threshold is sought.
        freshness: δ, the probability that nothing relevant has changed since.
    """

    seen: Seen
    tried: Tried | None = None
    freshness: float = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one belief now.

    Attributes:
        belief: as stated.
        claim: its confidence and what the fresh runs together say of it; evidence that is less fresh has moved what it starts from.
        verdict: of the last fresh run that counted, or "".
        experiment: that run's id, or "".
        stale: why evidence no longer counts in full; None where there is none like that, or fresh evidence has taken its place.
        marks: hash of everything that the belief depends on, by name.
        files: hash by path below each folder among it.
        pieces: what each run said, fresh or not.
        search: of its threshold, from fresh runs; None where the belief is about one magnitude.
        sure: probability that a threshold is as believed; None where none is sought.
    """

    belief: Belief
    claim: Claim
    verdict: str = ""
    experiment: str = ""
    stale: Stale | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()
    search: Search | None = None
    sure: float | None = None

    @property
    def confidence(self) -> float:
        """Probability that the belief is true, now."""
        if self.search is None:
            return self.claim.confidence
        return self.search.confidence if self.sure is None else self.sure

    @property
    def state(self) -> str:
        """`untested`, `stale`, or the last verdict."""
        return self.verdict or ("stale" if self.stale else "untested")

    @property
    def answered(self) -> bool:
        """Whether fresh evidence has decided it; a threshold is also known as narrowly as is useful."""
        if self.search is not None:
            return self.search.settled
        return self.verdict in {"held", "refuted"}

    @property
    def tested(self) -> bool:
        """Whether any evidence still counts, be it in part."""
        return any(piece.freshness > 0.0 for piece in self.pieces) or bool(self.claim.seen.units)

    def learned_from(self, look: Look, draw: str) -> tuple[Claim, Seen]:
        """Return the claim after a run, and what that run saw.

        For `worse by` the counts are effective ones, against a bound set by the control's rate of that run.

        Args:
            look: the run's evidence; one without units changes nothing.
            draw: what it was drawn with, from `draw_of`.
        """
        treatment, bound = Counts(look.treatment.breaches, look.treatment.n), look.bound
        if self.belief.then.relative and not look.absolute:
            bound, treatment = relative_counts(treatment, Counts(look.control.breaches, look.control.n), look.bound)
        seen = Seen(bound, treatment, draw)
        return _claim(self.belief, (*self.pieces, Piece(seen)), bound), seen

    def sure_after(self, search: Search | None) -> float:
        """Return the confidence in a threshold after one more run.

        Args:
            search: with that run as its last, from fresh ones.
        """
        assert search is not None
        old = tuple(piece for piece in self.pieces if piece.freshness < 1.0)
        return _sure(search, (*old, *(Piece(Seen(search.bound, one.treatment, one.draw), one) for one in search.tried)))


def draw_of(intent: Intent, seed: int) -> str:
    """Return what tells apart runs that ask different questions: two of one draw start the same units and strike the same calls.

    Args:
        intent: validated.
        seed: of the run.

    Raises:
        RefuteError: the cases cannot be read any more (`FILE-UNREADABLE`).
    """
    if intent.workload.training is not None:
        return "the seeds"  # which are the same in every run: repeats count once
    if intent.workload.cases is None:
        return secrets.token_hex(8)  # live traffic never comes twice
    journeys = {name: journey.share for name, journey in intent.system.journeys.items()}
    try:
        cases = hashlib.sha256(intent.workload.cases.read_bytes()).hexdigest()
    except OSError as error:
        raise refuse("FILE-UNREADABLE", "the cases cannot be read any more", exit_code=EXIT_INCONCLUSIVE, seen=str(error)) from None
    return hashlib.sha256(json.dumps([seed, journeys, cases], sort_keys=True).encode()).hexdigest()[:16]


def standings(intent: Intent, events: Iterable[Mapping[str, Any]], environment: str, now: float | None = None) -> dict[str, Standing]:
    """Return where each belief stands.

    Args:
        intent: validated.
        events: `learned` events of the ledger, oldest first.
        environment: only evidence from here counts.
        now: seconds since the epoch; the present where None.
    """
    here = [event for event in events if event.get("environment", "") == environment]
    counted = [event for event in here if event.get("counted") and event.keys() >= _NEEDED]  # some ledgers are older than the counts
    answered = {name: models for event in here for name, models in (event.get("answered") or {}).items()}
    aging = aging_of(counted, time.time() if now is None else now)
    by_belief = {name: [event for event in counted if event["belief"] == name] for name in intent.beliefs}
    found: dict[str, Standing] = {}
    for belief in intent.beliefs.values():
        _stand(intent, belief, _Known(by_belief, aging, answered), found)
    return {name: found[name] for name in intent.beliefs}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger knows in one environment.

    Attributes:
        learned: events that count, by belief, oldest first.
        aging: how evidence ages.
        answered: models that components last said they answer with.
    """

    learned: Mapping[str, list[Mapping[str, Any]]]
    aging: Aging
    answered: Mapping[str, str]


def _stand(intent: Intent, belief: Belief, known: _Known, found: dict[str, Standing]) -> None:
    """Add where a belief stands, after those that it rests on; beliefs that rest on each other take the first as it is written."""
    if belief.id in found:
        return
    found[belief.id] = Standing(belief, _claim(belief, (), measure(belief.then, intent.indicators).bound))
    for name in belief.depends_on:
        if name in intent.beliefs:
            _stand(intent, intent.beliefs[name], known, found)
    now = fingerprint_of(intent, belief)
    marks = now.marks
    marks |= {answered_mark(name): known.answered[name] for name in around(intent.system, belief.when.targets) if name in known.answered}
    for name in belief.depends_on:
        if name in intent.beliefs and f"belief:{name}" in marks and found[name].verdict == "refuted":
            marks[f"belief:{name}"] = hashlib.sha256(f"{marks[f'belief:{name}']} refuted".encode()).hexdigest()
    found[belief.id] = _standing(intent, belief, known, now)


def _standing(intent: Intent, belief: Belief, known: _Known, now: Fingerprint) -> Standing:
    aged = [(event, *known.aging.of(event, now.marks, now.files)) for event in known.learned[belief.id]]
    fresh = [event for event, _, stale in aged if stale is None]
    last = fresh[-1] if fresh else {}
    pieces = tuple(_piece(event, freshness) for event, freshness, _ in aged if freshness > 0.0)
    bound = measure(belief.then, intent.indicators).bound
    search = search_of(intent, belief, fresh[-1]["bound"] if fresh else bound, fresh)
    stale = None if fresh or not aged else aged[-1][2]
    claim = _claim(belief, () if search else pieces, bound)
    sure = None if search is None else _sure(search, pieces)
    return Standing(belief, claim, last.get("verdict", ""), last.get("experiment", ""), stale, now.marks, now.files, pieces, search, sure)


def _piece(event: Mapping[str, Any], freshness: float) -> Piece:
    seen = Seen(event["bound"], Counts(event["breaches"], event["n"]), event.get("draw") or event["experiment"])
    return Piece(seen, Tried.of(event) if event.get("magnitude") is not None else None, freshness)


def _claim(belief: Belief, pieces: Sequence[Piece], bound: float) -> Claim:
    """Return a belief's claim with what fresh runs saw, from a start that makes its confidence what all runs together make it."""
    fresh = _pooled(belief, [piece for piece in pieces if piece.freshness >= 1.0], bound)
    if all(piece.freshness >= 1.0 for piece in pieces):
        return fresh
    confidence = mixed(
        belief.confidence, [piece.freshness for piece in pieces],
        lambda places: _pooled(belief, [pieces[place] for place in places], bound).confidence,
    )  # fmt: skip
    log_odds = _log_odds(confidence) - fresh.log_odds + _log_odds(belief.confidence)
    return replace(fresh, stated=min(1 - _CERTAIN, max(_CERTAIN, 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds)))))))


def _pooled(belief: Belief, pieces: Sequence[Piece], bound: float) -> Claim:
    """Return a belief's claim with what runs saw, as if nothing had changed since; at `bound` where none saw anything."""
    together = combined(piece.seen for piece in pieces)
    return Claim(belief.confidence, bound) if together is None else Claim(belief.confidence, *together)


def _sure(search: Search, pieces: Sequence[Piece]) -> float:
    """Return the confidence in a threshold from runs of different freshness."""
    kept = [piece for piece in pieces if piece.tried is not None]
    return mixed(
        replace(search, tried=()).confidence, [piece.freshness for piece in kept],
        lambda places: replace(search, tried=tuple(one for place in places if (one := kept[place].tried) is not None)).confidence,
    )  # fmt: skip


def _log_odds(p: float) -> float:
    return math.log(p) - math.log1p(-p)
