"""The child process in which a workload runs: load, indicators and in-process faults; answers never leave it.

Started as `python -m refute.experiment.worker` with the link in its environment.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from refute.core.audience import Audience
from refute.core.errors import Problem, RefuteError
from refute.core.intent import Indicator
from refute.core.link import Message
from refute.core.outcome import Outcome
from refute.experiment.cases import draw_units, read_cases
from refute.experiment.load import Generator, Load
from refute.experiment.spans import record_spans
from refute.experiment.tally import Tally
from refute.experiment.workload import MAX_IN_FLIGHT, Answerer, http_answerer, python_answerer, setup_of
from refute.injectors.agent import Agent, connect
from refute.injectors.boot import python_path
from refute.injectors.callables import listen
from refute.injectors.registry import in_process

_GRACE_S = 5.0
_JUDGES = 8
_SHOWN_VERSIONS = ("openai", "anthropic", "httpx2", "httpx", "mcp", "litellm", "langgraph", "pydantic-ai", "llama-index-core", "torch")


class Worker:
    """One workload, from setup to teardown.

    Args:
        loop: the loop that everything but the link runs on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Join the link; wait to be told what to do."""
        self._loop = loop
        self._threads = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="refute-unit")
        self._over = asyncio.Event()
        self._stop = asyncio.Event()
        self._ready: Future[Message] = Future()
        self._spec: asyncio.Future[Message] = loop.create_future()
        self._generator: Generator | None = None
        handlers = {"start": self._start, "load": self._load, "widen": self._widen, "halt": self._halt, "end": self._end}
        self.agent = Agent(connect("worker"), in_process(), handlers, on_end=self._gone)
        os.register_at_fork(after_in_child=self.agent.forget)
        self._sending = ThreadPoolExecutor(1, thread_name_prefix="refute-report")
        self._judging = ThreadPoolExecutor(_JUDGES, thread_name_prefix="refute-indicator")

    async def run(self) -> None:
        """Serve until the other end says so or is gone, then tear down."""
        self.agent.start()
        waiting: set[asyncio.Future[Any]] = {asyncio.ensure_future(self._over.wait()), self._spec}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not self._spec.done():
            return
        try:
            await self._serve(self._spec.result())
        except Exception as error:  # noqa: BLE001 - the other end shows it
            self._fail(error)
            await self._over.wait()

    async def _serve(self, spec: Message) -> None:
        sys.path.insert(0, spec["folder"])
        os.chdir(spec["folder"])
        if spec["kind"] == "http":
            os.environ["PYTHONPATH"] = python_path()  # so that the service joins, where setup starts it as a process of its own
        async with setup_of(spec["setup"]):
            indicators = {data["name"]: Indicator.from_json(data) for data in spec["indicators"]}
            _record(indicators.values(), spec["calls"], spec["functions"])
            self._generator = Generator(self._answerer(spec), indicators, self._judging, self._report, spec["calls"])
            self._cases = read_cases(Path(spec["cases"]))
            self._journeys: dict[str, float] = spec["journeys"]
            self._audience = Audience.from_json(spec["audience"])
            self._ready.set_result({"versions": _versions()})
            await self._over.wait()
            self._stop.set()

    def _answerer(self, spec: Message) -> Answerer:
        if spec["kind"] == "http":
            return http_answerer(spec["target"], spec["hosts"], spec["limit_s"], self._threads, Tally())
        return python_answerer(spec["target"], self._threads)

    def _fail(self, error: BaseException) -> None:
        """Say what kind of error it was; its words, which may hold a password, stay in the log of whoever owns the workload."""
        problem = Problem("WORKLOAD-SETUP", "the workload could not be set up", seen=type(error).__name__)
        if isinstance(error, RefuteError):
            problem = error.problems[0]
        else:
            traceback.print_exception(error)
        if not self._ready.done():
            self._ready.set_exception(RefuteError(problem))
        else:
            self.agent.send({"op": "failed", "problem": problem.to_json()})

    # Handlers run in the agent's thread and hand over to the loop.

    def _start(self, message: Message) -> Message:
        self._on_loop(lambda: self._spec.set_result(message))
        threading.Thread(target=self._tell_ready, daemon=True).start()
        return {}

    def _tell_ready(self) -> None:
        try:
            self.agent.send({"op": "ready", **self._ready.result()})
        except RefuteError as error:
            self.agent.send({"op": "failed", "problem": error.problems[0].to_json()})

    def _load(self, message: Message) -> Message:
        self._on_loop(lambda: self._loop.create_task(self._drive(message)))
        return {}

    def _widen(self, message: Message) -> Message:
        """Ask the load's own thread, so that no unit starts between the question and the change."""
        taken: Future[bool] = Future()

        def widen() -> None:
            taken.set_result(self._generator is not None and self._generator.widen(message["first"], message["share"]))

        self._on_loop(widen)
        return {"taken": taken.result(_GRACE_S)}

    def _halt(self, _message: Message) -> Message:
        self._on_loop(self._stop.set)
        return {}

    def _end(self, _message: Message) -> Message:
        self._on_loop(self._over.set)
        return {}

    def _gone(self) -> None:
        """Tear down when the other end is gone; by force where the program does not let go."""
        self._on_loop(self._over.set)
        forced = threading.Timer(_GRACE_S, os._exit, (1,))
        forced.daemon = True
        forced.start()

    def _on_loop(self, action: Callable[[], Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)

    async def _drive(self, message: Message) -> None:
        generator = self._generator
        if generator is None:
            return
        self._stop = asyncio.Event()
        units = draw_units(self._cases, self._journeys, message["load"]["seed"], message["phase"], self._audience)
        await generator.run(units, Load(**message["load"]), self._stop)
        self.agent.send({"op": "loaded"})

    async def _report(self, started: int, outcomes: list[Outcome]) -> None:
        notice = {"op": "outcomes", "started": started, "outcomes": [outcome.to_json() for outcome in outcomes]}
        await self._loop.run_in_executor(self._sending, self.agent.send, notice)


def _record(indicators: Iterable[Indicator], calls: Mapping[str, Sequence[str]], functions: Mapping[str, str]) -> None:
    """Begin to note what agents do, where an indicator asks for it."""
    stated = [indicator.deviation for indicator in indicators if indicator.deviation is not None]
    for tool in {tool for one in stated if one.actions == "calls" for tool in calls[one.agent] if tool in functions}:
        listen(functions[tool], tool)
    if any(one.actions == "spans" for one in stated):
        record_spans()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _SHOWN_VERSIONS:
        module = name.replace("-", "_")
        if module in sys.modules or name in sys.modules:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
    return found


async def _main() -> None:
    await Worker(asyncio.get_running_loop()).run()


if __name__ == "__main__":
    asyncio.run(_main())
    os._exit(0)  # threads that still wait for a dead call must not keep the process
