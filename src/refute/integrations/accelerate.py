"""For Hugging Face's Accelerate: a tracker that tells of steps, losses and metrics where somebody listens. Faults need no tracker.

accelerator = Accelerator(log_with=[Tracker()])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate.tracking import GeneralTracker

from refute.training._report import tell_of

__all__ = ["Tracker"]


class Tracker(GeneralTracker):  # type: ignore[misc]
    """Tells of whatever `accelerator.log(values, step)` is given, from the main process alone: `loss` as the step's loss."""

    name = "refute"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self) -> None:
        """Keep nothing."""
        super().__init__()

    @property
    def tracker(self) -> Tracker:
        """What keeps the values: this object."""
        return self

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Do nothing: the configuration is the experiment's affair."""

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Tell of values.

        Args:
            values: by name.
            step: that they belong to, None for none.
        """
        tell_of(step, values)
