"""What the assistant can do: look up an order, refund one. Backed by SQLite."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

ORDERS_CSV = Path(__file__).parent.parent / "data" / "orders.csv"
BUSY_TIMEOUT_S = 10

SCHEMA = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    placed_on TEXT NOT NULL,
    items TEXT NOT NULL,
    total_eur REAL NOT NULL,
    payment_method TEXT NOT NULL,
    ship_to TEXT NOT NULL,
    carrier TEXT,
    tracking_number TEXT,
    expected_delivery TEXT,
    delivered_on TEXT
);
CREATE TABLE refunds (
    refund_id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders,
    conversation_id TEXT NOT NULL,
    amount_eur REAL NOT NULL,
    reason TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX refunds_by_conversation ON refunds (conversation_id, order_id);
"""

_database: Path | None = None


class OrderNotFoundError(LookupError):
    """There is no such order."""


class RefundRefusedError(ValueError):
    """The order cannot be refunded like that."""


def open_database(path: Path) -> None:
    """Create the database at `path`, fill it with the example's orders, and use it from now on."""
    global _database
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA)
        with ORDERS_CSV.open(encoding="utf-8", newline="") as file:
            rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(file)]
        columns = ", ".join(rows[0])
        values = ", ".join(f":{column}" for column in rows[0])
        db.executemany(f"INSERT INTO orders ({columns}) VALUES ({values})", rows)
    _database = path


def connect() -> closing[sqlite3.Connection]:
    """A connection of its own for each call, because calls come from many threads."""
    if _database is None:
        raise RuntimeError("the database is not open: call app.tools.open_database(path) first")
    db = sqlite3.connect(_database, timeout=BUSY_TIMEOUT_S)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA synchronous = NORMAL")
    return closing(db)


def lookup_order(order_id: str) -> dict:
    """An order's record, without the fields that are still empty."""
    with connect() as db:
        row = db.execute("SELECT * FROM orders WHERE order_id = ?", (order_id.upper(),)).fetchone()
    if row is None:
        raise OrderNotFoundError(f"there is no order {order_id!r}")
    return {key: value for key, value in dict(row).items() if value is not None}


def create_refund(order_id: str, amount: float | None = None, reason: str = "", conversation_id: str = "") -> dict:
    """Record a refund, of the whole order if no amount is given. Accounting pays out what it finds in the table."""
    order = lookup_order(order_id)
    amount = order["total_eur"] if amount is None else float(amount)
    if order["status"] != "delivered":
        raise RefundRefusedError(f"order {order['order_id']} is {order['status']}, not delivered")
    if not 0 < amount <= order["total_eur"]:
        raise RefundRefusedError(f"{amount:.2f} EUR is not within the order's total of {order['total_eur']:.2f} EUR")
    with connect() as db, db:
        cursor = db.execute(
            "INSERT INTO refunds (order_id, conversation_id, amount_eur, reason, created_at) VALUES (?, ?, ?, ?, ?)",
            (order["order_id"], conversation_id, amount, reason, datetime.now(UTC).isoformat()),
        )
    return {
        "refund_id": cursor.lastrowid,
        "order_id": order["order_id"],
        "status": "refund recorded",
        "amount_eur": amount,
        "payment_method": order["payment_method"],
    }
