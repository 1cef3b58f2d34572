"""What traces showed: components, calls with their frequencies, retries, timeouts and errors, and journeys with their shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from refute.core.system import ComponentKind

FORMAT: Final = "refute-graph-1"


@dataclass(frozen=True, slots=True)
class SeenCall:
    """Calls from one component to another.

    Attributes:
        count: how many, retries left out.
        traces: in how many traces.
        errors: how many of them, or of their retries, failed.
        retries: how many came again after one that failed.
        timeouts: how many ran into a time limit.
        timeout_s: median duration of those, None where there were none.
        p50_s: median duration, seconds.
        p95_s: duration that 5 % exceed, seconds.
    """

    count: int
    traces: int
    errors: int = 0
    retries: int = 0
    timeouts: int = 0
    timeout_s: float | None = None
    p50_s: float = 0.0
    p95_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SeenComponent:
    """A component.

    Attributes:
        name: unique, as an intent can hold it.
        kind: what sort it is.
        calls: what it calls, by name.
        reach: share of the journeys that met it, in [0, 1].
        endpoint: `host:port` at which it was reached, or "".
        models: models that answered, for models of any sort.
    """

    name: str
    kind: ComponentKind
    calls: Mapping[str, SeenCall] = field(default_factory=dict)
    reach: float = 0.0
    endpoint: str = ""
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenJourney:
    """Something that users did.

    Attributes:
        name: unique, as an intent can hold it.
        entry: component at which it entered.
        count: how often.
        share: of all journeys, in [0, 1].
    """

    name: str
    entry: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What the traces were like.

    Attributes:
        spans: how many were read, duplicates left out.
        traces: how many they make.
        duplicates: spans that came more than once.
        missing_parents: spans whose parent is not there.
        cycles: spans that cause themselves, over others or directly.
        skewed: calls whose other side began before them or ended after them: clocks differ.
    """

    spans: int = 0
    traces: int = 0
    duplicates: int = 0
    missing_parents: int = 0
    cycles: int = 0
    skewed: int = 0


@dataclass(frozen=True, slots=True)
class SeenSystem:
    """A system as traces show it.

    Attributes:
        components: by name.
        journeys: by name, the most frequent first.
        quality: of the traces.
    """

    components: Mapping[str, SeenComponent]
    journeys: Mapping[str, SeenJourney]
    quality: Quality = Quality()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, which `system.traces` reads, too."""
        return {
            "format": FORMAT, "components": [asdict(one) for one in self.components.values()],
            "journeys": [asdict(one) for one in self.journeys.values()], "quality": asdict(self.quality),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SeenSystem:
        """Return the system that `to_json` wrote.

        Raises:
            KeyError, TypeError: It did not.
        """
        components = {}
        for one in data["components"]:
            calls = {name: SeenCall(**call) for name, call in one["calls"].items()}
            components[one["name"]] = SeenComponent(**{**one, "calls": calls, "models": tuple(one["models"])})
        journeys = {one["name"]: SeenJourney(**one) for one in data["journeys"]}
        return cls(components, journeys, Quality(**data["quality"]))


class Durations:
    """Durations in buckets that are 5 % wide: quantiles of any number of them in little memory."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        """Start with none."""
        self._buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = round(math.log(max(seconds, 1e-9)) / _WIDTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def merge(self, other: Durations) -> None:
        """Count all of another's."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def quantile(self, share: float) -> float | None:
        """Return the duration that this share of them does not exceed, to 5 %; None where there are none."""
        wanted, seen = share * sum(self._buckets.values()), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return float(f"{math.exp(bucket * _WIDTH):.3g}")
        return None


_WIDTH: Final = math.log(1.05)
