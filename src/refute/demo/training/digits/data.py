"""The handwritten digits that scikit-learn ships, split by seed; a module of its own, so that what it returns can be struck."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

_FILE = Path(find_spec("sklearn").submodule_search_locations[0]) / "datasets/data/digits.csv.gz"  # without importing all of scikit-learn


def _split(seed):
    rows = np.loadtxt(_FILE, delimiter=",", dtype=np.float32)
    rows = torch.from_numpy(rows)[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    pixels, digits = rows[:, :64] / 16, rows[:, 64].long()
    return (pixels[540:], digits[540:]), (pixels[:540], digits[:540])


def training_data(seed):
    return _split(seed)[0]


def test_data(seed):
    return _split(seed)[1]
