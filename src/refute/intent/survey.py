"""What a project's sources show without running them: its clients of models, functions that answer, functions that judge answers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from refute.core.system import ComponentKind

MOST_FILES = 2_000
_SKIPPED = frozenset({"node_modules", "site-packages", "build", "dist", "tests", "test", "__pycache__", "venv", "env"})
_CLIENTS: dict[str, tuple[str, str]] = {
    "openai.OpenAI": ("base_url", "https://api.openai.com/v1"),
    "openai.AsyncOpenAI": ("base_url", "https://api.openai.com/v1"),
    "anthropic.Anthropic": ("base_url", "https://api.anthropic.com"),
    "anthropic.AsyncAnthropic": ("base_url", "https://api.anthropic.com"),
    "google.genai.Client": ("base_url", "https://generativelanguage.googleapis.com"),
    "ollama.Client": ("host", "http://127.0.0.1:11434"),
    "ollama.AsyncClient": ("host", "http://127.0.0.1:11434"),
}
"""What makes a client: the argument that says where it goes, and where it goes without."""

_ANSWERING = ("answer", "ask", "reply", "respond", "chat", "handle", "run", "query", "main")
_JUDGED = frozenset({"answer", "result", "response", "reply", "output", "outcome"})
_ASKED = frozenset({"case", "question", "request", "message", "input", "prompt", "query", "text"})


@dataclass(frozen=True, slots=True)
class Client:
    """A client of a model provider.

    Attributes:
        kind: what it reaches.
        endpoint: URL that its calls start with.
        place: `file:line`.
    """

    kind: ComponentKind
    endpoint: str
    place: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found; references are `module:function`, the likeliest first.

    Attributes:
        clients: clients of models, one for each endpoint.
        answering: functions that may answer a case.
        judging: functions of a case and an answer.
        cases: files of JSON Lines whose lines are objects, relative to the project.
    """

    clients: tuple[Client, ...]
    answering: tuple[str, ...]
    judging: tuple[str, ...]
    cases: tuple[str, ...]


def survey(folder: Path) -> Survey:
    """Read a project's Python sources and look at its JSON Lines; nothing is imported or run.

    Args:
        folder: the project. Hidden folders, environments, tests and what was built are left out; so is what cannot be read.
    """
    clients: dict[str, Client] = {}
    answering: list[tuple[tuple[int, int, str], str]] = []
    judging: list[str] = []
    for path in _files(folder, "*.py"):
        tree = _parsed(path)
        if tree is None:
            continue
        found = list(_clients(tree, str(path.relative_to(folder))))
        for client in found:
            clients.setdefault(client.endpoint, client)
        module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for function in tree.body:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not function.name.startswith("_"):
                reference = f"{module}:{function.name}"
                if _answers(function):
                    answering.append(((_ANSWERING.index(function.name.split("_")[0]), 0 if found else 1, reference), reference))
                elif _judges(function):
                    judging.append(reference)
    cases = tuple(str(path.relative_to(folder)) for path in _files(folder, "*.jsonl") if _holds_objects(path))
    return Survey(tuple(clients.values()), tuple(reference for _, reference in sorted(answering)), tuple(judging), cases)


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return a project's own files, those near its root first."""
    found: list[Path] = []
    for path in folder.rglob(pattern):
        inner = path.relative_to(folder).parts[:-1]
        if not any(part.startswith(".") or part in _SKIPPED for part in inner) and not path.name.startswith(("test_", "conftest")):
            found.append(path)
        if len(found) >= MOST_FILES:
            break
    return sorted(found, key=lambda path: (len(path.parts), str(path)))


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _clients(tree: ast.Module, file: str) -> Iterator[Client]:
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (made := _CLIENTS.get(_resolved(node.func, names))) is not None:
            argument, usual = made
            given = next((keyword.value for keyword in node.keywords if keyword.arg == argument), None)
            if given is None or (isinstance(given, ast.Constant) and isinstance(given.value, str)):
                yield Client("llm", str(given.value) if isinstance(given, ast.Constant) else usual, f"{file}:{node.lineno}")


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for, in full."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def _resolved(called: ast.expr, names: dict[str, str]) -> str:
    text = ast.unparse(called) if isinstance(called, ast.Name | ast.Attribute) else ""
    head, dot, tail = text.partition(".")
    return names.get(head, head) + dot + tail


def _answers(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a function could be called with one case, and is named like one that answers."""
    return function.name.split("_")[0] in _ANSWERING and len(_required(function)) == 1


def _judges(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether a function takes a case and an answer, by the names of its arguments."""
    required = _required(function)
    return len(required) == 2 and required[0] in _ASKED and required[1] in _JUDGED


def _required(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    if any(default is None for default in arguments.kw_defaults):
        return []
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    return positional[: len(positional) - len(arguments.defaults)]


def _holds_objects(path: Path) -> bool:
    try:
        with path.open("rb") as lines:
            return isinstance(json.loads(next(lines)), dict)
    except (OSError, ValueError, StopIteration):
        return False
