"""What the codes of faults of processes, networks and disks mean, and what to do about them."""

from __future__ import annotations

HOST_CODES: dict[str, tuple[str, str, str]] = {
    "CLOCK-LIBRARY": (
        "No library to shift a clock with",
        "The clock of a program can be shifted only where it is started with libfaketime, which is not installed here.",
        "Run `pip install 'refute[clock]'`.",
    ),
    "HOST-LACKS": (
        "This host lacks what a fault needs",
        (
            "`refute doctor` tries by which mechanisms this host could do each fault of a whole component. For these a tool, a right, a "
            "part of the kernel or a library is missing. What another mechanism does instead can be done all the same."
        ),
        "Run the command that is given as `next`, then `refute doctor`; or test the belief with a fault that the host permits.",
    ),
    "HOST-REFUSED": (
        "The host does not let the fault be",
        (
            "A fault of a process, network or disk needs something that this host lacks, or its target cannot be told for certain, or "
            "it must not be touched. What had been applied of it was removed."
        ),
        "Follow the reason in the message.",
    ),
}
