"""Refute: chaos engineering with intent, for AI systems."""

__version__ = "0.1.0"
