"""What a team states: beliefs, and everything needed to test them. The loader and Python code build the same objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from refute.core.arming import Draw
from refute.core.audience import Audience
from refute.core.criterion import Criterion
from refute.core.deviation import Deviation
from refute.core.hosts import same_origin
from refute.core.system import Component, Hazard
from refute.core.training import Training
from refute.core.units import Money
from refute.core.windows import Freeze, Window
from refute.core.zone import Zone

Stake = Literal["low", "medium", "high", "severe"]
IndicatorKind = Literal["ratio", "latency", "score", "cost", "metric", "deviation"]
SERVICES = ", "
"""What stands between the names of observed services."""

WorkloadKind = Literal["python", "http", "observe", "training"]


@dataclass(frozen=True, slots=True)
class Journey:
    """Something that users do with the system.

    Attributes:
        name: unique.
        entry: component at which it enters.
        share: share of traffic, in [0, 1].
        value: worth of one good answer, None where not stated.
    """

    name: str
    entry: str
    share: float = 1.0
    value: Money | None = None


@dataclass(frozen=True, slots=True)
class System:
    """What is under test.

    Attributes:
        name: unique for the team.
        components: by name.
        journeys: by name; may be empty.
        owner: who answers for it.
        reach: share of traffic that meets a component, in [0, 1], by name; empty where no traces tell.
    """

    name: str
    components: dict[str, Component]
    journeys: dict[str, Journey] = field(default_factory=dict)
    owner: str = ""
    reach: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Indicator:
    """A number per unit.

    Attributes:
        name: unique.
        kind: `ratio` of good units (0 or 1), `latency` in seconds, `score` in [0, 1], `cost` in any unit, `metric` of a training run,
            `deviation` in [0, 1], the less the better.
        python: `module:function` taking (case, answer); "" for latency, deviation and what a training run tells of itself.
        price: of a cost, the money that one of its unit costs; 0 where it is not stated, and then it is not part of what is spent.
        currency: of the price, "" where none is stated.
        source: of a training run: the metric that it reports, or one of `BuiltIn`; else "".
        higher: of a metric: whether more of it is better.
        deviation: how a deviation is read; None for any other kind.
    """

    name: str
    kind: IndicatorKind
    python: str = ""
    price: float = 0.0
    currency: str = ""
    source: str = ""
    higher: bool = True
    deviation: Deviation | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Indicator:
        """Make one from what `asdict` gave."""
        stated = data.get("deviation")
        return cls(**{**data, "deviation": None if stated is None else Deviation(**stated)})


@dataclass(frozen=True, slots=True)
class Workload:
    """How units are made, or where they are seen.

    Attributes:
        kind: `python` or `http`, which make units; `observe` sees those of live traffic; `training` runs trainings.
        target: `module:function` taking a case, the URL that cases are posted to, or the names of the services that are observed; of a
            training, a function that takes a seed, or "" for a command.
        cases: path of a JSON Lines file; None where live traffic is observed, or trainings run.
        rate_per_s: units started per second, whatever becomes of them (open loop); of live traffic, what is to be expected.
        unit: `request`, `conversation` or `training run`.
        timeout_s: after it a unit counts as failed.
        setup: `module:function`, an async context manager around the whole run, or "".
        training: where a unit is a training run: how it is started and read.
    """

    kind: WorkloadKind
    target: str
    cases: Path | None
    rate_per_s: float
    unit: Literal["request", "conversation", "training run"] = "request"
    timeout_s: float = 30.0
    setup: str = ""
    training: Training | None = None

    @property
    def observed(self) -> bool:
        """Whether units are those of live traffic."""
        return self.kind == "observe"

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services that are observed."""
        return tuple(self.target.split(SERVICES)) if self.observed else ()


@dataclass(frozen=True, slots=True)
class When:
    """The fault of a belief.

    Attributes:
        fault: name in the catalogue.
        target: component that it strikes.
        magnitude: in the fault's unit; None for its typical one, or where a threshold is sought.
        share: probability that an eligible draw is hit, in [0, 1].
        draw: what is drawn.
        uncontrolled: whether it is agreed that every unit of the injection sees it.
        turn: which of a unit's calls can be hit, from 1; 0 for any.
        also: further faults that strike in the same run, each drawn by itself; none of them has any of its own.
    """

    fault: str
    target: str
    magnitude: float | None = None
    share: float = 1.0
    draw: Draw = "call"
    uncontrolled: bool = False
    turn: int = 0
    also: tuple[When, ...] = ()

    @property
    def parts(self) -> tuple[When, ...]:
        """Each fault by itself, in the order in which they were stated."""
        return (replace(self, also=()), *self.also)

    @property
    def targets(self) -> tuple[str, ...]:
        """The components that it strikes, each once."""
        return tuple(dict.fromkeys(part.target for part in self.parts))


