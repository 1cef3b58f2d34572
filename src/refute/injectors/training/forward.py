"""Strikes on one activation, in the forward pass before one step."""

from __future__ import annotations

import sys
from typing import Any

from refute.injectors.training.armed import Armed
from refute.injectors.training.numerics import flip

_MODULE = "torch.nn.modules.module"


class ArmedForward(Armed):
    """A bit of one entry of what one layer returns flips; the layer is drawn among those that ran in the pass before."""

    _hook: Any = None
    _ran = 0
    _chosen = -1

    def _hook_steps(self) -> None:
        super()._hook_steps()
        if self._at <= 2:
            self._listen()

    def _before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        super()._before(optimizer, args, kwargs)
        if self._steps == self._at - 2:
            self._listen()
        elif self._steps >= self._at - 1 and not self._over:
            self._chosen = self._rng.randrange(max(1, self._ran))
            self._ran = 0
        return None

    def _listen(self) -> None:
        """Hear of every layer that runs; kept to the passes that need it, as it costs each layer a call."""
        if self._hook is None and self._may():
            module: Any = sys.modules[_MODULE]
            self._hook = module.register_module_forward_hook(self._heard)
            self._removals.append(self._leave)

    def _leave(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _heard(self, layer: Any, _inputs: Any, output: Any) -> None:
        """Count the layers that hold no others, while a model trains; strike the one that was drawn."""
        if next(layer.children(), None) is not None or not getattr(output, "requires_grad", False) or not layer.training:
            return
        place, self._ran = self._ran, self._ran + 1
        if self._steps + 1 >= self._at and not self._over and place >= max(0, self._chosen) and self._may() and self._claimed():
            self._strike(layer, output)

    def _strike(self, layer: Any, output: Any) -> None:
        self._steps += 1  # the step that this pass is for
        self._done(flip(output, int(self._magnitude), self._rng, f"activation of a {type(layer).__name__}"))
        self._steps -= 1
        self._over = True
        self._leave()
