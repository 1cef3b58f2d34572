"""Notices to people when a run starts, stops or goes wrong: a webhook, in Slack's, PagerDuty's or a plain JSON shape.

The address is a secret and comes from an environment variable; it is never shown. A notice never holds a run up and never ends one: it is
sent from a thread of its own, and what could not be delivered is told once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from refute.core.errors import refuse

Shape = Literal["slack", "pagerduty", "webhook"]
Moment = Literal["started", "stopped", "aborted", "unproven"]
MOMENTS: tuple[Moment, ...] = ("started", "stopped", "aborted", "unproven")

_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_SEVERITY: dict[Moment, str] = {"started": "info", "stopped": "info", "aborted": "warning", "unproven": "critical"}
_MARK: dict[Moment, str] = {
    "started": ":test_tube:",
    "stopped": ":white_check_mark:",
    "aborted": ":octagonal_sign:",
    "unproven": ":rotating_light:",
}
_TIMEOUT_S = 5.0
_ATTEMPTS = 3
_WAITING = 64


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know.

    Attributes:
        moment: what happened.
        run: id of the experiment.
        system: under test.
        environment: where, "" where none is named.
        text: one line.
    """

    moment: Moment
    run: str
    system: str
    environment: str
    text: str

    def body(self, shape: Shape, key: str) -> dict[str, Any]:
        """Return what is posted.

        Args:
            shape: of the receiver.
            key: PagerDuty's routing key; not used for others.
        """
        if shape == "slack":
            return {"text": f"{_MARK[self.moment]} *Refute* {self._where()}: {self.text}"}
        if shape == "webhook":
            names = ("moment", "run", "system", "environment", "text")
            return {"source": "refute", **{name: getattr(self, name) for name in names}}
        payload = {
            "summary": f"Refute {self._where()}: {self.text}"[:1024], "source": self.system, "severity": _SEVERITY[self.moment],
            "custom_details": {"run": self.run, "environment": self.environment, "moment": self.moment},
        }  # fmt: skip
        action = "resolve" if self.moment == "stopped" else "trigger"
        return {"routing_key": key, "event_action": action, "dedup_key": f"refute-{self.run}", "payload": payload}

    def _where(self) -> str:
        return f"{self.system}, {self.environment}" if self.environment else self.system


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told.

    Attributes:
        shape: of the message.
        secret: URL of the webhook, or PagerDuty's routing key; never shown.
        variable: environment variable that holds it, for messages.
        moments: what they are told of.
    """

    shape: Shape
    secret: str
    variable: str
    moments: frozenset[Moment] = frozenset(MOMENTS)

    def __repr__(self) -> str:
        return f"Receiver({self.shape!r}, {self.variable!r})"

    def post(self, notice: Notice) -> None:
        """Deliver a notice, trying again a few times.

        Raises:
            OSError: it could not be delivered; the message holds no secret.
        """
        import urllib3

        url = _PAGERDUTY if self.shape == "pagerduty" else self.secret
        retry = urllib3.Retry(_ATTEMPTS - 1, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
        try:
            answer = urllib3.request("POST", url, json=notice.body(self.shape, self.secret), timeout=_TIMEOUT_S, retries=retry)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"the receiver of {self.variable} does not answer ({type(error).__name__})") from None
        if answer.status >= 300:
            raise OSError(f"the receiver of {self.variable} answers {answer.status}")


def receiver(shape: Shape, variable: str, moments: frozenset[Moment], environ: Mapping[str, str]) -> Receiver:
    """Return a receiver whose address stands in an environment variable.

    Raises:
        RefuteError: it is not set (`NOTICE-SECRET`), or is no address (`NOTICE-URL`).
    """
    secret = environ.get(variable, "").strip()
    if not secret:
        raise refuse("NOTICE-SECRET", "nobody can be told: the variable is not set", where=variable, next=f"export {variable}=…")
    if shape != "pagerduty" and urlsplit(secret).scheme not in {"http", "https"}:
        raise refuse("NOTICE-URL", "nobody can be told: the variable holds no web address", where=variable, allowed="https://…")
    return Receiver(shape, secret, variable, moments)


class Notices:
    """Tells all receivers, in the background; use as a context manager.

    Args:
        receivers: who is told.
        failed: called once for each receiver that could not be told, with one line.
    """

    def __init__(self, receivers: tuple[Receiver, ...], failed: Callable[[str], None]) -> None:
        """Start nothing yet."""
        self._receivers = receivers
        self._failed = failed
        self._told: set[str] = set()
        self._waiting: queue.Queue[Notice | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="refute-notices", daemon=True)

    def __enter__(self) -> Self:
        """Start where anybody is to be told."""
        if self._receivers:
            self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Wait a moment for what is still to be delivered."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(_ATTEMPTS * _TIMEOUT_S)

    def tell(self, notice: Notice) -> None:
        """Hand a notice on; where too many wait already it is dropped, and that is told."""
        if not self._thread.is_alive():
            return
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            self._fail("all", "too many notices wait to be delivered")

    def _work(self) -> None:
        while (notice := self._waiting.get()) is not None:
            for one in self._receivers:
                if notice.moment in one.moments:
                    self._deliver(one, notice)

    def _deliver(self, one: Receiver, notice: Notice) -> None:
        try:
            one.post(notice)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on, and the others are told
            self._fail(one.variable, str(error) if isinstance(error, OSError) else type(error).__name__)

    def _fail(self, who: str, why: str) -> None:
        if who not in self._told:
            self._told.add(who)
            self._failed(why)
