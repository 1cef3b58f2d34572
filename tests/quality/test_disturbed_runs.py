"""False verdicts and false stops where everything disturbs at once: drifting rates, repeated cases, fast failures beside slow successes.

2,000 runs each, fixed seeds, through the library's own watches in the order in which outcomes arrive. A claimed rate stands unless
the lower Clopper-Pearson bound of what was seen is above it. An error is counted when evidence *ever* crosses.
"""

import numpy as np
import pytest

from refute.stats import AbsoluteStop, RatioTest, RelativeStop, RelativeTest
from refute.stats.mean import FRACTIONS as MEAN_FRACTIONS
from refute.stats.relative import _FRACTIONS as RELATIVE_FRACTIONS
from support.simulation import ALPHA, RUNS, bets, crossed, crossings, relative_edges, share_of, stopped_by_treatment, within

CASES = 200  # each ends alike whenever it is asked at one rate; a unit draws any of them
UNITS = 150


def drifting(bound, times, time, side):
    """Rates that drift over time around `times` the bound, and never to the side of it on which the verdict would be right."""
    wave = np.sin(time / 20)
    if times == 1.0:
        return bound * (1.0 + (-0.5 if side == "refuted" else 0.5) * (wave < 0))
    if times < 1.0:
        return bound * times * (1.0 + wave)
    return np.minimum(0.95, bound * times * (1.0 + 0.5 * wave))


def asked(generator, rates, shape):
    """Whether each unit breaches: a case does where its place among all cases is below the rate of the moment."""
    place = (generator.integers(0, CASES, shape) + 0.5) / CASES
    return place < rates


def ends(generator, breaches):
    """When each unit ends, in seconds, with one start a second: failures within some seconds, successes within 45 s."""
    start = np.arange(breaches.shape[1])
    return start + np.where(breaches, generator.exponential(1.0, breaches.shape), generator.uniform(1.0, 45.0, breaches.shape))


