"""The intent file: load, validate, explain."""

from refute.intent.fingerprint import fingerprint
from refute.intent.loading import load, loads

__all__ = ["fingerprint", "load", "loads"]
