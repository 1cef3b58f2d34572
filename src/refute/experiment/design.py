"""What one run is: the beliefs that it tests, the fault, the cohorts, the bounds."""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass, replace

from refute.core.arming import Arming
from refute.core.draws import numbers
from refute.core.errors import refuse
from refute.core.intent import Belief, Intent, When
from refute.core.measure import measure
from refute.faults.catalogue import catalogue
from refute.faults.spec import Fault
from refute.intent.magnitudes import shown_magnitude

LEASE_TTL_S = 3.0
RAMP_UNITS = 5
"""Treatment units that must have met the fault, and ended, before a ramp goes on: each step risks about as many."""
_CONTROL_BREACHES = 4  # that a control as bad as is just allowed would show: with one at most it is healthy at 95 %
RECOVER_S = 3.0
_RECOVER_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class Experiment:
    """One run, designed and not yet started.

    Attributes:
        id: sortable by time, unique.
        intent: where everything else stands.
        beliefs: tested together: they share the fault, its target, magnitude, share and draw.
        arming: the fault, aimed; of several the first.
        units: at most, treatment and control together, over the injection.
        environment: where it runs, "" where none was named.
        check: whether an A/A check comes first.
        rerun_of: id of the run that this repeats, or "".
        tokens_per_unit: as measured before, None where nobody has.
        also: further faults that strike in the same run, aimed.
    """

    id: str
    intent: Intent
    beliefs: tuple[Belief, ...]
    arming: Arming
    units: int
    environment: str = ""
    check: bool = True
    rerun_of: str = ""
    tokens_per_unit: float | None = None
    also: tuple[Arming, ...] = ()

    @property
    def armings(self) -> tuple[Arming, ...]:
        """All faults, aimed, in the order in which they were stated."""
        return (self.arming, *self.also)

    @property
    def targets(self) -> frozenset[str]:
        """Names of the components that are struck."""
        return frozenset(arming.component.name for arming in self.armings)

    @property
    def fault(self) -> Fault:
        """The fault in the catalogue."""
        return catalogue()[self.arming.fault]

    @property
    def uncontrolled(self) -> bool:
        """Whether every unit of the injection sees the fault, so that only the time before it can be compared with."""
        return self.fault.whole

    @property
    def shown_magnitude(self) -> str:
        """The magnitude as people write it, "" where there is none."""
        about = self.fault.magnitude
        return "" if about is None or self.arming.magnitude is None else shown_magnitude(self.arming.magnitude, about.unit)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of units in treatment, step by step of the ramp; a single one where there is none."""
        return (self.arming.cohort,) if self.uncontrolled else (*self.intent.blast_radius.ramp, self.arming.cohort)

    @property
    def evidence_step(self) -> int | None:
        """The step of the ramp that alone is evidence; None where all steps are.

        Where a user's units stay in one arm, who was in treatment at one step is known at the next: arms are drawn afresh for none of them.
        """
        return len(self.shares) - 1 if self.intent.blast_radius.audience.by and len(self.shares) > 1 else None

    def cohort_in(self, phase: str) -> float:
        """Return the share of a phase's units that count as treatment, in [0, 1]; the first step's where there is a ramp."""
        if self.uncontrolled:
            return float(phase == "inject")
        return self.shares[0] if phase == "inject" else self.arming.cohort

    @property
    def inject_s(self) -> float:
        """Planned longest injection, seconds."""
        return min(self.intent.blast_radius.duration_s, self.units / self.intent.workload.rate_per_s)

    @property
    def watch_units(self) -> int:
        """Units of the baseline; enough to stand for control where the injection has none."""
        watched = max(10, round(self.intent.steady_window_s * self.intent.workload.rate_per_s))
        if not self.uncontrolled:
            return watched
        bounds = [measure(belief.then, self.intent.indicators).bound for belief in self.beliefs]
        return max([watched, *(math.ceil(_CONTROL_BREACHES / bound) for bound in bounds if bound > 0)])

    @property
    def check_units(self) -> int:
        """Units of the A/A check: some seconds' worth, enough to see that something is badly wrong."""
        return min(60, max(20, self.watch_units))

    @property
    def recover_units(self) -> int:
        """Units after the rollback by which to tell whether the system is well again."""
        return max(10, round(min(self.intent.steady_window_s, RECOVER_S) * self.intent.workload.rate_per_s))

    @property
    def recover_most(self) -> int:
        """Units after the rollback at most: a system may take a moment to get over a fault."""
        return _RECOVER_WINDOWS * self.recover_units

    def cost(self) -> dict[str, float]:
        """Return what it will cost at most: units, seconds, and tokens where they have been measured."""
        if self.intent.workload.training is not None:
            units = self.units + (2 if self.check else 0)
            return {"units": units, "seconds": min(self.intent.blast_radius.duration_s, units * self.intent.workload.timeout_s)}
        units = self.units + self.watch_units + self.recover_most + (self.check_units if self.check else 0)
        tokens = {} if self.tokens_per_unit is None else {"tokens": self.tokens_per_unit * units}
        return {"units": units, "seconds": units / self.intent.workload.rate_per_s, **tokens}


def new_id() -> str:
    """Return an experiment's id: its UTC time and four random hexadecimal digits."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2)


def together(beliefs: list[Belief]) -> list[tuple[Belief, ...]]:
    """Group beliefs that one run can test: same fault, target, magnitude, share and draw, after the same others; in the order given."""
    groups: dict[object, list[Belief]] = {}
    for belief in beliefs:
        alone = belief.id if belief.at_least is not None else ""  # a threshold is sought at magnitudes of its own
        groups.setdefault((belief.when, alone, belief.after), []).append(belief)
    return [tuple(group) for group in groups.values()]


def aim(intent: Intent, belief: Belief, seed: int, magnitude: float | None = None) -> tuple[Arming, ...]:
    """Return the armings that a belief asks for, one a fault; an unstated magnitude is the fault's typical one.

    Each fault after the first has a seed of its own, so that several faults of one run are drawn independently of one another.

    Args:
        intent: validated.
        belief: one of its beliefs.
        seed: of the run.
        magnitude: to try, where the belief leaves it open.
    """
    seeds = (seed if not place else numbers(f"{seed}\x1ffault\x1f{place}", 0)[0] >> 11 for place in range(len(belief.when.parts)))
    return tuple(_aimed(intent, belief, when, own, magnitude) for when, own in zip(belief.when.parts, seeds, strict=True))


def _aimed(intent: Intent, belief: Belief, when: When, seed: int, magnitude: float | None) -> Arming:
    fault = catalogue()[when.fault]
    magnitude = when.magnitude if magnitude is None else magnitude
    if magnitude is None and fault.magnitude is not None:
        magnitude = fault.magnitude.typical
    if when.target in intent.blast_radius.never:
        raise refuse("BLAST-NEVER", f"{when.target} is off limits", where=belief.where, next="see blast_radius.never")
    component = intent.system.components[when.target]
    cohort = 1.0 if fault.whole else intent.blast_radius.cohort
    return Arming(component, when.fault, magnitude, when.share, when.draw, cohort, seed, when.turn)


def repeated(experiment: Experiment) -> Experiment:
    """Return the same run under a new id: same seed, same faults."""
    return replace(experiment, id=new_id(), rerun_of=experiment.id)
