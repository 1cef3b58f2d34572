"""The shape of an intent file, as models: what keys there are, what each means and what it may hold."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, PlainValidator, Tag, WithJsonSchema, model_validator

from refute.core.system import ComponentKind, Hazard
from refute.core.training import BuiltIn
from refute.intent.deviation_shape import DeviationShape
from refute.intent.part import Part
from refute.intent.values import (
    Alpha,
    Amount,
    Cohort,
    Confidence,
    CriterionText,
    Duration,
    Endpoint,
    Freezes,
    GuardianAddress,
    MagnitudeText,
    Name,
    Objective,
    Paths,
    Pattern,
    PositiveShare,
    Price,
    Ramp,
    Rate,
    Reference,
    Reserved,
    Said,
    Services,
    StakeOrMoney,
    Text,
    Url,
    Via,
    Windows,
    Words,
    mistake,
)

VERSION = 1


class ProcessShape(Part):
    """How the one process that serves a component is told from all others on this host."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("pidfile", "match")

    pidfile: Text | None = Field(default=None, description="File in which it keeps its process id, relative to this one.")
    match: Text | None = Field(default=None, description="Text that stands in its command line and in no other.")


class AuthorityShape(Part):
    """Who signs a component's certificate: what its clients trust, and the key, in a place for tests."""

    certificate: Text = Field(description="File with the authority's certificate (PEM), relative to this one.")
    key: Text = Field(description="File with its key (PEM, without a password); it is read only while a fault is applied.")


class ComponentShape(Part):
    """One part of the system."""

    kind: ComponentKind = Field(description="What sort of component it is; faults apply to kinds.")
    calls: list[Text] = Field(default=[], description="Names of the components that it calls.")
    endpoint: Endpoint | None = Field(
        default=None, description="Base URL at which others reach it; tcp://HOST:PORT or stdio://NAME where it is not HTTP."
    )
    python: Reference | None = Field(default=None, description="module:function that is called to reach it.")
    via: Via | None = Field(
        default=None,
        description="`proxy`: its calls pass through `refute proxy`, and are broken there rather than in the caller. `exec NAME`: they are "
        "broken in the program that runs under `refute exec --name NAME`.",
    )
    process: ProcessShape | None = Field(
        default=None, description="Its process, for faults of processes; where not stated, what listens at its port."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="TCP port on loopback at which it listens; the endpoint's where not stated."
    )
    netns: Name | None = Field(default=None, description="Named network namespace that it runs in.")
    directory: Text | None = Field(default=None, description="Directory that it writes to, relative to this file.")
    authority: AuthorityShape | None = Field(default=None, description="Who signs its certificate, for `tls.expired`.")
    version: Text | None = Field(
        default=None,
        description="What runs there: a model and its version, an image's digest, a release; env:NAME where a variable holds it. "
        "Its change makes answers stale.",
    )
    stand_in: Text | None = Field(
        default=None,
        description="What `embedder.swapped` and `content.degraded` put in its place: another model's name at the same endpoint, or "
        "module:function with the same arguments.",
    )
    host: Text | None = Field(
        default=None, description="Host of `system.hosts` that it runs on, if not on this one; process, port and directory are those there."
    )


class HostShape(Part):
    """Another host that components run on. Certificates stand in the user's configuration, never here."""

    guardian: GuardianAddress = Field(description="Where its `refute guardian` listens.")


class SystemShape(Part):
    """What is under test."""

    name: Text = Field(description="Unique for the team.")
    owner: Text | None = Field(default=None, description="Who answers for the system.")
    components: dict[Name, ComponentShape] = Field(min_length=1, description="Components by name; traces may add some.")
    hosts: dict[Name, HostShape] = Field(default={}, description="Other hosts that components run on, by name.")
    traces: Paths | None = Field(
        default=None, description="OTLP files, `*` allowed, or a graph of `refute import traces --json`: refine components, calls, weights."
    )


class JourneyShape(Part):
    """Something that users do with the system."""

    entry: Text = Field(description="Component at which it enters.")
    share: PositiveShare | None = Field(default=None, description="Share of traffic; what is left is split evenly where none is stated.")
    value: Amount | None = Field(default=None, description="Worth of one good answer.")


