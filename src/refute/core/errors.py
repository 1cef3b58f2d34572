"""Errors a user can act on: a stable code, what was wrong, the value seen, the limit, and the next command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_HELD = 0
EXIT_REFUTED = 1
EXIT_USAGE = 2
EXIT_INCONCLUSIVE = 3
EXIT_ABORTED = 4
EXIT_UNPROVEN_ROLLBACK = 5
EXIT_INTERRUPTED = 130

_WORST_FIRST = (
    EXIT_UNPROVEN_ROLLBACK,
    EXIT_INTERRUPTED,
    EXIT_ABORTED,
    EXIT_USAGE,
    EXIT_REFUTED,
    EXIT_INCONCLUSIVE,
    EXIT_HELD,
)


def worst_exit(codes: Iterable[int]) -> int:
    """Return the exit code that wins over all others.

    Args:
        codes: exit codes of the single outcomes; may be empty.

    Returns:
        The worst of them in the order 5, 130, 4, 2, 1, 3, 0; 0 where there is none.
    """
    seen = set(codes)
    return next((code for code in _WORST_FIRST if code in seen), EXIT_HELD)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in words a user can act on.

    Attributes:
        code: stable code, explained by `refute explain CODE`.
        what: what is wrong, in one sentence.
        where: file:line or the name of the place, if any.
        seen: the value found.
        allowed: what would be right, or the limit.
        suggestion: "did you mean" text, if something is close.
        next: the exact next command or edit.
    """

    code: str
    what: str
    where: str = ""
    seen: str = ""
    allowed: str = ""
    suggestion: str = ""
    next: str = ""

    def lines(self) -> list[str]:
        """Return the message as plain lines, the first with the place and the code."""
        head = f"{self.where}: " if self.where else ""
        parts = [f"{head}{self.what} [{self.code}]"]
        labelled = (("found", self.seen), ("allowed", self.allowed), ("did you mean", self.suggestion), ("next", self.next))
        parts += [f"  {label}: {value}" for label, value in labelled if value]
        return parts

    def to_json(self) -> dict[str, str]:
        """Return the filled fields as a JSON object."""
        fields = ("code", "what", "where", "seen", "allowed", "suggestion", "next")
        return {name: value for name in fields if (value := getattr(self, name))}


class RefuteError(Exception):
    """Bad input, a refusal or a failure, as one or more problems.

    Args:
        problems: everything that is wrong, in the order in which to mend it.
        exit_code: what the process exits with.
    """

    def __init__(self, *problems: Problem, exit_code: int = EXIT_USAGE) -> None:
        """Keep the problems and the exit code."""
        super().__init__("\n".join(line for problem in problems for line in problem.lines()))
        self.problems = problems
        self.exit_code = exit_code


def refuse(code: str, what: str, *, exit_code: int = EXIT_USAGE, **fields: str) -> RefuteError:
    """Return an error with a single problem; raise it where it is made.

    Args:
        code: stable code.
        what: what is wrong, in one sentence.
        exit_code: what the process exits with.
        **fields: further fields of `Problem`.

    Returns:
        The error, ready to raise.
    """
    return RefuteError(Problem(code, what, **fields), exit_code=exit_code)
