"""A classifier of digits in plain PyTorch, alone or under torchrun, that saves checkpoints and resumes from the last one."""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from data import test_data, training_data
from refute.training import report

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--folder", type=Path, required=True)
parser.add_argument("--every", type=int, default=20)
parser.add_argument("--in-place", action="store_true", help="save over the last checkpoint, rather than beside it")
parser.add_argument("--guarded", action="store_true", help="stop where the loss is no number")
parser.add_argument("--workers", type=int, default=0)
asked = parser.parse_args()
asked.folder.mkdir(parents=True, exist_ok=True)

torch.set_num_threads(1)
torch.manual_seed(asked.seed)
ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
kept = asked.folder / "last.pt"
first = 1
if kept.exists():
    state = torch.load(kept)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    first = state["step"] + 1
    print(f"resumed at step {first}", flush=True)
if ranks > 1:
    dist.init_process_group("gloo")
    trained = nn.parallel.DistributedDataParallel(model)
else:
    trained = model


def save(step):
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    if asked.in_place:
        torch.save(state, kept)
    else:
        torch.save(state, kept.with_suffix(".new"))
        kept.with_suffix(".new").replace(kept)


pixels, digits = training_data(asked.seed)
for step in range(first, asked.steps + 1):
    chosen = torch.randint(len(digits), (32 * ranks,), generator=torch.Generator().manual_seed(asked.seed * 100_000 + step))[rank::ranks]
    loss = nn.functional.cross_entropy(trained(pixels[chosen]), digits[chosen])
    if asked.guarded and not torch.isfinite(loss):
        raise SystemExit(f"loss is {loss.item()} at step {step}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if rank == 0:
        report(step=step, loss=loss.item())
        if step % asked.every == 0:
            save(step)
if rank == 0:
    with torch.no_grad():
        pixels, digits = test_data(asked.seed)
        report(accuracy=(model(pixels).argmax(1) == digits).float().mean().item())
if ranks > 1:
    dist.destroy_process_group()
