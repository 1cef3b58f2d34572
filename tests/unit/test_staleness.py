import pytest

from refute.learning.staleness import DAY_S, Decay, mixed, overlaps


def kind_of(name):
    return "prompt" if name.startswith("prompts/") else "code"


def test_nothing_changed_and_no_time_passed_keeps_everything():
    assert Decay().freshness(0.0, {}) == 1.0


def test_one_half_life_halves_and_a_clock_set_back_counts_as_no_time():
    assert Decay(half_life_d=10).freshness(10 * DAY_S, {}) == pytest.approx(0.5)
    assert Decay(half_life_d=10).freshness(-5.0, {}) == 1.0


def test_each_kind_that_changed_takes_its_share_and_an_unknown_kind_takes_all():
    decay = Decay(rho={"prompt": 0.4, "code": 0.5})
    assert decay.freshness(0.0, {"prompt": 1.0, "code": 0.5}) == pytest.approx(0.6 * 0.75)
    assert decay.freshness(0.0, {"weather": 1.0}) == 0.0


def test_overlap_is_the_share_that_differs_by_kind_and_a_revert_restores():
    then = {"prompts/a": "1", "prompts/b": "2", "app.py": "3"}
    assert overlaps(then, then | {"prompts/a": "9"}, kind_of) == {"prompt": 0.5}
    assert overlaps(then, dict(then), kind_of) == {}
    assert overlaps(then, {"prompts/a": "1", "prompts/b": "2"}, kind_of) == {"code": 1.0}


def test_one_piece_of_evidence_mixes_with_what_was_stated():
    assert mixed(0.7, [0.25], lambda _: 0.99) == pytest.approx(0.25 * 0.99 + 0.75 * 0.7)
    assert mixed(0.7, [], lambda _: 0.99) == 0.7


def test_a_staler_piece_counts_only_where_the_fresher_ones_do():
    confidences = {(0,): 0.2, (1,): 0.9, (0, 1): 0.6}
    now = mixed(0.5, [0.3, 0.8], lambda places: confidences[tuple(places)])
    assert now == pytest.approx(0.2 * 0.5 + 0.5 * 0.9 + 0.3 * 0.6)
