"""Changes of text that faults of content are made of; each works on a whole answer and on a stream, piece by piece."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from refute.faults._streams import TextChange
from refute.wire.events import Finish

_STRING = r'"((?:[^"\\]|\\.)*)"'
FIRST_FIELD = re.compile(rf"^\s*\[?\s*\{{\s*{_STRING}\s*:\s*({_STRING}|-?[\d.eE+-]+|true|false|null|[\[{{])")
_LONGEST_HEAD = 400
"""Characters within which a JSON text must have shown its first field."""

_STRAY = ("สวัสดี", "的时候", "конечно", "ขอบคุณ", "こちら")


class Cut(TextChange):
    """Cuts the text, and lets nothing pass that the model wrote after it.

    Args:
        pieces: pieces of a stream to pass whole.
        share: of a whole text that stays.
        finish: reason to give.
    """

    def __init__(self, pieces: int, share: float, finish: Finish) -> None:
        self._left = pieces
        self._share = share
        self.finish = finish

    def feed(self, piece: str) -> str:
        if self._left > 0:
            self._left -= 1
            return piece
        self.over = True
        return piece[: len(piece) // 2]

    def whole(self, text: str) -> str:
        self.over = True
        return text[: int(len(text) * self._share)]


class Replaced(TextChange):
    """Says something else.

    Args:
        text: what.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def feed(self, piece: str) -> str:
        del piece
        text, self._text = self._text, ""
        return text


class Appended(TextChange):
    """Says something more at the end.

    Args:
        pieces: what.
    """

    def __init__(self, *pieces: str) -> None:
        self._pieces = list(pieces)

    def end(self) -> list[str]:
        return self._pieces


class Verbose(TextChange):
    """Says everything several times over.

    Args:
        factor: how many times as long it gets.
    """

    def __init__(self, factor: float) -> None:
        self._times = max(1, round(factor) - 1)
        self._said = ""

    def feed(self, piece: str) -> str:
        self._said += piece
        return piece

    def end(self) -> list[str]:
        return [f"\n\nTo put it in other words: {self._said}"] * self._times


class Fenced(TextChange):
    """Wraps JSON in words and a fence of Markdown."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, piece: str) -> str:
        head, self._begun = "" if self._begun else "Here is the JSON you asked for:\n\n```json\n", True
        return head + piece

    def end(self) -> list[str]:
        return ["\n```"]


class Unclosed(TextChange):
    """Loses the last bracket."""

    def __init__(self) -> None:
        self._kept = ""

    def feed(self, piece: str) -> str:
        text = self._kept + piece
        end = max(text.rfind("}"), text.rfind("]"))
        said, self._kept = (text, "") if end < 0 else (text[:end], text[end:])
        return said

    def end(self) -> list[str]:
        rest, self._kept = self._kept[1:], ""
        return [rest] if rest else []

    def held(self) -> str:
        return self._kept


class Drifted(TextChange):
    """Changes the first field of a JSON object: its name, or the type of its value.

    Args:
        change: takes name and value as written, and returns them changed.
    """

    def __init__(self, change: Callable[[str, str], tuple[str, str]]) -> None:
        self._change = change
        self._kept = ""
        self._done = False

    def feed(self, piece: str) -> str:
        if self._done:
            return piece
        text = self._kept + piece
        found = FIRST_FIELD.match(text)
        if (found is None or found.end() == len(text)) and len(text) < _LONGEST_HEAD:
            self._kept = text
            return ""
        if found is None:
            self._kept, self._done = "", True
            return text
        self._kept, self._done = "", True
        name, value = self._change(found[1], found[2])
        between = text[found.end(1) : found.start(2)]
        return f"{text[: found.start(1)]}{name}{between}{value}{text[found.end(2) :]}"

    def end(self) -> list[str]:
        rest, self._kept = self._kept, ""
        return [rest] if rest else []

    def held(self) -> str:
        return self._kept


class Strays(TextChange):
    """Puts words of other languages between the words.

    Args:
        share: of the spaces that get one, in (0, 1]; the first does.
        rng: draws which.
    """

    def __init__(self, share: float, rng: random.Random) -> None:
        self._share = share
        self._rng = rng
        self._begun = False

    def feed(self, piece: str) -> str:
        return re.sub(r"\s+", self._strayed, piece)

    def _strayed(self, space: re.Match[str]) -> str:
        if self._begun and self._rng.random() >= self._share:
            return space[0]
        self._begun = True
        return f" {self._rng.choice(_STRAY)}{space[0]}"


def renamed(name: str, value: str) -> tuple[str, str]:
    """Give a field another name, as another style of naming would."""
    head, *rest = name.split("_")
    return (head + "".join(part.title() for part in rest) if rest else f"{name}Value"), value


def retyped(name: str, value: str) -> tuple[str, str]:
    """Turn text into a list of it, and anything else plain into text; of lists and objects, rename the field."""
    if value in {"[", "{"}:
        return renamed(name, value)
    return name, f"[{value}]" if value.startswith('"') else f'"{value}"'
