"""Frozen types, protocols, units, errors with codes, and events. Standard library only."""
