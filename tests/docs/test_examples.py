"""Every example of the documents, as a reader would try it: files load, commands run, the mending diff mends, links lead somewhere."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

import refute.demo
from refute.cli import group
from refute.intent import load, loads
from refute.safety.identity import Identity, names_of
from refute.system.span import Span
from refute.system.traces import learn_from

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("design/*.md")])
EXAMPLE = Path(refute.demo.__file__).parent / "support_assistant"
TUTORIAL = ROOT / "docs/tutorial/first-experiment.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"# (\S+\.\w+)\n")
RUN_LONG = {"watch", "demo", "exec", "guardian", "proxy", "run", "rerun", "try"}
"""Verbs that inject, or serve: their commands are parsed here; the tutorial's run in the slow test, the others' in tests/e2e."""
INLINE = re.compile(r"`(refute [a-z][^`]*)`")
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|…|\[")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    language: str
    text: str

    def __str__(self):
        return f"{self.page.stem}: {self.text.splitlines()[0][:40]}"


BLOCKS = [Block(page, language, text) for page in PAGES for language, text in BLOCK.findall(page.read_text())]


def blocks(*languages):
    return [block for block in BLOCKS if block.language in languages]


def named_files(page):
    """Return what a page gives as files, by their name in the first line, and its cases."""
    files = {}
    for block in BLOCKS:
        if block.page == page and (named := NAMED.match(block.text)):
            files[named[1]] = block.text
        elif block.page == page and block.language == "json" and block.text.startswith("{"):
            files["cases.jsonl"] = block.text
    return files


# Intent files


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_an_intent_is_valid(block, tmp_path):
    written = yaml.safe_load(block.text)
    if "version" in written:
        files = {
            "cases.jsonl": '{"question": "?"}\n',
            "graph.json": json.dumps(traced().to_json()),
            **named_files(block.page),
            "refute.yaml": block.text,
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        complete = all(f"{module}.py" in files for module in re.findall(r'"(\w+)(?:\.\w+)*:\w+"', block.text))
        assert load(tmp_path / "refute.yaml", resolve=complete).beliefs
    else:
        shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / "example/app.py").touch()
        base = yaml.safe_load((EXAMPLE / "refute.yaml").read_text())
        assert loads({**base, **written}, tmp_path / "example").beliefs


def test_the_tutorial_quotes_the_example_as_it_is():
    (quoted,) = [belief for block in blocks("yaml") if block.page == TUTORIAL for belief in yaml.safe_load(block.text)["beliefs"]]
    assert quoted in yaml.safe_load((EXAMPLE / "refute.yaml").read_text())["beliefs"]


# Commands


def commands(block):
    """Return the refute commands of a block of shell lines, without comments and prompts."""
    lines = (line.removeprefix("$ ").partition("   #")[0].strip() for line in block.text.splitlines())
    return [line for line in lines if line.startswith("refute ")]


COMMANDS = sorted({(block.page, command) for block in blocks("sh", "console") for command in commands(block)})
MENTIONED = sorted(
    {(page, text) for page in PAGES for text in INLINE.findall(page.read_text()) if not PLACEHOLDER.search(text)} - set(COMMANDS)
)


def parsed(arguments, *, whole=True):
    """Parse as click does; what it hands over, the verb's function must take. What is not whole may lack arguments."""
    context, command = click.Context(group, **group.context_settings), group
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    if "--help" not in arguments:
        context = command.make_context("refute", list(arguments), parent=context, resilient_parsing=not whole)
        assert command.callback is not None
        assert set(context.params) <= set(inspect.signature(inspect.unwrap(command.callback)).parameters)


def traced():
    """Return a system as traces show it, for pages that speak of some."""
    call = Span("t", "2", "1", "app", "chat", 3, 0, 10**9, False, False, {"gen_ai.operation.name": "chat"})
    return learn_from([Span("t", "1", "", "app", "ask", 2, 0, 2 * 10**9, False, False, {}), call])


def names(value):
    return value.stem if isinstance(value, Path) else value


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=names)
def test_a_command_is_understood(page, command):
    parsed(shlex.split(command)[1:])


