"""Faults of training data: they strike what a function that loads data returns."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from refute.core.system import ComponentKind
from refute.faults._data import PythonStriker
from refute.faults._tables import Items, Table, is_data_set, like, listed, table_of, taken, width, with_column
from refute.faults.spec import Fault, Magnitude
from refute.wire.exchange import UNCHANGED, PythonCall, PythonStrike

PIPELINES: frozenset[ComponentKind] = frozenset({"data_pipeline", "trainer"})
_CLASSES = 100  # more different labels than this are values of a regression
_UNDONE = "the lease: the function is the original one again; what a run has learned from the data stays in that run, which is thrown away"
_LANDING = "the function returned other data than it had loaded; rows are drawn from the run's seed"

Change = Callable[[Any, float, random.Random], Any]


def _rows_of(count: int, percent: float, rng: random.Random) -> list[int]:
    """Draw rows: at least one, for a share that is less than a row would be no fault."""
    return sorted(rng.sample(range(count), min(count, max(1, round(count * percent / 100)))))


def _struck(effect: str, scale: Magnitude, change: Change) -> PythonStriker:
    def strike(_call: PythonCall, magnitude: float | None, rng: random.Random) -> PythonStrike:
        seed = rng.random()
        return PythonStrike(effect, rewrite=lambda result: change(result, scale.or_typical(magnitude), random.Random(seed)))

    return strike


def _on_table(change: Callable[[Table, float, random.Random], Any]) -> Change:
    def changed(result: Any, magnitude: float, rng: random.Random) -> Any:
        table = table_of(result)
        return UNCHANGED if table is None or not table.rows else change(table, magnitude, rng)

    return changed


def _noisy_labels(result: Any, percent: float, rng: random.Random) -> Any:
    if is_data_set(result):
        labels = [_plain(result[row][-1]) for row in range(len(result))]
        return Items(result, range(len(labels)), _mistaken(labels, percent, rng))
    table = table_of(result)
    if table is None or not table.rows:
        return UNCHANGED
    labels = listed(table.labels)
    other = _mistaken(labels, percent, rng)
    if not other:
        return UNCHANGED
    return table.rebuilt(table.features, like(table.labels, [other.get(row, label) for row, label in enumerate(labels)]))


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _mistaken(labels: list[Any], percent: float, rng: random.Random) -> dict[int, Any]:
    """Return other labels for a share of the rows: any other class, or the value of another of these rows in a regression."""
    rows, known = _rows_of(len(labels), percent, rng), sorted(set(labels))
    if len(known) <= _CLASSES:
        return {row: rng.choice([label for label in known if label != labels[row]]) for row in rows} if len(known) > 1 else {}
    return {row: labels[other] for row, other in zip(rows, rng.sample(rows, len(rows)), strict=True)}


def _by_rows(choose: Callable[[int, float, random.Random], list[int]]) -> Change:
    """Return a change that keeps, drops or repeats whole rows."""

    def changed(result: Any, magnitude: float, rng: random.Random) -> Any:
        if is_data_set(result):
            return Items(result, choose(len(result), magnitude, rng))
        table = table_of(result)
        if table is None or not table.rows:
            return UNCHANGED
        rows = choose(table.rows, magnitude, rng)
        return table.rebuilt(taken(table.features, rows), taken(table.labels, rows))

    return changed


def _repeated(count: int, percent: float, rng: random.Random) -> list[int]:
    return [*range(count), *_rows_of(count, percent, rng)]


def _without_shard(count: int, percent: float, rng: random.Random) -> list[int]:
    lost = min(count - 1, max(1, round(count * percent / 100)))
    start = rng.randrange(count - lost + 1)
    return [*range(start), *range(start + lost, count)]


def _sorted_by_label(table: Table, percent: float, rng: random.Random) -> Any:
    """Sort a share of the rows among themselves: what was shuffled comes class by class."""
    rows, labels = _rows_of(table.rows, percent, rng), listed(table.labels)
    order = list(range(table.rows))
    for row, other in zip(rows, sorted(rows, key=lambda row: labels[row]), strict=True):
        order[row] = other
    return table.rebuilt(taken(table.features, order), taken(table.labels, order))


def _missing(table: Table, percent: float, rng: random.Random) -> Any:
    features = table.features
    for place in range(width(features)):
        rows = set(_rows_of(table.rows, percent, rng))

        def emptied(values: list[Any], rows: set[int] = rows) -> list[Any]:
            return [float("nan") if row in rows else value for row, value in enumerate(values)]

        features = with_column(features, place, emptied)
    return table.rebuilt(features, table.labels)


def _outliers(table: Table, percent: float, rng: random.Random) -> Any:
    features = table.features
    for place in range(width(features)):
        rows = set(_rows_of(table.rows, percent, rng))

        def far(values: list[Any], rows: set[int] = rows) -> list[Any]:
            top = 10.0 * max(1.0, *(abs(value) for value in values))
            return [top if row in rows else value for row, value in enumerate(values)]

        features = with_column(features, place, far)
    return table.rebuilt(features, table.labels)


def _bad_batch(table: Table, percent: float, rng: random.Random) -> Any:
    size = max(1, min(table.rows, round(table.rows * percent / 100)))
    start, features = rng.randrange(table.rows - size + 1), table.features
    for place in range(width(features)):

        def far(values: list[Any]) -> list[Any]:
            top = 10.0 * max(1.0, *(abs(value) for value in values))
            return [top if start <= row < start + size else value for row, value in enumerate(values)]

        features = with_column(features, place, far)
    return table.rebuilt(features, table.labels)


def _leaking(table: Table, percent: float, rng: random.Random) -> Any:
    """Put the label's number (of classes that are no numbers, their place) into one column of a share of the rows."""
    labels, rows = listed(table.labels), set(_rows_of(table.rows, percent, rng))
    places = {label: float(place) for place, label in enumerate(sorted(set(labels)))}
    told = [float(label) if isinstance(label, int | float) else places[label] for label in labels]

    def telling(values: list[Any]) -> list[Any]:
        return [told[row] if row in rows else value for row, value in enumerate(values)]

    columns = width(table.features)
    return table.rebuilt(with_column(table.features, rng.randrange(columns), telling), table.labels) if columns else UNCHANGED


