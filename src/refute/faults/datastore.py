"""Faults of the connections to databases and caches, whatever protocol they speak."""

from __future__ import annotations

from refute.faults._connections import connection_faults

FAULTS = connection_faults(
    "datastore",
    frozenset({"datastore", "cache", "vector_store", "feature_store"}),
    "The datastore",
    "fail-overs, saturated pools and silent peers in databases' issue trackers and incident reports",
)
