"""Tells people of runs: reads the events of a campaign and hands notices on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from refute.core.events import Event
from refute.core.intent import Intent
from refute.insight import words
from refute.safety.notices import Moment, Notice, Notices, receiver

See = Callable[[Event], None]


@contextmanager
def notifying(intent: Intent, environment: str, failed: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Iterator[See]:
    """Yield what is to see every event; where the intent names nobody, it does nothing.

    Args:
        intent: with whom to tell.
        environment: name, for the notices.
        failed: called with one line for each receiver that could not be told.
        environ: where the receivers' addresses stand.

    Raises:
        RefuteError: an address is missing (`NOTICE-SECRET`) or is none (`NOTICE-URL`).
    """
    receivers = tuple(receiver(one.shape, one.variable, one.moments, environ) for one in intent.notify)
    with Notices(receivers, failed) as notices:
        yield _Reader(notices, intent.system.name, environment).see


class _Reader:
    """Makes notices of events: a run that starts, is stopped, ends, or leaves something behind."""

    def __init__(self, notices: Notices, system: str, environment: str) -> None:
        self._notices = notices
        self._system = system
        self._environment = environment
        self._run = ""
        self._verdicts: list[str] = []

    def see(self, event: Event) -> None:
        data = event.data
        if event.kind == "experiment":
            self._ended()
            self._run = data["experiment"]
            self._tell("started", f"{words.strike(data)}; at most {data['units']} units")
        elif event.kind == "stop":
            self._tell("aborted", f"stop condition {data['condition']}")
        elif event.kind == "rollback" and not data["ok"]:
            self._tell("unproven", f"a rollback is unproven: {data['remove_by_hand']}")
        elif event.kind == "verdict":
            self._verdicts.append(f"{data['belief']} {data['verdict']}")
        elif event.kind == "summary":
            self._ended()

    def _ended(self) -> None:
        if self._run:
            self._tell("stopped", ", ".join(self._verdicts) or "without a verdict")
        self._run, self._verdicts = "", []

    def _tell(self, moment: Moment, text: str) -> None:
        self._notices.tell(Notice(moment, self._run, self._system, self._environment, text))