class TrainingShape(Part):
    """How one training run is started, and what it tells of itself."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("python", "command")

    python: Reference | None = Field(default=None, description="module:function that takes a seed, trains, and returns metrics by name.")
    command: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="Program and arguments; {seed} and {run}, a fresh folder, are filled in."
    )
    seeds: Annotated[int, Field(ge=1, le=1000)] = Field(default=20, description="Pairs of runs at most, one a seed.")
    restarts: Annotated[int, Field(ge=0, le=100)] = Field(default=0, description="How often a run that failed is started again.")
    metrics: dict[Name, Pattern] = Field(
        default={}, description="Regular expressions by metric: its value is the last match in the output."
    )
    progress: Pattern | None = Field(
        default=None, description="Regular expression with a group `step`, and `loss` where the output has it."
    )
    alarm: Pattern | None = Field(
        default=None, description="Regular expression of output that would tell the team that something is wrong."
    )
    files: list[Text] = Field(default=[], description="What runs depend on beside the Python files of this folder, relative to this file.")

    @model_validator(mode="after")
    def _progress_has_steps(self) -> TrainingShape:
        if self.progress is not None and "(?P<step>" not in self.progress:
            raise mistake("PATTERN-SYNTAX", "has a `progress` without steps", allowed="a group (?P<step>[0-9]+) in it")
        return self


class WorkloadShape(Part):
    """How units are made, or where those of live traffic are seen."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("python", "http", "observe", "training")

    python: Reference | None = Field(default=None, description="module:function that takes a case and answers it.")
    http: Url | None = Field(default=None, description="URL to which each case is posted as JSON.")
    training: TrainingShape | None = Field(default=None, description="Each unit is a training run; it needs no `cases` and no `rate`.")
    command: Annotated[Any, Reserved("workloads that are commands", "`python`, `http`, `observe` or `training`")] = None
    observe: Services | None = Field(
        default=None, description="Names of services whose live traffic is observed; nothing is generated. They have the middleware."
    )
    start: Annotated[Any, Reserved("starting the service under test", "a service that already runs")] = None
    cleanup: Annotated[Any, Reserved("undoing what units wrote")] = None
    setup: Reference | None = Field(default=None, description="module:function, an async context manager around the whole run.")
    cases: Text | None = Field(
        default=None,
        description="Path of a JSON Lines file, one case a line; each may name its journey and its id. Not with `observe` or `training`.",
    )
    rate: Rate | None = Field(
        default=None,
        description="Units started per time, whatever becomes of them; with `observe`, as many as are to be expected. Not with `training`.",
    )
    unit: Annotated[str, Words("request", conversation="conversations of several turns")] = Field(
        default="request", description="What is counted."
    )
    timeout: Duration = Field(default=30.0, description="After it a unit counts as failed.")

    @model_validator(mode="after")
    def _load_fits(self) -> WorkloadShape:
        if self.training is not None:
            return self._no_load()
        if self.observe is None and self.cases is None:
            raise mistake("WORKLOAD-CASES", "has no `cases` to answer", allowed="`cases: FILE`, or `observe`")
        made = [name for name in ("cases", "setup") if getattr(self, name) is not None]
        if self.observe is not None and made:
            raise mistake("WORKLOAD-CASES", f"observes live traffic, and has {' and '.join(made)}", allowed="neither `cases` nor `setup`")
        if self.rate is None:
            raise mistake("KEY-MISSING", "has no `rate`", allowed="`rate: 5/s`")
        return self

    def _no_load(self) -> WorkloadShape:
        if any(getattr(self, name) is not None for name in ("cases", "rate", "setup")):
            raise mistake("TRAINING-LOAD", "has a load beside `training`", allowed="`training` and `timeout`: its units are seeds")
        return self


