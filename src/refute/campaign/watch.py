"""Keeps a campaign going: within hours and freezes, what has gone stale first, one run in twenty at random; until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from refute.campaign.campaign import Campaign
from refute.campaign.ending import DAY_S, End
from refute.campaign.loop import Loop
from refute.campaign.past import Past
from refute.campaign.plan import Proposal
from refute.core.errors import EXIT_HELD, EXIT_INCONCLUSIVE, RefuteError
from refute.core.intent import Intent
from refute.safety.admission import hours

_LEFT_ALONE: Final = 8.0
"""So many pauses a belief is left alone whose run came to no verdict."""
_AFTER_A_SICK_RUN: Final = 4.0
"""So many pauses follow a run after which the system was not well, or that failed."""
_KEPT: Final = 200


@dataclass(slots=True)
class Watch:
    """A campaign without end.

    Attributes:
        campaign: that runs and records.
        past: what it has run before.
        read: reads the intent file again.
        pause_s: between runs, and between looks at whether anything is worth running.
        sleep: waits so many seconds.
    """

    campaign: Campaign
    past: Past
    read: Callable[[], Intent]
    pause_s: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _loop: Loop = field(init=False)
    _said: str = ""
    _left_alone: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = Loop(self.campaign, self.past, self.campaign.record.clock, stale_first=True)

    async def run(self) -> int:
        """Run, wait, and run again, until somebody ends it or something may still be broken.

        Returns:
            The exit code: the worst of what was run; 5 where a rollback is unproven, 130 where the end came in the middle of a run.
        """
        code = EXIT_HELD
        try:
            self._loop.begin()
            while not self._must_end():
                await self.sleep(await self._turn())
            self._loop.say("halted", cause="run", reason="somebody ended the last run, or something may still be broken")
        except asyncio.CancelledError:
            self._loop.say("halted", cause="interrupted", reason="somebody ended it; refute watch goes on")
        except RefuteError as error:
            self.campaign.record.problems(error)
            code = EXIT_INCONCLUSIVE
        return await self._loop.campaign.close(code)

    def _must_end(self) -> bool:
        """Whether nothing may follow: somebody pulled the brake, or a rollback is unproven."""
        results = self.campaign.results
        return bool(results) and (results[-1].interrupted or not results[-1].rolled_back)

    async def _turn(self) -> float:
        """Run one experiment if one may and should be run, and return how long to wait then."""
        try:
            self._loop.campaign = self.campaign.renewed(self.read())
            self._loop.window_s = self._window_s()
            found = self._next()
        except RefuteError as error:
            self.campaign.record.problems(error)
            self._wait_for(error.problems[0].what)
            return self.pause_s
        if isinstance(found, str):
            self._wait_for(found)
            return self.pause_s
        return await self._run(found)

    async def _run(self, proposal: Proposal) -> float:
        self._said = ""
        finished, results = len(self._loop.past.finished), self.campaign.results
        before = len(results)
        await self._loop.once(proposal)
        if len(self._loop.past.finished) == finished:
            until = self.campaign.record.clock() + _LEFT_ALONE * self.pause_s
            self._left_alone |= {belief.id: until for belief in proposal.beliefs}
        sick = len(results) == before or results[-1].over
        del results[:-_KEPT]
        return self.pause_s * (_AFTER_A_SICK_RUN if sick else 1.0)

    def _next(self) -> Proposal | str:
        """Return what to run now, or what is waited for."""
        now = self.campaign.record.clock()
        self._loop.left_alone = {name for name, until in self._left_alone.items() if until > now}
        about = self._loop.campaign.intent.environments.get(self.campaign.environment)
        if about is not None and (closed := self._closed(0.0)):
            return closed
        found = self._loop.next()
        if isinstance(found, End):
            return found.reason
        return self._closed(self._loop.longest_s(found)) or found

    def _closed(self, lasts_s: float) -> str:
        """Return why no run of such a length may start now, "" where one may."""
        about = self._loop.campaign.intent.environments.get(self.campaign.environment)
        answers = hours(about, lasts_s, self.campaign.record.clock()) if about is not None else ()
        return next((answer.problem.what for answer in answers if answer.problem is not None), "")

    def _wait_for(self, reason: str) -> None:
        """Say what is waited for, once."""
        if reason != self._said:
            self._said = reason
            self._loop.say("waiting", cause="waiting", reason=reason)

    def _window_s(self) -> float:
        """Return for how long what was spoiled counts: as long as the error budget does, a day where none is stated."""
        budget = self._loop.campaign.intent.blast_radius.error_budget
        return DAY_S if budget is None else budget.window_s
