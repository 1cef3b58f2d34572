"""What catches a rise from 5 % to 25 % in a fifth of 400 units, and what no test could catch.

The runs are the same for all procedures. "Caught" means within 400 units of both arms, 80 of them in treatment on average.
"""

import math

import numpy as np
import pytest

from refute.stats import RatioTest, p_meets
from refute.stats.mean import FRACTIONS as MEAN_FRACTIONS
from refute.stats.relative import _FRACTIONS as RELATIVE_FRACTIONS
from support.simulation import ALPHA, RUNS, bets, crossed, crossings, relative_edges, share_of, stopped_by_treatment

UNITS, SHARE, USUAL = 400, 0.2, 0.05


def simulated(treated_rate, seed=13):
    generator = np.random.default_rng(seed)
    treatment = generator.random((RUNS, UNITS)) < SHARE
    return treatment, generator.random((RUNS, UNITS)) < np.where(treatment, treated_rate, USUAL)


def relative_stop(treatment, breaches, bound):
    edges = relative_edges(treatment, breaches.astype(float), SHARE, bound, 0.1)
    return crossed(bets(edges, RELATIVE_FRACTIONS, restarts=True)[1], UNITS)


def absolute_stop(treatment, breaches, bound):
    return stopped_by_treatment(np.where(treatment, (breaches - bound) / bound, 0.0), treatment, MEAN_FRACTIONS)


def refuted(treatment, breaches, bound):
    """Whether the evidence against a belief crosses, and whether control provably meets the bound, without which the run is void."""
    test = RatioTest(bound, ALPHA)
    fewest = np.array([UNITS + 1 if refuting is None else refuting for _, refuting in test.boundaries(UNITS)])
    crossing = (np.cumsum(breaches & treatment, axis=1) >= fewest[np.cumsum(treatment, axis=1)]).any(axis=1)
    spared = [(int(row[~treated].sum()), int((~treated).sum())) for row, treated in zip(breaches, treatment, strict=True)]
    return crossing, crossing & np.array([p_meets(*counts, bound) >= 0.95 for counts in spared])


def relative_verdict(treatment, breaches, bound):
    edges = relative_edges(treatment, breaches.astype(float), SHARE, bound, 0.1)
    return crossed(bets(edges, RELATIVE_FRACTIONS)[1], UNITS)


def harm_signal(treatment, breaches):
    """The unspecific signal, shown at each look: it names harm and stops nothing. In numpy, by its definition as a mixture."""
    shares = np.linspace(SHARE, 1.0, 801)[:-1] + (1.0 - SHARE) / 1600
    hit, spared = np.cumsum(breaches & treatment, axis=1), np.cumsum(breaches & ~treatment, axis=1)
    table = {}

    def evidence(t, c):
        if (t, c) not in table:
            terms = t * np.log(shares / SHARE) + c * np.log((1.0 - shares) / (1.0 - SHARE))
            table[t, c] = float(np.log(np.mean(np.exp(terms))))
        return table[t, c]

    return np.array(
        [
            any(evidence(t, c) >= -math.log(ALPHA) for t, c in set(zip(row_t, row_c, strict=True)))
            for row_t, row_c in zip(hit.tolist(), spared.tolist(), strict=True)
        ]
    )


def test_what_catches_a_rise_from_5_to_25_percent():
    treatment, breaches = simulated(0.25)
    caught = {
        "the harm signal": share_of(harm_signal(treatment, breaches)),
        "stop: answered < 95%": share_of(absolute_stop(treatment, breaches, 0.05)),
        "stop: answered < 90%": share_of(absolute_stop(treatment, breaches, 0.10)),
        "stop: answered < 85%": share_of(absolute_stop(treatment, breaches, 0.15)),
        "refuted: answered worse by <= 2 points": share_of(relative_verdict(treatment, breaches, 0.02)),
    }
    for bound in (0.05, 0.08, 0.10):
        evidence, verdict = refuted(treatment, breaches, bound)
        caught[f"evidence against answered >= {1 - bound:.0%}"] = share_of(evidence)
        caught[f"refuted: answered >= {1 - bound:.0%}"] = share_of(verdict)
    caught |= {f"stop: worse by > {100 * bound:g} points": share_of(relative_stop(treatment, breaches, bound)) for bound in BOUNDS}
    for procedure, share in caught.items():
        print(f"5 % to 25 %: caught by {procedure}: {share:.3f}")
    assert caught["the harm signal"] >= 0.90
    assert caught["stop: answered < 95%"] >= 0.90
    assert caught["evidence against answered >= 95%"] >= 0.90
    assert caught["refuted: answered worse by <= 2 points"] >= 0.90
    assert caught["refuted: answered >= 95%"] < 0.2, "a control at the bound itself does not provably meet it"
    for bound in (0.0, 0.01, 0.02):
        assert caught[f"stop: worse by > {100 * bound:g} points"] >= 0.90
    assert caught["stop: worse by > 3 points"] >= 0.88
    assert caught["stop: worse by > 10 points"] < 0.5


