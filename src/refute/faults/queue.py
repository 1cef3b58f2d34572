"""Faults of the connections to queues and brokers, whatever protocol they speak."""

from __future__ import annotations

from refute.faults._connections import connection_faults

FAULTS = connection_faults(
    "queue", frozenset({"queue"}), "The queue", "broker fail-overs and half-open connections in clients' issue trackers"
)