class IndicatorShape(Part):
    """A number per unit."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("ratio", "latency", "score", "cost", "metric", "training", "deviation")

    ratio: Reference | None = Field(default=None, description="module:function taking (case, answer): is this unit good?")
    score: Reference | None = Field(default=None, description="module:function taking (case, answer): a number between 0 and 1.")
    cost: Reference | None = Field(default=None, description="module:function taking (case, answer): what the unit cost.")
    latency: Literal[True] | None = Field(default=None, description="Seconds from the intended start to the end.")
    metric: Name | None = Field(
        default=None, description="Of a training run: the final value of the metric that it reports under this name."
    )
    better: Literal["high", "low"] | None = Field(default=None, description="Of a `metric`: which way is better; high where not stated.")
    training: BuiltIn | None = Field(default=None, description="Of a training run: what is read from how it went.")
    deviation: DeviationShape | None = Field(default=None, description="How far an agent strays from what it was meant to do, 0 to 1.")
    price: Price | None = Field(default=None, description="Of a `cost`: what one of its unit costs, or many; it then counts as `spend`.")
    judge: Annotated[Any, Reserved("models that judge answers", "a function under `ratio` or `score`")] = None

    @model_validator(mode="after")
    def _only_a_cost_has_a_price(self) -> IndicatorShape:
        if self.price is not None and self.cost is None:
            raise mistake("PRICE-KIND", "has a `price`, and is no cost", allowed="`price` beside `cost`")
        if self.better is not None and self.metric is None:
            raise mistake("PRICE-KIND", "says which way is `better`, and is no metric", allowed="`better` beside `metric`")
        return self


class SteadyStateShape(Part):
    """What the indicators look like with no fault."""

    window: Duration = Field(default=120.0, description="How long it is watched before anything is injected.")
    holds: list[CriterionText] = Field(default=[], description="What must hold; otherwise nothing is injected.")


class ErrorBudgetShape(Part):
    """A service-level objective's budget."""

    objective: Objective | None = Field(default=None, description="Share of good events that was promised; required without `slo`.")
    window: Duration | None = Field(default=None, description="Over which it is counted; required without `slo`.")
    spend: PositiveShare = Field(description="Share of the budget that experiments may spend.")
    slo: Text | None = Field(
        default=None, description="OpenSLO or Sloth file that states objective, window and queries; `FILE#NAME` for one of several."
    )
    prometheus: Url | None = Field(default=None, description="Server that is asked how quickly the budget burns, before a run.")

    @model_validator(mode="after")
    def _is_stated_once(self) -> ErrorBudgetShape:
        stated = [name for name in ("objective", "window") if getattr(self, name) is not None]
        if self.slo is None and len(stated) < 2:
            raise mistake("BUDGET-STATED", "does not say what was promised", allowed="`objective` and `window`, or `slo`")
        if self.slo is not None and stated:
            raise mistake("BUDGET-STATED", "says twice what was promised", allowed="`objective` and `window`, or `slo`")
        if self.prometheus is not None and self.slo is None:
            raise mistake("BUDGET-STATED", "has no queries to ask Prometheus", allowed="`slo` beside `prometheus`")
        return self


class SelectionShape(Part):
    """Some of the traffic, and some of the system."""

    journeys: list[Text] = Field(default=[], description="Names of journeys.")
    components: list[Text] = Field(default=[], description="Names of components that faults strike.")
    cases: dict[Name, Said] = Field(default={}, description="Values by field of the case: one, or a list of them.")


class BlastRadiusShape(Part):
    """How much may be risked."""

    cohort: Cohort | None = Field(default=None, description="Share of units that see the fault; 50% where not stated.")
    ramp: Ramp | None = Field(
        default=None, description="Rising shares instead of `cohort`: each comes once the one before it has landed and done no undue harm."
    )
    cohort_by: Name | None = Field(
        default=None,
        description="Field of the case, such as a user or a tenant, whose units stay in one arm; each unit by itself otherwise.",
    )
    only: SelectionShape | None = Field(default=None, description="What alone may see faults; everything where not stated.")
    except_: SelectionShape | None = Field(default=None, alias="except", description="What sees none.")
    units: Annotated[int, Field(ge=2)] | None = Field(default=None, description="Treatment and control together; 400 where not stated.")
    duration: Duration | None = Field(default=None, description="Longest injection; 5 min where not stated.")
    error_budget: ErrorBudgetShape | None = Field(default=None, description="How much of an error budget may be spent.")
    never: list[Text] = Field(default=[], description="Components that no fault may touch.")
    hosts: list[Text] | None = Field(default=None, description="Hosts to which load may be sent; loopback where not stated.")

    @model_validator(mode="after")
    def _has_one_cohort(self) -> BlastRadiusShape:
        if self.ramp is not None and self.cohort is not None:
            raise mistake("RAMP-COHORT", "states `cohort` beside `ramp`, whose last step it is", allowed="one of them")
        return self


class ApprovalsShape(Part):
    """Whose signed yes a run needs."""

    need: Annotated[int, Field(ge=1, le=20)] = Field(default=1, description="How many people.")
    not_: Literal["author"] | None = Field(default=None, alias="not", description="`author`: whoever starts the run does not count.")
    signers: Text = Field(description="OpenSSH `allowed_signers` file of those who may say yes.")


