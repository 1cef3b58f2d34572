"""The course of one run against a workload that is made up: what each phase makes of it, and what outlives which failure."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import ClassVar

import pytest

from refute.core.arming import Arming, Landing
from refute.core.criterion import parse_criterion
from refute.core.draws import in_treatment
from refute.core.errors import EXIT_INCONCLUSIVE, Problem, RefuteError, refuse
from refute.core.intent import Belief, BlastRadius, Indicator, Intent, System, When, Workload
from refute.core.outcome import Outcome
from refute.core.system import Component
from refute.experiment import run as module
from refute.experiment.assess import assessor, judge
from refute.experiment.cases import draw_units
from refute.experiment.design import Experiment
from refute.experiment.peer import Proof
from refute.experiment.run import Run
from refute.experiment.tape import Tape
from refute.safety.journal import Journal

CASES = [{"id": str(number)} for number in range(50)]
FULL = refuse("LEDGER-FULL", "the ledger is full")


def experiment(*, units=200, stop_when=(), check=False, duration_s=60.0, timeout_s=5.0, criterion="answered >= 90%"):
    belief = Belief("b", "claim", When("llm.rate_limit", "llm"), parse_criterion(criterion), 0.9)
    workload = Workload("python", "app:answer", Path("cases.jsonl"), 1000.0, timeout_s=timeout_s)
    intent = Intent(
        Path("refute.yaml"), System("shop", {}), workload, {"answered": Indicator("answered", "ratio", "a:b")}, {"b": belief},
        steady_holds=(parse_criterion("answered >= 95%"),), steady_window_s=0.03,
        stop_when=tuple(parse_criterion(text) for text in stop_when),
        blast_radius=BlastRadius(units=units, duration_s=duration_s),
    )  # fmt: skip
    arming = Arming(Component("llm", "llm", endpoint="http://127.0.0.1:1/v1"), "llm.rate_limit", None, 1.0, "call", 0.5, 7)
    return Experiment("e", intent, (belief,), arming, units, check=check)


class Link:
    """Proves what it is told to, one answer a rollback."""

    def __init__(self, proofs=()):
        self.proofs = list(proofs)
        self.armed = False
        self.landing = Landing(eligible=20, injected=20, control_eligible=20)

    async def arm(self, handles, ttl_s):
        self.armed = True

    async def renew(self, ttl_s):
        pass

    async def renew_live(self, ttl_s):
        pass

    async def disarm(self):
        self.armed = False
        return self.proofs.pop(0) if self.proofs else Proof(True, "1 process acknowledged it")

    def landed(self, handle):
        return self.landing


class Session:
    """A workload of which `answers(phase, arm, index, armed)` gives (answered or error, hits); None never ends."""

    answers = staticmethod(lambda phase, arm, index, armed: 0.0 if armed and arm == "treatment" else 1.0)
    proofs = ()
    fails: ClassVar[dict[str, Exception]] = {}
    late: ClassVar[dict[str, list]] = {}
    batch = 5
    pause_s = 0.0

    def __init__(self, intent, log, heard):
        self.link = Link(self.proofs)
        self.workload = intent.workload
        self.heard = heard
        self.killed = 0
        self.halted = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_exc):
        pass

    async def set_up(self):
        if "setup" in self.fails:
            raise self.fails["setup"]
        return {"python": "3"}

    def holders(self):
        return []

    def tape(self, phase, planned, seed, cohort):
        tape = Tape(phase, draw_units(CASES, {}, seed, phase), planned, seed, cohort)
        tape.paced(self.workload.rate_per_s, self.workload.timeout_s)
        return tape

    async def kill(self):
        self.killed += 1

    async def halt(self):
        self.halted = True

    async def drive(self, tape, seed, cohort):
        self.halted = False
        for index, unit in enumerate(draw_units(CASES, {}, seed, tape.phase)):
            if index >= tape.planned or self.halted:
                break
            self._end(tape, unit, "treatment" if in_treatment(seed, unit.key, cohort) else "control")
            if index % self.batch == self.batch - 1:
                await asyncio.sleep(self.pause_s)
                yield
        for answered in self.late.get(tape.phase, []):
            await asyncio.sleep(self.pause_s)
            for outcome in answered(tape, self.link.armed):
                tape.add(tape.started, [outcome])
            yield
        if tape.phase in self.fails:
            raise self.fails[tape.phase]
        yield

    def _end(self, tape, unit, arm):
        given = self.answers(tape.phase, arm, unit.index, self.link.armed)
        if given is None:
            tape.add(unit.index + 1, [])
            return
        hits = {"llm": 1} if self.link.armed and arm == "treatment" and tape.phase == "inject" else {}
        tape.add(unit.index + 1, [ended(unit, arm, given, hits)])


def ended(unit, arm, given, hits):
    error = given if isinstance(given, str) else ""
    values = {"answered": 0.0 if error else given}
    return Outcome(unit.key, unit.cluster, arm, "", unit.index, 0.0, 0.01, values, {"llm": 1}, hits, error)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run an experiment on a made-up workload; `unkept` names events that cannot be kept."""

    async def go(one, *, session=Session, unkept=(), aborted=lambda: False, **workload):
        made = type("Made", (session,), {name: staticmethod(value) if callable(value) else value for name, value in workload.items()})
        monkeypatch.setattr(module, "Session", made)
        events = []

        def sink(event):
            events.append(event)
            if event.kind in unkept:
                raise FULL

        result = await Run(one, sink, Journal(tmp_path / "journal"), tmp_path / "log", aborted).run()
        return result, events

    return go


