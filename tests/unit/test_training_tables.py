"""Training data in its many forms: what is changed, in copies, and what stays."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest

from refute.faults.catalogue import catalogue
from refute.wire.exchange import UNCHANGED, PythonCall


class Digits:
    """A data set as training frameworks have them."""

    classes = ("zero", "one", "two")

    def __init__(self):
        self.items = [([float(row)], row % 3) for row in range(60)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


X = np.arange(180, dtype=float).reshape(60, 3)
Y = np.arange(60) % 3
FORMS = {
    "arrays": (X, Y),
    "four parts": (X, X[:20], Y, Y[:20]),
    "other four parts": (X, Y, X[:20], Y[:20]),
    "lists": (X.tolist(), Y.tolist()),
    "pairs": list(zip(X.tolist(), Y.tolist(), strict=True)),
    "bunch": {"data": X, "target": Y, "names": ["a", "b", "c"]},
}


def struck(name, result, magnitude, seed=1):
    fault = catalogue()[name]
    strike = fault.strike_python(PythonCall("data:load"), magnitude, random.Random(seed))
    before = copy.deepcopy(result)
    changed = strike.rewrite(result)
    assert equal(result, before), "what was given is not touched"
    return changed


def equal(one, other):
    if isinstance(one, dict):
        return all(equal(one[name], other[name]) for name in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(equal, one, other))
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other or isinstance(one, Digits)


def parts(form, result):
    """Features and labels of what is trained on."""
    if form == "pairs":
        return [row for row, _ in result], [label for _, label in result]
    if form == "bunch":
        return result["data"], result["target"]
    return (result[0], result[2]) if form == "four parts" else (result[0], result[1])


@pytest.mark.parametrize("form", FORMS)
def test_a_share_of_the_labels_is_wrong_in_every_form(form):
    result = struck("data.label_noise", FORMS[form], 20.0)
    features, labels = parts(form, result)
    assert sum(int(new) != old for new, old in zip(labels, Y.tolist(), strict=True)) == 12
    assert np.array_equal(features, X)
    assert set(map(int, labels)) <= {0, 1, 2}
    assert type(result) is type(FORMS[form])


def test_what_is_tested_on_is_left_alone():
    for form in ("four parts", "other four parts"):
        result = struck("data.label_noise", FORMS[form], 100.0)
        rest = (result[1], result[3]) if form == "four parts" else (result[2], result[3])
        assert np.array_equal(rest[0], X[:20])
        assert np.array_equal(rest[1], Y[:20])


def test_values_of_a_regression_are_exchanged():
    values = np.linspace(0, 1, 200)
    _, labels = struck("data.label_noise", (np.ones((200, 2)), values), 50.0)
    assert sorted(labels) == sorted(values)
    assert 60 < np.sum(labels != values) <= 100


def test_a_data_set_is_passed_through_but_for_what_was_drawn():
    data = Digits()
    result = struck("data.label_noise", data, 50.0)
    assert sum(result[row][1] != data[row][1] for row in range(60)) == 30
    assert all(result[row][0] == data[row][0] for row in range(60))
    assert result.classes == Digits.classes
    assert len(struck("data.shard_lost", data, 25.0)) == 45
    assert len(struck("data.duplicate", data, 10.0)) == 66


@pytest.mark.parametrize("form", FORMS)
def test_rows_come_twice_or_go(form):
    assert len(parts(form, struck("data.duplicate", FORMS[form], 10.0))[1]) == 66
    features, labels = parts(form, struck("data.shard_lost", FORMS[form], 30.0))
    kept = [int(row[0]) // 3 for row in features]
    gap = sorted(set(range(60)) - set(kept))
    assert len(gap) == 18
    assert gap == list(range(gap[0], gap[0] + 18)), "a block"
    assert [int(label) for label in labels] == [row % 3 for row in kept]


def test_rows_are_sorted_with_their_labels():
    features, labels = struck("data.reorder", (X, Y), 100.0)
    assert labels.tolist() == sorted(Y.tolist())
    assert [int(row[0]) // 3 % 3 for row in features] == labels.tolist()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "pairs"])
def test_cells_of_each_column_are_missing(form):
    features, labels = parts(form, struck("data.missing", FORMS[form], 10.0))
    missing = np.isnan(np.array(features, dtype=float))
    assert missing.sum(axis=0).tolist() == [6, 6, 6]
    assert np.array_equal(labels, Y)


def test_whole_numbers_can_be_missing_and_images_are_read_as_columns():
    features, _ = struck("data.missing", (np.arange(60 * 4).reshape(60, 2, 2), Y), 50.0)
    assert features.shape == (60, 2, 2)
    assert np.isnan(features).sum() == 120


@pytest.mark.parametrize(("name", "magnitude"), [("data.wrong_unit", 1000.0), ("data.drift", 3.0), ("data.stale_feature", 10.0)])
def test_one_column_that_varies_is_changed(name, magnitude):
    features, labels = struck(name, (np.column_stack([np.ones(60), X[:, 1], np.zeros(60)]), Y), magnitude)
    assert np.array_equal(labels, Y)
    assert np.array_equal(features[:, 0], np.ones(60))
    assert not np.array_equal(features[:, 1], X[:, 1])


@pytest.mark.parametrize("form", [form for form in FORMS if form != "pairs"])
def test_one_column_tells_the_label_of_a_share_of_the_rows(form):
    features, labels = parts(form, struck("data.leak", FORMS[form], 50.0))
    told = (np.array(features, dtype=float) != X).sum(axis=0)
    assert sorted(told.tolist())[:2] == [0, 0], "one column"
    assert 25 <= told.max() <= 30
    assert np.array_equal(labels, Y)
    (column,) = np.flatnonzero(told)
    changed = np.array(features, dtype=float)[:, column] != X[:, column]
    assert np.array_equal(np.array(features, dtype=float)[changed, column], Y[changed])


def test_classes_that_are_words_are_told_by_their_place():
    features, _ = struck("data.leak", (X, np.array(["a", "b", "c"] * 20)), 100.0)
    assert any(np.array_equal(features[:, column], Y) for column in range(3))


@pytest.mark.parametrize("form", [form for form in FORMS if form != "pairs"])
def test_a_block_of_rows_is_garbage_in_every_column(form):
    features, labels = parts(form, struck("data.bad_batch", FORMS[form], 10.0))
    bad = np.flatnonzero((np.array(features, dtype=float) > X.max()).all(axis=1))
    assert bad.tolist() == list(range(bad[0], bad[0] + 6))
    assert np.array_equal(np.delete(np.array(features, dtype=float), bad, axis=0), np.delete(X, bad, axis=0))
    assert np.array_equal(labels, Y)


@pytest.mark.parametrize(("name", "left"), [("data.label_noise", 60), ("data.duplicate", 61), ("data.shard_lost", 59)])
def test_a_share_of_less_than_a_row_is_a_row_and_all_rows_are_the_most(name, left):
    _, labels = struck(name, (X, Y), 0.1)
    assert len(labels) == left
    assert name != "data.label_noise" or np.sum(labels != Y) == 1
    _, labels = struck(name, (X, Y), 100.0)
    assert len(labels) == {"data.label_noise": 60, "data.duplicate": 120, "data.shard_lost": 1}[name]


def test_same_seed_same_rows_and_another_seed_others():
    once, again, other = (struck("data.label_noise", (X, Y), 20.0, seed)[1].tolist() for seed in (1, 1, 2))
    assert once == again != other


@pytest.mark.parametrize("result", [None, "text", 3, [], (X, Y[:10]), {"data": X}, (X, Y, X)])
def test_what_is_no_table_goes_through(result):
    strike = catalogue()["data.label_noise"].strike_python(PythonCall("data:load"), 20.0, random.Random(1))
    assert strike.rewrite(result) is UNCHANGED


def test_one_class_leaves_nothing_to_mistake():
    strike = catalogue()["data.label_noise"].strike_python(PythonCall("data:load"), 20.0, random.Random(1))
    assert strike.rewrite((X, np.zeros(60))) is UNCHANGED
