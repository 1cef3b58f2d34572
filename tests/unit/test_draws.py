"""Draws: the same everywhere, uniform, and independent between units, calls, seeds and components."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from refute.core.draws import BLOCK, CallDraws, numbers

UNITS = [f"case-{number % 50}/{number // 50}" for number in range(20_000)]


def hits(seed=0, component="llm", share=0.3, place=0):
    draws = CallDraws(seed, component, share)
    return [draws.hits(numbers(unit, place // BLOCK)[place % BLOCK]) for unit in UNITS]


def agreement(one, other):
    return sum(a and b for a, b in zip(one, other, strict=True)) / len(one)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
def test_the_share_is_met(share):
    spread = (share * (1 - share) / len(UNITS)) ** 0.5
    assert sum(hits(share=share)) / len(UNITS) == pytest.approx(share, abs=4 * spread)


def test_all_and_none():
    assert all(hits(share=1.0))
    assert not any(hits(share=0.0))


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"seed": 2**40}, {"component": "retriever"}, {"place": 1}, {"place": 7}, {"place": 8}, {"seed": 5, "place": 3}],
    ids=str,
)
def test_other_seeds_components_and_calls_hit_others(other):
    both = agreement(hits(), hits(**other))
    assert both == pytest.approx(0.09, abs=4 * (0.09 * 0.91 / len(UNITS)) ** 0.5)


def test_neighbours_are_independent():
    drawn = hits()
    both = sum(a and b for a, b in pairwise(drawn)) / (len(drawn) - 1)
    assert both == pytest.approx(0.09, abs=4 * (0.09 * 0.91 / len(UNITS)) ** 0.5)


def test_runs_of_units_are_as_even_as_chance_lets_them_be():
    drawn = hits()
    counts = [sum(drawn[start : start + 100]) for start in range(0, len(drawn), 100)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    assert variance == pytest.approx(21, rel=4 * (2 / len(counts)) ** 0.5)


def test_every_process_draws_the_same():
    program = "from refute.core.draws import CallDraws, numbers; print([CallDraws(3, 'llm', 0.5).hits(n) for n in numbers('a/0', 1)])"
    told = {
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{[CallDraws(3, 'llm', 0.5).hits(n) for n in numbers('a/0', 1)]}\n".encode()}
