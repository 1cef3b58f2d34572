"""The breast cancer table that scikit-learn ships, split by seed; a module of its own, so that what it returns can be struck."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split


def _split(seed):
    return train_test_split(load_breast_cancer(as_frame=True).frame, test_size=0.4, random_state=seed)


def training_rows(seed):
    return _split(seed)[0]


def test_rows(seed):
    return _split(seed)[1]
