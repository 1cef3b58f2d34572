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

Case = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit to be started.

    Attributes:
        key: `case/occurrence`, unique within an experiment.
        index: position in the order of intended start, from 0.
        cluster: the case's id, shared by its repeats.
        journey: user journey, or "".
        case: what the workload is given: the case as written, with its `occurrence`.
    """

    key: str
    index: int
    cluster: str
    journey: str
    case: Case


def read_cases(path: Path) -> list[Case]:
    """Read a JSON Lines file of cases; one without an `id` gets its line number.

    Args:
        path: validated before: one object a line.
    """
    lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines(): JSON may hold other line separators
    return [{"id": str(number), **json.loads(line)} for number, line in enumerate(lines, 1) if line.strip()]


def draw_units(cases: Sequence[Case], journeys: Mapping[str, float], seed: int, phase: str) -> Iterator[Unit]:
    """Yield units without end.

    Args:
        cases: at least one.
        journeys: share of traffic by journey, any positive scale; empty where the system has none.
        seed: same seed, same units.
        phase: part of the key, so that no key comes twice in an experiment.
    """
    rng = random.Random(f"{seed}/{phase}")
    pools = _pools(cases, journeys)
    names, weights = list(pools), [weight for weight, _ in pools.values()]
    seen: Counter[str] = Counter()
    index = 0
    while True:
        journey = rng.choices(names, weights)[0]
        case = rng.choice(pools[journey][1])
        cluster = str(case["id"])
        occurrence = f"{phase}-{seen[cluster]}"
        seen[cluster] += 1
        yield Unit(f"{cluster}/{occurrence}", index, cluster, str(case.get("journey", "")), {**case, "occurrence": occurrence})
        index += 1


def _pools(cases: Sequence[Case], journeys: Mapping[str, float]) -> dict[str, tuple[float, list[Case]]]:
    pools = {name: (weight, [case for case in cases if case.get("journey") == name]) for name, weight in journeys.items()}
    pools = {name: (weight, pool) for name, (weight, pool) in pools.items() if pool and weight > 0}
    return pools or {"": (1.0, list(cases))}
