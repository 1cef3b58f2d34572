"""Faults inside a training run: at one step of the optimiser, or at one save, once in a run."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from refute.core.arming import Arming, Handle, Landing, RollbackKind
from refute.core.errors import refuse
from refute.core.lease import Lease
from refute.faults.catalogue import catalogue
from refute.injectors._awaited import awaits, forget, when_imported
from refute.injectors.training import processes, saves
from refute.injectors.training.marks import claim, note, rank
from refute.injectors.training.numerics import STRIKES

_OPTIMIZER, _SAVING = "torch.optim.optimizer", "torch.serialization"
_FIRST, _LAST = 10, 30  # steps, one of which is drawn where none is stated
_SAVE = 2


class TrainingInjector:
    """Strikes from hooks that torch calls before and after each step of any optimiser, and around `torch.save`."""

    name = "training"
    rollback_kind: RollbackKind = "expiring"

    def __init__(self) -> None:
        """Arm nothing yet."""
        self._armed: dict[str, Armed] = {}

    def refuses(self, arming: Arming) -> str:
        """Say why this injector cannot do it, or return ""."""
        fault = catalogue().get(arming.fault)
        if fault is None or not fault.trains:
            return f"not a fault for training runs: {arming.fault}"
        return fault.objection(arming.component.kind, arming.magnitude)

    def prepare(self, arming: Arming) -> Handle:
        """Make the handle.

        Raises:
            RefuteError: it cannot be done (`TRAINING-REFUSED`).
        """
        if reason := self.refuses(arming):
            raise refuse("TRAINING-REFUSED", reason, where=arming.component.name)
        return Handle(self.name, "expiring", {"arming": arming.to_json()})

    def apply(self, handle: Handle, lease: Lease) -> None:
        """Put the hooks in place, now or as soon as the program has imported torch.

        Raises:
            RefuteError: it cannot be done (`TRAINING-REFUSED`), or the component is off limits (`BLAST-NEVER`).
        """
        arming = Arming.from_json(handle.data["arming"])
        if reason := self.refuses(arming):
            raise refuse("TRAINING-REFUSED", reason, where=arming.component.name)
        lease.permits(arming.component)
        armed = Armed(handle.id, arming, lease)
        self._armed[handle.id] = armed
        armed.put()

    def landed(self, handle: Handle) -> Landing:
        """Return what this process has delivered; what a killed one has is written down in the run's folder."""
        armed = self._armed.get(handle.id)
        return armed.landing() if armed is not None else Landing(reason="never applied in this process")

    def rollback(self, handle: Handle) -> None:
        """Take the hooks away."""
        if handle.id in self._armed:
            self._armed[handle.id].remove()

    def verify(self, handle: Handle) -> bool:
        """Say whether no hook of this handle is left in this process."""
        return handle.id not in self._armed or self._armed[handle.id].gone


