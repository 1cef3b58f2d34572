"""What an answer may depend on beside files: packages, variables, images, stated versions; and of which kind each thing is."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath

from refute.core.system import ComponentKind

_MODELS: frozenset[ComponentKind] = frozenset({"llm", "embedder", "model_server", "guardrail_model"})
_INDEXES: frozenset[ComponentKind] = frozenset({"retriever", "vector_store", "feature_store", "datastore", "cache"})
_ASKED_S = 10.0
_ANSWERED = " as it answers"

_INTENT = frozenset({"workload", "cases", "indicator", "criterion", "fault", "component"})
_PREFIXES = {
    "package": "package",
    "env": "deployment",
    "image": "deployment",
    "model": "model",
    "index": "index",
    "deployment": "deployment",
}
_WORDS = {"model": "model", "prompt": "prompt", "index": "index", "package": "package", "deployment": "deployment", "graph": "graph"}
_SUFFIXES = {
    **dict.fromkeys((".gguf", ".onnx", ".safetensors", ".pt", ".pth"), "model"),
    **dict.fromkeys((".faiss", ".index", ".parquet", ".sqlite", ".db"), "index"),
    **dict.fromkeys((".lock", ".whl"), "package"),
    **dict.fromkeys((".tf", ".dockerfile"), "deployment"),
}
_NAMES = (
    (re.compile(r"(^|[/_.-])prompts?([/_.-]|$)", re.IGNORECASE), "prompt"),
    (re.compile(r"(^|[/_.-])(index|corpus|embeddings?|articles)([/_.-]|$)", re.IGNORECASE), "index"),
    (re.compile(r"(^|/)(requirements[^/]*\.txt|pyproject\.toml|package(-lock)?\.json|uv\.lock|poetry\.lock)$"), "package"),
    (re.compile(r"(^|/)(Dockerfile[^/]*|(docker-)?compose[^/]*\.ya?ml|Chart\.yaml)$"), "deployment"),
)


def kind_of(name: str) -> str:
    """Return what kind of dependency a mark stands for, as `learning.staleness.USUAL_RHO` names them.

    Args:
        name: of the mark.
    """
    prefix, colon, _ = name.partition(":")
    if name in _INTENT:
        return "intent"
    if colon and (prefix in _PREFIXES or prefix == "belief"):
        return _PREFIXES.get(prefix, "belief")
    if (word := name.lower().removesuffix("s")) in _WORDS:
        return _WORDS[word]
    if name.endswith("/") and re.search("prompt", name, re.IGNORECASE):
        return "prompt"
    found = next((kind for pattern, kind in _NAMES if pattern.search(name)), None)
    return found or _SUFFIXES.get(PurePosixPath(name).suffix.lower(), "code")


def is_outside(name: str) -> bool:
    """Say whether a dependency is a package, a variable or an image rather than a path or a word."""
    return name.startswith(("package:", "env:", "image:"))


def outside(name: str) -> str:
    """Return a hash of what a package, a variable or an image is now; "" where it is not to be found here.

    Args:
        name: `package:openai`, `env:MODEL` or `image:registry/app:tag`.
    """
    sort, _, rest = name.partition(":")
    found = _package(rest) if sort == "package" else _variable(rest) if sort == "env" else _image(rest)
    return hashlib.sha256(found.encode()).hexdigest() if found else ""


def stated_version(written: str) -> str:
    """Return the version that a component states; `env:NAME` reads it from the environment."""
    return _variable(written.removeprefix("env:")) if written.startswith("env:") else written


def version_mark(name: str, kind: ComponentKind) -> str:
    """Return the name of the mark for a component's version."""
    sort = "model" if kind in _MODELS else "index" if kind in _INDEXES else "deployment"
    return f"{sort}:{name}"


def answered_mark(name: str) -> str:
    """Return the name of the mark for the model that a component said it answers with."""
    return f"model:{name}{_ANSWERED}"


def is_answered(mark: str) -> bool:
    """Say whether a mark is one of `answered_mark`; it names models, and says nothing where there is only one side of it."""
    return mark.endswith(_ANSWERED)


def _package(name: str) -> str:
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return ""


def _variable(name: str) -> str:
    return os.environ.get(name, "")


@functools.cache
def _image(reference: str) -> str:
    """Return an image's id, as docker or podman on this machine knows it."""
    tool = shutil.which("docker") or shutil.which("podman")
    if tool is None:
        return ""
    command = [tool, "image", "inspect", "--format", "{{.Id}}", reference]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_ASKED_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""
