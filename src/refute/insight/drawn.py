"""A run drawn on a terminal: what stays is printed, the running phase is redrawn in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any, cast

from rich.console import Console, RenderableType
from rich.live import Live

from refute.core.events import Event
from refute.insight import live, panels, words
from refute.insight.sink import Sink

_WIDEST = 100


class DrawnDisplay:
    """Draws events.

    Args:
        sink: where to draw.
        console: takes the place of one made for the sink.
    """

    def __init__(self, sink: Sink, console: Console | None = None) -> None:
        self._console = console or Console(file=cast("IO[str]", sink), highlight=False, markup=False, emoji=False)
        self._console.width = min(self._console.width, _WIDEST)
        self._live: Live | None = None
        self._phase: dict[str, Any] = {}
        self._progress: dict[str, Any] | None = None
        self._proofs: list[RenderableType] = []
        self._stated: dict[str, dict[str, Any]] = {}

    def see(self, event: Event) -> None:
        """Draw one event."""
        if event.kind == "phase":
            self._on_phase(event.data)
        elif event.kind == "progress":
            self._on_progress(event.data)
        elif (view := self._view(event)) is not None:
            if self._live and event.kind in {"landing", "rollback"} and event.data["ok"]:
                self._proofs.append(view)
            else:
                self._console.print(view)

    def close(self) -> None:
        """End the picture that is redrawn, show the cursor again, and print what waited for the phase's end."""
        self._stop_redrawing()
        for proof in self._proofs:
            self._console.print(proof)
        self._proofs.clear()

    def _stop_redrawing(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _on_phase(self, data: dict[str, Any]) -> None:
        if data["state"] == "started":
            self._phase, self._progress = data, None
            self._live = self._live or Live(
                console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
            self._redraw()
        else:
            self._stop_redrawing()
            self._console.print(live.phase_line(data, self._progress, self._console.width))
            self.close()

    def _on_progress(self, data: dict[str, Any]) -> None:
        self._progress = data
        self._redraw()

    def _redraw(self) -> None:
        if self._live:
            self._live.update(live.phase_view(self._phase, self._progress, self._console.width), refresh=True)

    def _view(self, event: Event) -> RenderableType | None:
        data, width = event.data, self._console.width
        if event.kind == "intent":
            self._stated = {belief["id"]: belief for belief in data["beliefs"]}
        if event.kind == "verdict":
            return panels.verdict_view(data, self._stated.get(data["belief"], {}), width)
        view = _VIEWS.get(event.kind)
        return view(data, width) if view else None


def _landing(data: dict[str, Any], _: int) -> RenderableType:
    return panels.proof_view("landed" if data["ok"] else "not landed", words.landing(data), ok=data["ok"])


def _rollback(data: dict[str, Any], _: int) -> RenderableType:
    return panels.proof_view("rolled back", words.rollback(data), ok=True) if data["ok"] else panels.by_hand_view(data)


_VIEWS: dict[str, Callable[[dict[str, Any], int], RenderableType]] = {
    "intent": panels.intent_view,
    "campaign": panels.campaign_view,
    "plan": panels.plan_view,
    "experiment": lambda data, _: panels.experiment_view(data),
    "forecast": lambda data, _: panels.forecast_view(data),
    "blast": lambda data, _: panels.blast_view(data),
    "ramp": lambda data, _: panels.ramp_view(data),
    "stop": lambda data, _: panels.stop_view(data),
    "landing": _landing,
    "rollback": _rollback,
    "learned": panels.learned_view,
    "next": panels.next_view,
    "problem": lambda data, _: panels.problem_view(data),
    "summary": panels.summary_view,
}