class Armed:
    """One fault in one process.

    Args:
        handle: its id.
        arming: what is armed; with a share of 0 the hooks are there and strike nothing.
        lease: for how long.
    """

    def __init__(self, handle: str, arming: Arming, lease: Lease) -> None:
        """Put nothing in place yet."""
        fault = catalogue()[arming.fault]
        self._handle = handle
        self._arming = arming
        self._fault = fault.name
        self._trains = fault.trains
        self._magnitude = fault.magnitude.or_typical(arming.magnitude) if fault.magnitude is not None else 0.0
        self._lease = lease
        self._lock = threading.Lock()
        self._rng = random.Random(arming.seed)
        drawn = _SAVE if self._trains == "checkpoint" else self._rng.randint(_FIRST, _LAST)
        self._at = arming.turn or drawn
        self._waiting: dict[str, Callable[[], None]] = {}
        self._removals: list[Callable[[], None]] = []
        self._rates: list[tuple[Any, float]] = []
        self._steps = self._saves = 0
        self._landed = self._over = self._doomed = False

    @property
    def gone(self) -> bool:
        """Whether no hook is left, nor waited for."""
        return not self._removals and not self._waiting

    def put(self) -> None:
        """Put the hooks in place where torch is there; else once it is."""
        places = {_OPTIMIZER: self._hook_steps} | ({_SAVING: self._wrap_save} if self._trains == "checkpoint" else {})
        for module, place in places.items():
            if module in sys.modules:
                place()
            elif awaits(module):
                self._waiting[module] = self._placing(module, place)
                when_imported(module, self._waiting[module])

    def remove(self) -> None:
        """Take everything away; calling it again changes nothing."""
        with self._lock:
            for module, then in self._waiting.items():
                forget(module, then)
            self._waiting.clear()
            for remove in self._removals:
                remove()
            self._removals.clear()

    def landing(self) -> Landing:
        """Return the strike, if there was one."""
        reached = self._saves if self._trains == "checkpoint" else self._steps
        what = "saves" if self._trains == "checkpoint" else "steps"
        reason = "" if self._landed else f"it was due at number {self._at} of the {what}, and this process made {reached}"
        return Landing(int(self._landed), int(self._landed), reason=reason)

    def _placing(self, module: str, place: Callable[[], None]) -> Callable[[], None]:
        def then() -> None:
            if self._waiting.pop(module, None) is not None:
                place()

        return then

    def _hook_steps(self) -> None:
        optimizer: Any = sys.modules[_OPTIMIZER]
        self._removals.append(optimizer.register_optimizer_step_pre_hook(self._before).remove)
        if self._fault == "schedule.lr_spike":
            self._removals.append(optimizer.register_optimizer_step_post_hook(self._after).remove)

    def _wrap_save(self) -> None:
        module: Any = sys.modules[_SAVING]
        original = module.save

        def save(*args: Any, **kwargs: Any) -> Any:
            return self._saved(original, args, kwargs)

        holders = [module, *(found for found in [sys.modules.get("torch")] if found is not None)]
        for holder in holders:
            holder.save = save
        self._removals.append(lambda: _restore(module, save, original))

    def _before(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        """Count a step of any optimiser, and strike where it is due."""
        self._steps += 1
        if self._doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._steps < self._at or self._over or self._trains == "checkpoint" or not self._may():
            return
        if self._trains == "rank" and not is_last_rank():
            return
        self._strike(optimizer)

    def _strike(self, optimizer: Any) -> None:
        if self._fault == "rank.slow":
            self._slow()
        elif not self._able(optimizer) or not claim(self._handle):
            return
        elif self._fault == "rank.killed":
            processes.kill_rank(self._steps)
        elif self._fault == "rank.frozen":
            self._landed = self._over = True
            processes.freeze_rank(self._steps, self._magnitude)
        else:
            self._done(self._effect(optimizer))

    def _able(self, optimizer: Any) -> bool:
        """Say whether there is something to strike, before the one strike of a run is claimed."""
        if self._trains == "worker":
            return bool(processes.workers())
        return self._fault not in {"numerics.bit_flip_optimizer", "schedule.optimizer_lost"} or bool(optimizer.state)

    def _effect(self, optimizer: Any) -> str:
        if self._trains == "worker":
            return processes.strike_worker(None if self._fault == "loader.worker_killed" else self._magnitude, self._rng)
        if self._fault == "schedule.lr_spike":
            self._rates = [(group, group["lr"]) for group in optimizer.param_groups]
            for group, rate in self._rates:
                group["lr"] = rate * self._magnitude
            return f"learning rate times {self._magnitude:g}"
        return STRIKES[self._fault](optimizer, self._magnitude, self._rng)

    def _after(self, _optimizer: Any, _args: Any, _kwargs: Any) -> None:
        for group, usual in self._rates:
            group["lr"] = usual
        self._rates = []

    def _slow(self) -> None:
        """Hold this rank at each step from now on."""
        if not self._landed:
            note(self._steps, "rank slowed")
        self._landed = True
        self._lease.wait_revoked(self._magnitude)

    def _done(self, effect: str) -> None:
        if effect:
            self._landed = self._over = True
            note(self._steps, effect)

    def _saved(self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._saves += 1
        if self._saves < self._at or self._over or not self._may() or not claim(self._handle):
            return original(*args, **kwargs)
        self._landed = self._over = True
        self._doomed = self._fault in saves.FATAL_NEXT
        return saves.strike(self._fault, self._magnitude, self._steps, saves.Save(original, args, kwargs))

    def _may(self) -> bool:
        return self._arming.share > 0 and self._lease.remaining_s() > 0


def is_last_rank() -> bool:
    """Say whether this is the rank that is struck: the last one, which seldom is the one that writes files; or the only one."""
    try:
        return rank() == int(os.environ.get("WORLD_SIZE", "1")) - 1
    except ValueError:
        return True


def _restore(module: Any, ours: Any, original: Any) -> None:
    holders: tuple[Any, ...] = (module, sys.modules.get("torch"))
    for holder in holders:
        if getattr(holder, "save", None) is ours:
            holder.save = original


INJECTOR = TrainingInjector()
"""The one of this process."""
