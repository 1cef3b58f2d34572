"""Strikes on the seed of a run: what the program asks for is not what it gets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from refute.injectors.training.armed import Armed
from refute.injectors.training.marks import note

_SEEDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "torch.random": ("manual_seed", ("torch.random", "torch")),
    "random": ("seed", ("random",)),
    "numpy.random": ("seed", ("numpy.random",)),
}


class ArmedSeed(Armed):
    """Every whole number that the global generators of torch, Python and numpy are seeded with is another one."""

    counted = "seeds"
    _asked = 0

    def _drawn(self) -> int:
        return 1

    def _reached(self) -> int:
        return self._asked

    def _places(self) -> Mapping[str, Callable[[], None]]:
        return {module: self._wrapping(module) for module in _SEEDERS}

    def _wrapping(self, module: str) -> Callable[[], None]:
        name, holders = _SEEDERS[module]

        def wrap() -> None:
            original: Any = getattr(sys.modules[module], name)

            def seeded(*args: Any, **kwargs: Any) -> Any:
                return original(*self._others(args), **kwargs)

            self._replace(name, seeded, *holders)

        return wrap

    def _others(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments with another seed, from the due one on."""
        if not args or not isinstance(args[0], int):
            return args
        self._asked += 1
        if self._asked < self._at or not self._may():
            return args
        if not self._landed:
            note(0, f"seeded otherwise by {self._magnitude:g}")
        self._landed = True
        return ((args[0] + int(self._magnitude)) % 2**32, *args[1:])
