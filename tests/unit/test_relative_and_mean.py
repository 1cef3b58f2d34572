import itertools
import math
import random

import pytest

from refute.stats import AbsoluteStop, MeanTest, RatioTest, RelativeStop, RelativeTest, mean_interval
from refute.stats._bets import Bets
from refute.stats.mean import FRACTIONS, factors_high, factors_low
from refute.stats.relative import PastUnits, contrast


def feed(test, rows, share=0.5):
    watch = test.watch()
    for treatment, breach in rows:
        watch.see(watch.begin(treatment=treatment, share=share), breach)
    return watch


def test_contrast_is_unbiased_for_the_difference():
    for share, mean, treated, control in itertools.product((0.1, 0.5), (0.0, 0.07, 1.0), (0.25, 0.9), (0.05, 0.4)):
        expected = 0.0
        for treatment, breach in itertools.product((True, False), (0.0, 1.0)):
            rate = treated if treatment else control
            chance = (share if treatment else 1 - share) * (rate if breach else 1 - rate)
            expected += chance * contrast(breach, mean, share, treatment=treatment)
        assert expected == pytest.approx(treated - control)


@pytest.mark.parametrize("bound", [0.0, 0.05, 0.3])
def test_factors_stay_positive_and_are_fair_at_the_bound(bound):
    for share, baseline, control in itertools.product((0.05, 0.2, 0.5, 0.9), (0.0, 0.3, 1.0), (0.05, 0.5)):
        past = PastUnits(baseline)
        treated = control + bound
        means = [0.0] * PastUnits.strategies()
        for treatment, breach in itertools.product((True, False), (0.0, 1.0)):
            index = past.begin(treatment=treatment, share=share)
            factors = past.worse_factors(index, breach, bound)
            assert min(factors) > 0.0
            rate = treated if treatment else control
            chance = (share if treatment else 1 - share) * (rate if breach else 1 - rate)
            means = [m + chance * f for m, f in zip(means, factors, strict=True)]
        assert means == pytest.approx([1.0] * len(means))


def test_a_clear_harm_is_refuted_and_a_clear_health_held():
    harmed = feed(RelativeTest(0.05), [(i % 2 == 0, i % 2 == 0) for i in range(40)])
    assert harmed.evidence.decision == "refuted"
    equal = feed(RelativeTest(0.30), [(i % 2 == 0, False) for i in range(200)])
    assert equal.evidence.decision == "held"


def test_better_is_not_worse():
    better = feed(RelativeTest(0.0), [(i % 2 == 0, i % 2 == 1) for i in range(200)])
    assert better.evidence.decision == "held"
    assert better.evidence.log_refute < math.log(20)


def test_worst_case_of_a_relative_unit():
    """An unresolved unit counts as good in treatment and as a breach in control, for `refuted`; the other way round for `held`."""
    for treatment in (True, False):
        open_one = RelativeTest(0.05).watch()
        filled = RelativeTest(0.05).watch()
        open_one.begin(treatment=treatment, share=0.5)
        filled.begin(treatment=treatment, share=0.5)
        rows = [(i % 2 == 0, i % 2 == 0) for i in range(20)]
        places = [(open_one.begin(treatment=t, share=0.5), filled.begin(treatment=t, share=0.5), y) for t, y in rows]
        for place, other, y in places:
            open_one.see(place, y)
            filled.see(other, y)
        filled.see(0, 0.0 if treatment else 1.0)
        assert filled.evidence.log_refute == pytest.approx(open_one.evidence.log_refute)


def test_worst_case_of_a_stop_condition():
    for treatment, worst in ((True, 0.0), (False, 1.0)):
        watch = RelativeStop(0.05).watch()
        watch.begin(treatment=treatment, share=0.5)
        for i in range(30):
            watch.see(watch.begin(treatment=i % 2 == 0, share=0.5), i % 2 == 0)
        before = watch.log_evidence
        assert before > 1.0
        watch.see(0, worst)
        assert watch.log_evidence == pytest.approx(before)
        assert not AbsoluteStop(0.3).watch().see(500, breach=None)


def test_the_mean_of_the_past_is_fixed_when_a_unit_begins():
    watch = RelativeTest(0.05, baseline=0.1).watch()
    early = watch.begin(treatment=True, share=0.5)
    late = watch.begin(treatment=False, share=0.5)
    watch.see(early, 1.0)
    third = watch.begin(treatment=True, share=0.5)
    means = [watch._units.placed[index][2] for index in (early, late, third)]
    assert means == pytest.approx([0.1, 0.1, 1.4 / 5])


def test_a_ramp_gives_each_unit_its_own_share():
    watch = RelativeTest(0.05).watch()
    for step, share in ((0, 0.1), (1, 0.5)):
        for i in range(40):
            treated = i % 2 == 0
            watch.see(watch.begin(treatment=treated, share=share), treated and step == 1)
    assert watch.evidence.decision == "refuted"


def test_restarts_never_create_wealth():
    bets = Bets(1, restarts=True)
    for _ in range(1000):
        bets.append((1.0,))
    assert bets.largest == pytest.approx(1.0)
    assert bets.largest <= 1.0 + 1e-12


