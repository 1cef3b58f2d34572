"""Faults of processes: they strike whatever serves a component, as a whole."""

from __future__ import annotations

from refute.core.system import ComponentKind
from refute.faults.spec import Fault, Magnitude

SERVED: frozenset[ComponentKind] = frozenset(
    {
        "service", "llm", "embedder", "retriever", "vector_store", "tool", "agent", "mcp_server", "model_server", "feature_store",
        "datastore", "queue", "cache", "guardrail_model", "data_pipeline",
    }
)  # fmt: skip
"""Kinds that a process of their own may serve while units are answered."""

PAUSE = Fault(
    name="process.pause",
    summary="The process stops running, and keeps its connections.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "SIGSTOP to the process and all its descendants: nothing of it runs; connections stay open, the kernel still accepts new ones, "
        "and nobody answers."
    ),
    landing="each of its processes is seen stopped, at every look",
    undone_by="the guardian: SIGCONT to each of them; work that waited goes on",
    belief="A dependency that hangs without failing is noticed within the time-out.",
    source="long garbage collections, swapping, frozen virtual machines and stuck storage: hung, not dead",
    acts_on="process",
)

KILL = Fault(
    name="process.kill",
    summary="The process is killed.",
    kinds=SERVED,
    hazard="state_write",
    effect=(
        "SIGKILL to the process and all its descendants, once: no clean-up runs, what was not written is lost. Starting it again is the "
        "business of whatever supervises it, and part of what is tested."
    ),
    landing="each of its processes is seen to be gone",
    undone_by=(
        "whatever supervises it: the rollback is proven when another process serves the component, and unproven (exit 5) for as long "
        "as none does"
    ),
    belief="A crashed service is started again, and nobody loses more than the request under way.",
    source="out-of-memory kills, crashed nodes, evicted pods",
    acts_on="process",
)

MEMORY = Fault(
    name="process.memory",
    summary="The process gets no more memory.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "RLIMIT_AS of the process and of its descendants is set to what each has, and the magnitude more: what goes beyond fails with "
        "ENOMEM (MemoryError in Python); new threads fail, too."
    ),
    landing="the kernel says that the limit stands, at every look",
    undone_by="the guardian: the limit that was there before is set again",
    belief="One request too large fails alone, and takes no other with it.",
    source="memory leaks, large inputs, several workers on one host",
    magnitude=Magnitude(unit="MB", low=0.0, high=1_000_000.0, typical=16.0, meaning="memory that it may still get, in millions of bytes"),
    acts_on="process",
)

FD_EXHAUSTION = Fault(
    name="process.fd_exhaustion",
    summary="The process can open no more files and connections.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "RLIMIT_NOFILE of the process and of its descendants is set to what each has open, and the magnitude more: opening a file, "
        "accepting or making a connection beyond that fails with EMFILE."
    ),
    landing="the kernel says that the limit stands, at every look",
    undone_by="the guardian: the limit that was there before is set again",
    belief="When no connection can be opened, requests are refused quickly, and all is well once one can.",
    source="leaked connections and files, limits left at their defaults",
    magnitude=Magnitude(unit="1", low=0.0, high=100_000.0, typical=0.0, meaning="files and connections that it may still open"),
    acts_on="process",
)

CPU = Fault(
    name="process.cpu",
    summary="The process gets little processor time.",
    kinds=SERVED,
    hazard="availability",
    effect=(
        "The process and its descendants are moved into a control group that gets the magnitude of one processor in every 20 ms; "
        "beyond that they wait."
    ),
    landing="the kernel counts periods in which the group had to wait: a component that does nothing is not struck",
    undone_by="the guardian: each process is moved back to its group, and the control group is removed",
    belief="On a busy host everything is slower, and nothing fails.",
    source="noisy neighbours, processor limits of containers, batch jobs on serving hosts",
    magnitude=Magnitude(unit="%", low=5.0, high=400.0, typical=20.0, meaning="share of one processor that is left", log=True),
    acts_on="process",
)

OOM = Fault(
    name="process.oom",
    summary="The process is killed once it takes more memory.",
    kinds=SERVED,
    hazard="state_write",
    effect=(
        "The process and its descendants are moved into a control group that may take the magnitude beyond what they have; what needs "
        "more is killed by the kernel, as in a container that reaches its limit."
    ),
    landing="the kernel counts a process of the group that it has killed: a component that takes no more memory is not struck",
    undone_by=(
        "the guardian: each process is moved back to its group, and the control group is removed; what was killed is started again by "
        "whatever supervises it, and unproven (exit 5) for as long as it is not"
    ),
    belief="A worker that is killed for its memory is started again, and only its own request is lost.",
    source="memory limits of containers, leaks, one request too large",
    magnitude=Magnitude(
        unit="MB", low=1.0, high=1_000_000.0, typical=32.0, meaning="memory that it may still get, in millions of bytes", log=True
    ),
    acts_on="process",
)

_CLOCK_LANDING = (
    "the `Date` of an answer at the component's endpoint is off by the magnitude, at every look; where none tells it, the process is seen "
    "to read its shifted clock"
)
_CLOCK_UNDONE_BY = "the guardian: the file that shifts the clock says +0 again; what was stamped meanwhile stays so"

CLOCK_SKEW = Fault(
    name="process.clock_skew",
    summary="The clock of the process is ahead.",
    kinds=SERVED,
    hazard="wrong_answer",
    effect=(
        "The time of day that the process and its descendants read is ahead of the true one by the magnitude: at once, until the fault "
        "ends. Clocks that measure durations go on truly. The process must have been started with libfaketime."
    ),
    landing=_CLOCK_LANDING,
    undone_by=_CLOCK_UNDONE_BY,
    belief="With a clock that is ahead, tokens and caches that seem to have run out fail safely.",
    source="virtual machines whose host is wrong, time servers that were cut off, manual corrections",
    magnitude=Magnitude(unit="s", low=3.0, high=315_576_000.0, typical=3600.0, meaning="how far the clock is ahead", log=True),
    acts_on="process",
)

CLOCK_BACK = Fault(
    name="process.clock_back",
    summary="The clock of the process is behind.",
    kinds=SERVED,
    hazard="wrong_answer",
    effect=(
        "The time of day that the process and its descendants read is behind the true one by the magnitude: at once, until the fault ends, "
        "so that what was stamped before seems to lie in the future. The process must have been started with libfaketime."
    ),
    landing=_CLOCK_LANDING,
    undone_by=_CLOCK_UNDONE_BY,
    belief="Time that goes backwards loses nothing and blocks nobody.",
    source="virtual machines that were suspended, corrections by time servers, leap seconds",
    magnitude=Magnitude(unit="s", low=3.0, high=315_576_000.0, typical=3600.0, meaning="how far the clock is behind", log=True),
    acts_on="process",
)

FAULTS = (PAUSE, KILL, MEMORY, OOM, FD_EXHAUSTION, CPU, CLOCK_SKEW, CLOCK_BACK)
