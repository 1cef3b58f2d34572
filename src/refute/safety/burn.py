"""How quickly the error budget is being spent, over several windows at once, from Prometheus or from counts.

The burn rate is (share of bad events) / (1 - objective): at 1 the budget lasts exactly its own window. A long window says that it is no
blip, a short one that it is still going on (Beyer et al., The Site Reliability Workbook, 2018, chapter 5): both must be above their
threshold for an alert. Before an experiment the question is stricter: in no window may the budget burn faster than it lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from refute.core.errors import Problem, RefuteError, refuse

WINDOWS_S: tuple[tuple[float, float, float], ...] = ((3600.0, 300.0, 14.4), (21_600.0, 1800.0, 6.0), (259_200.0, 21_600.0, 1.0))
"""Long window, short window, in seconds, and the burn rate that pages: 2 %, 5 % and 10 % of a 30-day budget."""

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Events:
    """Events in a window.

    Attributes:
        bad: of them bad ones; fractions where they are rates.
        total: all of them.
    """

    bad: float
    total: float

    def burn(self, objective: float) -> float:
        """Return the burn rate; 0 where nothing happened.

        Args:
            objective: share of good events that was promised, in (0, 1).
        """
        return self.bad / self.total / (1.0 - objective) if self.total > 0 else 0.0


Counter = Callable[[float], Events]
"""Counts the events of the last so many seconds."""


@dataclass(frozen=True, slots=True)
class Burn:
    """Burn rates of one pair of windows.

    Attributes:
        long_s: seconds.
        short_s: seconds.
        threshold: burn rate of both at which it pages.
        long: burn rate.
        short: burn rate.
    """

    long_s: float
    short_s: float
    threshold: float
    long: float
    short: float

    @property
    def pages(self) -> bool:
        """Whether both windows burn faster than the threshold."""
        return self.long > self.threshold and self.short > self.threshold


def burn_rates(count: Counter, objective: float, windows: Sequence[tuple[float, float, float]] = WINDOWS_S) -> list[Burn]:
    """Return the burn rates of all windows.

    Args:
        count: of the service-level objective's events.
        objective: share of good events that was promised, in (0, 1).
        windows: long, short, threshold.
    """
    known: dict[float, float] = {}

    def rate(window_s: float) -> float:
        if window_s not in known:
            known[window_s] = count(window_s).burn(objective)
        return known[window_s]

    return [Burn(long, short, threshold, rate(long), rate(short)) for long, short, threshold in windows]


def too_fast(burns: Sequence[Burn]) -> Problem | None:
    """Say why no experiment may start: the budget burns faster than it lasts; None where it does not."""
    worst = max(burns, key=lambda burn: min(burn.long, burn.short), default=None)
    if worst is None or min(worst.long, worst.short) < 1.0:
        return None
    seen = f"burn rate {worst.long:.2g} over {_hours(worst.long_s)}, {worst.short:.2g} over {_hours(worst.short_s)}"
    return Problem("GATE-BURN", "the error budget is burning faster than it lasts already", seen=seen, allowed="below 1", next="wait")


class Prometheus:
    """Counts events by asking a Prometheus server.

    Args:
        url: of the server, such as `http://127.0.0.1:9090`.
        bad: PromQL of the rate of bad events, `$window` where its range goes.
        total: likewise of all events.
        headers: sent with each request, for authorisation; never shown.
    """

    def __init__(self, url: str, bad: str, total: str, headers: dict[str, str] | None = None) -> None:
        """Ask nothing yet."""
        self._url = url.rstrip("/")
        self._bad = bad
        self._total = total
        self._headers = headers or {}

    def __call__(self, window_s: float) -> Events:
        """Count the events of the last so many seconds.

        Raises:
            RefuteError: the server does not answer, not with one number, or knows of no events at all (`SLO-PROMETHEUS`).
        """
        total = self._ask(self._total, window_s)
        if total is None:
            raise _unknown(self._url, f"no series matches {self._total}")
        return Events(self._ask(self._bad, window_s) or 0.0, total)

    def _ask(self, query: str, window_s: float) -> float | None:
        import urllib3

        asked = query.replace("$window", f"{round(window_s)}s")
        try:
            answer = urllib3.request(
                "GET", f"{self._url}/api/v1/query", fields={"query": asked}, headers=self._headers, timeout=_TIMEOUT_S, retries=False
            )
            return _value(answer.json())
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
            raise _unknown(self._url, str(error)) from None


def _value(answer: Any) -> float | None:
    """Return the number in an answer of Prometheus; None where no series matches: no such event has ever been, or the name is wrong."""
    if answer["status"] != "success":
        raise ValueError(answer.get("error", "no success"))
    result = answer["data"]["result"]
    if answer["data"]["resultType"] == "scalar":
        return float(result[1])
    if len(result) > 1:
        raise ValueError(f"{len(result)} series; the query must come to one number, such as sum(…)")
    return float(result[0]["value"][1]) if result else None


def _unknown(url: str, why: str) -> RefuteError:
    what = "how quickly the error budget burns cannot be found out"
    return refuse("SLO-PROMETHEUS", what, where=url, seen=why, next="ask the server the same, with curl")


def _hours(window_s: float) -> str:
    return f"{window_s / 3600:g} h" if window_s >= 3600 else f"{window_s / 60:g} min"