@pytest.mark.parametrize("bound", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("times", [0.5, 1.0, 2.0, 4.0])
def test_false_verdicts_of_a_ratio_criterion(bound, times):
    time, test = np.arange(UNITS), RatioTest(bound, ALPHA)
    sides = {0.5: ["refuted"], 1.0: ["refuted", "held"]}.get(times, ["held"])
    for side in sides:
        generator = np.random.default_rng([31, round(100 * bound), round(10 * times), len(side)])
        breaches = asked(generator, drifting(bound, times, time, side), (RUNS, UNITS))
        order = np.argsort(ends(generator, breaches), axis=1)
        wrong = [crosses(test.watch(), row.tolist(), places.tolist(), side) for row, places in zip(breaches, order, strict=True)]
        by_arrival = crossings(np.take_along_axis(breaches, order, axis=1), test)[0 if side == "refuted" else 1]
        naive = share_of(crossed(by_arrival, UNITS))
        print(f"bound {bound:.0%}, {times:g} times: falsely {side} {share_of(wrong):.4f} (scored by arrival {naive:.3f})")
        assert within(wrong)
        if times == 1.0 and side == "refuted":
            assert not within(crossed(by_arrival, UNITS)), "what disturbs here would mislead a test that scores by arrival"


def crosses(watch, breaches, order, side):
    for place in order:
        evidence = watch.see(place, breaches[place])
        if (evidence.log_refute if side == "refuted" else evidence.log_hold) >= watch.test.threshold:
            return True
    return False


@pytest.mark.parametrize("bound", [0.05, 0.1])
@pytest.mark.parametrize("times", [2.0, 4.0])
def test_disturbed_runs_are_refuted_where_they_should_be(bound, times):
    time, test = np.arange(2 * UNITS), RatioTest(bound, ALPHA)
    generator = np.random.default_rng([32, round(100 * bound), round(times)])
    breaches = asked(generator, drifting(bound, times, time, "held"), (200, 2 * UNITS))
    order = np.argsort(ends(generator, breaches), axis=1)
    found = [crosses(test.watch(), row.tolist(), places.tolist(), "refuted") for row, places in zip(breaches, order, strict=True)]
    assert share_of(found) > {2.0: 0.4, 4.0: 0.95}[times]


# ---- treatment against control


def two_arms(seed, control, difference, share, units):
    """Both arms drift together; treatment is worse by exactly the difference; each case ends alike in both."""
    generator = np.random.default_rng(seed)
    treated = generator.random((RUNS, units)) < share
    rates = control * (1.0 + 0.5 * np.sin(np.arange(units) / 20))
    breaches = asked(generator, np.where(treated, rates + difference, rates), (RUNS, units))
    return treated, breaches, ends(generator, breaches)


def told_late(watches, share, treated, breaches, finished):
    """Interleave starts, one a second, with outcomes as they arrive."""
    events = sorted([(float(i), 0, i) for i in range(len(treated))] + [(end, 1, i) for i, end in enumerate(finished)])
    for _, kind, i in events:
        for watch in watches:
            if kind:
                watch.see(i, breaches[i])
            else:
                watch.begin(treatment=treated[i], share=share)


@pytest.mark.parametrize(("control", "bound", "share"), [(0.05, 0.1, 0.2), (0.2, 0.05, 0.5)])
def test_false_stops_and_verdicts_of_relative_criteria(control, bound, share):
    treated, breaches, finished = two_arms([33, round(100 * control), round(100 * bound)], control, bound, share, 40)
    found = {"stopped": 0, "refuted": 0, "held": 0}
    for row in zip(treated.tolist(), breaches.astype(float).tolist(), finished.tolist(), strict=True):
        stop, verdict = RelativeStop(bound, ALPHA).watch(), RelativeTest(bound, ALPHA).watch()
        told_late([stop, verdict], share, *row)
        found["stopped"] += stop.fired
        found["refuted"] += verdict.evidence.log_refute >= verdict.test.threshold
        found["held"] += verdict.evidence.log_hold >= verdict.test.threshold
    print(f"control {control}, worse by {bound}, share {share}: { ({word: count / RUNS for word, count in found.items()}) }")
    for count in found.values():
        assert within([1] * count + [0] * (RUNS - count))


def test_false_absolute_stops():
    bound, time = 0.1, np.arange(80)
    generator = np.random.default_rng(34)
    breaches = asked(generator, drifting(bound, 1.0, time, "refuted"), (RUNS, 80))
    order = np.argsort(ends(generator, breaches), axis=1)
    fired = []
    for row, places in zip(breaches.astype(float).tolist(), order.tolist(), strict=True):
        watch = AbsoluteStop(bound, ALPHA).watch()
        fired.append(any(watch.see(place, row[place]) for place in places))
    print(f"false absolute stops: {share_of(fired):.4f}")
    assert within(fired)


# ---- "worse by" on a quantile: above the baseline's limit, and above it more often than control


QUANTILE = {"limit": 0.01, "share": 0.5, "units": 400}


@pytest.mark.parametrize(
    ("treatment", "control", "what"),
    [
        (0.01, 0.0, "at the limit, control well"),
        (0.5, 0.5, "both slow"),
        (1.0, 1.0, "both always slow"),
        (0.05, 0.05, "both a little slow"),
    ],
)
def test_false_stops_of_a_relative_quantile(treatment, control, what):
    """`latency p99 worse by > d`: neither a treatment at its limit nor a slowness of both arms may stop a run."""
    fired = quantile_stops(35, treatment, control)
    print(f"p99 worse by, {what}: stopped {share_of(fired):.4f}")
    assert within(fired)


def test_a_relative_quantile_stops_soon_where_treatment_alone_is_slow():
    assert share_of(quantile_stops(36, 0.5, 0.0, units=100)) > 0.97
    assert share_of(quantile_stops(36, 1.0, 0.05, units=40)) > 0.99


def quantile_stops(seed, treatment, control, units=QUANTILE["units"]):
    share, limit = QUANTILE["share"], QUANTILE["limit"]
    generator = np.random.default_rng([seed, round(100 * treatment), round(100 * control)])
    treated = generator.random((RUNS, units)) < share
    slow = (generator.random((RUNS, units)) < np.where(treated, treatment, control)).astype(float)
    above = np.where(treated, (slow - limit) / limit, 0.0)  # control does not bet
    alone = stopped_by_treatment(above, treated, MEAN_FRACTIONS)
    beside = crossed(bets(relative_edges(treated, slow, share, 0.0, 0.1), RELATIVE_FRACTIONS, restarts=True)[1], units)
    return alone & beside
