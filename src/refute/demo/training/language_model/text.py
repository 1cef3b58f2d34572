"""The reference of the Python language, which Python itself ships, byte by byte: real text, and a package that everybody has."""

from pydoc_data.topics import topics


def _text():
    return "\n\n".join(topics[name] for name in sorted(topics)).encode("ascii", "replace")


def training_text():
    """Return what is trained on: the first nine tenths, one byte a number."""
    text = _text()
    return list(text[: len(text) * 9 // 10])


def test_text():
    """Return what is judged by, which no fault strikes."""
    text = _text()
    return list(text[len(text) * 9 // 10 :])
