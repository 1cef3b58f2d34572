"""Starts programs whose clock Refute can shift while they run.

From Python:

    subprocess.Popen(["./orders"], env=os.environ | adjustable(Path("orders.clock")))

From a shell, the program's own arguments last:

    python -m refute.integrations.clock orders.clock ./orders --port 8091
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from refute.core.errors import RefuteError, refuse
from refute.injectors.host._libfaketime import INSTALL, MISSING, TRUE, library, variables


def adjustable(file: Path) -> dict[str, str]:
    """Return what a program's environment needs, and make the file by which its clock can be shifted.

    Reading the time costs the program some microseconds more. Give each program a file of its own: whoever reads it sees the same shift.

    Args:
        file: it is written anew, and says that the clock is true.

    Raises:
        RefuteError: libfaketime is not installed (`CLOCK-LIBRARY`).
        OSError: the file cannot be written.
    """
    if not library():
        raise refuse("CLOCK-LIBRARY", "a clock cannot be shifted here", seen=MISSING, next=INSTALL)
    file = file.absolute()
    file.write_text(f"{TRUE}\n", "ascii")
    return variables(file)


def main(arguments: Sequence[str]) -> None:
    """Become a program whose clock can be shifted.

    Args:
        arguments: the file, then the program and its arguments.
    """
    if len(arguments) < 2 or arguments[0] in {"-h", "--help"}:
        sys.exit(str(__doc__))
    try:
        environ = os.environ | adjustable(Path(arguments[0]))
    except RefuteError as error:
        sys.exit(str(error))
    os.execvpe(arguments[1], list(arguments[1:]), environ)  # noqa: S606 - the program is the user's own


if __name__ == "__main__":
    main(sys.argv[1:])