def phases(events):
    return [(event.data["phase"], event.data["ok"]) for event in events if event.kind == "phase" and event.data["state"] == "ended"]


def problems(events):
    return [event.data["code"] for event in events if event.kind == "problem"]


async def test_a_run_that_ends_well(run, tmp_path):
    result, events = await run(experiment())
    assert (result.verdicts["b"].word, result.exit_code, result.recovered, result.rolled_back) == ("refuted", 1, True, True)
    assert phases(events) == [("baseline", True), ("inject", True), ("recover", True)]
    assert Journal(tmp_path / "journal").live() == []


# The system after the fault.


async def test_a_system_that_does_not_recover_is_a_loud_finding_and_the_verdict_stands(run):
    one = experiment()
    result, events = await run(
        one, answers=lambda phase, arm, _index, armed: "Broken" if phase == "recover" else 0.0 if armed and arm == "treatment" else 1.0
    )
    assert phases(events)[-1] == ("recover", False)
    assert problems(events) == ["RUN-NOT-RECOVERED"]
    assert (result.verdicts["b"].word, result.recovered, result.exit_code, result.over) == ("refuted", False, 1, True)
    planned = next(event.data["units"] for event in events if event.kind == "phase" and event.data["phase"] == "recover")
    assert planned == one.recover_most


async def test_a_belief_that_held_does_not_exit_0_where_the_system_stays_sick(run):
    result, _ = await run(experiment(), answers=lambda phase, _arm, _index, _armed: "Broken" if phase == "recover" else 1.0)
    assert (result.verdicts["b"].word, result.exit_code) == ("held", EXIT_INCONCLUSIVE)


async def test_a_system_that_takes_a_moment_to_get_over_it_has_recovered(run):
    one = experiment()
    late = one.recover_units + 5

    def answers(phase, arm, index, armed):
        if phase == "recover":
            return "Broken" if index < late else 1.0
        return 0.0 if armed and arm == "treatment" else 1.0

    result, events = await run(one, answers=answers)
    assert (result.recovered, result.exit_code) == (True, 1)
    units = next(
        event.data["units"]
        for event in events
        if event.kind == "phase" and event.data["phase"] == "recover" and event.data["state"] == "ended"
    )
    assert late < units <= one.recover_most


async def test_units_that_are_still_hit_disprove_the_rollback(run):
    class Hit(Session):
        def _end(self, tape, unit, arm):
            tape.add(unit.index + 1, [ended(unit, arm, 1.0, {"llm": 1} if arm == "treatment" else {})])

    result, events = await run(experiment(criterion="answered >= 50%"), session=Hit)
    assert (result.rolled_back, result.exit_code) == (False, 5)
    rollback = [event.data for event in events if event.kind == "rollback"][-1]
    assert (rollback["ok"], "still hit" in rollback["proof"]) == (False, True)
    assert rollback["remove_by_hand"]


# What outlives which failure.


UNPROVEN = Proof(False, "the worker process 7 does not answer, and still runs", (7,))


async def test_an_unproven_rollback_outweighs_an_error_that_comes_after_it(run):
    result, events = await run(experiment(), proofs=[UNPROVEN, UNPROVEN, UNPROVEN, UNPROVEN], unkept=["verdict"])
    assert (result.exit_code, result.rolled_back, result.failure) == (5, False, FULL)
    rollback = next(event.data for event in events if event.kind == "rollback")
    assert (rollback["ok"], rollback["remove_by_hand"]) == (False, "kill 7, then: refute recover")


async def test_a_process_that_does_not_let_go_is_ended_and_that_is_proof(run, tmp_path):
    class Ending(Session):
        async def kill(self):
            self.link.proofs = [Proof(True, "process 7 is gone")]

    result, events = await run(experiment(), session=Ending, proofs=[UNPROVEN] * 4)
    assert (result.rolled_back, result.verdicts["b"].word) == (True, "refuted")
    assert [event.data["proof"] for event in events if event.kind == "rollback"] == ["process 7 is gone"]
    assert Journal(tmp_path / "journal").live() == []


