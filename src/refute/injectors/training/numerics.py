"""Strikes on the numbers of one optimiser step: gradients, weights and what the optimiser keeps, before the step is taken.

Each takes the optimiser, the fault's magnitude and a source of chance, and returns what it did; "" where there was nothing to strike yet.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from typing import Any

Strike = Callable[[Any, float, random.Random], str]


def nan_gradient(optimizer: Any, _magnitude: float, rng: random.Random) -> str:
    """Make one entry of one gradient NaN."""
    tensor = _drawn(gradients(optimizer), rng)
    if tensor is None:
        return ""
    with _torch().no_grad():
        tensor.reshape(-1)[_entry(tensor, rng)] = math.nan
    return "one gradient entry NaN"


def inf_gradient(optimizer: Any, _magnitude: float, rng: random.Random) -> str:
    """Make one entry of one gradient infinite."""
    tensor = _drawn(gradients(optimizer), rng)
    if tensor is None:
        return ""
    with _torch().no_grad():
        tensor.reshape(-1)[_entry(tensor, rng)] = math.inf
    return "one gradient entry infinite"


def spike(optimizer: Any, factor: float, _rng: random.Random) -> str:
    """Multiply all gradients."""
    found = gradients(optimizer)
    with _torch().no_grad():
        for tensor in found:
            tensor.mul_(factor)
    return f"gradients times {factor:g}" if found else ""


def flip_weight(optimizer: Any, bit: float, rng: random.Random) -> str:
    """Flip a bit of one weight."""
    return flip(_drawn(_weights(optimizer), rng), int(bit), rng, "weight")


def flip_gradient(optimizer: Any, bit: float, rng: random.Random) -> str:
    """Flip a bit of one entry of a gradient."""
    return flip(_drawn(gradients(optimizer), rng), int(bit), rng, "gradient")


def flip_state(optimizer: Any, bit: float, rng: random.Random) -> str:
    """Flip a bit of what the optimiser keeps of one weight, such as its momentum."""
    return flip(_drawn(_states(optimizer), rng), int(bit), rng, "optimiser state")


def desync(optimizer: Any, scale: float, rng: random.Random) -> str:
    """Add noise to this process's weights, in proportion to how they are spread."""
    torch = _torch()
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    with torch.no_grad():
        for tensor in _weights(optimizer):
            noise = torch.randn(tensor.shape, generator=generator).to(tensor)
            tensor.add_(noise * (scale * (tensor.std() if tensor.numel() > 1 else tensor.abs()).nan_to_num()))
    return "weights perturbed"


def state_lost(optimizer: Any, _magnitude: float, _rng: random.Random) -> str:
    """Forget all that the optimiser keeps."""
    if not optimizer.state:
        return ""
    optimizer.state.clear()
    return "optimiser state lost"


def overflow(optimizer: Any, scale: float, _rng: random.Random) -> str:
    """Pass all gradients through 16-bit numbers at a loss scale, as mixed precision does."""
    torch, over = _torch(), 0
    with torch.no_grad():
        for tensor in gradients(optimizer):
            low = (tensor * scale).to(torch.float16)
            over += int(low.isinf().sum())
            tensor.copy_(low.to(tensor.dtype) / scale)
    return f"{over} gradient entries overflowed" if over else ""


STRIKES: dict[str, Strike] = {
    "numerics.nan_gradient": nan_gradient, "numerics.inf_gradient": inf_gradient, "numerics.spike": spike,
    "numerics.bit_flip_weight": flip_weight, "numerics.bit_flip_gradient": flip_gradient, "numerics.bit_flip_optimizer": flip_state,
    "schedule.optimizer_lost": state_lost, "rank.desync": desync, "rank.corrupts": flip_gradient, "config.overflow": overflow,
}  # fmt: skip

ON_GRADIENTS: frozenset[str] = frozenset(
    {"numerics.nan_gradient", "numerics.inf_gradient", "numerics.spike", "numerics.bit_flip_gradient", "config.overflow"}
)
"""Faults that strike gradients where they have just been computed."""


def _torch() -> Any:
    """Return torch as the program has imported it."""
    return sys.modules["torch"]


def _weights(optimizer: Any) -> list[Any]:
    return [weight for group in optimizer.param_groups for weight in group["params"] if weight.numel()]


def gradients(optimizer: Any) -> list[Any]:
    """Return the gradients that an optimiser's weights have."""
    return [weight.grad for weight in _weights(optimizer) if weight.grad is not None and not weight.grad.is_sparse]


def _states(optimizer: Any) -> list[Any]:
    kept = [optimizer.state.get(weight, {}) for weight in _weights(optimizer)]
    return [value for state in kept for value in state.values() if hasattr(value, "is_floating_point") and value.numel() > 1]


def _drawn(tensors: list[Any], rng: random.Random) -> Any:
    """Return one of the tensors, each as likely as it is large: every entry is as likely as any other."""
    if not tensors:
        return None
    return rng.choices(tensors, [tensor.numel() for tensor in tensors])[0]


def _entry(tensor: Any, rng: random.Random) -> int:
    return rng.randrange(tensor.numel())


def flip(tensor: Any, bit: int, rng: random.Random, what: str) -> str:
    """Flip a bit of one entry, counted from the lowest; of 16-bit numbers the bit that means the same, from the top."""
    if tensor is None:
        return ""
    torch = _torch()
    size = tensor.element_size() * 8
    place = bit if size == 32 else bit - (32 - size) if size < 32 else bit + (size - 32)
    whole = {16: torch.int16, 32: torch.int32, 64: torch.int64}.get(size)
    if whole is None or not 0 <= place < size:
        return ""
    mask = (1 << place) if place < size - 1 else -(1 << place)
    with torch.no_grad():
        index, flat = _entry(tensor, rng), tensor.detach().reshape(-1)
        bits = flat[index : index + 1].view(whole)
        flipped = (bits ^ mask).view(tensor.dtype)
        tensor.data.view(-1)[index : index + 1] = flipped if tensor.is_contiguous() else flat[index : index + 1]
    return f"bit {bit} of one {what}" if tensor.is_contiguous() else ""
