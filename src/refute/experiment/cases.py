"""Which case each unit asks: journey by its share, then any of its cases, drawn independently and reproducibly.

Cases are drawn with replacement, so that units are independent draws from the stated workload even where repeats of one case
always end alike; the rate that a verdict speaks of is the rate over these cases in this mix, however few they are.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refute.core.audience import Audience, Side, side

Case = dict[str, Any]
EVERYONE = Audience()


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit to be started.

    Attributes:
        key: `case/occurrence`, unique within an experiment.
        index: position in the order of intended start, from 0.
        cluster: the case's id, shared by its repeats; the user's pseudonym where there is one.
        journey: user journey, or "".
        case: what the workload is given: the case as written, with its `occurrence`.
        subject: pseudonym of the user whose units share an arm; "" where the unit stands for itself.
        inside: whether it may see a fault.
    """

    key: str
    index: int
    cluster: str
    journey: str
    case: Case
    subject: str = ""
    inside: bool = True

    def side(self, seed: int, share: float) -> Side:
        """Return where it belongs.

        Args:
            seed: the experiment's.
            share: of treatment, in [0, 1].
        """
        return side(seed, self.subject or self.key, share, inside=self.inside)


def read_cases(path: Path) -> list[Case]:
    """Read a JSON Lines file of cases; one without an `id` gets its line number.

    Args:
        path: validated before: one object a line.
    """
    lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines(): JSON may hold other line separators
    return [{"id": str(number), **json.loads(line)} for number, line in enumerate(lines, 1) if line.strip()]


def draw_units(
    cases: Sequence[Case], journeys: Mapping[str, float], seed: int, phase: str, audience: Audience = EVERYONE
) -> Iterator[Unit]:
    """Yield units without end.

    Args:
        cases: at least one.
        journeys: share of traffic by journey, any positive scale; empty where the system has none.
        seed: same seed, same units.
        phase: part of the key, so that no key comes twice in an experiment.
        audience: who may see a fault, and whose units share an arm; a user's pseudonym then leads the key.
    """
    rng = random.Random(f"{seed}/{phase}")
    pools = pools_of(cases, journeys)
    names, weights = list(pools), [weight for weight, _ in pools.values()]
    seen: Counter[str] = Counter()
    index = 0
    while True:
        journey = rng.choices(names, weights)[0]
        case = rng.choice(pools[journey][1])
        name, subject = str(case["id"]), audience.subject(case)
        occurrence = f"{phase}-{seen[name]}"
        seen[name] += 1
        key = f"{subject}/{name}/{occurrence}" if subject else f"{name}/{occurrence}"
        asked = {**case, "occurrence": occurrence}
        yield Unit(key, index, subject or name, str(case.get("journey", "")), asked, subject, audience.includes(case))
        index += 1


def pools_of(cases: Sequence[Case], journeys: Mapping[str, float]) -> dict[str, tuple[float, list[Case]]]:
    """Return the weight and the cases of each journey that has some; all cases under "" where there is none.

    Args:
        cases: at least one.
        journeys: share of traffic by journey.
    """
    pools = {name: (weight, [case for case in cases if case.get("journey") == name]) for name, weight in journeys.items()}
    pools = {name: (weight, pool) for name, (weight, pool) in pools.items() if pool and weight > 0}
    return pools or {"": (1.0, list(cases))}
