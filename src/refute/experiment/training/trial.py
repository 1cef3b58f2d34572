"""One training run as processes: started under a guard, read as it goes, started again where that is stated, ended as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from refute.core.errors import EXIT_INCONCLUSIVE, refuse
from refute.core.intent import Intent, Workload
from refute.core.training import RUN_VARIABLE, SEED_VARIABLE, Training
from refute.experiment.armament import to_the_end
from refute.experiment.training import guard
from refute.experiment.training.record import Record, Step, reported

_LOOK_S = 0.2
_END_S = 15.0
_NOT_STARTED = 127
_MAX_LINE = 1 << 20

Alive = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Output:
    """What a run's output has told so far; lines are looked at and not kept, but for the log of the last run."""

    training: Training
    began: float
    log: BinaryIO
    metrics: dict[str, float] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    alarm_s: float | None = None
    last: str = ""

    def read(self, raw: bytes) -> None:
        """Take one line."""
        self.log.write(raw)
        self.log.flush()
        line, at_s = raw.decode(errors="replace").rstrip("\n"), time.time() - self.began
        self.last = line or self.last
        for name, pattern in self.training.metrics.items():
            if found := re.search(pattern, line):
                self.metrics[name] = _number(found[1])
        if self.training.progress and (found := re.search(self.training.progress, line)):
            groups = found.groupdict()
            if math.isfinite(step := _number(groups["step"])):
                self.steps.append(Step(at_s, int(step), _number(groups["loss"]) if groups.get("loss") else None))
        if self.alarm_s is None and self.training.alarm and re.search(self.training.alarm, line):
            self.alarm_s = at_s


class Trial:
    """One training run.

    Args:
        intent: what to run.
        seed: of the run.
        log: file for what it prints, anew each time.

    Attributes:
        folder: in which it is run.
    """

    def __init__(self, intent: Intent, seed: int, log: Path) -> None:
        """Start nothing yet."""
        assert intent.workload.training is not None
        self._workload: Workload = intent.workload
        self._training: Training = intent.workload.training
        self.folder = intent.folder
        self._seed = seed
        self._log = log

    async def run(self, environment: Mapping[str, str], alive: Alive) -> Record:
        """Run it to its end, with its restarts, and return what it told.

        Args:
            environment: variables beside our own.
            alive: awaited a few times a second; what it raises ends the run.

        Raises:
            RefuteError: it could not be started (`TRAINING-START`).
        """
        with tempfile.TemporaryDirectory(prefix="refute-run-", ignore_cleanup_errors=True) as name, self._log.open("wb") as log:
            self._log.chmod(0o600)
            folder, output = Path(name), _Output(self._training, time.time(), log)
            code, failures = await self._attempts(folder, output, environment, alive)
            metrics, steps, hits = reported(folder, output.began)
        steps = sorted([*output.steps, *steps], key=lambda step: step.at_s)
        seconds = time.time() - output.began
        return Record(
            self._seed, code, seconds, output.metrics | metrics, tuple(steps), tuple(failures), output.alarm_s, tuple(hits)
        )  # fmt: skip

    async def _attempts(
        self, folder: Path, output: _Output, environment: Mapping[str, str], alive: Alive
    ) -> tuple[int | None, list[float]]:
        """Start it until it ends well, its restarts are used up, or the time is; return the last exit code and when it failed."""
        failures: list[float] = []
        until_s = time.monotonic() + self._workload.timeout_s
        for _ in range(1 + self._training.restarts):
            code = await self._attempt(folder, output, environment, alive, until_s)
            if not code:  # it ended well, or its time is up
                break
            failures.append(time.time() - output.began)
        return code, failures

    async def _attempt(self, folder: Path, output: _Output, environment: Mapping[str, str], alive: Alive, until_s: float) -> int | None:
        """Start it once; return its exit code, None where the time is up."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", guard.__file__, RUN_VARIABLE, *self._command(folder), cwd=self.folder,
            env={**os.environ, **self._environment(folder), **environment},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
            limit=_MAX_LINE,
        )  # fmt: skip
        reading = asyncio.create_task(_read(process, output))
        try:
            while process.returncode is None:
                if time.monotonic() > until_s:
                    return None
                await alive()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await process.wait()
        finally:
            await to_the_end(_ended(process, reading))
        if process.returncode == _NOT_STARTED:
            raise refuse(
                "TRAINING-START", "the training cannot be started", exit_code=EXIT_INCONCLUSIVE,
                seen=f"{self._command(folder)[0]}: {output.last}", next=f"read {self._log}",
            )  # fmt: skip
        return process.returncode

    def _command(self, folder: Path) -> list[str]:
        if not self._training.command:
            return [sys.executable, "-m", "refute.experiment.training.trainee", self._workload.target, str(self._seed)]
        filled = {"{seed}": str(self._seed), "{run}": str(folder)}
        return [re.sub(r"\{seed\}|\{run\}", lambda found: filled[found[0]], part) for part in self._training.command]

    def _environment(self, folder: Path) -> dict[str, str]:
        """Return what every process of the run carries; unbuffered, so that its output is heard of when it is written."""
        path = os.pathsep.join(filter(None, [str(self.folder), os.environ.get("PYTHONPATH", "")]))
        return {RUN_VARIABLE: str(folder), SEED_VARIABLE: str(self._seed), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


async def _read(process: asyncio.subprocess.Process, output: _Output) -> None:
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            continue  # a line beyond all measure: what is left of it comes next
        if not line:
            return
        output.read(line)


async def _ended(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    """Let the guard end the run, and read what is left of its output."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
            await reading
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        reading.cancel()


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
