"""Has a language model word a claim. Only names and the catalogue's own sentences are sent, and only where somebody asked for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from refute.campaign.suggest import Suggestion
from refute.core.errors import refuse

_LONGEST = 160
_TIMEOUT_S = 60.0
_TASK = (
    "Write one short, falsifiable claim, in plain English, about how a software system behaves when a fault strikes it. "
    "Say what users keep, without numbers. Answer with that one sentence and nothing else."
)
_NO_CLAIM = re.compile(r"[?!]|\.\s+[A-Z]")
"""A question, an exclamation, or more than one sentence."""
UNREACHED = "the model could not be asked"


@dataclass(frozen=True, slots=True)
class Model:
    """A model behind an OpenAI-compatible endpoint.

    Attributes:
        endpoint: base URL, such as `http://127.0.0.1:8080/v1`.
        name: of the model.
        key: sent as bearer, "" for none; never shown.
    """

    endpoint: str
    name: str
    key: str = ""

    def __repr__(self) -> str:
        return f"Model({self.endpoint!r}, {self.name!r})"

    def word(self, suggestion: Suggestion, system: str, summary: str) -> str:
        """Return a claim.

        Args:
            suggestion: what it is about.
            system: its name.
            summary: the fault in a sentence.

        Raises:
            RefuteError: the endpoint does not answer, or not with one sentence (`SUGGEST-MODEL`).
        """
        belief = suggestion.belief
        about = f"System: {system}. Component: {belief.when.target}. Fault: {summary} What must hold: {belief.then.text}."
        text = " ".join(self._ask(about).split()).strip("\"'“” ").rstrip(".")
        if not text or len(text) > _LONGEST or not text.isprintable() or _NO_CLAIM.search(text):
            raise refuse("SUGGEST-MODEL", "the model did not answer with one sentence", where=self.endpoint, seen=text[:60])
        return text

    def _ask(self, about: str) -> str:
        import urllib3

        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        body = {
            "model": self.name, "temperature": 0, "max_tokens": 80,
            "messages": [{"role": "system", "content": _TASK}, {"role": "user", "content": about}],
        }  # fmt: skip
        url = f"{self.endpoint.rstrip('/')}/chat/completions"
        try:
            answer = urllib3.request("POST", url, json=body, headers=headers, timeout=_TIMEOUT_S, retries=1)
            return _said(answer.status, json.loads(answer.data))
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            raise refuse("SUGGEST-MODEL", UNREACHED, where=self.endpoint, seen=_seen(error)) from None


def _said(status: int, answer: Mapping[str, object]) -> str:
    if status != 200:
        raise ValueError(f"status {status}" + (", set OPENAI_API_KEY" if status in {401, 403} else ""))
    choices = answer["choices"]
    if not isinstance(choices, list):
        raise TypeError("choices is no list")
    return str(choices[0]["message"]["content"])


def _seen(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) and str(error).startswith("status") else type(error).__name__
