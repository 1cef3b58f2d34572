"""The handwritten digits that scikit-learn ships, split by seed; a module of its own, so that what it returns can be struck."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def _split(seed):
    pixels, digits = load_digits(return_X_y=True)
    return train_test_split(pixels.astype("float32") / 16, digits, test_size=0.3, random_state=seed)


def training_data(seed):
    pixels, _, digits, _ = _split(seed)
    return torch.from_numpy(pixels), torch.from_numpy(digits)


def test_data(seed):
    _, pixels, _, digits = _split(seed)
    return torch.from_numpy(pixels), torch.from_numpy(digits)
