"""What all experiments together have taught: bits, what they cost, and how good everybody's forecasts were.

Every forecast that was in the ledger before its run began is scored, whatever was run: that stays valid where experiments are chosen by
what they may teach. A person's forecast is scored once, by the first verdict after it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from refute.learning.calibration import Calibration, calibrate, calibrate_verdicts

FORECAST_VERDICTS = ("held", "refuted", "inconclusive")
_RESAMPLES, _SEED, _LEVEL = 1000, 1, 0.95

Forecast = tuple[Mapping[str, float], str]
"""Probability by verdict, and the verdict that came."""


@dataclass(frozen=True, slots=True)
class Scored:
    """How good a set of forecasts was.

    Attributes:
        calibration: its scores.
        brier_interval: 95 % bootstrap interval of the Brier score, resampled with a fixed seed.
    """

    calibration: Calibration
    brier_interval: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {**asdict(self.calibration), "brier_interval": list(self.brier_interval)}


@dataclass(slots=True)
class BeliefAccount:
    """What was learned about one belief.

    Attributes:
        claim: in words.
        runs: experiments that tested it.
        decided: of them, how many said `held` or `refuted`.
        counted: of them, how many gave evidence.
        bits: change of confidence in bits, summed.
        surprise_bits: Bayesian surprise, summed.
    """

    claim: str = ""
    runs: int = 0
    decided: int = 0
    counted: int = 0
    bits: float = 0.0
    surprise_bits: float = 0.0

    @property
    def quality(self) -> str:
        """Whether the design could test the claim, in a word: `untested`, `sound`, `weak` (seldom decides) or `unsound` (no evidence)."""
        if not self.runs:
            return "untested"
        if not self.counted:
            return "unsound"
        return "sound" if 2 * self.decided >= self.runs else "weak"


@dataclass(slots=True)
class Account:
    """What a ledger's experiments have taught.

    Attributes:
        runs: experiments that came to a verdict.
        risk: summed expected risk of them, as planned.
        beliefs: by id.
        planner: scores of the forecasts locked by the planner, None where there are none.
        team: scores of the forecasts that people made, together; None where there are none.
        people: scores by person, of those who opted in.
        stated: scores of the stated confidences against the first decided verdicts, None where there are none.
    """

    runs: int = 0
    risk: float = 0.0
    beliefs: dict[str, BeliefAccount] = field(default_factory=dict)
    planner: Scored | None = None
    team: Scored | None = None
    people: dict[str, Scored] = field(default_factory=dict)
    stated: Scored | None = None

    @property
    def bits(self) -> float:
        """Change of confidence in bits, summed over beliefs."""
        return sum(belief.bits for belief in self.beliefs.values())

    @property
    def bits_per_run(self) -> float | None:
        """Bits learned per experiment; None where none was run."""
        return self.bits / self.runs if self.runs else None

    @property
    def bits_per_risk(self) -> float | None:
        """Bits learned per unit of risk (one whole error budget, or one whole blast radius); None where nothing was risked."""
        return self.bits / self.risk if self.risk > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        scores = {"planner": self.planner, "team": self.team, "stated": self.stated}
        return {
            "runs": self.runs, "bits": self.bits, "bits_per_run": self.bits_per_run, "risk": self.risk, "bits_per_risk": self.bits_per_risk,
            "beliefs": {name: asdict(one) | {"quality": one.quality} for name, one in self.beliefs.items()},
            "calibration": {name: one.to_json() if one else None for name, one in scores.items()},
            "people": {name: one.to_json() for name, one in self.people.items()},
        }  # fmt: skip


def account(events: Iterable[Mapping[str, Any]]) -> Account:
    """Return what was learned.

    Args:
        events: of the ledger, oldest first; `intent`, `experiment`, `prediction`, `forecast`, `verdict` and `learned` are read.
    """
    reading = _Reading()
    for event in events:
        reading.read(event)
    return reading.finished()


class _Reading:
    """The state of one pass over the events."""

    def __init__(self) -> None:
        self._account = Account()
        self._stated: dict[str, float] = {}
        self._locked: dict[str, Mapping[str, Any]] = {}
        self._waiting: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._of: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
        self._planner: list[Forecast] = []
        self._people: dict[str, list[Forecast]] = {}
        self._opted: set[str] = set()
        self._first: dict[str, tuple[float, bool]] = {}
        self._seen: set[str] = set()

    def read(self, event: Mapping[str, Any]) -> None:
        step = getattr(self, f"_{event['event']}", None)
        if step is not None:
            step(event)

    def _intent(self, event: Mapping[str, Any]) -> None:
        for belief in event["beliefs"]:
            self._stated[belief["id"]] = belief["stated_confidence"]
            self._account.beliefs.setdefault(belief["id"], BeliefAccount()).claim = belief["claim"]

    def _prediction(self, event: Mapping[str, Any]) -> None:
        self._waiting.setdefault(event["belief"], {})[event["by"]] = event

    def _experiment(self, event: Mapping[str, Any]) -> None:
        names = [belief["id"] for belief in event["beliefs"]]
        self._of[event["experiment"]] = {name: dict(self._waiting.get(name, {})) for name in names}
        self._account.risk += (event.get("proposal") or {}).get("risk") or 0.0

    def _forecast(self, event: Mapping[str, Any]) -> None:
        self._locked[event["experiment"]] = event["beliefs"]

    def _verdict(self, event: Mapping[str, Any]) -> None:
        name, verdict, experiment = event["belief"], event["verdict"], event["experiment"]
        if experiment not in self._seen:
            self._seen.add(experiment)
            self._account.runs += 1
        belief = self._account.beliefs.setdefault(name, BeliefAccount(event.get("claim", "")))
        belief.runs += 1
        belief.decided += verdict in {"held", "refuted"}
        if verdict in {"held", "refuted"} and name in self._stated:
            self._first.setdefault(name, (self._stated[name], verdict == "held"))
        if verdict not in FORECAST_VERDICTS:
            return
        locked = self._locked.get(experiment, {}).get(name)
        if locked is not None:
            self._planner.append((_normal(locked), verdict))
        for by, prediction in self._of.get(experiment, {}).get(name, {}).items():
            self._people.setdefault(by, []).append((_normal(prediction), verdict))
            if prediction.get("named"):
                self._opted.add(by)
            if self._waiting.get(name, {}).get(by) is prediction:
                del self._waiting[name][by]

    def _learned(self, event: Mapping[str, Any]) -> None:
        belief = self._account.beliefs.setdefault(event["belief"], BeliefAccount())
        if event["counted"]:
            belief.counted += 1
            belief.bits += event["bits"]
            belief.surprise_bits += event["surprise_bits"]

    def finished(self) -> Account:
        result = self._account
        result.planner = _scored(self._planner)
        result.team = _scored([one for forecasts in self._people.values() for one in forecasts])
        result.people = {by: scored for by in sorted(self._opted) if (scored := _scored(self._people[by])) is not None}
        if self._first:
            pairs = list(self._first.values())
            result.stated = Scored(calibrate(pairs), _interval([(z - held) ** 2 for z, held in pairs]))
        return result


def _scored(forecasts: Sequence[Forecast]) -> Scored | None:
    if not forecasts:
        return None
    each = [sum((given[name] - (name == came)) ** 2 for name in FORECAST_VERDICTS) for given, came in forecasts]
    return Scored(calibrate_verdicts(forecasts), _interval(each))


def _normal(forecast: Mapping[str, Any]) -> dict[str, float]:
    """Return the probabilities of the three verdicts, which together are 1."""
    given = {name: float(forecast[name]) for name in FORECAST_VERDICTS}
    total = sum(given.values())
    return {name: value / total for name, value in given.items()}


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean (Efron 1979)."""
    rng, count = random.Random(_SEED), len(values)
    means = sorted(sum(rng.choices(values, k=count)) / count for _ in range(_RESAMPLES))
    cut = round((1 - _LEVEL) / 2 * _RESAMPLES)
    return means[cut], means[-1 - cut]
