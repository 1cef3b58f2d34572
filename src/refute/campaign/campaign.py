"""Ask, run, tell: ties experiments to what is learned from them. The public way to run anything."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refute.campaign.plan import Plan, Proposal, Question, ask, design, show_magnitude
from refute.campaign.search import chances_of, found
from refute.campaign.standing import Standing, draw_of, standings
from refute.core.errors import EXIT_HELD, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, Problem, RefuteError, refuse, worst_exit
from refute.core.events import Event, EventKind
from refute.core.intent import Belief, Intent
from refute.experiment.design import Experiment
from refute.experiment.kinds import run_of
from refute.experiment.run import Result
from refute.experiment.telling import TOLD_ANYWAY
from refute.learning import Counts, Seen, learned_bits, surprisal_bits, surprise_bits
from refute.ledger import Ledger
from refute.safety.abort import abort_marker, abort_requested
from refute.safety.admission import Answer, Asked, admission
from refute.safety.gates import rollback_ready
from refute.safety.journal import Journal
from refute.safety.runs import registered
from refute.safety.state import probe
from refute.stats import Answerability

_MOST_OF_A_SEARCH = 12  # runs for one threshold in one round
_COUNTED = {"held", "refuted", "inconclusive", "aborted"}
_DURABLE = {"intent", "experiment", "forecast", "landing", "rollback", "verdict", "learned", "summary", "stop"}
_KEPT = _DURABLE | {"phase", "outcomes", "evidence_point", "problem", "plan", "next"}

See = Callable[[Event], None]


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
    """

    intent: Intent
    ledger: Ledger
    journal: Journal
    see: See
    environment: str = ""
    seed: int = 1
    author: str = ""
    results: list[Result] = field(default_factory=list)
    learned: dict[str, dict[str, Any]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _forecasts: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    _began: float = field(default_factory=time.time)

    def standings(self) -> dict[str, Standing]:
        """Return where each belief stands now."""
        return standings(self.intent, self._kept("learned"), self.environment)

    def plan(self, question: Question | None = None) -> Plan:
        """Rank what could be run now; the seed and the environment are the campaign's."""
        asked = replace(question or Question(), environment=self.environment, seed=self.seed + len(self.results))
        return ask(self.intent, self.standings(), asked)

    def open(self) -> None:
        """Say what is believed, and how sure everybody is."""
        now, system = self.standings(), self.intent.system
        self._tell(
            "intent", path=self.intent.path.name, digest=self.intent.digest, system=system.name, environment=self.environment,
            components=[{"name": one.name, "kind": one.kind, "calls": list(one.calls)} for one in system.components.values()],
            journeys=[
                {"name": one.name, "share": one.share, "value": str(one.value) if one.value else ""} for one in system.journeys.values()
            ],
            beliefs=[_shown(belief, now[belief.id]) for belief in self.intent.beliefs.values()], notes=[],
        )  # fmt: skip

    def show_plan(self, question: Question | None = None) -> Plan:
        """Rank what could be run now, and say so."""
        plan = self.plan(question)
        self._tell("plan", **plan.to_json())
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
            plan = self.show_plan(question)
            if _chosen(plan, wanted, done) is None and not wanted:
                code = EXIT_INCONCLUSIVE
            while (most is None or len(self.results) < most) and (proposal := _chosen(plan, wanted, done)) is not None:
                await asyncio.sleep(0)  # a signal that came while planning takes effect here
                code = worst_exit([code, await self._tried(proposal)])
                done.update(belief.id for belief in proposal.beliefs if self._enough(belief, before))
                if code == EXIT_INTERRUPTED or self._over():
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
        return word not in _COUNTED or self.standings()[belief.id].answered

    def _over(self) -> bool:
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
                    self._tell_problems(RefuteError(problem))
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
        known = list(self._kept("experiment"))
        found = next((event for event in reversed(known) if experiment in {"last", event["experiment"]}), None)
        if found is None:
            raise refuse(
                "RERUN-UNKNOWN", "the ledger has no such run", seen=experiment,
                allowed=", ".join(event["experiment"] for event in known[-5:]) or "no run is recorded", next="refute run",
            )  # fmt: skip
        self.seed = found["seed"]
        names = {one["id"] for one in found["beliefs"]}
        plan = self.plan(Question(again=True, magnitude=found["arming"]["magnitude"]))
        same = (one for one in plan.proposals if names <= {belief.id for belief in one.beliefs} and one.arming.to_json() == found["arming"])
        proposal = next(same, None)
        if proposal is None:
            why = next(
                (one.reason for one in plan.refused if names & {belief.id for belief in one.beliefs}), "the intent has changed since"
            )
            raise refuse("RERUN-CHANGED", "the run cannot be repeated as it was", seen=why, next="refute plan --again")
        self.open()
        try:
            code = await self._tried(proposal, rerun_of=found["experiment"])
        except asyncio.CancelledError:
            code = EXIT_INTERRUPTED
        return await self.close(code)

    async def run(self, proposal: Proposal, *, rerun_of: str = "") -> Result:
        """Run one experiment: forecast locked first, learned from afterwards.

        Args:
            proposal: from `plan`.
            rerun_of: id of the run that this repeats.

        Raises:
            RefuteError: it could not be run; nothing is armed then.
        """
        experiment = design(self.intent, proposal, self.environment, check=not self._checked(), tokens_per_unit=self._tokens_per_unit())
        now = self.standings()
        with registered(self.intent.system.name, experiment.id):
            marker = abort_marker()
            admitted = self._admitted(experiment)
            self._announce(experiment, proposal, rerun_of, admitted)
            self._forecast(experiment, proposal, now)
            log = self.ledger.path.parent / "worker.log"
            result = await run_of(experiment, self._see_and_keep, self.journal, log, lambda: abort_requested(marker)).run()
        self.results.append(result)
        for belief in experiment.beliefs:
            self._learn(result, belief, now[belief.id])
        return result

    async def _tried(self, proposal: Proposal, *, rerun_of: str = "") -> int:
        """Run one experiment; where it could not be run, say why and return the exit code for that."""
        ran = len(self.results)
        try:
            await self.run(proposal, rerun_of=rerun_of)
        except RefuteError as error:
            self._tell_problems(error)
            return EXIT_INCONCLUSIVE if len(self.results) > ran else error.exit_code
        return EXIT_HELD

    async def close(self, code: int = EXIT_HELD) -> int:
        """Say what to test next and what the whole came to; the summary comes out whatever cannot be kept or planned any more.

        Args:
            code: what happened outside the runs.

        Returns:
            The exit code: the worst of all outcomes.
        """
        codes = [code, *(result.exit_code for result in self.results if not self._step(result))]
        try:
            if code != EXIT_INTERRUPTED and not self._over():
                plan = self.plan()
                self._tell("next", proposals=[one.to_json() for one in plan.proposals[:3]], unknown=self._unknown())
            await asyncio.sleep(0)  # a signal that came meanwhile takes effect here
        except RefuteError as error:
            self._tell_problems(error)
            codes.append(EXIT_INCONCLUSIVE)
        except asyncio.CancelledError:
            codes.append(EXIT_INTERRUPTED)
        return self._sum_up(worst_exit(codes))

    def _step(self, result: Result) -> bool:
        """Whether a run was only a step towards a threshold, and another run has decided what is believed of it."""
        if result.exit_code != EXIT_INCONCLUSIVE or result.over or len(result.decided()) != 1:
            return False
        (belief,) = result.decided()
        words = {other.verdicts[belief.id].word for other in self.results if belief.id in other.verdicts}
        return belief.at_least is not None and result.verdicts[belief.id].word == "inconclusive" and bool(words & {"held", "refuted"})

    def _sum_up(self, code: int) -> int:
        """Write the summary, and return the exit code that it names."""
        event = self._summary(code)
        try:
            self.ledger.append(event)
        except RefuteError as error:
            self._tell_problems(error)
            event = self._summary(worst_exit([code, EXIT_INCONCLUSIVE]))
        self.see(event)
        return int(event.data["exit_code"])

    def _summary(self, code: int) -> Event:
        results = self.results
        data = {
            "exit_code": code, "experiments": [result.experiment.id for result in results],
            "verdicts": [self._summed(result, belief) for result in results for belief in result.decided()],
            "seconds": time.time() - self._began, "spend": _spend(results), "units": sum(result.units for result in results),
        }  # fmt: skip
        return Event("summary", data, time.time())

    def _admitted(self, experiment: Experiment) -> list[Answer]:
        """Return what the gates of hour, approval and error budget say.

        Raises:
            RefuteError: one of them refuses (`GATE-…`).
        """
        beliefs = [belief.id for belief in experiment.beliefs]
        asked = Asked(self.intent, self.environment, beliefs, experiment.cost()["seconds"], self.author)
        answers = list(admission(asked))
        problems = [answer.problem for answer in answers if answer.problem is not None]
        if problems:
            raise RefuteError(*problems, exit_code=EXIT_INCONCLUSIVE)
        return answers

    def _announce(self, experiment: Experiment, proposal: Proposal, rerun_of: str, admitted: Sequence[Answer]) -> None:
        arming, fault = experiment.arming, experiment.fault
        self._tell(
            "experiment", experiment=experiment.id, fault=arming.fault, fault_summary=fault.summary, target=arming.component.name,
            beliefs=[{"id": one.id, "claim": one.claim, "then": one.then.text, "decides": one.decides} for one in experiment.beliefs],
            magnitude=show_magnitude(arming), share=arming.share, draw=arming.draw, cohort=arming.cohort, seed=arming.seed,
            units=experiment.units, alpha=self.intent.alpha, environment=self.environment, versions={}, cost=experiment.cost(),
            answerable={name: _forecast_of(one) | {"expected_units": one.expected_units} for name, one in proposal.answerable.items()},
            gates=[*self._gates(proposal), *map(_gate, admitted)], rerun_of=rerun_of, proposal=proposal.to_json(), arming=arming.to_json(),
        )  # fmt: skip

    def _gates(self, proposal: Proposal) -> list[dict[str, Any]]:
        """Return what was made sure of before anything is applied; what fails has raised or was refused before."""
        probe(self.journal.directory)
        return [
            {"name": "intent valid", "ok": True, "reason": ""},
            {"name": "no other live run", "ok": True, "reason": f"on {self.intent.system.name}"},
            {"name": "ledger and journal writable", "ok": True, "reason": ""},
            {"name": "rollback ready", "ok": True, "reason": rollback_ready(proposal.arming, self.journal)},
        ]

    def _forecast(self, experiment: Experiment, proposal: Proposal, now: Mapping[str, Standing]) -> None:
        beliefs = {
            belief.id: {
                "confidence": now[belief.id].confidence, "expected_bits": proposal.bits[belief.id],
                **chances_of(belief, proposal.arming.magnitude, _forecast_of(proposal.answerable[belief.id])),
            }
            for belief in experiment.beliefs
        }  # fmt: skip
        self._forecasts[experiment.id] = beliefs
        event = Event("forecast", {"experiment": experiment.id, "beliefs": beliefs}, time.time())
        digest = self.ledger.append(event)
        self.see(Event("forecast", {**event.data, "digest": digest}, event.at))

    def _learn(self, result: Result, belief: Belief, before: Standing) -> None:
        verdict = result.verdicts.get(belief.id)
        if verdict is None:
            return
        look = result.looks.get(belief.id)
        counted = verdict.word in _COUNTED and look is not None and look.n > 0
        draw = draw_of(self.intent, result.experiment.arming.seed)
        after, seen = before.claim, Seen(before.claim.bound, Counts(), draw)
        if counted and look is not None:
            after, seen = before.learned_from(look, draw)
        now, told = found(result, before.search, look if counted else None, seen)
        confidence = after.confidence if now is None else now.confidence
        data = {
            "experiment": result.experiment.id, "belief": belief.id, "environment": self.environment, "verdict": verdict.word,
            "counted": counted, "n": seen.counts.units, "breaches": seen.counts.breaches, "bound": seen.bound, "draw": draw,
            "marks": dict(before.marks),
            "confidence_before": before.confidence, "confidence_after": confidence,
            "bits": learned_bits(before.confidence, confidence), "surprise_bits": surprise_bits(before.confidence, confidence),
            "outcome_bits": self._surprisal(result.experiment.id, belief.id, verdict.word), **told,
        }  # fmt: skip
        self.learned[f"{result.experiment.id}/{belief.id}"] = data
        self._tell("learned", **data)

    def _surprisal(self, experiment: str, belief: str, verdict: str) -> float | None:
        """Return -log2 of the probability that was forecast for the verdict; None where it was no forecast verdict or held impossible."""
        chance = self._forecasts[experiment][belief].get(verdict)
        return surprisal_bits(chance) if chance else None

    def _summed(self, result: Result, belief: Belief) -> dict[str, Any]:
        learned = self.learned.get(f"{result.experiment.id}/{belief.id}", {})
        verdict, look = result.verdicts[belief.id], result.looks.get(belief.id)
        return {
            "belief": belief.id, "verdict": verdict.word, "landed": bool(result.landing.injected) and not result.landing.control_injected,
            "rolled_back": result.rolled_back, "recovered": result.recovered, "confidence_before": learned.get("confidence_before"),
            "confidence_after": learned.get("confidence_after"), "bits": learned.get("bits"), "n": look.n if look else 0,
            "breaches": look.treatment.breaches if look else 0, "injected": result.landing.injected, "experiment": result.experiment.id,
            "reasons": list(verdict.reasons),
        }  # fmt: skip

    def _unknown(self) -> list[str]:
        now = self.standings()
        return [
            f"{belief.id}: {belief.claim} ({now[belief.id].state})" for belief in self.intent.beliefs.values() if not now[belief.id].verdict
        ]

    def _checked(self) -> bool:
        """Whether an A/A check of this very workload has passed before."""
        digest = self.intent.digest
        current = ""
        for event in self._kept("intent", "phase"):
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
        spent = [event for event in self._kept("summary") if event.get("units") and "tokens" in event["spend"]]
        return spent[-1]["spend"]["tokens"] / spent[-1]["units"] if spent else None

    def _kept(self, *kinds: EventKind) -> Iterator[Mapping[str, Any]]:
        return (kept.record for kept in self.ledger.events(kinds=kinds))

    def _tell(self, kind: EventKind, **data: Any) -> None:
        self._see_and_keep(Event(kind, data, time.time()))

    def _tell_problems(self, error: RefuteError) -> None:
        """Show problems, each once, whether or not they can be kept."""
        for problem in error.problems:
            if problem.what not in self._told:
                with contextlib.suppress(RefuteError):
                    self._tell("problem", **problem.to_json())

    def _see_and_keep(self, event: Event) -> None:
        """Keep an event, then show it; what must be seen is shown where it cannot be kept, too.

        Raises:
            RefuteError: it cannot be kept.
        """
        if event.kind == "problem":
            self._told.add(event.data["what"])
        try:
            if event.kind in _KEPT:
                self.ledger.append(event, durable=event.kind in _DURABLE)
        except RefuteError:
            if event.kind in TOLD_ANYWAY:
                self.see(event)
            raise
        self.see(event)


def _chosen(plan: Plan, wanted: Sequence[str], done: set[str]) -> Proposal | None:
    """Return the best proposal that tests something wanted and not yet done."""
    open_ones = (proposal for proposal in plan.proposals if not done & {belief.id for belief in proposal.beliefs})
    return next((one for one in open_ones if not wanted or any(belief.id in wanted for belief in one.beliefs)), None)


def _gate(answer: Answer) -> dict[str, Any]:
    return {"name": answer.gate, "ok": answer.problem is None, "reason": answer.seen}


def _shown(belief: Belief, standing: Standing) -> dict[str, Any]:
    return {
        "id": belief.id, "claim": belief.claim, "fault": belief.when.fault, "target": belief.when.target, "then": belief.then.text,
        "stated_confidence": belief.confidence, "confidence": standing.confidence, "decides": belief.decides,
        "if_wrong": str(belief.if_wrong), "owner": belief.owner, "state": standing.state,
    }  # fmt: skip


def _forecast_of(one: Answerability) -> dict[str, float]:
    return {"held": one.p_held, "refuted": one.p_refuted, "inconclusive": one.p_inconclusive}


def _spend(results: Sequence[Result]) -> dict[str, float]:
    names = sorted({name for result in results for name in result.cost})
    return {name: sum(result.cost.get(name, 0.0) for result in results) for name in names}