async def test_nothing_is_injected_after_an_unproven_check(run):
    result, events = await run(experiment(check=True), proofs=[UNPROVEN] * 6)
    assert (result.exit_code, result.verdicts["b"].word) == (5, "void")
    assert [phase for phase, _ in phases(events)] == ["check"]


@pytest.mark.parametrize("kind", ["evidence_point", "verdict", "landing", "rollback", "phase"])
async def test_a_ledger_that_fills_up_gives_no_verdict_and_leaves_no_fault(run, tmp_path, kind):
    result, events = await run(experiment(), unkept=[kind])
    assert result.failure is FULL or result.verdicts["b"].reasons == ("the ledger is full",)
    assert result.exit_code in {1, EXIT_INCONCLUSIVE}, "2 would say that nothing was injected"
    assert (result.exit_code == 1) == ("b" in result.verdicts and result.verdicts["b"].word == "refuted")
    assert [event for event in events if event.kind == "rollback" and event.data["ok"]]
    assert Journal(tmp_path / "journal").live() == []
    assert "LEDGER-FULL" in problems(events)


async def test_a_verdict_that_is_on_record_survives_a_failure_after_it(run):
    one = experiment()
    second = Belief("c", "claim", one.beliefs[0].when, one.beliefs[0].then, 0.9)
    both = Experiment("e", one.intent, (one.beliefs[0], second), one.arming, one.units, check=False)
    seen = []

    def sometimes(kind):
        seen.append(kind)
        return kind == "verdict" and seen.count("verdict") > 1

    class Full:
        def __contains__(self, kind):
            return sometimes(kind)

    result, _ = await run(both, unkept=Full())
    assert {name: verdict.word for name, verdict in result.verdicts.items()} == {"b": "refuted"}
    assert (result.exit_code, result.failure) == (1, FULL)


@pytest.mark.parametrize(("phase", "word"), [("setup", "void"), ("baseline", "void"), ("inject", "void"), ("recover", "refuted")])
async def test_a_worker_that_dies_voids_what_has_no_verdict_yet(run, tmp_path, phase, word):
    died = RefuteError(Problem("WORKLOAD-DIED", "the workload's process died"), exit_code=EXIT_INCONCLUSIVE)
    answers = (lambda *_: 1.0) if phase != "recover" else Session.answers
    result, events = await run(experiment(), answers=answers, fails={phase: died}, batch=1000)
    assert result.verdicts["b"].word == word
    assert "the workload's process died" in " ".join(result.verdicts["b"].reasons) or phase == "recover"
    assert result.exit_code == (1 if phase == "recover" else 3)
    assert (result.recovered is False) == (phase == "recover")
    assert Journal(tmp_path / "journal").live() == []
    assert problems(events)


async def test_a_defect_of_ours_keeps_what_is_known_of_the_rollback(run, capsys):
    def answers(phase, *_):
        if phase == "inject":
            raise ZeroDivisionError
        return 1.0

    result, events = await run(experiment(), answers=answers, proofs=[UNPROVEN] * 4)
    assert (result.exit_code, problems(events)) == (5, ["REFUTE-DEFECT"])
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_an_abort_rolls_back_and_gives_no_verdict(run, tmp_path):
    looks = []
    result, events = await run(experiment(), aborted=lambda: looks.append(1) or len(looks) > 10)
    assert (result.exit_code, result.interrupted, result.verdicts) == (130, True, {})
    assert [event.data["ok"] for event in events if event.kind == "rollback"] == [True]
    assert Journal(tmp_path / "journal").live() == []


async def test_a_cancellation_does_not_interrupt_the_rollback(run, tmp_path):
    class Slow(Link):
        async def disarm(self):
            await asyncio.sleep(0.1)
            return await super().disarm()

    class Slowly(Session):
        def __init__(self, *given):
            super().__init__(*given)
            self.link = Slow()

    going = asyncio.create_task(run(experiment(), session=Slowly, answers=lambda *_: 1.0, pause_s=0.01))
    while not any(entry.state == "applied" for entry in Journal(tmp_path / "journal").live()):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)
    for _ in range(4):
        going.cancel()
        await asyncio.sleep(0.02)
    result, events = await going
    assert (result.exit_code, result.rolled_back) == (130, True)
    assert [event.data["ok"] for event in events if event.kind == "rollback"] == [True]
    assert Journal(tmp_path / "journal").live() == []


# Stop conditions.


async def test_a_stop_condition_in_the_same_look_as_a_decision_aborts_the_run_and_the_decision_stands(run):
    result, events = await run(experiment(stop_when=["answered < 70%"]), batch=100)
    kinds = [event.kind for event in events if event.kind in {"rollback", "stop", "verdict"}]
    assert kinds == ["rollback", "stop", "verdict"]
    assert (result.verdicts["b"].word, result.exit_code) == ("refuted", 4)
    assert "answered < 70%" in result.verdicts["b"].reasons[1]
    assert result.looks["b"].n > 10, "what was seen is evidence"


