"""`refute import traces`: the system section of an intent, learned from OTLP traces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from refute.core.errors import refuse
from refute.intent.traced import endpoint_of
from refute.system.reading import found, read_system
from refute.system.seen import SeenCall, SeenComponent, SeenSystem


@click.group(name="import")
def import_() -> None:
    """Learn from what other tools wrote. Writes nothing and injects nothing."""


@import_.command()
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@click.option("--json", "as_json", is_flag=True, help="Print the graph as one JSON object, which `system.traces` reads, too.")
def traces(files: Sequence[str], as_json: bool) -> None:
    """Print the system and the journeys that OTLP traces show, ready to paste into an intent file.

    FILES are OTLP JSON Lines or objects as the collector's file exporter writes them, or protobuf (extra `otlp`), gzipped or not; `*` and
    `**` are understood. Those of several programs belong together. Prompts, answers and arguments are never read.
    """
    named, empty = found(files, Path())
    if empty:
        raise refuse("TRACES-MISSING", "no trace file is there", seen=", ".join(empty), allowed="paths of OTLP traces")
    seen = read_system(named)
    if not seen.components:
        raise refuse("TRACES-EMPTY", "the traces hold no span", seen=", ".join(files), next="look whether the exporter writes traces here")
    click.echo(json.dumps(seen.to_json(), ensure_ascii=False) if as_json else _pasted(seen))


def _pasted(seen: SeenSystem) -> str:
    """Return the sections `system` and `journeys`, with what was seen in comments."""
    width = max(map(len, seen.components))
    lines = [_summary(seen), "system:", "  name: my-system", "  components:"]
    for component in seen.components.values():
        lines.append(f"    {component.name + ':':{width + 1}} {{{_about(component)}}}{_comment(component, seen.quality.traces)}")
        lines += [f"      # calls {name}: {_call(call, seen.quality.traces)}" for name, call in component.calls.items()]
    if seen.journeys:
        lines.append("journeys:")
    for journey in seen.journeys.values():
        lines.append(f"  {journey.name}: {{entry: {journey.entry}, share: {max(journey.share, 1e-4) * 100:.3g}%}}  # {journey.count} seen")
    return "\n".join(lines)


def _summary(seen: SeenSystem) -> str:
    quality = seen.quality
    noted = [f"{quality.spans} spans in {quality.traces} traces"]
    for count, what in (
        (quality.duplicates, "duplicates left out"),
        (quality.missing_parents, "spans without their parent"),
        (quality.cycles, "spans that cause themselves"),
        (quality.skewed, "calls over clocks that differ"),
    ):
        noted += [f"{count} {what}"] if count else []
    return f"# from {', '.join(noted)}"


def _about(component: SeenComponent) -> str:
    calls = f", calls: [{', '.join(component.calls)}]" if component.calls else ""
    url = endpoint_of(component)
    return f"kind: {component.kind}{calls}" + (f', endpoint: "{url}"' if url else "")


def _comment(component: SeenComponent, traces: int) -> str:
    noted = [f"in {component.reach:.0%} of the journeys"] if traces else []
    noted += [f"model {', '.join(component.models[:3])}"] if component.models else []
    return f"  # {'; '.join(noted)}"


def _call(call: SeenCall, traces: int) -> str:
    noted = [f"{call.count / max(1, traces):.2g} a trace", f"p50 {call.p50_s:g} s, p95 {call.p95_s:g} s"]
    noted += [f"{call.errors} failed"] if call.errors else []
    noted += [f"{call.retries} retries"] if call.retries else []
    noted += [f"{call.timeouts} timed out after about {call.timeout_s:g} s"] if call.timeouts and call.timeout_s is not None else []
    return ", ".join(noted)
