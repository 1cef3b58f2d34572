"""Leases, rollback journal, gates and stop conditions."""
