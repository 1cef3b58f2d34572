"""What every fault in the catalogue says of itself."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from refute.core.arming import Draw
from refute.core.system import ComponentKind, Hazard
from refute.wire.events import Answer, StreamEvent
from refute.wire.exchange import Call, ConnectionStrike, PythonCall, PythonStrike, Reply, Strike
from refute.wire.protocol import Codec


@dataclass(frozen=True, slots=True)
class Magnitude:
    """How hard a fault can strike.

    Attributes:
        unit: `s`, `1` (a count or factor), `%`, …
        low: smallest value allowed.
        high: largest value allowed.
        typical: value seen in the field, used in examples.
        meaning: what the number is, in words.
        log: whether the dose is spaced by ratios rather than by differences.
    """

    unit: str
    low: float
    high: float
    typical: float
    meaning: str
    log: bool = False

    def dose(self, value: float) -> float:
        """Map a magnitude to [0, 1] for the planner.

        Args:
            value: in `unit`, within [low, high].
        """
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def at(self, dose: float) -> float:
        """Return the magnitude of a dose: the inverse of `dose`.

        Args:
            dose: in [0, 1].
        """
        if self.log:
            return float(self.low * (self.high / self.low) ** dose)
        return self.low + (self.high - self.low) * dose

    def or_typical(self, value: float | None) -> float:
        """Return the value, or the typical one where none was given."""
        return self.typical if value is None else value


@dataclass(frozen=True, slots=True)
class Awaits:
    """What must turn up in a successful reply before a call is eligible: the draw is then made at that moment, in every arm.

    Until then, and where the draw misses, the reply passes byte for byte.

    Attributes:
        answer: says whether a whole answer has it; None where a reply that is no stream is never eligible.
        event: says whether a streamed event has it; None where a stream is never eligible.
        reply: says it of a whole reply that is no answer of a model; None as for `answer`.
        data: says it of what a reply, or a streamed event, carries as plain data, beside a call that knows earlier answers; for faults
            that remember.
    """

    answer: Callable[[Answer], bool] | None = None
    event: Callable[[StreamEvent], bool] | None = None
    reply: Callable[[Call, Reply], bool] | None = None
    data: Callable[[Call, Any], bool] | None = None

    def has(self, codec: Codec, call: Call, reply: Reply) -> bool:
        """Say whether a whole reply has what is awaited."""
        if self.reply is not None and self.reply(call, reply):
            return True
        if self.data is not None and (data := codec.data(call, reply)) is not None and self.data(call, data):
            return True
        answer = None if self.answer is None else codec.answer(reply)
        return answer is not None and self.answer is not None and self.answer(answer)


Trains = Literal["", "step", "forward", "checkpoint", "rank", "resume", "exchange", "seed", "worker"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One typed way to break something: what it is, and what it does to an exchange or a call.

    Attributes:
        name: `family.kind`.
        summary: one sentence.
        kinds: component kinds that it applies to.
        hazard: the worst that it can do.
        effect: exactly what happens, on the wire or in the process.
        landing: what proves that it landed.
        undone_by: what removes it.
        belief: the belief that it usually tests, in words.
        source: where this failure has been seen.
        magnitude: None where there is no "how hard".
        typical_share: share of calls hit in the field, in [0, 1].
        typical_draw: what is drawn in the field: each call, or a conversation or a user with all their calls.
        strike_exchange: for faults on HTTP: (call, magnitude, rng) to a strike, None where this call is not eligible.
            Pure, and called once per hit.
        matches_exchange: whether the fault could hit this call; called for every call, in every arm. None: any call.
        awaits: for faults on replies: what a reply must have for the call to be eligible. None: decided before the request
            is sent. The strike's rewriter then starts at the awaited event.
        strike_python: for faults on Python functions: (call, magnitude, rng) to a strike.
        matches_python: whether the fault could hit this call; called for every call, in every arm. None: any call.
        strike_connection: for faults on connections whose bytes are not understood: (magnitude) to a strike. Such a connection
            belongs to no unit, so that every unit sees it.
        remembers: how many earlier answers to other arguments a call carries, 0 for none.
        acts_on: for faults that strike a component as a whole, what of it: its `process`, its `port` or its `directory`.
        trains: for faults that strike inside a training run, what of it: a `step` of the optimiser, the `forward` pass before one, a
            saved `checkpoint`, a `rank`, a rank that `resume`s, an `exchange` between ranks, the `seed`, or a `worker` that loads data.
    """

    name: str
    summary: str
    kinds: frozenset[ComponentKind]
    hazard: Hazard
    effect: str
    landing: str
    belief: str
    source: str
    undone_by: str = "the lease: revoked or expired, the next call goes through untouched"
    magnitude: Magnitude | None = None
    typical_share: float = 1.0
    typical_draw: Draw = "call"
    strike_exchange: Callable[[Call, float | None, random.Random], Strike] | None = None
    matches_exchange: Callable[[Call], bool] | None = None
    awaits: Awaits | None = None
    strike_python: Callable[[PythonCall, float | None, random.Random], PythonStrike] | None = None
    matches_python: Callable[[PythonCall], bool] | None = None
    strike_connection: Callable[[float | None], ConnectionStrike] | None = None
    remembers: int = 0
    acts_on: Literal["", "process", "port", "directory"] = ""
    trains: Trains = ""

    @property
    def whole(self) -> bool:
        """Whether it strikes a component as a whole, so that no unit can be kept out of it."""
        return bool(self.acts_on) or self.strike_connection is not None

    @property
    def family(self) -> str:
        """Return the part of the name before the dot."""
        return self.name.partition(".")[0]

    def objection(self, kind: ComponentKind, magnitude: float | None) -> str:
        """Say why it cannot strike a component so, or return "".

        Args:
            kind: of the component.
            magnitude: in the fault's unit, None for its typical one.
        """
        if kind not in self.kinds:
            return f"{self.name} does not apply to a component of kind {kind}"
        if magnitude is None:
            return ""
        if self.magnitude is None:
            return f"{self.name} has no magnitude"
        scale = self.magnitude
        if scale.low <= magnitude <= scale.high:
            return ""
        return f"magnitude {magnitude:g} {scale.unit} is outside {scale.low:g} to {scale.high:g} {scale.unit}"


Seam = Literal["exchange", "python", "connection", "process", "port", "directory", "training"]


def seams(fault: Fault) -> frozenset[Seam]:
    """Return where a fault can be injected."""
    offered: dict[Seam, object] = {
        "exchange": fault.strike_exchange, "python": fault.strike_python, "connection": fault.strike_connection,
    }  # fmt: skip
    whole: frozenset[Seam] = frozenset([fault.acts_on] if fault.acts_on else [])
    training: frozenset[Seam] = frozenset(["training"] if fault.trains else [])
    return whole | training | {seam for seam, strike in offered.items() if strike is not None}
