"""What the codes of guardians mean, of this host and of others, and what to do about them; part of `refute.core.codes.CODES`."""

from __future__ import annotations

GUARDIAN_CODES: dict[str, tuple[str, str, str]] = {
    "GUARDIAN-ADDRESS": (
        "Not the address of a guardian",
        "The guardian of another host is reached at a host and a port, over TLS.",
        "Write it as `tls://10.0.0.2:7443`.",
    ),
    "GUARDIAN-INJECTOR": (
        "The guardian does not know an injector",
        "The guardian was started from an installation that lacks the injector which this run wants to use. Nothing was applied.",
        "Wait until the guardian has ended (seconds after its last run), or install the package where it was started.",
    ),
    "GUARDIAN-LISTEN": (
        "The guardian cannot listen",
        "Its address is malformed, taken or not this host's. Nothing was started.",
        "Name another one with --listen HOST:PORT, or port 0 for any that is free.",
    ),
    "GUARDIAN-LOST": (
        "The guardian died",
        (
            "The process that applies and removes lasting faults ended in the middle of a run. Whoever takes over, its understudy or a "
            "new guardian, removes what was live; the run is void."
        ),
        "See `refute doctor` for what is live, and the file `log` in the guardian's directory for why it ended.",
    ),
    "GUARDIAN-STALE": (
        "A request to break something came too late",
        (
            "The guardian of another host applies only what it has prepared on the same connection some seconds before, and only once: "
            "a request that a broken line delivers late, or that somebody repeats, applies nothing."
        ),
        "Run it again; if it happens often, the network between the two hosts is too slow or loses too much.",
    ),
    "GUARDIAN-START": (
        "There is no guardian",
        (
            "Faults in processes, networks and files are applied and removed by a process of its own, which could not be started or "
            "does not answer. Nothing was applied."
        ),
        "Follow the message; `refute doctor` shows the guardian, and its directory holds a log.",
    ),
    "GUARDIAN-STRANGER": (
        "The guardian does not admit this certificate",
        "The certificate is good, and none of its names is among those that `refute guardian --admit` lists on that host.",
        "Have whoever runs the guardian add the name in the message, or use the certificate that is meant for it.",
    ),
    "GUARDIAN-UNREACHED": (
        "The guardian of another host cannot be asked",
        (
            "It does not answer, or one side does not accept the other's certificate; the message says which. A fault that it had applied "
            "ends with its lease all the same: the guardian removes it by itself."
        ),
        "Follow the message. To prove that nothing is left: `refute recover` once it can be reached, or `refute doctor` on that host.",
    ),
    "GUARDIAN-VERSION": (
        "A guardian of another version",
        "The guardian that is live was started by another version of Refute, and the two may not understand each other.",
        "Wait until its last run has ended; it then goes by itself within seconds.",
    ),
    "TLS-FILE": (
        "No certificate",
        (
            "To reach the guardian of another host, or to be one, a directory must hold cert.pem, the key to it as key.pem without a "
            "passphrase, and ca.pem, the authority that both sides trust."
        ),
        "Put them into ~/.config/refute/tls, or name their directory with REFUTE_TLS or --tls; the how-to on other hosts makes some.",
    ),
    "TLS-KEY": (
        "A private key that others may read",
        "Whoever has the key may break things in your name. It was not used.",
        "`chmod 600 key.pem`, and think about who may have read it.",
    ),
}
