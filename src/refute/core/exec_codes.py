"""What the codes mean that are about programs under `refute exec`, and what to do about it."""

from __future__ import annotations

EXEC_CODES: dict[str, tuple[str, str, str]] = {
    "EXEC-NAME": (
        "A program needs a name",
        "Intent files name the program in which calls are to be broken, `via: exec NAME`. Nothing was started.",
        "`refute exec --name shop -- COMMAND`: letters, digits, _ and -, a letter first.",
    ),
    "EXEC-NONE": (
        "No process of the program is here",
        (
            "A component is reached `via: exec NAME`, and no Python process under `refute exec --name NAME` has joined: none runs, it "
            "belongs to another user or state directory, it serves another run, or its Python is older than 3.11 or was started with -I, "
            "-S or -E. Nothing was injected."
        ),
        "Start it with `refute exec --name NAME -- COMMAND`, and run again.",
    ),
}
"""Code to title, explanation, and what to do."""
