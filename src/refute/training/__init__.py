"""For a training script: tells how it goes, where somebody listens. Standard library only; without a listener it costs nothing."""

from __future__ import annotations

from refute.training._report import report

__all__ = ["report"]
