"""A made-up run in the shape of docs/reference/events.md: fixture data, measured nowhere.

Outcomes are drawn from a seeded generator; counts, rates and evidence are computed from them, so that every event agrees
with the others.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from refute.core.events import Event

ALPHA = 0.05
BOUND = math.log(1 / ALPHA)
START = 1_800_000_000.0
VERSIONS = {"refute": "0.1.0", "model": "fixture-model-1", "prompt": "sha256:9c1f", "app": "1.4.2"}

COMPONENTS = [
    {"name": "assistant", "kind": "agent", "calls": ["retriever", "llm", "orders"]},
    {"name": "llm", "kind": "llm", "calls": []},
    {"name": "retriever", "kind": "retriever", "calls": ["embedder"]},
    {"name": "embedder", "kind": "embedder", "calls": []},
    {"name": "orders", "kind": "tool", "calls": []},
    {"name": "payments", "kind": "service", "calls": []},
]
JOURNEYS = [{"name": "ask-about-order", "share": 0.7, "value": "0.40 USD"}, {"name": "small-talk", "share": 0.3, "value": None}]


def _belief(name: str, claim: str, when: tuple[str, str], then: str, stated: tuple[float, str, str]) -> dict[str, Any]:
    confidence, decides, if_wrong = stated
    return {
        "id": name,
        "claim": claim,
        "fault": when[0],
        "target": when[1],
        "then": then,
        "stated_confidence": confidence,
        "confidence": confidence,
        "decides": decides,
        "if_wrong": if_wrong,
        "owner": "team-support",
        "state": "untested",
    }


def beliefs() -> list[dict[str, Any]]:
    """Return the five beliefs of the fixture."""
    return [
        _belief(
            "rate-limits-absorbed",
            "Provider rate limits never reach the customer",
            ("llm.rate_limit", "llm"),
            "answered >= 95%",
            (0.9, "Launch without a second provider", "high"),
        ),
        _belief(
            "slow-retrieval-tolerated",
            "Answers stay quick when retrieval is slow",
            ("retriever.delay", "retriever"),
            "latency p95 <= 4 s",
            (0.8, "Size of the retriever's timeout", "medium"),
        ),
        _belief(
            "orders-outage-contained",
            "An outage of the order service costs no answers",
            ("tool.error", "orders"),
            "answered worse by <= 5 points",
            (0.6, "Whether orders needs a cache", "high"),
        ),
        _belief(
            "empty-retrieval-admitted",
            "With nothing retrieved, the assistant says that it does not know",
            ("retriever.empty", "retriever"),
            "grounded >= 90%",
            (0.7, "Show citations to customers", "severe"),
        ),
        _belief(
            "cut-streams-noticed",
            "A stream that is cut short is never shown as a whole answer",
            ("llm.cut_stream", "llm"),
            "grounded >= 95%",
            (0.85, "Streaming in the mobile app", "medium"),
        ),
    ]


@dataclass
class Plot:
    """What happens in one experiment of the fixture.

    Attributes:
        id: of the experiment.
        belief: that it tests.
        summary: of the fault, in words.
        share: of calls hit.
        magnitude: in words.
        broken: probability that a hit unit fails.
        slow_s: added to a hit unit's latency.
        bound: breach rate allowed.
        quality: indicator that the criterion reads.
        units: in the injection.
        stop_at: unit at which a stop condition fires, None where none does.
        lands: whether the fault arrives.
        confidence_after: that the ledger would have computed.
        forecast: held, refuted, inconclusive.
    """

    id: str
    belief: dict[str, Any]
    summary: str
    share: float = 0.3
    magnitude: str = ""
    broken: float = 0.0
    slow_s: float = 0.0
    bound: float = 0.05
    quality: str = "answered"
    units: int = 400
    stop_at: int | None = None
    lands: bool = True
    confidence_after: float = 0.5
    forecast: tuple[float, float, float] = (0.86, 0.09, 0.05)

    def effects(self, injected: int) -> dict[str, int]:
        if not injected:
            return {}
        return {"status 429": injected, "retried by the SDK": injected * 2} if self.belief["target"] == "llm" else {"took effect": injected}

    def breaches(self, outcome: dict[str, Any]) -> bool:
        if self.quality == "latency":
            return bool(outcome["latency_s"] > 4.0 or outcome["error"])
        return outcome["values"][self.quality] != 1.0


def plots() -> list[Plot]:
    """Return four experiments: refuted, held, aborted and void."""
    first, second, third, fourth, _ = beliefs()
    return [
        Plot("e1-7f3a", first, "Answer 429 with Retry-After", broken=0.42, units=800, confidence_after=0.021),
        Plot(
            "e2-b81c",
            second,
            "Delay each search by 1.5 s",
            share=1.0,
            magnitude="1.5 s",
            slow_s=1.5,
            quality="latency",
            confidence_after=0.954,
            forecast=(0.78, 0.14, 0.08),
        ),
        Plot(
            "e3-40de",
            third,
            "Fail each call of the tool",
            share=1.0,
            broken=0.93,
            units=600,
            stop_at=56,
            confidence_after=0.11,
            forecast=(0.55, 0.31, 0.14),
        ),
        Plot(
            "e4-c2a9",
            fourth,
            "Return no documents",
            share=0.5,
            bound=0.1,
            quality="grounded",
            units=200,
            lands=False,
            confidence_after=0.7,
            forecast=(0.6, 0.25, 0.15),
        ),
    ]


class Story:
    """Writes the events of a run.

    Args:
        seed: of the outcomes.
        claim: put in place of the first belief's claim, for hostile strings.
        scale: factor on the number of units, to keep goldens short.
        rollback_ok: whether rollbacks are proven.
    """

    def __init__(self, seed: int = 7, claim: str = "", scale: float = 1.0, rollback_ok: bool = True) -> None:
        self._rng = random.Random(seed)
        self._at = START
        self._claim = claim
        self._scale = scale
        self._rollback_ok = rollback_ok
        self._verdicts: list[dict[str, Any]] = []

    def events(self, experiments: int = 4) -> list[Event]:
        """Return the whole run with the first so many experiments."""
        return list(self._events(experiments))

    def _event(self, kind: Any, after_s: float = 0.0, **data: Any) -> Event:
        self._at += after_s
        return Event(kind, data, self._at)

    def _events(self, experiments: int) -> Iterator[Event]:
        stated = beliefs()
        if self._claim:
            stated[0]["claim"] = self._claim
        yield self._event(
            "intent",
            path="refute.yaml",
            digest="5b0c9e2f7a41" + "0" * 52,
            system="support-assistant",
            components=COMPONENTS,
            journeys=JOURNEYS,
            beliefs=stated,
            environment="local",
            notes=["payments is never touched: blast_radius.never names it"],
        )
        chosen = plots()[:experiments]
        yield self._event("plan", 0.2, proposals=[_proposal(plot, rank) for rank, plot in enumerate(chosen)], refusals=_refusals())
        for plot in chosen:
            plot.belief["claim"] = next(b["claim"] for b in stated if b["id"] == plot.belief["id"])
            yield from self._experiment(plot)
        last = {
            **_proposal(plots()[0], 1),
            "beliefs": ["cut-streams-noticed"],
            "fault": "llm.cut_stream",
            "bits": {"cut-streams-noticed": 0.31},
        }
        yield self._event(
            "next",
            0.1,
            proposals=[last],
            unknown=[
                "cut-streams-noticed was never tested; 0.31 bits are expected of one run",
                "nothing is known of embedder: no belief names it",
            ],
        )
        yield self._event(
            "summary",
            0.1,
            exit_code=4 if experiments > 2 else 1,
            experiments=[plot.id for plot in chosen],
            verdicts=self._verdicts,
            seconds=self._at - START,
            spend={"tokens": 184_000, "USD": 0.0},
        )

    def _experiment(self, plot: Plot) -> Iterator[Event]:
        belief = plot.belief
        units = self._units(plot.units)
        held, refuted, inconclusive = plot.forecast
        yield self._event(
            "experiment",
            0.5,
            experiment=plot.id,
            beliefs=[{key: belief[key] for key in ("id", "claim", "then", "decides")}],
            fault=belief["fault"],
            fault_summary=plot.summary,
            target=belief["target"],
            magnitude=plot.magnitude,
            share=plot.share,
            draw="call",
            cohort=0.5,
            seed=20261,
            units=units,
            alpha=ALPHA,
            environment="local",
            versions=VERSIONS,
            cost={"units": units + self._units(160), "seconds": (units + self._units(160)) / 5, "tokens": units * 150},
            answerable={belief["id"]: {"held": 0.61, "refuted": 0.33, "inconclusive": 0.06, "expected_units": units * 0.55}},
            gates=[{"name": name, "ok": True, "reason": ""} for name in ("file valid", "control healthy", "rollback rehearsed")],
            rerun_of="",
        )
        yield self._event(
            "forecast",
            0.1,
            experiment=plot.id,
            digest="a1b2c3d4e5f6" + "0" * 52,
            beliefs={
                belief["id"]: {
                    "confidence": belief["confidence"],
                    "held": held,
                    "refuted": refuted,
                    "inconclusive": inconclusive,
                    "expected_bits": 0.38,
                }
            },
        )
        yield from self._phase(plot, "check", self._units(60), [])
        yield from self._phase(plot, "baseline", self._units(60), [])
        faulted: list[dict[str, Any]] = []
        yield from self._phase(plot, "inject", units, faulted)
        yield from self._after(plot, faulted)
        yield from self._phase(plot, "recover", self._units(40), [])
        yield from self._answer(plot, faulted)

    def _units(self, units: int) -> int:
        return max(4, round(units * self._scale))

    def _phase(self, plot: Plot, phase: str, units: int, kept: list[dict[str, Any]]) -> Iterator[Event]:
        yield self._event(
            "phase", 0.1, experiment=plot.id, phase=phase, units=units, seconds=units / 5, state="started", ok=True, reason=""
        )
        stop = plot.stop_at if phase == "inject" else None
        began, points = self._at, 0
        for batch in _batched(units, 10):
            outcomes = [self._outcome(plot, phase, index) for index in batch]
            kept += outcomes
            self._at = began + (batch[-1] + 1) / 5
            yield self._event("outcomes", experiment=plot.id, phase=phase, outcomes=outcomes)
            log_e = evidence(plot, kept) if phase == "inject" else {}
            yield self._progress(plot, (phase, began, units), kept, log_e)
            if log_e:
                points += 1
                n, s = _counts(plot, kept, "treatment")
                yield self._event(
                    "evidence_point",
                    experiment=plot.id,
                    belief=plot.belief["id"],
                    n=n,
                    breaches=s,
                    log_e_hold=log_e["hold"],
                    log_e_refute=log_e["refute"],
                )
            if stop is not None and len(kept) >= stop:
                yield self._event(
                    "stop", experiment=plot.id, condition="answered < 70%", value=0.18, bound=0.7, units=len(kept), seconds_to_rollback=0.31
                )
                break
            if log_e and plot.stop_at is None and plot.lands and max(log_e["hold"], log_e["refute"]) >= BOUND:
                break
        yield self._event(
            "phase",
            experiment=plot.id,
            phase=phase,
            units=len(kept) or units,
            seconds=self._at - began,
            state="ended",
            ok=stop is None,
            reason="a stop condition fired" if stop else "",
        )

    def _outcome(self, plot: Plot, phase: str, index: int) -> dict[str, Any]:
        rng, target = self._rng, plot.belief["target"]
        treated = rng.random() < 0.5
        hit = phase == "inject" and treated and plot.lands and rng.random() < plot.share
        failed = rng.random() < (plot.broken if hit else 0.008)
        latency = rng.lognormvariate(-0.25, 0.38) + (plot.slow_s * rng.uniform(0.9, 1.1) if hit else 0.0) + (2.2 if failed else 0.0)
        return {
            "unit": f"case-{index % 97}/{index // 97}",
            "cluster": f"case-{index % 97}",
            "arm": "treatment" if treated else "control",
            "journey": "ask-about-order" if rng.random() < 0.7 else "small-talk",
            "index": index,
            "start_s": index / 5,
            "latency_s": round(latency, 4),
            "values": {"answered": 0.0 if failed else 1.0, "grounded": 0.0 if failed or rng.random() < 0.02 else 1.0},
            "eligible": {target: 1},
            "hits": {target: 1} if hit else {},
            "error": "RateLimitError" if failed and hit else "",
            "cost": {"tokens": 150.0},
        }

    def _progress(self, plot: Plot, at: tuple[str, float, int], kept: list[dict[str, Any]], log_e: dict[str, float]) -> Event:
        phase, began, units = at
        arms = {arm: _arm([o for o in kept if o["arm"] == arm]) for arm in ("treatment", "control")}
        return self._event(
            "progress",
            experiment=plot.id,
            phase=phase,
            elapsed_s=self._at - began,
            units=len(kept),
            planned=units,
            arms=arms,
            log_e={plot.belief["id"]: log_e} if log_e else {},
            lease_s=4.2 if phase == "inject" else None,
        )

    def _after(self, plot: Plot, faulted: list[dict[str, Any]]) -> Iterator[Event]:
        arms = {arm: [o for o in faulted if o["arm"] == arm] for arm in ("treatment", "control")}
        injected = sum(bool(o["hits"]) for o in arms["treatment"])
        effect = plot.effects(injected)
        yield self._event(
            "landing",
            0.1,
            experiment=plot.id,
            ok=plot.lands,
            eligible=len(arms["treatment"]),
            injected=injected,
            expected_share=plot.share,
            control_eligible=len(arms["control"]),
            control_injected=0,
            unattributed=0,
            effect=effect,
            reason="" if plot.lands else "no eligible call was hit: the retriever answered from a cache",
        )
        yield self._event(
            "rollback",
            0.21,
            experiment=plot.id,
            ok=self._rollback_ok,
            seconds=0.21,
            how="lease revoked and acknowledged",
            remove_by_hand="" if self._rollback_ok else "kill the worker: kill 4711, then run `refute recover`",
        )

    def _answer(self, plot: Plot, faulted: list[dict[str, Any]]) -> Iterator[Event]:
        belief, log_e = plot.belief, evidence(plot, faulted)
        n, s = _counts(plot, faulted, "treatment")
        control_n, control_s = _counts(plot, faulted, "control")
        verdict, reasons = _decide(plot, log_e)
        injected = sum(bool(o["hits"]) for o in faulted)
        yield self._event(
            "verdict",
            0.1,
            experiment=plot.id,
            belief=belief["id"],
            claim=belief["claim"],
            then=belief["then"],
            verdict=verdict,
            reasons=reasons,
            n=n,
            breaches=s,
            rate=s / n,
            interval=_wilson(s, n),
            bound=plot.bound,
            injected=injected,
            control={"n": control_n, "breaches": control_s, "rate": control_s / control_n, "interval": _wilson(control_s, control_n)},
            log_e={**log_e, "bound": BOUND},
            baseline_rate=0.008,
            unit="request",
            environment="local",
            versions=VERSIONS,
            landed=plot.lands,
            rolled_back=self._rollback_ok,
        )
        before, after = belief["confidence"], plot.confidence_after
        bits = _entropy(before) - _entropy(after)
        p = dict(zip(("held", "refuted", "inconclusive"), plot.forecast, strict=True)).get(verdict)
        yield self._event(
            "learned",
            0.05,
            experiment=plot.id,
            belief=belief["id"],
            confidence_before=before,
            confidence_after=after,
            bits=bits,
            surprise_bits=_kl(after, before),
            outcome_bits=-math.log2(p) if p else None,
            counted=verdict != "void",
        )
        self._verdicts.append(
            {
                "belief": belief["id"],
                "verdict": verdict,
                "landed": plot.lands,
                "rolled_back": self._rollback_ok,
                "confidence_before": before,
                "confidence_after": after,
                "bits": bits,
                "n": n,
                "breaches": s,
                "injected": injected,
                "experiment": plot.id,
                "reasons": reasons,
            }
        )


def _batched(units: int, size: int) -> Iterator[tuple[int, ...]]:
    for start in range(0, units, size):
        yield tuple(range(start, min(units, start + size)))


def _arm(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    n = len(outcomes)
    mean = {name: sum(o["values"][name] for o in outcomes) / n if n else None for name in ("answered", "grounded")}
    return {
        "n": n,
        "eligible": n,
        "hit": sum(bool(o["hits"]) for o in outcomes),
        "failed": sum(bool(o["error"]) for o in outcomes),
        "indicators": {**mean, "latency": sum(o["latency_s"] for o in outcomes) / n if n else None},
    }


def _counts(plot: Plot, outcomes: list[dict[str, Any]], arm: str) -> tuple[int, int]:
    of_arm = [o for o in outcomes if o["arm"] == arm]
    return len(of_arm), sum(plot.breaches(o) for o in of_arm)


def _decide(plot: Plot, log_e: dict[str, float]) -> tuple[str, list[str]]:
    if not plot.lands:
        return "void", ["the fault did not land: no eligible call was hit"]
    if plot.stop_at:
        return "aborted", ["stop condition fired: answered < 70%"]
    if log_e["refute"] >= BOUND:
        return "refuted", ["evidence against the claim crossed its bound"]
    if log_e["hold"] >= BOUND:
        return "held", ["evidence for the claim crossed its bound"]
    return "inconclusive", ["too few units for an answer"]


def evidence(plot: Plot, outcomes: list[dict[str, Any]]) -> dict[str, float]:
    """Return natural logarithms of the evidence after DESIGN.md §8, by summing on a grid."""
    n, s = _counts(plot, outcomes, "treatment")
    grid = [(i + 0.5) / 2000 for i in range(2000)]
    logs = [(s - 0.5) * math.log(q) + (n - s - 0.5) * math.log(1 - q) for q in grid]
    prior = [-0.5 * math.log(q) - 0.5 * math.log(1 - q) for q in grid]
    at = s * math.log(plot.bound) + (n - s) * math.log(1 - plot.bound)

    def log_sum(values: list[float]) -> float:
        top = max(values)
        return top + math.log(sum(math.exp(v - top) for v in values))

    split = next(i for i, q in enumerate(grid) if q > plot.bound)
    return {
        "refute": log_sum(logs[split:]) - log_sum(prior[split:]) - at,
        "hold": log_sum(logs[:split]) - log_sum(prior[:split]) - at,
        "bound": BOUND,
    }


def _wilson(s: int, n: int) -> list[float]:
    z, p = 1.96, s / n
    centre, half = (p + z * z / (2 * n)), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))]


def _entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def _kl(p: float, q: float) -> float:
    return p * math.log2(p / q) + (1 - p) * math.log2((1 - p) / (1 - q))


def _proposal(plot: Plot, rank: int) -> dict[str, Any]:
    bits = 0.41 - 0.08 * rank
    return {
        "beliefs": [plot.belief["id"]],
        "fault": plot.belief["fault"],
        "target": plot.belief["target"],
        "magnitude": plot.magnitude,
        "share": plot.share,
        "value": bits * 4,
        "bits": {plot.belief["id"]: bits},
        "risk": 0.004 + 0.003 * rank,
        "score": 4 - rank,
        "units": plot.units,
        "seconds": plot.units / 5,
        "probability_of_answer": 0.94 - 0.05 * rank,
        "propensity": 0.95,
        "reasons": ["no evidence yet, and a costly decision hangs on it"],
    }


def _refusals() -> list[dict[str, Any]]:
    return [
        {
            "beliefs": ["cut-streams-noticed"],
            "fault": "llm.cut_stream",
            "target": "llm",
            "code": "PLAN-UNANSWERABLE",
            "reason": "200 units are too few for an answer (31 %); 420 would do",
        },
        {
            "beliefs": [],
            "fault": "service.outage",
            "target": "payments",
            "code": "PLAN-NEVER",
            "reason": "blast_radius.never names payments",
        },
    ]
