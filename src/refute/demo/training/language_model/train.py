"""A tiny transformer language model of bytes in plain PyTorch, with clipped gradients and a warm-up, that resumes from its last checkpoint."""

import argparse
from pathlib import Path

import torch
from torch import nn

from refute.training import report
from text import test_text, training_text

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--steps", type=int, default=160)
parser.add_argument("--folder", type=Path, required=True)
parser.add_argument("--every", type=int, default=40)
parser.add_argument("--clip", type=float, default=1.0)
asked = parser.parse_args()
asked.folder.mkdir(parents=True, exist_ok=True)
WIDTH, CONTEXT, BATCH = 64, 48, 16


class Model(nn.Module):
    """Two layers of causal attention."""

    def __init__(self):
        super().__init__()
        self.bytes, self.places = nn.Embedding(128, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 128)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, x):
        return self.head(self.layers(self.bytes(x) + self.places.weight, mask=self.mask, is_causal=True))


def batch(text, number, size=BATCH):
    """Return inputs and what follows them, drawn by step: a resumed run draws what it would have drawn."""
    generator = torch.Generator().manual_seed(asked.seed * 100_000 + number)
    starts = torch.randint(len(text) - CONTEXT - 1, (size,), generator=generator)
    rows = torch.stack([text[start : start + CONTEXT + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:]


def loss_of(x, y):
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


torch.set_num_threads(1)
torch.manual_seed(asked.seed)
model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
kept, first = asked.folder / "last.pt", 1
if kept.exists():
    state = torch.load(kept)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    first = state["step"] + 1
text = torch.tensor(training_text())
for step in range(first, asked.steps + 1):
    optimizer.zero_grad()
    loss = loss_of(*batch(text, step))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), asked.clip)
    optimizer.step()
    schedule.step()
    report(step=step, loss=loss.item())
    if step % asked.every == 0:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "step": step}
        torch.save(state, kept.with_suffix(".new"))
        kept.with_suffix(".new").replace(kept)
with torch.no_grad():
    report(test_loss=loss_of(*batch(torch.tensor(test_text()), 0, 256)).item())
