"""How criteria read outcomes, and where a relative limit comes from."""

from __future__ import annotations

import pytest

from refute.core.criterion import parse_criterion
from refute.core.intent import Indicator
from refute.core.measure import NoBaselineError, measure
from refute.core.outcome import Outcome

INDICATORS = {
    "latency": Indicator("latency", "latency"),
    "tokens": Indicator("tokens", "cost", "a:b", 0.002, "USD"),
    "answered": Indicator("answered", "ratio", "a:b"),
}


def outcome(latency_s=0.1, journey="", error="", **cost):
    return Outcome("u", "c", "control", journey, 0, 0.0, latency_s, {"latency": latency_s}, error=error, cost=cost)


def one(text):
    return measure(parse_criterion(text), INDICATORS)


def test_a_relative_limit_is_that_of_the_criterions_journey():
    baseline = [outcome(0.1, "chat")] * 50 + [outcome(3.0, "report")] * 50
    assert one("chat.latency p95 worse by <= 1 s").with_baseline(baseline).limit == pytest.approx(1.1)
    assert one("report.latency p95 worse by <= 1 s").with_baseline(baseline).limit == pytest.approx(4.0)
    assert one("latency p95 worse by <= 1 s").with_baseline(baseline).limit == pytest.approx(4.0)


def test_a_relative_limit_counts_failed_units_as_the_slowest():
    baseline = [outcome(0.1)] * 96 + [outcome(5.0, error="timeout")] * 4
    assert one("latency p95 worse by <= 1 s").with_baseline(baseline).limit == pytest.approx(1.1)
    with pytest.raises(NoBaselineError, match="failed unit"):
        one("latency p99 worse by <= 1 s").with_baseline(baseline)


def test_without_a_unit_of_the_journey_there_is_nothing_to_be_worse_than():
    with pytest.raises(NoBaselineError, match="no unit"):
        one("chat.latency p95 worse by <= 1 s").with_baseline([outcome(0.1, "report")])
    with pytest.raises(NoBaselineError, match="needs a baseline"):
        one("latency p95 worse by <= 1 s").breach(outcome())


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [("tokens p95 <= 100", 100, 101), ("tokens p95 <= 0.2 USD", 100, 101), ("tokens p50 worse by <= 0.2 USD", 110, 111)],
)
def test_a_cost_is_held_against_its_limit_in_its_own_unit_or_in_money(text, good, bad):
    ready = one(text).with_baseline([outcome(tokens=10.0)] * 10)
    assert ready.by_quantile
    assert not ready.relative
    assert (ready.breach(outcome(tokens=good)), ready.breach(outcome(tokens=bad))) == (0.0, 1.0)
    assert ready.breach(outcome()) is None
    assert ready.breach(outcome(error="timeout")) == 1.0


def test_the_bound_of_a_quantile_is_the_one_that_was_written():
    assert one("latency p95 <= 1 s").bound == 0.05
    assert one("tokens p99.9 <= 100").bound == 0.001
