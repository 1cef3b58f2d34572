"""For Lightning: a callback that tells of steps, losses and metrics where somebody listens. Faults need no callback.

trainer = Trainer(callbacks=[Report()])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback

from refute.training._report import tell_of

__all__ = ["Report"]


class Report(Callback):  # type: ignore[misc]
    """Tells of each optimiser step with its loss, and of what validation and test have logged; from rank 0 alone."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Tell of a step, where the optimiser has taken one."""
        del pl_module, batch, batch_idx
        if trainer.is_global_zero and trainer.global_step:
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            tell_of(trainer.global_step, {"loss": loss})

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Tell of the metrics of a validation, but of the rehearsal before training."""
        del pl_module
        if not trainer.sanity_checking:
            _metrics(trainer)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Tell of the metrics of a test."""
        del pl_module
        _metrics(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Tell of what was logged last."""
        del pl_module
        _metrics(trainer)


def _metrics(trainer: Any) -> None:
    if trainer.is_global_zero:
        tell_of(None, dict(trainer.callback_metrics))
