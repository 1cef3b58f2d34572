"""One fault in one process of a training: counts the steps of every optimiser, and says when the fault is due and whether it may strike."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from refute.core.arming import Arming, Landing
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors._awaited import awaits, forget, when_imported
from refute.injectors.training.marks import claim, note, rank

OPTIMIZER = "torch.optim.optimizer"
_FIRST, _LAST = 10, 30  # steps, one of which is drawn where none is stated


class Armed:
    """One fault in one process; what is struck, and where, is a subclass's affair.

    Args:
        handle: its id.
        arming: what is armed; with a share of 0 the hooks are there and strike nothing.
        lease: for how long.

    Attributes:
        counted: what `turn` counts, in words.
    """

    counted = "steps"

    def __init__(self, handle: str, arming: Arming, lease: Lease) -> None:
        """Put nothing in place yet."""
        fault = catalogue()[arming.fault]
        self._handle = handle
        self._arming = arming
        self._fault = fault.name
        self._magnitude = fault.magnitude.or_typical(arming.magnitude) if fault.magnitude is not None else 0.0
        self._lease = lease
        self._lock = threading.Lock()
        self._rng = random.Random(arming.seed)
        self._at = arming.turn or self._drawn()
        self._waiting: dict[str, Callable[[], None]] = {}
        self._removals: list[Callable[[], None]] = []
        self._steps = 0
        self._landed = self._over = self._ended = False

    @property
    def gone(self) -> bool:
        """Whether no hook is left, nor waited for."""
        return not self._removals and not self._waiting

    def put(self) -> None:
        """Put the hooks in place where their modules are there; else once they are."""
        for module, place in self._places().items():
            if module in sys.modules:
                place()
            elif awaits(module):
                self._waiting[module] = self._placing(module, place)
                when_imported(module, self._waiting[module])

    def remove(self) -> None:
        """Take everything away; calling it again changes nothing."""
        with self._lock:
            self._ended = True  # for whoever has kept what stood in for a function, and calls it still
            for module, then in self._waiting.items():
                forget(module, then)
            self._waiting.clear()
            for remove in self._removals:
                remove()
            self._removals.clear()

    def landing(self) -> Landing:
        """Return the strike, if there was one."""
        return Landing(int(self._landed), int(self._landed), reason="" if self._landed else self._missed())

    # What a subclass says

    def _drawn(self) -> int:
        """Return when it is due where nobody has said."""
        return self._rng.randint(_FIRST, _LAST)

    def _missed(self) -> str:
        """Say why it has not struck."""
        if not self._reached():
            return f"this process made no {self.counted} that torch knows of"
        return f"it was due at number {self._at} of the {self.counted}, and this process made {self._reached()}"

    def _reached(self) -> int:
        """Return how many of what is counted this process has made."""
        return self._steps

    def _places(self) -> Mapping[str, Callable[[], None]]:
        """Return by module what puts hooks in place once it is there."""
        return {OPTIMIZER: self._hook_steps}

    def _due(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Strike before a step, from the due one on until `_over`; return other arguments for it, or None."""

    # What it is given

    def _hook_steps(self) -> None:
        optimizer: Any = sys.modules[OPTIMIZER]
        self._removals.append(optimizer.register_optimizer_step_pre_hook(self._before).remove)

    def _before(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Count a step of any optimiser, and strike where it is due."""
        self._steps += 1
        if self._steps < self._at or self._over or not self._may():
            return None
        return self._due(optimizer, args, kwargs)

    def _may(self) -> bool:
        return self._arming.share > 0 and not self._ended and self._lease.remaining_s() > 0

    def _claimed(self) -> bool:
        """Say whether this process is the one of the run to strike."""
        return claim(self._handle)

    def _done(self, effect: str) -> None:
        """Take a strike down; "" where there was nothing to strike."""
        if effect:
            self._landed = self._over = True
            note(self._steps, effect)

    def _replace(self, name: str, replacement: Any, *modules: str) -> None:
        """Have something stand in for a function until it is removed.

        Args:
            name: of the function.
            replacement: what stands in.
            *modules: the one that has it, and those that take it from there, perhaps only after this.
        """
        original = getattr(sys.modules[modules[0]], name)
        for module in modules:
            if hasattr(sys.modules.get(module), name):
                setattr(sys.modules[module], name, replacement)

        def restore() -> None:
            for module in modules:
                if getattr(sys.modules.get(module), name, None) is replacement:
                    setattr(sys.modules[module], name, original)

        self._removals.append(restore)

    def _placing(self, module: str, place: Callable[[], None]) -> Callable[[], None]:
        def then() -> None:
            if self._waiting.pop(module, None) is not None:
                place()

        return then


def is_last_rank() -> bool:
    """Say whether this is the rank that is struck: the last one, which seldom is the one that writes files; or the only one."""
    try:
        return rank() == int(os.environ.get("WORLD_SIZE", "1")) - 1
    except ValueError:
        return True