def _one_column(change: Callable[[list[Any], float], list[Any]]) -> Change:
    """Return a change of one column that varies, drawn from the run's seed."""

    def changed(table: Table, magnitude: float, rng: random.Random) -> Any:
        places = list(range(width(table.features)))
        rng.shuffle(places)
        for place in places:
            seen: list[Any] = []

            def altered(values: list[Any], seen: list[Any] = seen) -> list[Any]:
                seen += set(values)
                return change(values, magnitude)

            after = with_column(table.features, place, altered)
            if len(seen) > 1:
                return table.rebuilt(after, table.labels)
        return UNCHANGED

    return _on_table(changed)


def _scaled(values: list[Any], factor: float) -> list[Any]:
    return [value * factor for value in values]


def _shifted(values: list[Any], deviations: float) -> list[Any]:
    middle = sum(values) / len(values)
    spread = (sum((value - middle) ** 2 for value in values) / len(values)) ** 0.5
    return [value + deviations * spread for value in values]


def _stale(values: list[Any], rows: float) -> list[Any]:
    back = round(rows)
    return [values[max(0, row - back)] for row in range(len(values))]


_SHARE = Magnitude(unit="%", low=0.1, high=100.0, typical=10.0, meaning="share of the rows", log=True)
_CELLS = Magnitude(unit="%", low=0.1, high=100.0, typical=5.0, meaning="share of the rows, in each column", log=True)
_BATCH = Magnitude(unit="%", low=0.01, high=100.0, typical=2.0, meaning="share of the rows", log=True)
_FACTOR = Magnitude(unit="1", low=0.001, high=1000.0, typical=1000.0, meaning="factor", log=True)
_DEVIATIONS = Magnitude(unit="1", low=0.1, high=10.0, typical=2.0, meaning="standard deviations of the column")
_BACK = Magnitude(unit="1", low=1.0, high=100_000.0, typical=100.0, meaning="rows by which the column lags behind", log=True)


_fault = partial(Fault, kinds=PIPELINES, hazard="wrong_answer", landing=_LANDING, undone_by=_UNDONE)

