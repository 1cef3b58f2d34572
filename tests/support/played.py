"""A campaign whose runs are played, not run: each takes some seconds of a clock of its own and ends as the test says."""

from __future__ import annotations

import itertools

from refute.campaign import Budget, Campaign, Loop, new_campaign, unfinished
from refute.campaign.plan import design
from refute.campaign.telling import Judged
from refute.core.errors import EXIT_HELD, RefuteError
from refute.experiment.assess import Count, Look
from refute.ledger import Ledger

RUN_S = 30.0


class Crash(BaseException):
    """The runner was killed."""


class Played(Campaign):
    """A campaign whose runs end as `outcome` says.

    Attributes of a test: `now`, the clock; `outcome`, from belief and number of the run to (breaches, n), or what goes
    wrong; `crash_at`, the number of the run in which the runner is killed.
    """

    __slots__ = ("count", "crash_at", "now", "outcome")

    def renewed(self, intent):
        self.intent = self.told.intent = intent
        return self

    async def tried(self, proposal, **about):
        number = next(self.count)
        experiment = design(self.intent, proposal, self.environment, check=False, tokens_per_unit=None)
        now = self.standings()
        marks = {belief.id: dict(now[belief.id].marks) for belief in experiment.beliefs}
        self.told.experiment(experiment, proposal, [], rerun_of="", marks=marks, **about)
        self.told.forecast(experiment, proposal, now)
        self.now += RUN_S
        self.record.tell("phase", experiment=experiment.id, phase="inject", state="ended", ok=True)
        if number == self.crash_at:
            raise Crash
        for belief in experiment.beliefs:
            found = self.outcome(belief, number)
            if isinstance(found, RefuteError):
                self.record.problems(found)
                return found.exit_code
            breaches, n = found
            word = "held" if breaches == 0 else "refuted"
            look = Look(treatment=Count(n, breaches), control=Count(n, 0.0), bound=now[belief.id].claim.bound)
            self.record.tell(
                "verdict", experiment=experiment.id, belief=belief.id, then=belief.then.text, claim=belief.claim, verdict=word, n=n,
                breaches=breaches, control={"n": n, "breaches": 0.0}, bound=look.bound, environment=self.environment,
            )  # fmt: skip
            self.told.learn(Judged(experiment.id, experiment.arming.seed, experiment.arming.magnitude, word, look), now[belief.id])
        return EXIT_HELD


def played(intent, path, *, outcome=lambda _belief, _number: (0, 150), crash_at=None, seed=1):
    """Return a played campaign with a ledger of its own."""
    made = Played(intent, Ledger.open(path / "ledger.db"), None, lambda _event: None, seed=seed)
    made.now, made.outcome, made.crash_at, made.count = 1_000_000.0, outcome, crash_at, itertools.count()
    made.record.clock = lambda: made.now
    return made


def loop(made, *, minutes=600.0, risk=None, seed=1):
    """Return a new campaign with a budget, or the one that was cut short."""
    past = unfinished(made.campaigns(), "", "budget") or new_campaign("budget", "", seed, Budget(minutes * 60, risk, 10.0))
    return Loop(made, past, lambda: made.now)


def ran(made):
    """Return what was run: beliefs, seed, and whether it was drawn at random, oldest first."""
    return [
        (tuple(belief["id"] for belief in event["beliefs"]), event["seed"], event["proposal"]["random"])
        for event in made.record.kept("experiment")
    ]
