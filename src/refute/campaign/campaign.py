"""Ask, run, tell: ties experiments to what is learned from them. The public way to run anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refute.campaign.batch import batch
from refute.campaign.harmed import spent, tell_blast
from refute.campaign.mending import mend
from refute.campaign.past import READ, Past, pasts
from refute.campaign.plan import Plan, Proposal, Question, ask, design
from refute.campaign.record import Record, See
from refute.campaign.standing import Standing, standings
from refute.campaign.summing import codes_of, sum_up
from refute.campaign.telling import COUNTED, Told, made_sure, shown
from refute.core.errors import EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, Problem, RefuteError, refuse, worst_exit
from refute.core.intent import Belief, Intent
from refute.experiment.kinds import run_of
from refute.experiment.run import Result
from refute.ledger import Ledger
from refute.safety.abort import abort_marker, abort_requested
from refute.safety.journal import Journal
from refute.safety.runs import harmed, registered

_MOST_OF_A_SEARCH = 12  # runs for one threshold in one round


@dataclass(slots=True)
class Campaign:
    """A sequence of experiments on one intent, with one ledger.

    Attributes:
        intent: validated.
        ledger: where everything is kept.
        journal: the rollback journal.
        see: every event is shown here after it has been kept.
        environment: where it runs, "" where none is named.
        seed: of the first experiment; each next one adds 1.
        author: who starts the runs, as an environment's list of signers names them.
        results: of the runs so far.
    """

    intent: Intent
    ledger: Ledger
    journal: Journal
    see: See
    environment: str = ""
    seed: int = 1
    author: str = ""
    results: list[Result] = field(default_factory=list)
    record: Record = field(init=False)
    told: Told = field(init=False)
    _began: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.record = Record(self.ledger, self.see)
        self.told = Told(self.intent, self.record, self.environment)

    def renewed(self, intent: Intent) -> Campaign:
        """Return the same campaign on an intent that was read again."""
        made = Campaign(intent, self.ledger, self.journal, self.see, self.environment, self.seed, self.author, self.results)
        made.record, made.told.record, made.told.learned = self.record, self.record, self.told.learned
        made._began = self._began
        return made

    def standings(self) -> dict[str, Standing]:
        """Return where each belief stands now."""
        return standings(self.intent, self.record.kept("learned"), self.environment, self.record.clock())

    def campaigns(self) -> list[Past]:
        """Return the campaigns with a budget that the ledger knows, oldest first."""
        return pasts(self.record.kept(*READ))

    def plan(self, question: Question | None = None) -> Plan:
        """Rank what could be run now; the environment is the campaign's, and so is the seed where none is asked for."""
        sick = {result.experiment.arming.component.name: result.sick for result in self.results if result.sick}
        blasts = list(self.record.kept("blast"))
        budget = spent(self.intent, blasts, self.environment)
        here = [one for one in blasts if one.get("environment", "") == self.environment]
        asked = replace(question or Question(), environment=self.environment, degraded=sick, spent=budget, blasts=here)
        if asked.seed is None:
            asked = replace(asked, seed=self.seed + len(self.results))
        plan = ask(self.intent, self.standings(), asked)
        return plan if asked.batch is None else replace(plan, proposals=batch(self.intent, plan.proposals, asked.batch))

    def open(self) -> None:
        """Say what is believed, and how sure everybody is."""
        now, system = self.standings(), self.intent.system
        self.record.tell(
            "intent", path=self.intent.path.name, digest=self.intent.digest, system=system.name, environment=self.environment,
            components=[{"name": one.name, "kind": one.kind, "calls": list(one.calls)} for one in system.components.values()],
            journeys=[
                {"name": one.name, "share": one.share, "value": str(one.value) if one.value else ""} for one in system.journeys.values()
            ],
            beliefs=[shown(belief, now[belief.id]) for belief in self.intent.beliefs.values()], notes=[],
        )  # fmt: skip

    def mend(self) -> None:
        """Learn from what an earlier runner brought to a verdict and could not learn from any more."""
        mend(self.told, self.standings())

    def show_plan(self, question: Question | None = None) -> Plan:
        """Rank what could be run now, and say so."""
        plan = self.plan(question)
        self.record.tell("plan", **plan.to_json())
        return plan

    async def run_many(self, wanted: Sequence[str], most: int | None, *, again: bool = False) -> int:
        """Ask, run and tell until enough is run or nothing is left that is worth it, then close.

        Args:
            wanted: ids of the beliefs to test, all in the intent; empty for whatever is best.
            most: how many experiments at most; None for no bound.
            again: test what is already answered, too.

        Returns:
            The exit code: 3 where something wanted was refused and nothing worse happened.
        """
        question, before = Question(again=again), len(self.results)
        done: set[str] = set()
        code = EXIT_HELD
        try:
            self.mend()
            plan = self.show_plan(question)
            if _chosen(plan, wanted, done) is None and not wanted:
                code = EXIT_INCONCLUSIVE
            while (most is None or len(self.results) < most) and (proposal := _chosen(plan, wanted, done)) is not None:
                await asyncio.sleep(0)  # a signal that came while planning takes effect here
                code = worst_exit([code, await self.tried(proposal)])
                done.update(belief.id for belief in proposal.beliefs if self._enough(belief, before))
                if code == EXIT_INTERRUPTED or self.over():
                    break
                plan = self.plan(question)
            code = worst_exit([code, self._tell_refused(plan, [one for one in wanted if one not in done])])
        except asyncio.CancelledError:
            code = EXIT_INTERRUPTED
        return await self.close(code)

    def _enough(self, belief: Belief, before: int) -> bool:
        """Whether a belief needs no further run for now: a threshold is sought by several.

        Args:
            belief: just tested.
            before: number of runs before any of this round.
        """
        ran = [result for result in self.results[before:] if belief in result.experiment.beliefs]
        if belief.at_least is None or not ran or ran[-1].failure is not None or len(ran) >= _MOST_OF_A_SEARCH:
            return True
        word = ran[-1].verdicts[belief.id].word if belief.id in ran[-1].verdicts else "void"
        return word not in COUNTED or self.standings()[belief.id].answered

    def over(self) -> bool:
        """Whether the last experiment says that nothing should follow it."""
        return bool(self.results) and self.results[-1].over

    def _tell_refused(self, plan: Plan, left: Sequence[str]) -> int:
        """Say why beliefs that were wanted were not tested, and return the exit code for that."""
        told = EXIT_HELD
        for refused in plan.refused:
            for belief in refused.beliefs:
                if belief.id in left:
                    told = EXIT_INCONCLUSIVE
                    problem = Problem(
                        refused.code,
                        f"{belief.id} was not tested: {refused.reason}",
                        where=belief.where,
                        next=f"refute explain {refused.code}",
                    )
                    self.record.problems(RefuteError(problem))
        return told

    async def rerun(self, experiment: str) -> int:
        """Repeat a run: same beliefs, same seed, same faults; a model's answers may differ.

        Args:
            experiment: its id, or `last`.

        Returns:
            The exit code.

        Raises:
            RefuteError: the ledger has no such run (`RERUN-UNKNOWN`), or it cannot be run as it was any more (`RERUN-CHANGED`).
        """
        known = list(self.record.kept("experiment"))
        found = next((event for event in reversed(known) if experiment in {"last", event["experiment"]}), None)
        if found is None:
            raise refuse(
                "RERUN-UNKNOWN", "the ledger has no such run", seen=experiment,
                allowed=", ".join(event["experiment"] for event in known[-5:]) or "no run is recorded", next="refute run",
            )  # fmt: skip
        self.seed = found["seed"]
        names = {one["id"] for one in found["beliefs"]}
        plan = self.plan(Question(again=True, magnitude=found["arming"]["magnitude"]))
        same = (one for one in plan.proposals if names <= {belief.id for belief in one.beliefs} and _same_armings(one, found))
        proposal = next(same, None)
        if proposal is None:
            why = next(
                (one.reason for one in plan.refused if names & {belief.id for belief in one.beliefs}), "the intent has changed since"
            )
            raise refuse("RERUN-CHANGED", "the run cannot be repeated as it was", seen=why, next="refute plan --again")
        self.open()
        self.mend()
        try:
            code = await self.tried(proposal, rerun_of=found["experiment"])
        except asyncio.CancelledError:
            code = EXIT_INTERRUPTED
        return await self.close(code)

    async def run(self, proposal: Proposal, *, rerun_of: str = "", **about: Any) -> Result:
        """Run one experiment: forecast locked first, learned from afterwards.

        Args:
            proposal: from `plan`.
            rerun_of: id of the run that this repeats.
            about: further keys of the `experiment` event.

        Raises:
            RefuteError: it could not be run; nothing is armed then.
        """
        experiment = design(self.intent, proposal, self.environment, check=not self.checked(), tokens_per_unit=self._tokens_per_unit())
        now, system = self.standings(), self.intent.system.name
        with registered(system, experiment.id, shared=harmed(self.intent.system, experiment.targets)):
            marker = abort_marker()
            admitted = self.told.admitted(experiment, self.author)
            gates = [*made_sure(system, proposal, self.journal), *admitted]
            marks = {belief.id: dict(now[belief.id].marks) for belief in experiment.beliefs}
            self.told.experiment(experiment, proposal, gates, rerun_of=rerun_of, marks=marks, **about)
            self.told.forecast(experiment, proposal, now)
            log = self.ledger.path.parent / "worker.log"
            result = await run_of(experiment, self.record.take, self.journal, log, lambda: abort_requested(marker)).run()
        self.results.append(result)
        tell_blast(self.record, self.intent, result, proposal, self.environment)
        for belief in experiment.beliefs:
            self.told.what_was_learned(result, belief, now[belief.id])
        return result

    async def tried(self, proposal: Proposal, **about: Any) -> int:
        """Run one experiment; where it could not be run, say why and return the exit code for that."""
        ran = len(self.results)
        try:
            await self.run(proposal, **about)
        except RefuteError as error:
            self.record.problems(error)
            return EXIT_INCONCLUSIVE if len(self.results) > ran else error.exit_code
        return EXIT_HELD

    async def close(self, code: int = EXIT_HELD) -> int:
        """Say what to test next and what the whole came to; the summary comes out whatever cannot be kept or planned any more.

        Args:
            code: what happened outside the runs.

        Returns:
            The exit code: the worst of all outcomes.
        """
        codes = [code, *codes_of(self.results)]
        try:
            if code != EXIT_INTERRUPTED and not self.over():
                plan = self.plan()
                self.record.tell("next", proposals=[one.to_json() for one in plan.proposals[:3]], unknown=self._unknown())
            await asyncio.sleep(0)  # a signal that came meanwhile takes effect here
        except RefuteError as error:
            self.record.problems(error)
            codes.append(EXIT_INCONCLUSIVE)
        except asyncio.CancelledError:
            codes.append(EXIT_INTERRUPTED)
        return sum_up(self.record, self.told, self.results, self._began, worst_exit(codes))

    def _unknown(self) -> list[str]:
        now = self.standings()
        return [
            f"{belief.id}: {belief.claim} ({now[belief.id].state})" for belief in self.intent.beliefs.values() if not now[belief.id].verdict
        ]

    def checked(self) -> bool:
        """Whether an A/A check of this very workload has passed before."""
        digest = self.intent.digest
        current = ""
        for event in self.record.kept("intent", "phase"):
            if event["event"] == "intent":
                current = event["digest"]
            elif event["phase"] == "check" and event.get("state") == "ended" and event.get("ok") and current == digest:
                return True
        return False

    def _tokens_per_unit(self) -> float | None:
        """Return the tokens that a unit cost in the last run that counted them, None where none did."""
        for result in reversed(self.results):
            if result.units and "tokens" in result.cost:
                return result.cost["tokens"] / result.units
        spent = [event for event in self.record.kept("summary") if event.get("units") and "tokens" in event["spend"]]
        return spent[-1]["spend"]["tokens"] / spent[-1]["units"] if spent else None


def _chosen(plan: Plan, wanted: Sequence[str], done: set[str]) -> Proposal | None:
    """Return the best proposal that tests something wanted and not yet done."""
    open_ones = (proposal for proposal in plan.proposals if not done & {belief.id for belief in proposal.beliefs})
    return next((one for one in open_ones if not wanted or any(belief.id in wanted for belief in one.beliefs)), None)


def _same_armings(proposal: Proposal, experiment: Mapping[str, Any]) -> bool:
    """Say whether a proposal strikes as a recorded experiment did."""
    return [one.to_json() for one in proposal.armings] == [experiment["arming"], *experiment.get("also_armed", ())]