@dataclass(frozen=True, slots=True)
class Belief:
    """A falsifiable hypothesis with what hangs on it.

    Attributes:
        id: unique within the intent.
        claim: in words.
        when: the fault, or several at once.
        then: what must hold of the units that it could meet.
        confidence: probability that the claim is true, in (0, 1).
        decides: the decision that hangs on it.
        if_wrong: what it costs if wrong.
        owner: who answers for it.
        among: `eligible` units (made a call that the fault matches) or only `faulted` ones.
        depends_on: files and names that make the answer stale when they change.
        where: file:line.
        after: ids of beliefs that must hold before this one is put to the test.
        at_least: where the largest magnitude that `then` bears is sought: the one that `confidence` speaks of, in the fault's unit.
            None where the belief is about one magnitude.
    """

    id: str
    claim: str
    when: When
    then: Criterion
    confidence: float
    decides: str = ""
    if_wrong: Stake | Money = "medium"
    owner: str = ""
    among: Literal["eligible", "faulted"] = "eligible"
    depends_on: tuple[str, ...] = ()
    where: str = ""
    at_least: float | None = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """How much may be risked.

    Attributes:
        cohort: share of units in treatment, in (0, 1).
        units: treatment and control together, over the injection.
        duration_s: longest injection.
        never: components that no fault may touch.
        hosts: hosts to which load may be sent.
        error_budget: objective in (0, 1), window in seconds and share that may be spent; None where not stated.
        ramp: smaller shares than the cohort, rising, that come before it; each lasts until it is seen to do no more harm than it may.
        audience: which units may see a fault, and whose stay together.
    """

    cohort: float = 0.5
    units: int = 400
    duration_s: float = 300.0
    never: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "::1"})
    error_budget: ErrorBudget | None = None
    ramp: tuple[float, ...] = ()
    audience: Audience = field(default_factory=Audience)


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """A service-level objective's budget.

    Attributes:
        objective: share of good events, in (0, 1).
        window_s: over which it is counted.
        spend: share of the budget that experiments may spend, in (0, 1].
        queries: of bad and of all events in PromQL, `$window` where their range goes; empty where none are known.
        prometheus: URL of the server that answers them, or "".
    """

    objective: float
    window_s: float
    spend: float
    queries: tuple[str, ...] = ()
    prometheus: str = ""


@dataclass(frozen=True, slots=True)
class Approvals:
    """Whose signed yes a run needs.

    Attributes:
        need: how many people.
        signers: OpenSSH `allowed_signers` file.
        not_author: whether whoever starts the run does not count.
    """

    need: int
    signers: Path
    not_author: bool = False


@dataclass(frozen=True, slots=True)
class Notify:
    """Somebody who is told of runs.

    Attributes:
        shape: `slack`, `pagerduty` or `webhook`.
        variable: environment variable that holds the address.
        moments: of `started`, `stopped`, `aborted`, `unproven`.
    """

    shape: Literal["slack", "pagerduty", "webhook"]
    variable: str
    moments: frozenset[Literal["started", "stopped", "aborted", "unproven"]]


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the system runs; may only tighten the blast radius.

    Attributes:
        name: unique.
        allow: hazards allowed.
        blast_radius: what may be risked here, tightened already; None where nothing was tightened.
        approvals: whose yes is needed, None for nobody's.
        windows: hours in which experiments may run; empty for any.
        freezes: days on which none may.
        stop_when: the stop conditions here, tightened already; None where they are those of the intent.
    """

    name: str
    allow: frozenset[Hazard]
    blast_radius: BlastRadius | None = None
    approvals: Approvals | None = None
    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    stop_when: tuple[Criterion, ...] | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A whole intent file.

    Attributes:
        path: file that it came from; paths and Python references are relative to its folder.
        system: what is under test.
        workload: how units are made.
        indicators: by name.
        steady_window_s: how long the steady state is watched.
        steady_holds: what must hold with no fault.
        stop_when: bounds that end an experiment at once.
        blast_radius: how much may be risked.
        beliefs: by id.
        environments: by name.
        notify: who is told of runs.
        alpha: error rate a side of a verdict.
        digest: SHA-256 of the files' content, hexadecimal.
        raw: as loaded, for the record.
    """

    path: Path
    system: System
    workload: Workload
    indicators: dict[str, Indicator]
    beliefs: dict[str, Belief]
    steady_window_s: float = 120.0
    steady_holds: tuple[Criterion, ...] = ()
    stop_when: tuple[Criterion, ...] = ()
    blast_radius: BlastRadius = field(default_factory=BlastRadius)
    environments: dict[str, Environment] = field(default_factory=dict)
    notify: tuple[Notify, ...] = ()
    alpha: float = 0.05
    digest: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Folder of the intent file."""
        return self.path.parent


MODELS = frozenset({"llm", "embedder", "guardrail_model"})
"""Kinds of components that somebody else mostly runs."""


def off_limits(intent: Intent) -> Zone:
    """Return what no fault may touch: what `never` names, with where it is found."""
    components = intent.system.components
    return Zone(tuple(components[name] for name in sorted(intent.blast_radius.never) if name in components))


def providers(intent: Intent) -> tuple[Component, ...]:
    """Return the models that are called directly: what is sent to them says nothing of cohorts. A proxy sees to it by itself."""
    components = intent.system.components.values()
    proxied = [one.endpoint for one in components if one.via == "proxy"]
    return tuple(one for one in components if one.kind in MODELS and not any(same_origin(one.endpoint, url) for url in proxied))
