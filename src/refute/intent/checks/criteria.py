"""Does each criterion fit its indicator, and can both answers occur?"""

from __future__ import annotations

from collections.abc import Iterator

from refute.core.criterion import Criterion, ValueKind
from refute.core.errors import Problem
from refute.core.intent import Indicator, IndicatorKind
from refute.intent.checks.names import MONEY_INDICATORS
from refute.intent.checks.subject import Role, Subject
from refute.intent.document import Steps

_ABSOLUTE: dict[IndicatorKind, tuple[ValueKind, ...]] = {
    "ratio": ("share",),
    "latency": ("seconds",),
    "score": ("number", "share"),
    "cost": ("number", "money"),
    "metric": ("number", "share", "seconds"),
    "deviation": ("number", "share"),
}
_RELATIVE: dict[IndicatorKind, tuple[ValueKind, ...]] = {
    "ratio": ("points",),
    "latency": ("seconds",),
    "score": ("points", "number"),
    "cost": ("number", "money"),
    "metric": ("points", "number", "seconds"),
    "deviation": ("points", "number"),
}
_WRITTEN: dict[ValueKind, str] = {
    "share": "a percentage: 95%",
    "seconds": "a duration: 4 s",
    "money": "an amount: 0.05 USD",
    "number": "a plain number: 0.8",
    "points": "points: 5 points",
}
_BETTER_LOW: frozenset[IndicatorKind] = frozenset({"latency", "cost", "deviation"})
_STATED = {"<": "<=", ">": ">=", "worse by >": "worse by <="}
_STOPPED = {stated: stopped for stopped, stated in _STATED.items()}


def check_criteria(subject: Subject) -> Iterator[Problem]:
    """Yield a problem for each criterion that does not fit, or that only one answer could meet."""
    for steps, criterion, role in subject.criteria():
        indicator = subject.intent.indicators.get(criterion.indicator)
        if role == "stop condition" and criterion.indicator in MONEY_INDICATORS:
            yield from _money(subject, steps, criterion)
        elif indicator is not None:
            misfits = [*_relation(subject, steps, criterion, role), *_fit(subject, steps, criterion, indicator)]
            yield from misfits or _bounds(subject, steps, criterion, indicator)


def _relation(subject: Subject, steps: Steps, criterion: Criterion, role: Role) -> Iterator[Problem]:
    wrong, swap = (_STOPPED, "<, > or worse by >") if role == "stop condition" else (_STATED, ">=, <= or worse by <=")
    if role == "steady state" and criterion.relative:
        what = "the steady state has no control to compare with"
        yield subject.problem("CRITERION-RELATIVE", what, steps, criterion.text, allowed="an absolute bound with >= or <=")
    elif criterion.relation in wrong:
        states = "what must not happen" if role == "stop condition" else "what must hold"
        better = criterion.text.replace(criterion.relation, wrong[criterion.relation], 1)
        what = f"a {role} says {states}"
        yield subject.problem("CRITERION-RELATION", what, steps, criterion.text, allowed=swap, suggestion=better)


def _fit(subject: Subject, steps: Steps, criterion: Criterion, indicator: Indicator) -> Iterator[Problem]:
    kinds = (_RELATIVE if criterion.relative else _ABSOLUTE)[indicator.kind]
    name, text = indicator.name, criterion.text
    if criterion.kind not in kinds:
        what = f"the value does not fit `{name}`, a {indicator.kind}"
        allowed = " or ".join(_WRITTEN[kind] for kind in kinds)
        yield subject.problem("CRITERION-UNIT", what, steps, text, allowed=allowed)
    elif criterion.kind == "money" and criterion.currency != indicator.currency:
        what = f"`{name}` has no price in that currency, so that its units are not known in money"
        allowed = f"money in {indicator.currency}" if indicator.currency else "a plain number, or a `price` at the indicator"
        yield subject.problem("CRITERION-UNIT", what, steps, text, allowed=allowed)
    if indicator.kind in {"latency", "cost"}:
        if criterion.quantile is None:
            what = f"`{name}` has no bound that its mean could prove: one slow unit moves it at will"
            repaired = text.replace(" mean", "", 1).replace(name, f"{name} p95", 1)
            yield subject.problem("CRITERION-STATISTIC", what, steps, text, allowed="a quantile: p50, p95, p99", suggestion=repaired)
    elif indicator.kind == "metric":
        yield from _metric(subject, steps, criterion, indicator)
    elif criterion.quantile is not None:
        what = f"`{name}` is a {indicator.kind}: its units have no quantile worth a bound"
        repaired = text.replace(f" {criterion.statistic}", "", 1) if criterion.kind in kinds else ""
        yield subject.problem("CRITERION-STATISTIC", what, steps, text, allowed="no quantile", suggestion=repaired)
    if indicator.kind in _BETTER_LOW and criterion.relation in {">=", "<"}:
        what = f"`{name}` is better when it is low, but the criterion asks for more of it"
        yield subject.problem("CRITERION-RELATION", what, steps, text, allowed="<=, worse by <=; in a stop condition > or worse by >")


