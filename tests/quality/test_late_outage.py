"""How soon does a stop condition see an outage that begins late, where the evidence of a verdict is spent?"""

import math

import pytest

from refute.stats import AbsoluteStop, RatioTest


def failures_needed(see, clean):
    for index in range(clean):
        see(index, False)
    return next(k for k in range(1, 1000) if see(clean + k - 1, True))


@pytest.mark.parametrize(
    ("bound", "clean", "at_most"), [(0.05, 0, 2), (0.05, 300, 6), (0.30, 0, 5), (0.30, 100, 14), (0.30, 300, 16), (0.30, 1000, 18)]
)
def test_failures_until_a_stop(bound, clean, at_most):
    verdict = RatioTest(bound).watch()
    by_verdict = failures_needed(lambda index, breach: verdict.see(index, breach).log_refute >= math.log(20), clean)
    by_stop = failures_needed(AbsoluteStop(bound).watch().see, clean)
    print(f"bound {bound:.0%}, outage after {clean} clean units: stop after {by_stop} failures, a verdict's evidence after {by_verdict}")
    assert by_stop <= at_most
    assert by_stop <= by_verdict + 1
