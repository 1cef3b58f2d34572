"""Are the error rates what is claimed, and does every test fire when it should?

Fixed seeds; 2,000 runs for each false verdict. A claimed rate stands unless the lower Clopper-Pearson bound of what was seen is
above it. An error is counted when evidence *ever* crosses, which is stricter than the verdict, where the first crossing stays.
Floors on power only show that a test fires.
"""

import math

import numpy as np
import pytest

from refute.stats import (
    AbsoluteStop,
    MeanTest,
    RatioTest,
    RelativeStop,
    RelativeTest,
    answerable,
    balanced_base,
    beta_quantile,
    clopper_pearson,
    log_harm,
)
from refute.stats.mean import FRACTIONS as MEAN_FRACTIONS
from refute.stats.relative import _FRACTIONS as RELATIVE_FRACTIONS
from support.simulation import ALPHA, RUNS, bets, crossed, crossings, relative_edges, share_of, within

# ---- ratio criteria


@pytest.mark.parametrize("bound", [0.01, 0.05, 0.10, 0.30])
@pytest.mark.parametrize("times", [0.5, 1.0, 2.0, 4.0])
def test_false_verdicts_of_a_ratio_criterion(bound, times):
    rate, units = bound * times, 2000 if bound < 0.05 else 600
    if rate >= 1.0:
        rate = 0.95
    generator = np.random.default_rng([1, round(1000 * bound), round(10 * times)])
    refuted, held = crossings(generator.random((RUNS, units)) < rate, RatioTest(bound, ALPHA))
    shares = share_of(crossed(refuted, units)), share_of(crossed(held, units))
    print(f"bound {bound:.0%}, rate {rate:.1%}, {units} units: refuted {shares[0]:.3f}, held {shares[1]:.3f}")
    if times <= 1.0:
        assert within(crossed(refuted, units))
    if times >= 1.0:
        assert within(crossed(held, units))
    if times == 0.5:
        assert np.mean(crossed(held, units)) > 0.5
    if times == 2.0:
        assert np.mean(crossed(refuted, units)) > 0.5
    if times == 4.0:
        assert np.mean(crossed(refuted, units // 2)) > 0.99


def test_at_the_bound_some_verdicts_are_false():
    """The tests above can fail: at the boundary rate errors do happen, and a threshold of E = 4 instead of 20 makes too many."""
    generator = np.random.default_rng(2)
    breaches = generator.random((RUNS, 600)) < 0.1
    assert np.sum(crossed(crossings(breaches, RatioTest(0.1, ALPHA))[0], 600)) > 5
    assert not within(crossed(crossings(breaches, RatioTest(0.1, 0.25))[0], 600))


def test_the_boundaries_used_here_are_those_of_the_watch():
    generator = np.random.default_rng(3)
    for rate in (0.02, 0.1, 0.25):
        breaches = generator.random((12, 150)) < rate
        test = RatioTest(0.1, ALPHA)
        refuted, held = crossings(breaches, test)
        for run, row in enumerate(breaches):
            evidence = test.evidence(row.tolist())
            assert (evidence.log_refute >= test.threshold) == (refuted[run] <= 150)
            assert (evidence.log_hold >= test.threshold) == (held[run] <= 150)


@pytest.mark.parametrize("kind", ["steps", "waves", "spiteful"])
def test_false_verdicts_where_the_rate_drifts(kind):
    bound, units = 0.1, 500
    generator = np.random.default_rng(4)
    draws, time = generator.random((RUNS, units)), np.arange(units)
    for sign, side in ((-1, 0), (+1, 1)):  # always within the bound, and never within it
        if kind == "steps":
            rates = bound * (1 + sign * 0.8 * ((time // 60) % 2))
            breaches = draws < rates
        elif kind == "waves":
            breaches = draws < bound * (1 + sign * 0.5 * (1 + np.sin(time / 25)))
        else:  # the rate reads the past and is at the bound only where the evidence stands near its verdict
            breaches, count = np.zeros((RUNS, units), bool), np.zeros(RUNS)
            for i in range(units):
                near = (count > bound * i) if side == 0 else (count < bound * i)
                breaches[:, i] = draws[:, i] < np.where(near, bound, bound * (1 + sign * 0.5))
                count += breaches[:, i]
        assert within(crossed(crossings(breaches, RatioTest(bound, ALPHA))[side], units))


def test_repeats_of_a_case_are_one_unit():
    """Ten repeats of each case, and a case fails always or never: counting requests is wrong far too often, counting cases is not."""
    bound, cases, repeats = 0.1, 60, 10
    generator = np.random.default_rng(5)
    bad_case = generator.random((RUNS, cases)) < bound
    by_request = np.repeat(bad_case, repeats, axis=1)
    refuted, held = crossings(by_request, RatioTest(bound, ALPHA))
    print(f"requests as units: {share_of(refuted <= cases * repeats):.3f} refuted, {share_of(held <= cases * repeats):.3f} held, falsely")
    assert np.mean(crossed(refuted, cases * repeats)) > 5 * ALPHA
    assert np.mean(crossed(held, cases * repeats)) > 5 * ALPHA
    refuted, held = crossings(bad_case, RatioTest(bound, ALPHA))
    print(f"cases as units: {share_of(refuted <= cases):.3f} refuted, {share_of(held <= cases):.3f} held, falsely")
    assert within(crossed(refuted, cases))
    assert within(crossed(held, cases))


def test_partly_correlated_repeats_as_shares():
    """A case's share of breaches, between 0 and 1, is a unit of its own."""
    bound, cases, repeats = 0.1, 60, 5
    generator = np.random.default_rng(6)
    test = RatioTest(bound, ALPHA)
    errors = {"at the bound": [0, 0], "four times": [0, 0]}
    for name, rate in (("at the bound", bound), ("four times", 4 * bound)):
        case_rates = generator.beta(rate, 1 - rate, (RUNS, cases))  # repeats correlate with ½
        shares = generator.binomial(repeats, case_rates) / repeats
        for row in shares[: RUNS if name == "at the bound" else 200]:
            evidence = test.evidence(row.tolist())
            errors[name][0] += evidence.log_refute >= test.threshold
            errors[name][1] += evidence.log_hold >= test.threshold
    assert clopper_pearson(errors["at the bound"][0], RUNS)[0] <= ALPHA
    assert clopper_pearson(errors["at the bound"][1], RUNS)[0] <= ALPHA
    assert errors["four times"][0] > 0.9 * 200
    assert errors["four times"][1] == 0


@pytest.mark.parametrize(("slow_breaches", "side"), [(False, "refuted"), (True, "held")])
def test_late_outcomes(slow_breaches, side):
    """Fast failures and slow successes (and the reverse), one start a second, a look at every outcome.

    Scoring in the order of arrival is wrong several times too often; the order of intended start with filled gaps is not.
    """
    bound, units = 0.1, 120
    generator = np.random.default_rng([7, slow_breaches])
    breaches = generator.random((RUNS, units)) < bound
    slow = breaches if slow_breaches else ~breaches
    finished = np.arange(units) + np.where(slow, 30.0, 1.0) * generator.exponential(1.0, (RUNS, units))
    test = RatioTest(bound, ALPHA)

    order = np.argsort(finished, axis=1)
    place = 0 if side == "refuted" else 1
    naive = crossed(crossings(np.take_along_axis(breaches, order, axis=1), test)[place], units)
    assert np.mean(naive) > 3 * ALPHA

    errors = []
    for run in range(RUNS):
        watch, row = test.watch(), breaches[run].tolist()
        for index in order[run].tolist():
            evidence = watch.see(index, row[index])
        errors.append((evidence.log_refute if side == "refuted" else evidence.log_hold) >= test.threshold)
    print(f"falsely {side} with late outcomes: by arrival {share_of(naive):.3f}, by intended start {share_of(errors):.4f}")
    assert within(errors)
    assert sum(errors) > 0


def test_late_outcomes_do_not_hide_a_real_breach():
    generator = np.random.default_rng(8)
    caught = 0
    for _ in range(100):
        breaches = generator.random(120) < 0.4
        order = np.argsort(np.arange(120) + np.where(breaches, 1.0, 30.0) * generator.exponential(1.0, 120))
        watch = RatioTest(0.1, ALPHA).watch()
        for index in order.tolist():
            watch.see(index, bool(breaches[index]))
        caught += watch.evidence.decision == "refuted"
    assert caught >= 99


# ---- treatment against control


@pytest.mark.parametrize(("control", "bound", "share"), [(0.05, 0.0, 0.2), (0.05, 0.1, 0.2), (0.3, 0.1, 0.5), (0.2, 0.05, 0.1)])
def test_false_verdicts_and_stops_of_relative_criteria(control, bound, share):
    """Exactly at the bound, where both verdicts are errors."""
    units = 600
    generator = np.random.default_rng([9, round(100 * control), round(100 * bound), round(100 * share)])
    treatment = generator.random((RUNS, units)) < share
    breaches = (generator.random((RUNS, units)) < np.where(treatment, control + bound, control)).astype(float)
    worse = relative_edges(treatment, breaches, share, bound, 0.1)
    better = relative_edges(treatment, breaches, share, bound, 0.1, worse=False)
    refuted = crossed(bets(worse, RELATIVE_FRACTIONS)[1], units)
    held = crossed(bets(better, RELATIVE_FRACTIONS)[1], units)
    stopped = crossed(bets(worse, RELATIVE_FRACTIONS, restarts=True)[1], units)
    shares = [share_of(errors) for errors in (refuted, held, stopped)]
    print(f"control {control}, worse by {bound}, share {share}: falsely refuted, held, stopped {shares}")
    assert within(refuted)
    assert within(held)
    assert within(stopped)


def test_false_relative_stops_where_both_arms_drift():
    units, share, bound = 600, 0.2, 0.1
    generator = np.random.default_rng(10)
    treatment = generator.random((RUNS, units)) < share
    control = 0.3 + 0.28 * np.sin(np.arange(units) / 40)
    breaches = (generator.random((RUNS, units)) < np.where(treatment, control + bound, control)).astype(float)
    edges = relative_edges(treatment, breaches, share, bound, 0.1)
    assert within(crossed(bets(edges, RELATIVE_FRACTIONS, restarts=True)[1], units))
    assert within(crossed(bets(edges, RELATIVE_FRACTIONS)[1], units))


def test_the_bets_simulated_here_are_those_of_the_library():
    generator = np.random.default_rng(11)
    treatment = generator.random((6, 150)) < 0.3
    breaches = (generator.random((6, 150)) < np.where(treatment, 0.4, 0.1)).astype(float)
    worse = relative_edges(treatment, breaches, 0.3, 0.05, 0.1)
    better = relative_edges(treatment, breaches, 0.3, 0.05, 0.1, worse=False)
    refute, hold = bets(worse, RELATIVE_FRACTIONS)[0], bets(better, RELATIVE_FRACTIONS)[0]
    alarm = bets(worse, RELATIVE_FRACTIONS, restarts=True)[0]
    absolute = bets((breaches - 0.2) / 0.2, MEAN_FRACTIONS, restarts=True)[0]
    for run in range(6):
        watch, stop, plain = RelativeTest(0.05).watch(), RelativeStop(0.05).watch(), AbsoluteStop(0.2).watch()
        for i in range(150):
            treated, breach = bool(treatment[run, i]), float(breaches[run, i])
            watch.see(watch.begin(treatment=treated, share=0.3), breach)
            stop.see(stop.begin(treatment=treated, share=0.3), breach)
            plain.see(i, breach)
        assert watch.evidence.log_refute == pytest.approx(refute[run], abs=1e-9)
        assert watch.evidence.log_hold == pytest.approx(hold[run], abs=1e-9)
        assert stop.log_evidence == pytest.approx(alarm[run], abs=1e-9)
        assert plain.log_evidence == pytest.approx(absolute[run], abs=1e-9)


def run_late(watch, treatment, breaches, finished):
    """Interleave starts, one a second, with outcomes as they finish; the last known evidence stays in the watch."""
    units = len(treatment)
    events = sorted([(float(i), 0, i) for i in range(units)] + [(float(finished[i]), 1, i) for i in range(units)])
    for _, kind, i in events:
        if kind == 0:
            watch.begin(treatment=treatment[i], share=0.5)
        else:
            watch.see(i, breaches[i])


def test_false_relative_stops_with_late_outcomes():
    """Failures come fast in both arms; treatment's successes come later than control's."""
    units, rate = 80, 0.2
    generator = np.random.default_rng(12)
    alarms = []
    for _ in range(RUNS):
        treatment, breaches = generator.random(units) < 0.5, generator.random(units) < rate
        scale = np.where(breaches, 0.5, np.where(treatment, 40.0, 5.0))
        finished = np.arange(units) + 0.01 + scale * generator.exponential(1.0, units)
        watch = RelativeStop(0.0, ALPHA).watch()
        run_late(watch, treatment.tolist(), breaches.astype(float).tolist(), finished)
        alarms.append(watch.fired)
    print(f"false relative stops with late outcomes: {share_of(alarms):.4f}")
    assert within(alarms)


def test_equal_arms_hold_where_there_are_units_enough():
    units = 600
    generator = np.random.default_rng(22)
    treatment = generator.random((500, units)) < 0.5
    breaches = (generator.random((500, units)) < 0.05).astype(float)
    places = bets(relative_edges(treatment, breaches, 0.5, 0.1, 0.05, worse=False), RELATIVE_FRACTIONS)[1]
    print(f"arms at 5 %, worse by at most 0.1, equal shares: held {share_of(places <= units):.3f}, median unit {np.median(places):.0f}")
    assert share_of(places <= units) > 0.95


def test_a_clean_run_holds_within_80_units():
    test = RatioTest(0.05, ALPHA)
    _, held = crossings(np.zeros((1, 80), bool), test)
    assert held[0] <= 80
    watch = test.watch()
    for index in np.argsort(np.arange(80) + np.random.default_rng(14).exponential(10.0, 80)).tolist():
        watch.see(index, breach=False)
    assert watch.evidence.decision == "held"


# ---- stop conditions, means and the rest


@pytest.mark.parametrize("bound", [0.01, 0.1, 0.3])
def test_false_absolute_stops(bound):
    generator = np.random.default_rng([15, round(100 * bound)])
    for times, expected in ((1.0, None), (4.0 if bound < 0.25 else 2.5, 0.95)):
        breaches = generator.random((RUNS, 800)) < bound * times
        fired = crossed(bets((breaches - bound) / bound, MEAN_FRACTIONS, restarts=True)[1], 800)
        assert within(fired) if expected is None else np.mean(fired) >= expected


def test_many_stop_conditions_together_rarely_raise_a_false_alarm():
    """Five independent conditions, all at their bounds."""
    generator = np.random.default_rng(16)
    any_fired = np.zeros(RUNS, bool)
    for bound in (0.05, 0.1, 0.2, 0.3, 0.5):
        breaches = generator.random((RUNS, 400)) < bound
        largest, _ = bets((breaches - bound) / bound, MEAN_FRACTIONS, restarts=True)
        any_fired |= largest >= AbsoluteStop(bound, ALPHA, conditions=5).threshold
    assert within(any_fired)


@pytest.mark.parametrize("shape", [(0.2, 0.2), (2.0, 2.0), (20.0, 20.0), (9.0, 1.0)])
def test_false_verdicts_about_means(shape):
    a, b = shape
    units, bound = 400, a / (a + b)
    scores = np.random.default_rng([17, round(10 * a)]).beta(a, b, (RUNS, units))
    assert within(crossed(bets((scores - bound) / bound, MEAN_FRACTIONS)[1], units))
    assert within(crossed(bets((bound - scores) / (1 - bound), MEAN_FRACTIONS)[1], units))


def test_means_find_what_is_there():
    generator = np.random.default_rng(18)
    decisions = []
    for _ in range(100):
        watch = MeanTest(0.8, alpha=ALPHA).watch()
        for index, score in enumerate(generator.beta(7, 3, 300).tolist()):
            watch.see(index, score)
        decisions.append(watch.evidence.decision)
    assert decisions.count("refuted") >= 95
    assert decisions.count("held") == 0


def test_the_harm_signal_at_every_look():
    share, failures = 0.2, 60
    generator = np.random.default_rng(19)
    false, true = 0, 0
    table = {(t, n - t): log_harm([(t, n - t, share)]) for n in range(failures + 1) for t in range(n + 1)}
    for _ in range(RUNS):
        for harmful in (False, True):
            treated = np.cumsum(generator.random(failures) < (0.5 if harmful else share)).tolist()
            fired = any(table[t, n + 1 - t] >= math.log(20) for n, t in enumerate(treated))
            if harmful:
                true += fired
            else:
                false += fired
    assert clopper_pearson(false, RUNS)[0] <= ALPHA
    assert true > 0.95 * RUNS


def test_the_forecast_of_a_verdict_is_right_where_the_claim_is():
    """Worlds from the claim itself: the forecast's probabilities are the shares of verdicts."""
    bound, confidence, units, runs = 0.1, 0.8, 200, 4000
    generator = np.random.default_rng(20)
    base = balanced_base(bound)
    inverse = [beta_quantile(p, base.a, base.b) for p in np.linspace(0.0005, 0.9995, 1000)]
    below, above = np.array(inverse[:500]), np.array(inverse[500:])
    true = generator.random(runs) < confidence
    rates = np.where(true, generator.choice(below, runs), generator.choice(above, runs))
    refuted, held = crossings(generator.random((runs, units)) < rates[:, None], RatioTest(bound, ALPHA))
    forecast = answerable(bound, ALPHA, units, confidence=confidence)
    assert np.mean((held <= units) & (held < refuted)) == pytest.approx(forecast.p_held, abs=0.03)
    assert np.mean((refuted <= units) & (refuted < held)) == pytest.approx(forecast.p_refuted, abs=0.02)
    assert np.mean(np.minimum(np.minimum(refuted, held), units)) == pytest.approx(forecast.expected_units, rel=0.04)