def _metric(subject: Subject, steps: Steps, criterion: Criterion, indicator: Indicator) -> Iterator[Problem]:
    """A verdict on a metric counts the runs, or the pairs, beyond a value: of a quantile, not of a mean."""
    name, text = indicator.name, criterion.text
    if criterion.statistic == "mean":
        what = f"`{name}` has no bound that its mean could prove from a few runs"
        repaired = text.replace(" mean", "", 1)
        yield subject.problem(
            "CRITERION-STATISTIC", what, steps, text, allowed="the median (nothing stated), or a quantile", suggestion=repaired
        )
    if criterion.higher_is_better not in {None, indicator.higher}:
        what = f"`{name}` is better when it is {'high' if indicator.higher else 'low'}, but the criterion bounds it on the other side"
        yield subject.problem("CRITERION-RELATION", what, steps, text, allowed=f"{'>=' if indicator.higher else '<='} or worse by <=")


def _bounds(subject: Subject, steps: Steps, criterion: Criterion, indicator: Indicator) -> Iterator[Problem]:
    value, relation, text = criterion.value, criterion.relation, criterion.text
    if indicator.kind == "metric":
        return
    top = 1.0 if indicator.kind in {"ratio", "score", "deviation"} else float("inf")
    if value < 0 or value > top:
        limit = "0 to 1" if top == 1.0 else "0 or more"
        yield subject.problem("CRITERION-RANGE", f"`{indicator.name}` never gets there", steps, text, allowed=f"a value of {limit}")
    elif (relation in {">=", "<"} and value <= 0) or (relation in {"<=", ">", "worse by <=", "worse by >"} and value >= top):
        always = "never fires" if relation in {"<", ">", "worse by >"} else "holds whatever happens"
        allowed = "a bound that could be broken"
        yield subject.problem("CRITERION-WORTHLESS", f"the criterion {always}: nothing could be learned", steps, text, allowed=allowed)
    elif (relation == ">=" and value >= top) or (relation in {"<=", "worse by <="} and value <= 0):
        what = "no number of units could ever prove a bound with no room for a single failure"
        allowed = "a little room: 99% takes about 380 units, 95% about 75"
        yield subject.problem("CRITERION-UNPROVABLE", what, steps, text, allowed=allowed)


def _money(subject: Subject, steps: Steps, criterion: Criterion) -> Iterator[Problem]:
    name, text = criterion.indicator, criterion.text
    if criterion.relation != ">" or criterion.kind != "money" or criterion.statistic or criterion.value <= 0:
        what = f"`{name}` is money, and ends the experiment when it exceeds an amount"
        yield subject.problem("CRITERION-UNIT", what, steps, text, allowed=f"{name} > 5 USD")
    else:
        yield from (_loss if name == "loss" else _spend)(subject, steps, criterion)


def _loss(subject: Subject, steps: Steps, criterion: Criterion) -> Iterator[Problem]:
    values = [journey.value for journey in subject.intent.system.journeys.values() if journey.value is not None]
    currencies = {value.currency for value in values} | {criterion.currency}
    if not values:
        what = "a loss cannot be counted: no journey says what a good answer is worth"
        yield subject.problem("LOSS-VALUE", what, steps, criterion.text, allowed="`value: 0.40 USD` at a journey at least")
    elif len(currencies) > 1:
        what = "a loss cannot be added up in several currencies"
        yield subject.problem("LOSS-VALUE", what, steps, ", ".join(sorted(currencies)), allowed="one currency")


def _spend(subject: Subject, steps: Steps, criterion: Criterion) -> Iterator[Problem]:
    currencies = {indicator.currency for indicator in subject.intent.indicators.values() if indicator.price}
    if not currencies:
        what = "a spend cannot be counted: no `cost` indicator has a `price`"
        yield subject.problem("SPEND-PRICE", what, steps, criterion.text, allowed="`price: 0.60 USD per 1M` at a cost at least")
    elif len(currencies | {criterion.currency}) > 1:
        what = "a spend cannot be added up in several currencies"
        yield subject.problem("SPEND-PRICE", what, steps, ", ".join(sorted(currencies | {criterion.currency})), allowed="one currency")
