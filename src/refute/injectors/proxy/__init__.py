"""A proxy in front of any upstream: passes bytes through untouched, and breaks what a run has armed, in any language."""

from refute.injectors.proxy.hands import INJECTOR

__all__ = ["INJECTOR"]