async def test_a_stop_condition_before_a_decision_gives_aborted(run):
    answers = lambda _phase, arm, index, armed: float(index % 20 != 0) if armed and arm == "treatment" else 1.0  # noqa: E731
    one = experiment(stop_when=["answered < 99.9%"], criterion="answered >= 95%", units=400)
    result, events = await run(one, answers=answers)
    assert (result.verdicts["b"].word, result.exit_code) == ("aborted", 4), [event.data for event in events if event.kind == "verdict"]


async def test_stop_conditions_are_looked_at_while_late_outcomes_come_in_after_the_time_is_up(run):
    def failing(tape, _armed):
        slots = [index for index, slot in enumerate(tape.slots()) if slot.outcome is None]
        units = {unit.index: unit for unit, _ in zip(draw_units(CASES, {}, 7, "inject"), range(200), strict=False)}
        for index in slots:
            arm = tape.slots()[index].arm
            yield ended(units[index], arm, "timeout" if arm == "treatment" else 1.0, {})

    def answers(phase, _arm, index, armed):
        return None if phase == "inject" and armed and index >= 10 else 1.0

    one = experiment(stop_when=["answered < 70%"], duration_s=0.1)
    armed_then = []
    late = [lambda *_: time.sleep(0.1) or [], failing, lambda *_: [], lambda _tape, armed: armed_then.append(armed) or []]
    result, events = await run(one, answers=answers, late={"inject": late}, pause_s=0.001)
    assert armed_then == [False], "not only when all have come in"
    assert [event.data["condition"] for event in events if event.kind == "stop"] == ["answered < 70%"]
    assert result.exit_code == 4


# Units that are late.


def tape_of(started, *, planned=40, elapsed_s=3.0, timeout_s=1.0):
    tape = Tape("baseline", draw_units(CASES, {}, 7, "baseline"), planned, 7, 0.5)
    tape.paced(40.0, timeout_s)
    tape.elapsed_s = elapsed_s
    tape.add(started, [])
    return tape


def test_a_unit_past_its_deadline_has_failed_whether_or_not_the_load_got_to_it():
    assert len(tape_of(10).overdue()) == 40
    assert len(tape_of(0, elapsed_s=2.26).overdue()) == 11, "due 0 to 0.25 s, and 2 s later"
    halted = tape_of(10)
    halted.halted = True
    assert len(halted.overdue()) == 10, "what was never to start is not late"
    assert {outcome.error for outcome in halted.judged()} == {"timeout"}
    assert tape_of(10, timeout_s=30.0).overdue() == []


async def test_a_control_that_hangs_is_sick_although_nobody_ended(run):
    stuck = refuse("WORKLOAD-STUCK", "the baseline phase does not end", exit_code=EXIT_INCONCLUSIVE)
    one = experiment(timeout_s=0.01)
    result, _ = await run(one, answers=lambda *_: None, fails={"baseline": stuck}, pause_s=0.2)
    verdict = result.verdicts["b"]
    assert (verdict.word, result.exit_code) == ("void", 3)
    assert "control is sick" in verdict.reasons[0]
    assert "timeout" in verdict.reasons[0]
    assert not result.landing.injected


@pytest.mark.parametrize(("hangs", "word"), [(False, "refuted"), (True, "void")])
def test_a_control_that_hangs_while_treatment_fails_fast_does_not_refute(hangs, word):
    """By those alone that have ended, control is well: 60 good units are enough for that."""
    one = experiment(timeout_s=1.0, units=200, criterion="answered >= 95%")
    baseline = Tape("baseline", draw_units(CASES, {}, 7, "baseline"), 10, 7, 0.5)
    reader, tape = assessor(one.beliefs[0], one, baseline), Tape("inject", draw_units(CASES, {}, 7, "inject"), 200, 7, 0.5)
    tape.paced(40.0, 1.0)
    for unit, _ in zip(draw_units(CASES, {}, 7, "inject"), range(200), strict=False):
        arm = "treatment" if in_treatment(7, unit.key, 0.5) else "control"
        open_still = hangs and arm == "control" and unit.index >= 120
        given = ("RateLimitError" if unit.index >= 120 else 1.0) if arm == "treatment" else 1.0
        tape.elapsed_s = unit.index / 40
        tape.add(unit.index + 1, [] if open_still else [ended(unit, arm, given, {})])
        if reader.look(tape).over:
            break
    assert reader.look(tape).decision == "refuted", "nothing of control is late yet"
    tape.halted, tape.elapsed_s = True, tape.elapsed_s + 5
    assert judge(reader.settle(tape), [], "").word == word
