"""Runs a training that is a Python function: calls it with its seed, and reports what it returns. Run as a module."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

from refute.training._report import tell


def main(reference: str, seed: int) -> None:
    """Train once.

    Args:
        reference: `module:function` that takes a seed and returns metrics by name.
        seed: of the run.

    Raises:
        TypeError: it returns something else.
    """
    module, _, path = reference.partition(":")
    function = import_module(module)
    for name in path.split("."):
        function = getattr(function, name)
    metrics = function(seed)  # type: ignore[operator]
    if not isinstance(metrics, Mapping):
        raise TypeError(f"{reference} returned a {type(metrics).__name__}; return metrics by name: {{'accuracy': 0.93}}")
    tell(None, None, {str(name): float(value) for name, value in metrics.items()})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
