"""The SQLite file: permissions, schema versions, tampering, and what is said when it cannot be written."""

import json
import sqlite3
import stat
from contextlib import closing

import pytest

from refute.core.errors import RefuteError
from refute.core.events import Event
from refute.ledger import Ledger, canonical, digest_of
from refute.ledger import _schema as schema
from refute.ledger.export import as_json_lines, write_parquet


def code_of(function, *args, **kwargs):
    with pytest.raises(RefuteError) as caught:
        function(*args, **kwargs)
    assert caught.value.problems[0].where or caught.value.problems[0].next
    return caught.value.problems[0].code


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "state" / "ledger.db"
    with Ledger.open(path) as ledger:
        for number in range(6):
            ledger.append(Event("phase", {"experiment": "e1", "units": number}, number + 0.5))
    return path


def tamper(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def verified(path, head=""):
    with Ledger.open(path) as ledger:
        return ledger.verify(head)


def test_nobody_else_may_read_it(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with Ledger.open(path) as ledger:
        ledger.append(Event("phase"))
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_rows_can_be_neither_changed_nor_deleted(path):
    for statement in ("UPDATE events SET kind = 'x' WHERE seq = 1", "DELETE FROM events WHERE seq = 1"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            tamper(path, statement)


DROP = "DROP TRIGGER events_no_update"
DROP_DELETE = "DROP TRIGGER events_no_delete"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([DROP], (0, "the trigger events_no_update is gone")),
        ([DROP, "UPDATE events SET json = replace(json, 'e1', 'e2') WHERE seq = 3"], (3, "content was changed")),
        ([DROP, "UPDATE events SET kind = 'verdict' WHERE seq = 4"], (4, "columns disagree")),
        ([DROP, "UPDATE events SET at = 7 WHERE seq = 4"], (4, "columns disagree")),
        ([DROP_DELETE, "DELETE FROM events WHERE seq IN (2, 3)"], (4, "records 2 to 3 are missing")),
        ([DROP_DELETE, "DELETE FROM events WHERE seq = 1"], (2, "records 1 to 1 are missing")),
        ([DROP_DELETE, "DELETE FROM events WHERE seq > 4"], (4, "the end was cut off: record 6 was written once")),
    ],
)
def test_tampering_is_found_with_its_row(path, statements, expected):
    tamper(path, *statements)
    report = verified(path)
    assert not report.ok
    row, what = expected
    assert any(seen == row and what in text for seen, text in report.problems), report.problems
    assert report.to_json()["ok"] is False


def test_a_rewritten_record_with_a_new_digest_breaks_the_chain_after_it(path):
    with Ledger.open(path) as ledger:
        third = list(ledger.events())[2]
    text = canonical(third.record | {"units": 99})
    tamper(path, DROP, f"UPDATE events SET json = '{text}', digest = '{digest_of(third.previous, text)}' WHERE seq = 3")
    assert (4, "it does not follow the record before it") in verified(path).problems


def test_a_noted_head_tells_whether_the_end_was_cut_off(path):
    head = verified(path).head
    assert verified(path, head).ok
    tamper(path, DROP_DELETE, "DELETE FROM events WHERE seq = 6", "UPDATE sqlite_sequence SET seq = 5")
    assert verified(path).problems == ((0, "the trigger events_no_delete is gone: records could be changed"),)
    assert any("the end was cut off" in what for _, what in verified(path, head).problems)


def test_a_newer_schema_is_refused_and_an_older_one_upgraded(path):
    tamper(path, f"PRAGMA user_version = {schema.VERSION + 1}")
    assert code_of(Ledger.open, path) == "LEDGER-NEWER"
    assert code_of(Ledger.upgrade, path) == "LEDGER-NEWER"
    tamper(path, "PRAGMA user_version = 1", "DROP TABLE runs", "DROP TABLE evidence")
    assert code_of(Ledger.open, path) == "LEDGER-OLDER"
    assert Ledger.upgrade(path) is True
    assert Ledger.upgrade(path) is False
    assert verified(path).ok


def test_an_upgrade_fills_the_derived_tables(path):
    with Ledger.open(path) as ledger:
        ledger.append(Event("experiment", {"experiment": "e7", "fault": "tool.error"}))
        ledger.append(Event("verdict", {"experiment": "e7", "belief": "b"}))
        derived = ledger.runs(), ledger.evidence()
    tamper(path, "PRAGMA user_version = 1", "DROP TABLE runs", "DROP TABLE evidence")
    Ledger.upgrade(path)
    with Ledger.open(path) as ledger:
        assert (ledger.runs(), ledger.evidence()) == derived
        assert len(derived[0]) == len(derived[1]) == 1


def test_what_is_no_ledger_is_left_alone(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("notes " * 300)
    tamper(other, "CREATE TABLE t (x)")
    before = text.read_bytes(), other.read_bytes()
    assert code_of(Ledger.open, text) == code_of(Ledger.open, other) == "LEDGER-NOT-A-DATABASE"
    assert (text.read_bytes(), other.read_bytes()) == before


def test_a_missing_ledger_is_not_made_where_it_is_only_read(tmp_path):
    assert code_of(Ledger.open, tmp_path / "none" / "ledger.db", create=False) == "LEDGER-MISSING"
    assert not (tmp_path / "none").exists()


def test_a_directory_or_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    assert code_of(Ledger.open, tmp_path / "file" / "ledger.db") == "LEDGER-IO"
    assert code_of(Ledger.open, tmp_path) in {"LEDGER-IO", "LEDGER-PERMISSION"}


def test_a_locked_ledger_says_so_and_works_again(path):
    blocker = sqlite3.connect(path, isolation_level=None)
    with Ledger.open(path, wait_s=0.1) as ledger:
        blocker.execute("BEGIN IMMEDIATE")
        assert code_of(ledger.append, Event("phase")) == "LEDGER-LOCKED"
        assert len(list(ledger.events())) == 6
        blocker.execute("ROLLBACK")
        ledger.append(Event("phase"))
        assert ledger.verify().ok
    blocker.close()


def test_a_damaged_page_is_reported(path):
    with Ledger.open(path) as ledger:
        ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    assert code_of(verified, path) == "LEDGER-CORRUPT" or not verified(path).ok


def test_export_as_json_lines(path):
    with Ledger.open(path) as ledger:
        lines = [json.loads(line) for line in as_json_lines(ledger)]
        assert [line["ledger"]["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
        assert lines[5]["ledger"]["digest"] == ledger.head()
    for line in lines:
        place = line.pop("ledger")
        assert digest_of(place["previous"], canonical(line)) == place["digest"]


def test_export_as_parquet_needs_pyarrow(path, monkeypatch, tmp_path):
    monkeypatch.setattr("refute.ledger.export.find_spec", lambda _name: None)
    with Ledger.open(path) as ledger:
        assert code_of(write_parquet, ledger, tmp_path / "out.parquet") == "LEDGER-PARQUET"


def test_parquet_has_the_columns_of_the_events_table(path, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    with Ledger.open(path) as ledger:
        assert write_parquet(ledger, tmp_path / "out.parquet") == 6
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["seq"] for row in table] == [1, 2, 3, 4, 5, 6]
    assert json.loads(table[2]["json"])["units"] == 2
