"""For Hugging Face's Trainer: a callback that tells of steps, losses and metrics where somebody listens. Faults need no callback.

trainer = Trainer(..., callbacks=[Report()])
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from refute.training._report import tell_of

__all__ = ["Report"]


class Report(TrainerCallback):  # type: ignore[misc]
    """Tells of each step, and of whatever the trainer logs, as it logs it; from rank 0 alone.

    By default the trainer writes another loss in place of one that is no number (`logging_nan_inf_filter`): then that is what is told.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell that a step was taken."""
        del args, control
        if state.is_world_process_zero:
            tell_of(state.global_step, {})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of what is logged."""
        del args, control
        if state.is_world_process_zero:
            tell_of(state.global_step, logs or {})
