"""Strikes on the exchange of gradients between ranks, as `DistributedDataParallel` asks for it: from a communication hook of its own.

A hook cannot be taken from a model again: once the fault is over it does what torch does without one, or what the program's own does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from refute.injectors.training.armed import OPTIMIZER, Armed, is_last_rank
from refute.injectors.training.marks import note

_PARALLEL = "torch.nn.parallel.distributed"
_HOOKS = "torch.distributed.algorithms.ddp_comm_hooks.default_hooks"


class ArmedExchange(Armed):
    """One exchange of gradients goes wrong on the last rank, or all do from one on."""

    def _places(self) -> Mapping[str, Callable[[], None]]:
        return {OPTIMIZER: self._hook_steps, _PARALLEL: self._wrap}

    def _wrap(self) -> None:
        """Have every model that is made parallel from now on exchange through us."""
        parallel: Any = sys.modules[_PARALLEL].DistributedDataParallel
        begin, register = parallel.__init__, parallel.register_comm_hook

        def exchanged(model, bucket):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - torch wants its own annotations, or none
            return self._exchanged(model, bucket)

        def __init__(model: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands in for one
            begin(model, *args, **kwargs)
            register(model, model, exchanged)

        def register_comm_hook(model: Any, state: object, hook: Any) -> None:
            model._refute_exchange = (state, hook)  # noqa: SLF001 - the program's own, which ours then calls

        parallel.__init__, parallel.register_comm_hook = __init__, register_comm_hook

        def restore() -> None:
            if parallel.__init__ is __init__:
                parallel.__init__ = begin
            if parallel.register_comm_hook is register_comm_hook:
                parallel.register_comm_hook = register

        self._removals.append(restore)

    def _exchanged(self, model: Any, bucket: Any) -> Any:
        """Exchange one bucket of gradients, before the step that is `_steps + 1`."""
        if self._steps + 1 < self._at or self._over or not self._may() or not is_last_rank():
            return _exchange(model, bucket)
        if self._fault == "comms.slow":
            self._told(f"exchanges slowed by {self._magnitude:g} s")
            self._lease.wait_revoked(self._magnitude)
            return _exchange(model, bucket)
        if not self._landed and not self._claimed():
            self._over = True
            return _exchange(model, bucket)
        return self._struck(model, bucket)

    def _struck(self, model: Any, bucket: Any) -> Any:
        """Strike the exchange of one step: of one bucket, or of all of them where it is lost."""
        if self._fault == "comms.hung":
            self._told(f"exchange held for {self._magnitude:g} s")
            self._over = True
            self._lease.wait_revoked(self._magnitude)
            return _exchange(model, bucket)
        if self._fault == "comms.corrupted":
            self._told(f"one bucket times {self._magnitude:g}")
            self._over = True
            bucket.buffer().mul_(self._magnitude)
            return _exchange(model, bucket)
        self._told("result of one exchange lost")
        self._over = bucket.is_last()
        own = bucket.buffer().clone()
        return _exchange(model, bucket).then(lambda _: own)

    def _told(self, effect: str) -> None:
        if not self._landed:
            note(self._steps + 1, effect)
        self._landed = True


def _exchange(model: Any, bucket: Any) -> Any:
    """Do what the program's own hook does, or torch where it has none."""
    own = getattr(model, "_refute_exchange", None)
    if own is not None:
        return own[1](own[0], bucket)
    hooks: Any = import_module(_HOOKS)  # a part of torch, which is there by now
    return hooks.allreduce_hook(model.process_group, bucket)
