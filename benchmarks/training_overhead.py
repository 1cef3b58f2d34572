"""What injectors inside a training cost a step while they are armed and strike nothing; run it with the Python of `make torch`.

Steps without any hook alternate in blocks with steps that have them, of Refute and of `lm-resiliency` (a campaign that is enabled and due
in a thousand million steps), and each block is compared with the plain one beside it. What counts is the processor's time, in one thread,
so that what else the machine does weighs little.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from lm_resiliency.fault_injection import FaultCampaign, enable_fault_injection
from torch import nn

from refute.core.arming import Arming
from refute.core.lease import Lease
from refute.core.system import Component
from refute.injectors.training.hand import TrainingInjector

BLOCKS, STEPS = 40, 100
FAULTS = ("numerics.nan_gradient", "numerics.bit_flip_activation", "checkpoint.torn")
_FAR = {
    "name": "idle", "schema_version": 1,
    "incidents": [{
        "incident_id": "far", "trigger": {"at": [10**9]}, "lifetime": {"iterations": 1},
        "faults": [{
            "fault_id": "value", "type": "tensor_corruption", "target": {"surface": "gradient", "module_path": "0", "rank": 0},
            "parameters": {"operation": "set_value", "value": 1.0},
        }],
    }],
}  # fmt: skip


def main() -> None:
    """Print microseconds a step and the overhead of each, for a small and a larger model."""
    torch.set_num_threads(1)
    for width in (64, 512):
        model, optimizer, step = _training(width)
        hooks = {f"refute, {fault}": lambda fault=fault: _refute(fault) for fault in FAULTS}
        hooks["lm-resiliency, gradient"] = lambda model=model, optimizer=optimizer: _other(model, optimizer)
        for _ in range(STEPS):
            step()
        ratios: dict[str, list[float]] = {name: [] for name in hooks}
        plain = []
        for _ in range(BLOCKS):
            for name, armed in hooks.items():
                base = _timed(step)
                with armed():
                    ratios[name].append(_timed(step) / base)
                plain.append(base)
        print(f"MLP of width {width}, Adam: {statistics.median(plain) * 1e6:.0f} µs a step")
        for name, found in ratios.items():
            low, high = _interval(found)
            print(f"  {name:<40} {statistics.median(found) - 1:+.2%} a step (95 % interval {low - 1:+.2%} to {high - 1:+.2%})")


def _training(width: int) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], None]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.Adam(model.parameters())
    data, labels = torch.randn(64, 64), torch.randint(10, (64,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data), labels).backward()
        optimizer.step()

    return model, optimizer, step


def _timed(step: Callable[[], None]) -> float:
    start = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - start) / STEPS


def _interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by ranks."""
    ordered, half = sorted(values), 0.98 * len(values) ** 0.5
    return ordered[max(0, int(len(values) / 2 - half))], ordered[min(len(values) - 1, int(len(values) / 2 + half))]


@contextmanager
def _refute(fault: str) -> Iterator[None]:
    hand = TrainingInjector()
    handle = hand.prepare(Arming(Component("trainer", "trainer"), fault, turn=10**9))
    hand.apply(handle, Lease(25.0))
    try:
        yield
    finally:
        hand.rollback(handle)


@contextmanager
def _other(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    session = enable_fault_injection(model, optimizer, campaign=FaultCampaign.from_dict(_FAR))
    try:
        yield
    finally:
        session.close()


if __name__ == "__main__":
    main()
