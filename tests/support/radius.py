"""Whole injections without processes: units, ramp, stops and evidence are the library's own; outcomes are made up and come late."""

from __future__ import annotations

import heapq
import random
from pathlib import Path

from refute.core.arming import Arming
from refute.core.audience import Audience
from refute.core.criterion import parse_criterion
from refute.core.intent import Belief, BlastRadius, Indicator, Intent, System, When, Workload
from refute.core.outcome import Outcome
from refute.core.system import Component
from refute.experiment.assess import assessor
from refute.experiment.cases import draw_units
from refute.experiment.design import Experiment
from refute.experiment.ramp import Ramp
from refute.experiment.tape import Tape
from refute.safety.stops import stops_of

RATE_PER_S = 10.0
AHEAD = 5
LOOK = 15


def experiment(criterion, *, units=400, ramp=(), cohort=0.5, by="", seed=7, stop_when=()):
    belief = Belief("b", "claim", When("llm.rate_limit", "llm"), parse_criterion(criterion), 0.9)
    intent = Intent(
        Path("refute.yaml"), System("s", {}), Workload("python", "app:answer", Path("cases.jsonl"), RATE_PER_S, timeout_s=5.0),
        {"answered": Indicator("answered", "ratio", "a:b")}, {"b": belief},
        stop_when=tuple(map(parse_criterion, stop_when)),
        blast_radius=BlastRadius(cohort=cohort, units=units, ramp=tuple(ramp), audience=Audience(by)),
    )  # fmt: skip
    arming = Arming(Component("llm", "llm", endpoint="http://127.0.0.1:1/v1"), "llm.rate_limit", None, 1.0, "call", cohort, seed)
    return Experiment("e", intent, (belief,), arming, units)


def cases(number, users=None):
    return [{"id": str(at), "user": f"user {at % (users or number)}"} for at in range(number)]


def breaches_of(base, harm, rng, spread=None):
    """Return (case, arm) -> whether a unit breaches; with a spread, users differ, each all the time, and harm falls on whole users."""
    lots = {}

    def breaches(case, arm):
        rate = base + (harm if arm == "treatment" else 0.0)
        if spread is None:
            return rng.random() < rate
        own, hurt = lots.setdefault(case["user"], (rng.random(), rng.random()))
        usual = own < base
        return usual or (arm == "treatment" and hurt < harm / (1 - base))

    return breaches


class Course:
    """One injection, outcome by outcome.

    Attributes:
        decision: the first that was reached, "" for none.
        stopped: unit at which a stop condition fired, 0 for none.
        step: of the ramp that was reached.
        counted: treatment units that are evidence.
    """

    def __init__(self, one, pool, breaches, *, late=True):
        seed = one.arming.seed
        self.one, self.breaches, self.rng = one, breaches, random.Random(seed)
        audience = one.intent.blast_radius.audience
        baseline = Tape("baseline", draw_units(pool, {}, seed, "baseline", audience), 20, seed, one.arming.cohort)
        baseline.add(20, [self.ended(unit, "control", 0) for unit, _ in zip(draw_units(pool, {}, seed, "baseline", audience), range(20))])  # noqa: B905
        self.reader = assessor(one.beliefs[0], one, baseline)
        self.stops = stops_of(one.intent, [], len(one.shares))
        self.ramp = Ramp(one, self.stops)
        self.tape = Tape("inject", draw_units(pool, {}, seed, "inject", audience), one.units, seed, one.shares[0])
        self.tape.leads_to(one.shares[-1])
        self.decision, self.stopped, self.counted = "", 0, 0
        self._drive(draw_units(pool, {}, seed, "inject", audience), late)
        self.step = self.tape.step

    def ended(self, unit, arm, latency_s):
        bad = self.breaches(unit.case, arm)
        hits = {"llm": 1} if arm == "treatment" else {}
        values = {"answered": float(not bad)}
        return Outcome(unit.key, unit.cluster, arm, "", unit.index, 0.0, latency_s, values, {"llm": 1}, hits)

    def _drive(self, units, late):
        shares, coming = [(0, self.one.shares[0])], []
        for unit in units:
            if unit.index >= self.one.units:
                break
            share = next(share for first, share in reversed(shares) if unit.index >= first)
            arm = unit.side(self.one.arming.seed, share)
            outcome = self.ended(unit, arm, 0.1)
            delay = 0 if not late else self.rng.randint(0, 3) if outcome.values["answered"] < 1 else self.rng.randint(2, 30)
            heapq.heappush(coming, (unit.index + delay, unit.index, outcome))
            if self._look(unit.index + 1, coming, shares):
                return
        while coming:
            if self._look(self.one.units, coming, shares, at=coming[0][0]):
                return

    def _look(self, started, coming, shares, at=None):
        now, news = started - 1 if at is None else at, []
        while coming and coming[0][0] <= now:
            news.append(heapq.heappop(coming)[2])
        self.tape.add(started, news)
        if started % LOOK and at is None:
            return False
        look = self.reader.look(self.tape)
        self.counted = look.n
        self.decision = self.decision or look.decision
        if not self.stopped and any(stop.see(self.tape.slots()) for stop in self.stops):
            self.stopped = started
        share = self.ramp.next_share(self.tape)
        if share is not None and not self.ramp.held_back(self.tape):
            first = started + AHEAD
            self.tape.widen(first, share)
            shares.append((first, share))
        return look.over or bool(self.stopped)
