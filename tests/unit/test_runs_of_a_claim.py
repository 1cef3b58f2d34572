"""Evidence of several runs on one claim: each at its own bound, repeats once, and never quite certain."""

from __future__ import annotations

import math

import pytest

from refute.learning import Claim, Counts, Seen, combined, learned_bits, surprise_bits
from refute.learning.runs import _shift
from refute.stats import answerable, balanced_base


def claim(*runs, stated=0.8):
    return Claim(stated, *combined(runs))


def seen(bound, breaches, units, draw):
    return Seen(bound, Counts(breaches, units), draw)


def test_runs_at_one_bound_add_up():
    assert combined([seen(0.1, 2, 40, "1"), seen(0.1, 3, 60, "2")]) == (0.1, Counts(5, 100))
    assert combined([]) is None
    assert combined([seen(0.1, 0, 0, "1")]) is None


def test_a_repeat_adds_nothing_where_it_sees_the_same():
    once = claim(seen(0.1, 2, 80, "1"))
    thrice = claim(*[seen(0.1, 2, 80, "1")] * 3)
    assert thrice.confidence == pytest.approx(once.confidence, abs=1e-12)
    assert claim(*[seen(0.1, 2, 80, str(number)) for number in range(3)]).confidence > once.confidence


def test_repeats_that_differ_weigh_the_same_whichever_came_last():
    one, other = seen(0.1, 0, 80, "1"), seen(0.1, 20, 80, "1")
    assert combined([one, other]) == combined([other, one]) == (0.1, Counts(10, 80))


@pytest.mark.parametrize(("breaches", "units", "bound"), [(0, 40, 0.1), (9, 40, 0.1), (3, 400, 0.02), (300, 900, 0.3), (5, 5, 0.5)])
def test_the_integral_is_the_closed_form_where_there_is_one(breaches, units, bound):
    base = balanced_base(bound)
    assert _shift(base, [(bound, breaches, units)]) == pytest.approx(base.log_odds_shift(breaches, units), abs=2e-3)


def test_each_run_speaks_at_its_own_bound():
    """Control fails in 5 % and in 30 %, and at most 10 points more are allowed."""
    quiet, busy = seen(0.15, 9, 100, "1"), seen(0.40, 33, 100, "2")
    together = claim(quiet, busy)
    assert together.confidence > max(claim(quiet).confidence, claim(busy).confidence)
    assert combined([quiet, busy]) == combined([busy, quiet])
    bad = [seen(0.15, 25, 100, "1"), seen(0.40, 50, 100, "2")]
    assert claim(*bad).confidence < min(claim(bad[0]).confidence, claim(bad[1]).confidence)
    naive = Claim(0.8, 0.40, Counts(25 + 50, 200))
    assert naive.confidence > 0.5 > claim(*bad).confidence


def test_the_counts_handed_on_say_what_the_runs_say():
    runs = [(0.15, 9, 100), (0.40, 33, 120), (0.2, 30, 90)]
    bound, counts = combined([seen(*run, str(number)) for number, run in enumerate(runs)])
    assert counts.units == 310
    assert balanced_base(bound).log_odds_shift(counts.breaches, counts.units) == pytest.approx(_shift(balanced_base(bound), runs), abs=1e-6)


@pytest.mark.parametrize("counts", [(0, 5_000), (0, 100_000), (5_000, 5_000), (50_000, 100_000)])
@pytest.mark.parametrize("stated", [0.01, 0.9, 0.999])
def test_no_evidence_makes_certain_and_planning_goes_on(counts, stated):
    sure = Claim(stated, 0.05).after(*counts)
    assert 0.0 < sure.confidence < 1.0
    assert abs(sure.log_odds) > 100
    assert 0.0 <= sure.information(40) < 1e-6
    assert 0.0 <= sure.p_breach() <= 1.0
    assert answerable(0.05, 0.05, 100, confidence=sure.confidence).p_inconclusive >= 0.0
    before = Claim(stated, 0.05)
    assert math.isfinite(surprise_bits(before.confidence, sure.confidence))
    assert math.isfinite(surprise_bits(sure.confidence, before.confidence))
    assert math.isfinite(learned_bits(before.confidence, sure.confidence))


def test_log_odds_go_on_where_the_confidence_shown_does_not():
    far = Claim(0.9, 0.05).after(0, 2_000)
    farther = far.after(0, 1_000)
    assert far.confidence == farther.confidence
    assert farther.log_odds > far.log_odds + 10
