"""Does the engine learn from re-runs how quickly answers go stale? Seeds are fixed."""

import math
import random

from refute.learning.staleness import DAY_S, Decay, Repeat, learn_decay

TRUE = Decay(half_life_d=28.0, rho={"prompt": 0.8, "package": 0.05})


def world(seed, count):
    """Re-runs of beliefs in a world in which prompts matter much, packages little."""
    rng = random.Random(seed)
    for _ in range(count):
        age_s = rng.expovariate(1 / 20) * DAY_S
        overlap = {kind: rng.random() for kind in ("prompt", "package") if rng.random() < 0.5}
        same = rng.random() < TRUE.freshness(age_s, overlap)
        yield Repeat(age_s, overlap, agreed=same or rng.random() < 0.5)


def log_loss(decay, repeats):
    total = 0.0
    for one in repeats:
        fresh = decay.freshness(one.age_s, one.overlap)
        agree = min(0.99, max(0.01, fresh + (1 - fresh) * one.by_chance))
        total -= math.log2(agree if one.agreed else 1 - agree)
    return total / len(repeats)


def test_re_runs_teach_what_makes_answers_stale():
    learned = [learn_decay(world(seed, 400)) for seed in range(10)]
    assert sum(one.rho["prompt"] > one.rho["package"] for one in learned) == 10
    middle = sorted(one.half_life_d for one in learned)[5]
    assert 14.0 <= middle <= 56.0


def test_what_was_learned_predicts_new_re_runs_better_than_the_usual_values():
    fresh = list(world(99, 4000))
    usual = log_loss(Decay(), fresh)
    better = [log_loss(learn_decay(world(seed, 200)), fresh) < usual for seed in range(10)]
    assert sum(better) >= 9


def test_few_re_runs_move_little():
    one = learn_decay([Repeat(DAY_S, {"prompt": 1.0}, agreed=False)])
    assert abs(one.rho["prompt"] - Decay().rho["prompt"]) <= 0.15