FAULTS = (
    _fault(
        name="data.label_noise",
        summary="A share of the labels is wrong.",
        effect="Rows are drawn; each gets another of the classes that occur, or in a regression the value of another drawn row.",
        belief="A tenth of wrong labels costs at most two points of accuracy.",
        source="label errors of 3.3 % on average in ten benchmark test sets (Northcutt, Athalye and Mueller 2021)",
        magnitude=_SHARE,
        strike_python=_struck("label noise", _SHARE, _noisy_labels),
    ),
    _fault(
        name="data.duplicate",
        summary="A share of the rows comes twice.",
        effect="Rows are drawn, and appended once more.",
        belief="Duplicates in the training data do not move the metric.",
        source="crawled and merged corpora; retried ingestion",
        magnitude=_SHARE,
        strike_python=_struck("duplicate", _SHARE, _by_rows(_repeated)),
    ),
    _fault(
        name="data.shard_lost",
        summary="A contiguous part of the rows is missing.",
        effect="A block of rows is left out, at a place that is drawn.",
        belief="A lost shard costs at most a point of accuracy.",
        source="failed downloads, expired credentials and skipped files",
        magnitude=_SHARE,
        strike_python=_struck("shard lost", _SHARE, _by_rows(_without_shard)),
    ),
    _fault(
        name="data.reorder",
        summary="Rows that were shuffled come sorted by their label.",
        effect="A share of the rows is sorted among itself by label; all others keep their places.",
        belief="Training does not depend on the order in which rows are stored.",
        source="data sets stored class by class; a shuffle that was forgotten",
        magnitude=_SHARE,
        strike_python=_struck("reorder", _SHARE, _on_table(_sorted_by_label)),
    ),
    _fault(
        name="data.missing",
        summary="A share of the cells has no value.",
        effect="Cells of each column are drawn, and become NaN.",
        belief="Missing values are imputed, and cost at most a point of accuracy.",
        source="upstream joins that find nothing; optional fields",
        magnitude=_CELLS,
        strike_python=_struck("missing", _CELLS, _on_table(_missing)),
    ),
    _fault(
        name="data.outlier",
        summary="A share of the cells is far out of range.",
        effect="Cells of each column are drawn, and become ten times its largest value.",
        belief="Values out of range are clipped or refused.",
        source="sensor errors, sentinel values such as 9999",
        magnitude=_CELLS,
        strike_python=_struck("outlier", _CELLS, _on_table(_outliers)),
    ),
    _fault(
        name="data.wrong_unit",
        summary="A column arrives in another unit.",
        effect="All values of one column, which is drawn, are multiplied by the magnitude.",
        belief="A column in another unit is noticed before training.",
        source="metres and millimetres, dollars and cents",
        magnitude=_FACTOR,
        strike_python=_struck("wrong unit", _FACTOR, _one_column(_scaled)),
    ),
    _fault(
        name="data.drift",
        summary="A column has drifted.",
        effect="All values of one column, which is drawn, are shifted by the magnitude.",
        belief="A drifted column is noticed, or costs little.",
        source="changing populations and recalibrated sensors",
        magnitude=_DEVIATIONS,
        strike_python=_struck("drift", _DEVIATIONS, _one_column(_shifted)),
    ),
    _fault(
        name="data.stale_feature",
        summary="A column lags behind.",
        effect="Each row has the value that one column, which is drawn, had some rows before.",
        belief="A stale feature is noticed, or costs little.",
        source="feature stores whose refresh has stopped",
        magnitude=_BACK,
        strike_python=_struck("stale feature", _BACK, _one_column(_stale)),
    ),
    _fault(
        name="data.leak",
        summary="A column tells the label.",
        effect="In a share of the rows, one column, which is drawn, has the label's number; at serving it does not.",
        belief="A column that tells the label is noticed before training.",
        source="columns written after the outcome was known; identifiers sorted by class; duplicates across a split",
        magnitude=_SHARE,
        strike_python=_struck("leak", _SHARE, _on_table(_leaking)),
    ),
    _fault(
        name="data.bad_batch",
        summary="A block of rows is garbage.",
        effect="A contiguous block of rows, at a place that is drawn, has ten times each column's largest value in every cell.",
        belief="One bad batch costs some steps, and not the run.",
        source="corrupt files that still parse; loss spikes of large language models",
        magnitude=_BATCH,
        strike_python=_struck("bad batch", _BATCH, _on_table(_bad_batch)),
    ),
)
