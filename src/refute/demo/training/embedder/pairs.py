"""Pairs of a question's words and the paragraph that they are from, out of the language reference that Python itself ships."""

import random
from pydoc_data.topics import topics


def _paragraphs():
    """Return paragraphs of three sentences and more, each as (one of its sentences, all others)."""
    found = []
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            sentences = [sentence for sentence in " ".join(paragraph.split()).split(". ") if len(sentence) > 30]
            if len(sentences) >= 3:
                found.append((sentences[1], ". ".join([sentences[0], *sentences[2:]])))
    return sorted(set(found))


def _split(seed):
    pairs = _paragraphs()
    random.Random(seed).shuffle(pairs)
    return pairs[200:], pairs[:200]


def training_pairs(seed):
    """Return what is trained on."""
    return _split(seed)[0]


def test_pairs(seed):
    """Return what is judged by, which no fault strikes."""
    return _split(seed)[1]