class NotifyShape(Part):
    """Who is told of runs; addresses are secrets and stand in environment variables."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("slack", "pagerduty", "webhook")

    slack: Name | None = Field(default=None, description="Environment variable that holds a Slack webhook's URL.")
    pagerduty: Name | None = Field(default=None, description="Environment variable that holds a PagerDuty routing key.")
    webhook: Name | None = Field(default=None, description="Environment variable that holds the URL that plain JSON is posted to.")
    tell: list[Literal["started", "stopped", "aborted", "unproven"]] = Field(
        default=["started", "stopped", "aborted", "unproven"], description="What of."
    )


class EnvironmentShape(Part):
    """Where the system runs; it may only tighten what the file allows."""

    allow: list[Hazard] | None = Field(
        default=None, description="Hazards allowed here; where not stated all, in production those that a rollback undoes."
    )
    blast_radius: BlastRadiusShape | None = Field(default=None, description="Tighter bounds here.")
    approvals: ApprovalsShape | None = Field(default=None, description="Whose signed yes a run needs here.")
    windows: Windows = Field(default=(), description="Hours in which experiments may run, with their zone; at any time where not stated.")
    freezes: Freezes = Field(default=(), description="Days on which none may run.")
    stop_when: list[CriterionText] = Field(default=[], description="Further bounds here, or tighter ones.")


class WhenShape(Part):
    """The fault of a belief."""

    fault: Text = Field(description="Name in the catalogue, `family.kind`; `refute faults` lists them.")
    target: Text = Field(description="Component that it strikes.")
    magnitude: MagnitudeText | None = Field(default=None, description="How hard, in the fault's unit; its typical one where not stated.")
    share: PositiveShare = Field(default=1.0, description="Probability that a draw is hit.")
    draw: Annotated[str, Words("call", "attempt", "conversation", "user", burst="faults in bursts")] = Field(
        default="call",
        description="What is drawn: a call with its retries, each attempt, a conversation with all its calls, or a user: all "
        "conversations of one case.",
    )
    turn: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Which of a conversation's calls can be hit, from 1, of those that the fault could hit; any where not stated.",
    )
    uncontrolled: bool = Field(default=False, description="Agreed: the fault strikes the whole component, so every unit sees it.")


ONE, SEVERAL = "<one>", "<several>"
"""What pydantic calls the two forms of `when` on the way to a mistake."""

Faults = Annotated[
    Annotated[WhenShape, Tag(ONE)] | Annotated[list[WhenShape], Field(min_length=1), Tag(SEVERAL)],
    Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
]


class BeliefShape(Part):
    """A falsifiable hypothesis with what hangs on it."""

    id: Name = Field(description="Unique within the intent.")
    claim: Text = Field(description="The belief in words.")
    when: Faults = Field(description="The fault; or a list of faults that strike at once, each drawn by itself.")
    then: CriterionText = Field(description="What must hold: [journey.]indicator [pNN|mean] (>= | <= | worse by <=) value.")
    among: Literal["eligible", "faulted"] = Field(default="eligible", description="Which treatment units the criterion covers.")
    confidence: Confidence = Field(description="Probability that the claim is true, as you see it now.")
    decides: Text | None = Field(default=None, description="The decision that hangs on it.")
    if_wrong: StakeOrMoney = Field(default="medium", description="What it costs if wrong: low, medium, high, severe or an amount of money.")
    owner: Text | None = Field(default=None, description="Who answers for it; the system's owner where not stated.")
    after: list[Text] = Field(default=[], description="Ids of beliefs that must hold before this one is put to the test.")
    depends_on: list[Text] = Field(
        default=[],
        description="What makes the answer stale when it changes: files, folders, package:NAME, env:NAME, image:REF, ids of beliefs.",
    )

    @property
    def faults(self) -> tuple[WhenShape, ...]:
        """Each fault, in the order of the file."""
        return (self.when,) if isinstance(self.when, WhenShape) else tuple(self.when)


class VerdictShape(Part):
    """How verdicts are reached."""

    alpha: Alpha = Field(default=0.05, description="Error rate a side of a verdict.")


def _version(value: Any) -> int:
    if value is VERSION or (isinstance(value, int) and not isinstance(value, bool) and value == VERSION):
        return VERSION
    raise mistake("VERSION-UNKNOWN", "is no version of the intent file that this Refute reads", allowed=str(VERSION))


class IntentShape(Part):
    """What you believe about how a system fails, and everything needed to test it."""

    version: Annotated[int, PlainValidator(_version), WithJsonSchema({"const": VERSION})] = Field(description="Version of this format.")
    system: SystemShape = Field(description="What is under test: components and calls.")
    journeys: dict[Name, JourneyShape] = Field(default={}, description="What users do with the system, by name.")
    workload: WorkloadShape = Field(description="How units are made.")
    indicators: dict[Name, IndicatorShape] = Field(min_length=1, description="Numbers per unit, by name.")
    steady_state: SteadyStateShape = Field(default=SteadyStateShape(), description="What must hold with no fault.")
    stop_when: list[CriterionText] = Field(default=[], description="Bounds that end an experiment at once.")
    blast_radius: BlastRadiusShape = Field(default=BlastRadiusShape(), description="How much may be risked.")
    notify: list[NotifyShape] = Field(default=[], description="Who is told when a run starts, stops, or goes wrong.")
    environments: dict[Name, EnvironmentShape] = Field(default={}, description="Where the system runs, by name.")
    beliefs: list[BeliefShape] = Field(min_length=1, description="What you believe.")
    verdict: VerdictShape = Field(default=VerdictShape(), description="How verdicts are reached.")
    judges: Annotated[Any, Reserved("models that judge answers", "functions under `indicators`")] = None
