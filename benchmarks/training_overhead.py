"""What hooks inside a training cost a step while they are armed and strike nothing; run it with the Python of `make torch`.

Steps with and without the hooks alternate in blocks, and each block of one is compared with the block of the other beside it, so that
what else the machine does weighs on both alike.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.training.hand import TrainingInjector

BLOCKS, STEPS = 60, 100


def main() -> None:
    """Print microseconds a step and the overhead, for a small and a larger model."""
    torch.set_num_threads(1)
    for width in (64, 512):
        step = _step(width)
        for _ in range(STEPS):
            step()
        without, ratios, taken = [], [], []
        for _ in range(BLOCKS):
            plain, armed = _timed(step), _armed(step)
            without.append(plain)
            ratios.append(armed / plain)
            taken.append(armed - plain)
        base, extra = statistics.median(without) * 1e6, statistics.median(taken) * 1e6
        share = statistics.median(ratios) - 1
        print(f"MLP of width {width}, Adam: {base:.0f} µs a step; armed and idle {extra:+.1f} µs, {share:+.2%}")


def _step(width: int):  # noqa: ANN202
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.Adam(model.parameters())
    data, labels = torch.randn(64, 64), torch.randint(10, (64,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data), labels).backward()
        optimizer.step()

    return step


def _timed(step) -> float:  # noqa: ANN001
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - start) / STEPS


def _armed(step) -> float:  # noqa: ANN001
    hand = TrainingInjector()
    handle = hand.prepare(Arming(Component("trainer", "trainer"), "numerics.nan_gradient", share=0.0, turn=1))
    hand.apply(handle, Lease(20.0))
    try:
        return _timed(step)
    finally:
        hand.rollback(handle)


if __name__ == "__main__":
    main()
