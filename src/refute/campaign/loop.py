"""Ask, run, tell until a budget, a risk or the stopping rule says enough; after a crash it goes on with what is left."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from refute.campaign.campaign import Campaign
from refute.campaign.choosing import choose, is_random
from refute.campaign.ending import End, allowed_units, enough, fitting, nothing_fits, open_to, unseen_json, unseen_of
from refute.campaign.past import Past
from refute.campaign.plan import Proposal, Question, design
from refute.campaign.spread import MISSING, available, with_others
from refute.core.errors import EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, RefuteError, worst_exit
from refute.learning import Depth, depth_of

State = Literal["started", "resumed", "waiting", "halted", "ended"]


@dataclass(slots=True)
class Loop:
    """A campaign with a budget.

    Attributes:
        campaign: that runs and records.
        past: what it is to spend, and has spent.
        clock: seconds that pass, for its time.
        window_s: what was run longer ago neither counts as risk nor as tried.
        stale_first: whether what has gone stale comes before what is worth more.
        left_alone: ids of beliefs that are not to be tested for now.
    """

    campaign: Campaign
    past: Past
    clock: Callable[[], float] = time.monotonic
    window_s: float = math.inf
    stale_first: bool = False
    left_alone: set[str] = field(default_factory=set)
    _sat: float = field(init=False)
    _before: float = field(init=False)

    def __post_init__(self) -> None:
        self._sat, self._before = self.clock(), self.past.spent_s

    @property
    def spent_s(self) -> float:
        """Time spent in all sittings."""
        return self._before + self.clock() - self._sat

    async def run(self) -> int:
        """Run until something says enough, say what, and close.

        Returns:
            The exit code: the worst of this sitting's outcomes; 3 where nothing could be run.
        """
        code = EXIT_HELD
        try:
            self.begin()
            while not isinstance(found := self.next(), End):
                code = worst_exit([code, await self.once(found)])
                if code == EXIT_INTERRUPTED or self.campaign.over():
                    break
            if isinstance(found, End):
                self.say("ended", cause=found.cause, reason=found.reason)
                code = worst_exit([code, EXIT_HELD if self.past.finished or found.cause == "answered" else EXIT_INCONCLUSIVE])
            else:
                self.say("halted", cause="run", reason="the last run says that nothing should follow it before somebody has looked")
        except asyncio.CancelledError:
            self.say("halted", cause="interrupted", reason="somebody ended it; refute run --resume goes on")
            code = EXIT_INTERRUPTED
        except RefuteError as error:
            self.campaign.record.problems(error)
            code = worst_exit([code, EXIT_INCONCLUSIVE])
        return await self.campaign.close(code)

    def begin(self) -> None:
        """Learn what was left unlearned, and say what may be spent."""
        self.campaign.mend()
        self.say("resumed" if self.past.runs or self.past.spent_s else "started", reason="" if available() else MISSING)
        self.campaign.show_plan(self.question())

    async def once(self, proposal: Proposal) -> int:
        """Run one experiment and read again what the campaign has spent."""
        await asyncio.sleep(0)  # a signal that came while planning takes effect here
        code = await self.campaign.tried(proposal, campaign=self.past.id)
        self.past = next(one for one in self.campaign.campaigns() if one.id == self.past.id)
        return code

    def question(self, *, again: bool = False) -> Question:
        """Return what is asked of the plan."""
        return Question(seed=self.past.seed + len(self.past.finished), again=again, risk_price=self.past.budget.risk_price)

    def next(self) -> Proposal | End:
        """Return what to run next, or why nothing is."""
        plan, recent = self.campaign.plan(self.question()), self.recent()
        told = with_others(self.campaign.intent, self.campaign.standings(), plan.proposals, self.past.budget.risk_price)
        open_ones = self._in_order(self._allowed_now(open_to(recent, told)))
        earlier = [one for one in self.campaign.campaigns() if one.environment == self.past.environment and one.id != self.past.id]
        number, endless = len(self.past.finished), self.past.mode == "watch"
        end = enough(recent, plan, open_ones, earlier, self._check())
        if end is not None and not (endless and is_random(self.past.seed, number)):
            return end
        everything = self._allowed_now(self.campaign.plan(self.question(again=True)).proposals)
        seconds = {one.beliefs[0].id: self.longest_s(one) for one in (*open_ones, *everything)}
        left_s = self.past.budget.seconds - self.spent_s
        left_units = allowed_units(self.campaign.intent, self.past.budget) - recent.spoiled
        ranked = fitting(open_ones, seconds, left_s, left_units)
        pool = fitting(everything, seconds, left_s, left_units)
        if not ranked and end is None:
            return nothing_fits(open_ones, seconds, left_s, left_units)
        return choose(ranked or pool, pool, self.past.seed, number) or end or nothing_fits(everything, seconds, left_s, left_units)

    def recent(self) -> Past:
        """Return the campaign with the runs that still count."""
        since = self.campaign.record.clock() - self.window_s
        return replace(self.past, runs=[run for run in self.past.runs if run.at >= since])

    def _allowed_now(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        return [one for one in proposals if not any(belief.id in self.left_alone for belief in one.beliefs)]

    def _in_order(self, proposals: list[Proposal]) -> list[Proposal]:
        if not self.stale_first:
            return proposals
        now = self.campaign.standings()
        return sorted(proposals, key=lambda one: not any(now[belief.id].stale is not None for belief in one.beliefs))

    def longest_s(self, proposal: Proposal) -> float:
        """Return how long an experiment takes at most."""
        experiment = design(self.campaign.intent, proposal, self.past.environment, check=not self.campaign.checked(), tokens_per_unit=None)
        return experiment.cost()["seconds"]

    def say(self, state: State, **about: Any) -> None:
        """Tell how far the campaign is."""
        past = replace(self.past, spent_s=self.spent_s)
        self.campaign.record.tell(
            "campaign", campaign=past.id, mode=past.mode, state=state, environment=past.environment, seed=past.seed,
            **past.budget.to_json(), spent_s=past.spent_s, spoiled=past.spoiled, allowed=self._allowed(), runs=len(past.runs),
            unseen=unseen_json(unseen_of([past])), check=self._check().to_json(), **{"cause": "", "reason": "", **about},
        )  # fmt: skip

    def _check(self) -> Depth:
        """Return how forecasts did, in this environment and all others: the engine is one."""
        return depth_of(self.campaign.record.kept("experiment", "forecast", "verdict"))

    def _allowed(self) -> float | None:
        allowed = allowed_units(self.campaign.intent, self.past.budget)
        return None if allowed == float("inf") else allowed
