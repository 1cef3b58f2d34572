"""The search for a tolerance threshold: what the runs of one belief say of the largest magnitude that its criterion bears."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from refute.core.intent import Belief, Intent
from refute.experiment.assess import Count, Look
from refute.faults.catalogue import catalogue
from refute.faults.spec import Magnitude
from refute.intent.magnitudes import shown_magnitude
from refute.learning import CAREFUL, Counts, Prices, Seen, Threshold, prior_of

_NARROW = 0.04  # of the scale: on one of five decades, a factor of 1.6 between the ends of the interval
_MOST_RUNS = 20
_POINTS = 24  # of the curve, beside what was tried
_CERTAIN = 1e-9


@dataclass(frozen=True, slots=True)
class Tried:
    """What one run saw at one magnitude.

    Attributes:
        magnitude: in the fault's unit.
        treatment: breaches among the units that had the fault.
        control: breaches among those beside them.
        draw: what its units and faults were drawn with; runs of one draw at one magnitude are repeats and share the weight of one.
    """

    magnitude: float
    treatment: Counts
    control: Counts
    draw: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Tried:
        """Return what a `learned` event tells."""
        control = event["control"]
        counts = Counts(event["breaches"], event["n"]), Counts(control["breaches"], control["n"])
        return cls(event["magnitude"], *counts, event["draw"])


@dataclass(frozen=True, slots=True)
class Search:
    """What is known of a belief's threshold.

    Attributes:
        belief: one that states `at_least`.
        scale: the fault's magnitudes.
        bound: largest breach rate within the criterion.
        most: largest magnitude that makes sense here.
        tried: runs so far, oldest first.
        free: whether what is too much harms nobody: a training run is thrown away, and may be struck as hard as is instructive.
    """

    belief: Belief
    scale: Magnitude
    bound: float
    most: float
    tried: tuple[Tried, ...] = ()
    free: bool = False

    @property
    def known(self) -> Threshold:
        """The posterior over the threshold, in doses."""
        return _known(self)

    @property
    def confidence(self) -> float:
        """Probability that the criterion holds up to what is believed, now."""
        return min(1.0 - _CERTAIN, max(_CERTAIN, self.known.holds(self._stated)))

    @property
    def settled(self) -> bool:
        """Whether the threshold is known as narrowly as is useful, or not to be had with more runs."""
        found = self.known.interval()
        top = self.scale.dose(self.most)
        return len(self.tried) >= _MOST_RUNS or (bool(self.tried) and min(found.high, top) - min(found.low, top) <= _NARROW)

    @property
    def _stated(self) -> float:
        assert self.belief.at_least is not None
        return self.scale.dose(self.belief.at_least)

    def ask(self, units: int, risk_price: float) -> float:
        """Return the magnitude to try next.

        Args:
            units: treatment units of the next run.
            risk_price: λ of the plan; at its usual value the search is as careful as `CAREFUL`.
        """
        prices = replace(CAREFUL, risk=0.0 if self.free else CAREFUL.risk * risk_price / Prices().risk)
        return self._rounded(self.scale.at(self.known.ask(max(1, units), prices, most=self.scale.dose(self.most))))

    def _rounded(self, magnitude: float) -> float:
        """Return a magnitude that can be read out: whole where it is a count, else with two digits."""
        whole = self.scale.unit == "1" and self.scale.low == round(self.scale.low)
        found = float(round(magnitude)) if whole else float(f"{magnitude:.2g}")
        return min(self.most, max(self.scale.low, found))

    def bits(self, magnitude: float, units: int) -> float:
        """Expected information about whether the criterion holds at a magnitude."""
        return self.known.bits(self.scale.dose(magnitude), max(1, units))

    def p_breach(self, magnitude: float) -> float:
        """Return the breach rate to be expected at a magnitude."""
        return self.known.point(self.scale.dose(magnitude)).rate

    def holds(self, magnitude: float) -> float:
        """Probability that the criterion holds at a magnitude."""
        return min(1.0 - _CERTAIN, max(_CERTAIN, self.known.holds(self.scale.dose(magnitude))))

    def after(self, tried: Tried) -> Search:
        """Return what is known after one more run."""
        return replace(self, tried=(*self.tried, tried))

    def to_json(self) -> dict[str, Any]:
        """Return the Threshold of docs/reference/events.md: the estimate with its interval, the curve, and what was tried."""
        known, found = self.known, self.known.interval()
        tried = sorted({one.magnitude for one in self.tried})
        even = [self.scale.at(step / _POINTS * self.scale.dose(self.most)) for step in range(_POINTS + 1)]
        return {
            "unit": self.scale.unit, "log": self.scale.log, "at_least": self.belief.at_least, "bound": self.bound,
            "low": self._magnitude(found.low), "middle": self._magnitude(found.middle), "high": self._magnitude(found.high),
            "largest_that_holds": self._magnitude(known.largest_that_holds()), "most": self.most, "sentence": self.sentence(),
            "curve": [self._point(magnitude) for magnitude in sorted({*even, *tried})],
            "tried": [{"magnitude": one.magnitude, "n": one.treatment.units, "breaches": one.treatment.breaches} for one in self.tried],
        }  # fmt: skip

    def _point(self, magnitude: float) -> dict[str, float]:
        point = self.known.point(self.scale.dose(magnitude))
        return {"magnitude": magnitude, "rate": point.rate, "low": point.low, "high": point.high}

    def sentence(self) -> str:
        """Return the result in words: `holds up to 1.3 s [1.1 s, 1.6 s]`."""
        found = self.known.interval()
        low, middle, high = (self._magnitude(end) for end in (found.low, found.middle, found.high))
        most = self._shown(self.most)
        if low is None:
            return f"holds up to {most}, the most that is looked for"
        if middle is None:
            return f"holds up to {self._shown(low)} at least, maybe beyond {most}"
        return f"holds up to {self._shown(middle)} [{self._shown(low)}, {f'over {most}' if high is None else self._shown(high)}]"

    def _magnitude(self, dose: float) -> float | None:
        """Return a dose as a magnitude; None where it lies beyond the largest one."""
        return None if dose >= self.scale.dose(self.most) - 1e-9 else self.scale.at(dose)

    def _shown(self, magnitude: float) -> str:
        return shown_magnitude(float(f"{magnitude:.2g}"), self.scale.unit)


@lru_cache(maxsize=64)
def _known(search: Search) -> Threshold:
    repeats = Counter((one.draw, one.magnitude) for one in search.tried)
    share = search.belief.when.share
    known = Threshold.believed(search.bound, prior_of(max(1e-6, search._stated), search.belief.confidence), share=share)  # noqa: SLF001
    for one in search.tried:
        weight = 1.0 / repeats[one.draw, one.magnitude]
        known = known.tell(search.scale.dose(one.magnitude), one.treatment.breaches * weight, one.treatment.units * weight)
        known = known.tell(0.0, one.control.breaches * weight, one.control.units * weight)
    return known


def search_of(intent: Intent, belief: Belief, bound: float, events: Iterable[Mapping[str, Any]]) -> Search | None:
    """Return the search of a belief; None where it states its magnitude, or no threshold at all.

    Args:
        intent: validated.
        belief: one of its beliefs.
        bound: largest breach rate within its criterion.
        events: `learned` events of the runs that count, oldest first.
    """
    if belief.at_least is None:
        return None
    scale = catalogue()[belief.when.fault].magnitude
    assert scale is not None  # the checks refuse it
    most = min(scale.high, max(intent.workload.timeout_s, belief.at_least)) if scale.unit == "s" else scale.high
    within = min(0.99, max(0.001, bound))
    tried = tuple(Tried.of(event) for event in events if event.get("magnitude") is not None)
    return Search(belief, scale, within, most, tried, free=intent.workload.training is not None)


def found(magnitude: float | None, search: Search | None, look: Look | None, seen: Seen) -> tuple[Search | None, dict[str, Any]]:
    """Return what is known of a threshold after a run, and what its `learned` event says of it; nothing where none is sought.

    Args:
        magnitude: that was tried, None where the fault has none.
        search: before it.
        look: its evidence; None where it is none.
        seen: its counts, as the claim takes them.
    """
    if search is None or magnitude is None:
        return None, {}
    control = look.control if look is not None else Count()
    if look is not None:
        search = search.after(Tried(magnitude, seen.counts, Counts(control.breaches, control.n), seen.draw))
    return search, {"magnitude": magnitude, "control": {"n": control.n, "breaches": control.breaches}, "threshold": search.to_json()}


def chances_of(belief: Belief, magnitude: float | None, chances: dict[str, float]) -> dict[str, float]:
    """Return the forecast of verdicts on a belief from that of the answer at one magnitude; see `about_threshold`.

    Args:
        belief: which of the two decides, if any.
        magnitude: to be tried.
        chances: of `held`, `refuted` and `inconclusive` at that magnitude.
    """
    if belief.at_least is None or magnitude is None:
        return chances
    held = chances["held"] if magnitude >= belief.at_least else 0.0
    refuted = chances["refuted"] if magnitude <= belief.at_least else 0.0
    return {"held": held, "refuted": refuted, "inconclusive": 1.0 - held - refuted}
