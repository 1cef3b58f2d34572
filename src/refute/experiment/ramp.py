"""When may more units see the fault? The gate between two steps of a ramp."""

from __future__ import annotations

from collections.abc import Sequence

from refute.core.outcome import Outcome
from refute.experiment.design import RAMP_UNITS, Experiment
from refute.experiment.proof import sick
from refute.experiment.tape import Tape
from refute.safety.stops import Stop

_NEAR = 0.5  # of the way to a stop, in logarithms of the evidence, or of the loss


class Ramp:
    """Leads the share of treatment up, a step at a time.

    Args:
        experiment: with its shares.
        stops: what would end the injection.
    """

    def __init__(self, experiment: Experiment, stops: Sequence[Stop]) -> None:
        """Stand on the first step."""
        self._experiment = experiment
        self._stops = stops

    def next_share(self, tape: Tape) -> float | None:
        """Return the next step's share; None on the last step."""
        shares = self._experiment.shares
        return shares[tape.step + 1] if tape.step + 1 < len(shares) else None

    def held_back(self, tape: Tape) -> str:
        """Say why the next step may not begin yet, "" where it may."""
        treated = self._ended(tape, "treatment", tape.wider_from)
        targets = sorted(self._experiment.targets)
        met = [outcome for outcome in treated if any(outcome.eligible.get(target) for target in targets)]
        if len(met) < RAMP_UNITS:
            return f"{len(met)} of {RAMP_UNITS} units that could meet the fault have ended"
        if missed := [target for target in targets if not any(outcome.hits.get(target) for outcome in met)]:
            where = f" on {' and '.join(missed)}" if len(targets) > 1 else ""
            return f"the fault{where} has not landed in any of {len(met)} units"
        near = next((stop for stop in self._stops if stop.nearness >= _NEAR), None)
        if near is not None:
            return f"a stop condition is near: {near.text}"
        control = self._ended(tape, "control", 0)
        if any(outcome.hits for outcome in control):
            return "units of control were hit"
        return "; ".join(sick(control, self._experiment))

    def _ended(self, tape: Tape, arm: str, since: int) -> list[Outcome]:
        return [slot.outcome for slot in tape.slots()[since:] if slot.arm == arm and slot.outcome is not None]
