"""The ledger's records for other tools: JSON Lines, or Parquet where pyarrow is installed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from refute.core.errors import refuse
from refute.core.events import Recorded, Recorder


def as_json_lines(recorder: Recorder, after: int = 0, kinds: Collection[str] = ()) -> Iterator[str]:
    """Return one line of JSON a record; its place in the chain stands under `ledger`.

    Args:
        recorder: where the records are.
        after: position after which to start.
        kinds: kinds to return, none for all.
    """
    for kept in recorder.events(after, kinds):
        place = {"seq": kept.seq, "digest": kept.digest, "previous": kept.previous}
        yield json.dumps(kept.record | {"ledger": place})


def write_parquet(recorder: Recorder, path: Path, after: int = 0, kinds: Collection[str] = ()) -> int:
    """Write the records as a Parquet file with the columns of the events table.

    Returns:
        Number of records written.

    Raises:
        RefuteError: pyarrow is not installed (`LEDGER-PARQUET`).
    """
    if find_spec("pyarrow") is None:
        raise refuse(
            "LEDGER-PARQUET", "Parquet is written by pyarrow, which is not installed", next="pip install pyarrow, or --format jsonl"
        )
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    rows = [_row(kept) for kept in recorder.events(after, kinds)]
    names = ("seq", "at", "kind", "experiment", "json", "digest", "previous")
    parquet.write_table(arrow.table({name: [row[name] for row in rows] for name in names}), path)
    return len(rows)


def _row(kept: Recorded) -> dict[str, object]:
    record = kept.record
    return {
        "seq": kept.seq,
        "at": float(record["at"]),
        "kind": record["event"],
        "experiment": str(record.get("experiment", "")),
        "json": json.dumps(record),
        "digest": kept.digest,
        "previous": kept.previous,
    }
