"""Strikes at one step of an optimiser: on gradients where they have just been computed, on everything else before the step is taken.

Whoever clips, scales or checks gradients does so between the two: a strike right before the step would be out of reach of all that.
Frameworks also compute gradients within the step, in a closure.
"""

from __future__ import annotations

import sys
from typing import Any

from refute.injectors.training.armed import OPTIMIZER, Armed
from refute.injectors.training.numerics import ON_GRADIENTS, STRIKES, gradients

_RATE = "schedule.lr_spike"
_LACKING = "no gradients, no state of an optimiser, or none that overflows"


class ArmedStep(Armed):
    """One fault of one step."""

    _rates: tuple[tuple[Any, float], ...] = ()
    _hooks: tuple[Any, ...] = ()
    _within = False

    def _hook_steps(self) -> None:
        super()._hook_steps()
        if self._fault in ON_GRADIENTS or self._fault == _RATE:
            optimizer: Any = sys.modules[OPTIMIZER]
            self._removals.append(optimizer.register_optimizer_step_post_hook(self._after).remove)

    def _due(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._fault in ON_GRADIENTS and (len(args) > 1 or kwargs.get("closure")):
            self._within = True  # they are still to be computed
            self._await_gradients(optimizer)
            return
        self._unhook()
        self._strike(optimizer)

    def _strike(self, optimizer: Any) -> None:
        if self._over or not self._able(optimizer) or not self._claimed():
            return
        if self._fault == _RATE:
            self._rates = tuple((group, group["lr"]) for group in optimizer.param_groups)
            for group, rate in self._rates:
                group["lr"] = rate * self._magnitude
            self._done(f"learning rate times {self._magnitude:g}")
        else:
            self._done(STRIKES[self._fault](optimizer, self._magnitude, self._rng))

    def _missed(self) -> str:
        due = self._steps >= self._at and not self._over
        return f"{self._steps} steps had nothing that it could strike: {_LACKING}" if due else super()._missed()

    def _able(self, optimizer: Any) -> bool:
        """Say whether there is something to strike, before the one strike of a run is claimed."""
        if self._fault == "config.overflow":
            return any((abs(one) * self._magnitude > 65504).any() for one in gradients(optimizer))
        if self._fault in ON_GRADIENTS:
            return bool(gradients(optimizer))
        return self._fault not in {"numerics.bit_flip_optimizer", "schedule.optimizer_lost"} or bool(optimizer.state)

    def _after(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Take a learning rate back; before the step that is due, wait for its gradients."""
        for group, usual in self._rates:
            group["lr"] = usual
        self._rates = ()
        self._within = False
        if self._fault in ON_GRADIENTS and self._steps >= self._at - 1 and not self._over and self._may():
            self._await_gradients(optimizer)

    def _await_gradients(self, optimizer: Any) -> None:
        if not self._hooks:
            weights = [weight for group in optimizer.param_groups for weight in group["params"] if weight.requires_grad]
            self._hooks = tuple(weight.register_post_accumulate_grad_hook(lambda _: self._computed(optimizer)) for weight in weights)
            self._removals.append(self._unhook)

    def _computed(self, optimizer: Any) -> None:
        """Strike at the end of the backward pass that is under way, after whatever has to be done there by then."""
        self._unhook()
        engine: Any = sys.modules["torch"].autograd.Variable._execution_engine  # noqa: SLF001 - what torch's own wrappers use

        def struck() -> None:
            if not self._over and self._may():
                ahead = 0 if self._within else 1  # which step these gradients are for
                self._steps += ahead
                self._strike(optimizer)
                self._steps -= ahead

        engine.queue_callback(lambda: engine.queue_callback(struck))

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = ()
