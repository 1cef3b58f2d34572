"""What an injection harmed, by journey, and what experiments have spent of the error budget."""

import random

import pytest

from refute.core.outcome import Outcome, Slot
from refute.experiment.harm import harm_of
from refute.learning import resilience


def slots(rates, units=400, share=0.5, seed=1, users=0):
    rng, made = random.Random(seed), []
    for index in range(units):
        user = f"u{rng.randrange(users)}" if users else ""
        arm = "treatment" if (random.Random(user).random() if user else rng.random()) < share else "control"
        journey = rng.choice(list(rates))
        bad = rng.random() < rates[journey][arm == "treatment"]
        outcome = Outcome(str(index), user or "c", arm, journey, index, 0.0, 0.1, {"answered": float(not bad)})
        made.append(Slot(arm, journey, outcome, share, user))
    return made


def test_only_what_differs_from_control_is_harm():
    found = harm_of(slots({"ask": (0.02, 0.02), "buy": (0.02, 0.5)}), [], {"answered"}, 0.05)
    assert {name: one.became for name, one in found.items()} == {"ask": "spared", "buy": "harmed"}
    assert found["buy"].low < 0.48 * found["buy"].treatment.units < found["buy"].high


def test_harmless_journeys_are_rarely_called_harmed():
    wrong = [harm_of(slots({"ask": (0.2, 0.2)}, 100, seed=seed), [], {"answered"}, 0.05)["ask"].became == "harmed" for seed in range(400)]
    assert sum(wrong) / len(wrong) <= 0.05


def test_a_fault_that_struck_everybody_is_held_against_the_time_before():
    before = [Outcome(str(at), "c", "control", "ask", at, 0.0, 0.1, {"answered": 1.0}) for at in range(50)]
    found = harm_of(slots({"ask": (0, 0.5)}, 100, share=1.0), before, {"answered"}, 0.05)["ask"]
    assert found.became == "harmed"
    assert found.control.units == 50
    assert found.spoiled == pytest.approx(found.treatment.bad)


def test_what_runs_spoiled_adds_up_to_a_share_with_its_interval():
    spent = resilience([(10, 7, 14), (0, -3, 4)], 1000, 0.02)
    assert (spent.spent, spent.left) == pytest.approx((0.01, 0.01))
    assert (spent.low, spent.high) == pytest.approx((0.01 - 0.001 * (9 + 9) ** 0.5, 0.01 + 0.001 * (16 + 16) ** 0.5))
    assert resilience([(-5, -9, 2)], 1000, 0.02).spent == 0.0, "nobody earns budget by chance"


def test_few_units_leave_it_unclear_and_nobody_is_called_spared_who_was_harmed():
    assert harm_of(slots({"ask": (0.0, 0.3)}, 20, seed=2), [], {"answered"}, 0.05)["ask"].became == "unclear"
    called = [harm_of(slots({"ask": (0.0, 0.12)}, 200, seed=seed), [], {"answered"}, 0.05)["ask"].became for seed in range(300)]
    assert called.count("spared") / len(called) <= 0.05