def test_wealth_is_the_sum_over_starts():
    factors = [0.5, 2.0, 3.0]
    bets = Bets(1, restarts=True)
    for factor in factors:
        bets.append((factor,))
    weights = [0.5, 0.25, 0.5 / 6]
    expected = sum(w * math.prod(factors[i:]) for i, w in enumerate(weights)) + 0.5 / 3
    assert bets.largest == pytest.approx(expected)


def test_a_late_outage_stops_quickly():
    """What a verdict's evidence would not do: it has been lost to the clean units."""
    stop, verdict = AbsoluteStop(0.30).watch(), RatioTest(0.30).watch()
    for index in range(300):
        assert not stop.see(index, breach=False)
        verdict.see(index, breach=False)
    needed = next(k for k in range(1, 100) if stop.see(299 + k, breach=True))
    for index in range(300, 300 + needed):
        verdict.see(index, breach=True)
    assert needed <= 20
    assert verdict.evidence.log_refute < 1.0


def test_many_conditions_share_alpha():
    assert AbsoluteStop(0.3, conditions=5).threshold == pytest.approx(math.log(100))
    assert RelativeStop(0.1, conditions=5).threshold == pytest.approx(math.log(100))


def test_relative_stop_fires_and_stays():
    watch = RelativeStop(0.0, baseline=0.05).watch()
    for i in range(60):
        fired = watch.see(watch.begin(treatment=i % 2 == 0, share=0.5), i % 2 == 0)
    assert fired
    assert watch.fired
    assert watch.see(watch.begin(treatment=True, share=0.5), 0.0)


def test_mean_factors_are_fair_at_the_bound():
    for bound in (0.1, 0.5, 0.9):
        for make in (factors_high, factors_low):
            zero, one = make(0.0, bound), make(1.0, bound)
            assert min(zero + one) > 0.0
            assert [(1 - bound) * z + bound * o for z, o in zip(zero, one, strict=True)] == pytest.approx([1.0] * len(FRACTIONS))


def test_mean_verdicts_in_both_directions():
    generator = random.Random(2)
    scores = [0.6 + 0.3 * generator.random() for _ in range(200)]
    decisions = {}
    for bound, at_least in itertools.product((0.6, 0.9), (True, False)):
        watch = MeanTest(bound, at_least=at_least).watch()
        for index, score in enumerate(scores):
            watch.see(index, score)
        decisions[bound, at_least] = watch.evidence.decision
    assert decisions == {(0.6, True): "held", (0.9, True): "refuted", (0.6, False): "refuted", (0.9, False): "held"}


def test_mean_with_an_unresolved_score_takes_the_worst():
    test = MeanTest(0.5)
    watch, filled_high, filled_low = test.watch(), test.watch(), test.watch()
    filled_high.see(0, 1.0)
    filled_low.see(0, 0.0)
    for index in range(1, 30):
        watch.see(index, 0.9)
        filled_low.see(index, 0.9)
        filled_high.see(index, 0.9)
    assert watch.evidence.log_hold == pytest.approx(filled_low.evidence.log_hold)
    assert watch.evidence.log_refute == pytest.approx(filled_high.evidence.log_refute)


def test_mean_interval_covers_and_narrows():
    generator = random.Random(4)
    scores = [generator.betavariate(8, 2) for _ in range(1000)]
    low, high = mean_interval(scores)
    wide_low, wide_high = mean_interval(scores[:50])
    assert low < 0.8 < high
    assert high - low < 0.05 < wide_high - wide_low
    assert mean_interval([]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: RelativeTest(-0.1),
        lambda: RelativeTest(0.1, alpha=1.0),
        lambda: MeanTest(1.0),
        lambda: AbsoluteStop(0.3, conditions=0),
        lambda: RelativeStop(1.0),
        lambda: RelativeTest(0.1).watch().begin(treatment=True, share=0.0),
        lambda: mean_interval([1.2]),
    ],
)
def test_arguments_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="got"):
        bad()


def test_units_have_one_outcome_and_begin_first():
    watch = RelativeTest(0.1).watch()
    with pytest.raises(ValueError, match="has not begun"):
        watch.see(0, 1.0)
    index = watch.begin(treatment=True, share=0.5)
    watch.see(index, 1.0)
    with pytest.raises(ValueError, match="one outcome per unit"):
        watch.see(index, 1.0)
    stop = AbsoluteStop(0.3).watch()
    stop.see(0, breach=False)
    with pytest.raises(ValueError, match="one outcome per unit"):
        stop.skip(0)


def test_skipped_units_do_not_count():
    plain, skipping = RelativeTest(0.05).watch(), RelativeTest(0.05).watch()
    skipping.skip(skipping.begin(treatment=True, share=0.5))
    for i in range(30):
        for watch in (plain, skipping):
            watch.see(watch.begin(treatment=i % 2 == 0, share=0.5), i % 2 == 0)
    assert plain.evidence == skipping.evidence
    mean = MeanTest(0.5).watch()
    mean.skip(0)
    assert mean.evidence.log_hold == 0.0
    stop = RelativeStop(0.05).watch()
    assert not stop.skip(stop.begin(treatment=True, share=0.5))