@pytest.mark.parametrize(("page", "command"), MENTIONED, ids=names)
def test_a_command_in_a_sentence_names_what_there_is(page, command):
    parsed(shlex.split(command)[1:], whole=False)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example in a folder, with a ledger that holds a finished run's records."""
    folder = tmp_path_factory.mktemp("example") / "refute-demo"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".refute").mkdir()
    (folder / "traces").mkdir()
    (folder / "traces/one.json").write_text(json.dumps(traced().to_json()))
    story = ROOT / "tests/golden/insight/run.jsonl"
    from refute.core.events import Event
    from refute.ledger import Ledger

    with Ledger.open(folder / ".refute/ledger.db") as ledger:
        for line in story.read_text().splitlines():
            record = json.loads(line)
            kind, at = record.pop("event"), record.pop("at")
            if kind != "progress":
                ledger.append(Event(kind, record, at), durable=False)
    return folder


SHORT = sorted({command for _, command in COMMANDS if shlex.split(command)[1] not in RUN_LONG})


@pytest.mark.parametrize("command", SHORT)
def test_a_command_runs(command, example):
    environ = os.environ | {"XDG_STATE_HOME": str(example.parent / "state"), "PYTHONPATH": str(example)}
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "refute", *arguments], cwd=example, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# The certificates


def shaken(server, client, host):
    """Do a handshake of both sides and return the certificate that the server has seen."""
    here, there = socket.socketpair()
    with here, there, ThreadPoolExecutor(1) as pool:
        for end in (here, there):
            end.settimeout(5)
        served = pool.submit(server.wrap_socket, here, server_side=True)
        with client.wrap_socket(there, server_hostname=host) as secured:
            secured.sendall(b"x")
            with served.result() as seen:
                return seen.recv(1) and seen.getpeercert()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_certificates_of_the_recipe_do_what_they_are_for_and_nothing_else(tmp_path):
    (recipe,) = [block.text for block in BLOCKS if block.language == "sh" and "openssl req" in block.text]
    subprocess.run(["sh", "-e", "-c", recipe], cwd=tmp_path, check=True, capture_output=True)
    branch, runner = Identity(tmp_path / "branch-1"), Identity(tmp_path / "runner")
    assert names_of(shaken(branch.server(), runner.client(), "10.0.0.2")) == {"runner"}
    with pytest.raises(ssl.SSLError):
        shaken(branch.server(), branch.client(), "10.0.0.2")
    with pytest.raises(ssl.SSLError):
        shaken(runner.server(), runner.client(), "runner")
    with pytest.raises(ssl.SSLError):
        shaken(branch.server(), runner.client(), "10.0.0.3")


# The tutorial's mending


def mend(folder):
    (diff,) = (block.text for block in blocks("diff") if block.page == TUTORIAL)
    done = subprocess.run(["patch", "-p1"], cwd=folder, input=diff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fuzz" not in done.stdout
    assert "offset" not in done.stdout


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "refute-demo"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


BROKEN = """
import asyncio
from types import SimpleNamespace as It
from app.agent import Agent

async def chunks():
    yield It(usage=None, choices=[It(finish_reason=None, delta=It(content="Half an", tool_calls=None))])

class Completions:
    async def create(self, *, stream=False, **rest):
        if stream:
            return chunks()
        message = It(content="A whole answer", tool_calls=None)
        return It(choices=[It(message=message)], usage=It(total_tokens=3))

client = It(chat=It(completions=Completions()))
print(asyncio.run(Agent(client, "m").answer("?", "c")).text)
"""


def answer_to_a_broken_stream(folder):
    done = subprocess.run([sys.executable, "-c", BROKEN], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
def test_the_mending_diff_mends(copy):
    assert answer_to_a_broken_stream(copy) == "Half an"
    mend(copy)
    assert answer_to_a_broken_stream(copy) == "A whole answer"
    asked = [sys.executable, "-m", "app.main", "Where is my order FH-10291?"]
    done = subprocess.run(asked, cwd=copy, env=os.environ | {"SUPPORT_PORT": "0"}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "FH-10291" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
def test_the_tutorial_refutes_mends_and_holds(copy):
    environ = os.environ | {"XDG_STATE_HOME": str(copy.parent / "state")}

    def run():
        command = [sys.executable, "-m", "refute", "run", "--belief", "no-half-answers", "--json"]
        done = subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, timeout=120, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        states = {belief["id"]: belief["state"] for event in events if event["event"] == "intent" for belief in event["beliefs"]}
        return done.returncode, states["no-half-answers"], events[-1]["verdicts"][0]["verdict"]

    assert run() == (1, "untested", "refuted")
    mend(copy)
    assert run() == (0, "stale", "held")


# Links


def anchors(page):
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in LINK.findall(text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target