BOUNDS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)


@pytest.mark.parametrize(
    ("treated_rate", "bound", "at_least"), [(0.25, 0.0, 0.95), (0.35, 0.1, 0.90), (0.45, 0.1, 0.99), (0.30, 0.05, 0.90)]
)
def test_a_larger_rise_is_caught_by_a_wider_bound(treated_rate, bound, at_least):
    found = share_of(relative_stop(*simulated(treated_rate), bound))
    print(f"5 % to {treated_rate:.0%}: caught by worse by > {100 * bound:g} points: {found:.3f}")
    assert found >= at_least


def test_equal_arms_are_not_caught():
    treatment, breaches = simulated(USUAL)
    assert share_of(relative_stop(treatment, breaches, 0.0)) <= ALPHA
    assert share_of(absolute_stop(treatment, breaches, 0.05)) <= ALPHA
    assert share_of(harm_signal(treatment, breaches)) <= ALPHA


# ---- the limits: no test of "worse by at most d" can do better, whatever it is


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_limit_of_any_test_of_worse_by(bound):
    """A single look at 80 and 320 units, by a test that knows both rates, is more than any test can do; and one that knows both rates but
    may look at every unit does less."""
    one_look = min(best_power(rate, bound) for rate in np.arange(0.01, 0.12, 0.0025))
    growth = min(nats(rate, bound) for rate in np.arange(0.005, 0.25, 0.0005))
    every_look = share_of(knowing(*simulated(0.25), bound))
    ours = share_of(relative_stop(*simulated(0.25), bound))
    print(
        f"5 % to 25 %, worse by > {100 * bound:g} points: one look at most {one_look:.3f}; each look, both rates known {every_look:.3f}; "
        f"ours {ours:.3f}; evidence grows by {growth:.1f} nats of the {-math.log(ALPHA):.1f} that are needed"
    )
    assert ours <= one_look
    assert ours >= every_look - 0.15
    if bound >= 0.1:
        assert one_look < 0.75
        assert growth < -math.log(ALPHA)
    if bound >= 0.05:
        assert every_look < 0.90


def best_power(control, bound):
    """Power of the most powerful test of one pair of rates against the other (Neyman and Pearson), 80 treated units and 320 of control."""
    null = binomial(80, control + bound)[:, None] + binomial(320, control)[None]
    true = binomial(80, 0.25)[:, None] + binomial(320, USUAL)[None]
    order = np.argsort(-(true - null).ravel())
    size, power = np.exp(null.ravel()[order]).cumsum(), np.exp(true.ravel()[order]).cumsum()
    last = int(np.searchsorted(size, ALPHA))  # taking the last point whole instead of by lot: a little more than can be had
    return float(power[min(last, len(power) - 1)])


def binomial(units, rate):
    counts = range(units + 1)
    ways = np.array([math.lgamma(units + 1) - math.lgamma(k + 1) - math.lgamma(units - k + 1) for k in counts])
    return ways + np.arange(units + 1) * math.log(rate) + (units - np.arange(units + 1)) * math.log1p(-rate)


def nats(control, bound):
    return UNITS * (SHARE * divergence(0.25, control + bound) + (1 - SHARE) * divergence(USUAL, control))


def divergence(rate, other):
    return rate * math.log(rate / other) + (1 - rate) * math.log((1 - rate) / (1 - other))


def knowing(treatment, breaches, bound):
    """Likelihood ratio of the true rates against the pair within the bound that is hardest to tell from them, looked at after each unit."""
    control = min(np.arange(0.005, 0.25, 0.0001), key=lambda rate: nats(rate, bound))
    of_treated = np.where(breaches, math.log(0.25 / (control + bound)), math.log(0.75 / (1 - control - bound)))
    of_control = np.where(breaches, math.log(USUAL / control), math.log((1 - USUAL) / (1 - control)))
    return np.cumsum(np.where(treatment, of_treated, of_control), axis=1).max(axis=1) >= -math.log(ALPHA)


def test_a_clean_run_at_5_percent_holds_within_80_units():
    test = RatioTest(0.05, ALPHA)
    assert crossings(np.zeros((1, 80), bool), test)[1][0] <= 80
    generator = np.random.default_rng(14)
    for _ in range(50):
        watch = test.watch()
        for place in np.argsort(np.arange(80) + generator.exponential(30.0, 80)).tolist():
            watch.see(place, breach=False)
        assert watch.evidence.decision == "held"
