"""What every code means that is not about an intent file (those stand in `refute.intent.codes`), and what to do about it."""

from __future__ import annotations

from refute.core.deviation_codes import DEVIATION_CODES
from refute.core.exec_codes import EXEC_CODES
from refute.core.guardian_codes import GUARDIAN_CODES
from refute.core.host_codes import HOST_CODES
from refute.core.live_codes import LIVE_CODES
from refute.core.planning_codes import PLANNING_CODES
from refute.core.proxy_codes import PROXY_CODES
from refute.core.training_codes import TRAINING_CODES

CODES: dict[str, tuple[str, str, str]] = {
    **EXEC_CODES,
    **DEVIATION_CODES,
    **GUARDIAN_CODES,
    **HOST_CODES,
    **LIVE_CODES,
    **PLANNING_CODES,
    **PROXY_CODES,
    "FILE-EXISTS": (
        "A file is there already",
        "`refute init` writes a new file; what somebody wrote is never overwritten.",
        "Go on with it (`refute check`), or name another: `refute init NAME.yaml`.",
    ),
    "FILE-UNWRITABLE": (
        "A file cannot be written",
        "The operating system does not let Refute create the file, or the disk is full.",
        "Look at the folder's permissions and at the disk, or name a file elsewhere.",
    ),
    "ACCEPT-NOTHING": (
        "Nothing to accept",
        "Only a belief that was refuted, and has not held since, can be accepted.",
        "List the open findings with `refute account`.",
    ),
    "ACCEPT-UNTIL": (
        "An acceptance without a good end",
        "An acceptance ends on a day within the next year; after it the finding is open again.",
        "Name that day: `--until 2027-01-31`.",
    ),
    "ACCEPT-WHY": (
        "An acceptance without a reason",
        "Whoever meets the finding later must be able to see why nothing was done.",
        "Say why in a few words.",
    ),
    "APPROVAL-LASTS": (
        "How long is the yes good for?",
        "An approval is good for a stated time of at most 31 days.",
        "Write it as `--lasts 1 d`.",
    ),
    "APPROVAL-SIGN": (
        "An approval cannot be signed",
        "`ssh-keygen -Y sign` did not make a signature: the key is missing, locked, or of a kind that cannot sign.",
        "Name a key with `--key`, or load it with `ssh-add`.",
    ),
    "APPROVAL-TOOL": (
        "OpenSSH is not here",
        "Approvals are signed and checked with `ssh-keygen`, version 8.2 or newer.",
        "Debian: `apt-get install openssh-client`.",
    ),
    "APPROVAL-WRITE": (
        "An approval cannot be written",
        "The folder for approvals, beside the intent file, cannot be written.",
        "Make it writable, or approve on a machine where it is.",
    ),
    "BELIEF-UNKNOWN": (
        "Unknown belief",
        "The intent has no belief of that id.",
        "List the ids with `refute check`.",
    ),
    "BLAST-NEVER": (
        "A target that is off limits",
        "The belief aims at a component that `blast_radius.never` protects.",
        "Aim at another component, or take this one off the list if its owner agrees.",
    ),
    "BY-NAME": (
        "Nobody is named",
        "What people say is kept with who said it; the name is empty, too long, or not on one line.",
        "Name somebody: `--by ada`.",
    ),
    "CALLABLES-REFUSED": (
        "A Python function cannot be struck",
        (
            "The function that the component's `python` names cannot be wrapped with this fault: it is missing, is a generator "
            "or an object, or the fault does not apply to it."
        ),
        "Follow the reason in the message; name a plain function, sync or async, as module:function or module:Class.method.",
    ),
    "CALLABLES-TWICE": (
        "A handle is applied twice",
        "Each handle is good for one application, so that its landing counts one run only.",
        "Prepare a new handle.",
    ),
    "CODE-UNKNOWN": (
        "Unknown code",
        "No message has this code in this version.",
        "Copy the code from the message, as it stands in brackets.",
    ),
    "DEMO-EXTRA": (
        "The demonstration needs more packages",
        "The example runs a real model and a real web application, which Refute itself does not need.",
        "`pip install 'refute[demo]'`, or what the message names.",
    ),
    "DEMO-FOLDER": (
        "The folder is taken",
        "The demonstration copies its example into a folder, and this one holds something else. Nothing was written.",
        "Name another one: `refute demo --folder NAME`.",
    ),
    "ENVIRONMENT-UNKNOWN": (
        "Unknown environment",
        "The intent states no environment of that name.",
        "Name one that stands under `environments`, or add it there.",
    ),
    "FAMILY-UNKNOWN": (
        "Unknown family of faults",
        "The family is what stands before the dot in a fault's name; no fault in the catalogue has this one.",
        "Name one of those in the message, or list everything: `refute faults`.",
    ),
    "FAULT-TWICE": (
        "Two faults have one name",
        "An installed package adds a fault under a name that is taken; it would be unclear which one a belief means.",
        "Remove or update the package that adds it.",
    ),
    "FORECAST-SHARE": (
        "A probability that cannot be read, or certainty",
        "Probabilities are percentages from 0% to less than 100%; a surprise to somebody who was certain would cost infinitely many bits.",
        "Write it as `--held 70%`.",
    ),
    "FORECAST-SUM": (
        "Probabilities of more than 100%",
        "A run says `held`, `refuted` or `inconclusive`: the three come to 100%.",
        "Make one of them smaller; what is left is `inconclusive`.",
    ),
    "GATE-APPROVAL": (
        "The run is not approved",
        (
            "The environment asks for the signed yes of other people to this very intent, and it is not there, has run out, "
            "or was signed by whoever starts the run."
        ),
        "Ask one of those who may to run the command in the message.",
    ),
    "GATE-BURN": (
        "The error budget is burning already",
        ("In a long and in a short window at once, more of the error budget is spent than would last. An experiment would add to it."),
        "Wait until the burn rate is below 1, or mend what burns.",
    ),
    "GATE-FREEZE": (
        "A freeze",
        "The environment states days on which nothing may run, and this run would begin or end on one.",
        "Run it after the freeze.",
    ),
    "GATE-GUARDIAN": (
        "No guardian for a fault that outlives its process",
        (
            "Faults in processes, networks and files stay until somebody removes them. They are refused where there is no "
            "guardian that outlives the runner and does so; the message says why there is none."
        ),
        "Mend what the message names (`refute doctor` shows the guardian), or use a fault that ends with its lease.",
    ),
    "GATE-WINDOW": (
        "Outside the hours",
        "The environment states hours in which experiments may run, and this one would begin or end outside them.",
        "Run it within the hours, or make it shorter (`blast_radius.duration`).",
    ),
    "INJECTOR-NONE": (
        "Nothing can inject this",
        "No installed injector can apply this fault to this component; the message gives each one's reason.",
        "Give the component an `endpoint` or a `python` function, or see what is installed: `refute doctor`.",
    ),
    "JOURNAL-FULL": (
        "No room for the rollback journal",
        (
            "What is about to be broken must be on disk first, so that it can be mended after a crash. There is no room to write "
            "it, and nothing was injected."
        ),
        "Free some space on the disk of the state directory (`refute doctor` names it), then try again.",
    ),
    "JOURNAL-IO": (
        "The rollback journal cannot be used",
        "The operating system could not read or write the rollback journal. Nothing may be injected without it.",
        "See `refute doctor`; check the disk, or set XDG_STATE_HOME to a directory elsewhere.",
    ),
    "JOURNAL-NAME": (
        "A handle's id is no file name",
        "Each handle has a file in the rollback journal that is named after it; an injector made an id that cannot be one.",
        "Report it to the authors of the injector.",
    ),
    "JOURNAL-ORDER": (
        "The rollback journal was asked to jump",
        (
            "A handle goes from intended to applied, rolled_back and verified, in this order. Something asked for another step; "
            "most likely two processes look after the same handle."
        ),
        "See what is live with `refute doctor`.",
    ),
    "JOURNAL-PERMISSION": (
        "The rollback journal may not be written",
        "The state directory belongs to somebody else or is read-only. Nothing may be injected without the journal.",
        "Set XDG_STATE_HOME to a directory of yours.",
    ),
    "LEASE-TTL": (
        "A lease of the wrong length",
        "Faults last only as long as a lease of a few seconds is renewed.",
        "Ask for more than 0 s and at most 30 s.",
    ),
    "LEDGER-CORRUPT": (
        "The ledger's file is damaged",
        "SQLite found pages that make no sense: a failing disk, or something that wrote into the file.",
        "Keep a copy of the file, look at it with `refute ledger verify`, and restore a backup.",
    ),
    "LEDGER-EVENT": (
        "An event that cannot be kept",
        (
            "The ledger keeps JSON objects: no NaN, no infinity, no other objects, and no data under the keys `event` and `at`. "
            "It was not kept."
        ),
        "If you wrote the code that made the event, mend it there; otherwise report it.",
    ),
    "LEDGER-FULL": (
        "No room for the ledger",
        (
            "The disk is full, or a quota or a limit on file size is reached. The event was not kept, and what was kept before "
            "is intact. Nothing is injected before its forecast is in the ledger."
        ),
        "Free some space, then try again.",
    ),
    "LEDGER-IO": (
        "The ledger could not be read or written",
        "The operating system reported an error on the ledger's file or its directory. What was kept before is intact.",
        "Check the path and the disk, then try again.",
    ),
    "LEDGER-LOCKED": (
        "The ledger is locked",
        "Several processes may write, each for a moment; another one has held the file for too long.",
        "Wait for it or end it (`fuser .refute/ledger.db` names it), then try again.",
    ),
    "LEDGER-MISSING": (
        "There is no ledger here",
        "The file does not exist. A first run makes it, by default as .refute/ledger.db beside the intent.",
        "Change to the directory of your intent, or name the file with --file.",
    ),
    "LEDGER-NEWER": (
        "A ledger from a newer Refute",
        "A newer version wrote this file with tables that this one does not know. It was left as it is.",
        "Update: `pip install --upgrade refute`.",
    ),
    "LEDGER-NOT-A-DATABASE": (
        "Not a ledger",
        "The file is something else, or another program's database. It was left as it is.",
        "Name another file, or move this one away.",
    ),
    "LEDGER-OLDER": (
        "A ledger from an older Refute",
        "Its tables must be brought to this version first; the records themselves stay as they are.",
        "`refute ledger upgrade`.",
    ),
    "LEDGER-OUTPUT": (
        "The export cannot be written",
        "The file to export to cannot be written, or none was named.",
        "Name a file that you may write with --output.",
    ),
    "LEDGER-PARQUET": (
        "Parquet is not there yet",
        "Parquet files are written by pyarrow, which Refute does not bring along.",
        "`pip install pyarrow`, or export with `--format jsonl`.",
    ),
    "LEDGER-PERMISSION": (
        "The ledger may not be written",
        "The file or its directory belongs to somebody else or is read-only.",
        "Check who owns them: `ls -ld .refute .refute/ledger.db`.",
    ),
    "LINK-ARMED": (
        "A process that is armed already",
        "A process takes one experiment at a time.",
        "Wait for the other run, or stop it: `refute abort`.",
    ),
    "LINK-FAILED": (
        "An injector failed",
        "An injector raised an error in the process under test; whatever it had applied ends with its lease.",
        "See the error in the message; `refute doctor` says what is installed.",
    ),
    "LINK-LEASE": (
        "A lease ended too early",
        (
            "The faults went away by themselves before the runner renewed their lease: the machine was suspended, or far too "
            "busy. The run is void."
        ),
        "Run it again on a machine with more room.",
    ),
    "LINK-LOST": (
        "A process does not answer",
        "The process under test ended or hangs, so faults can neither be applied nor counted. What was applied ends with its lease.",
        "See worker.log beside the ledger for what it printed last.",
    ),
    "LINK-OP": (
        "An unknown request on the link",
        "The two ends of the link are of different versions.",
        "Install the same version of Refute for the runner and the program under test.",
    ),
    "NOTICE-SECRET": (
        "Nobody can be told",
        "The environment variable that should hold a webhook's address, or PagerDuty's routing key, is not set.",
        "Set it, or take the receiver out of `notify`.",
    ),
    "NOTICE-URL": (
        "A webhook without an address",
        "The environment variable holds something that is no web address. It is not shown, for it may be a secret.",
        "Set it to the webhook's URL.",
    ),
    "PROGRAM-START": (
        "The command could not be started",
        "The command after -- does not exist or may not be run.",
        "Check its spelling and your PATH.",
    ),
    "PROXY-LISTEN": (
        "The proxy cannot listen",
        "Its address is malformed, taken or not this machine's. Nothing was started.",
        "Name another one with --listen HOST:PORT, or port 0 for any that is free.",
    ),
    "PROXY-NONE": (
        "No proxy in between",
        (
            "A component is reached `via: proxy`, and no proxy whose own address or upstream is that of its endpoint has joined: none "
            "runs, it belongs to another user or state directory, or it serves another run."
        ),
        "Start one, `refute proxy --upstream URL`, point the system at its address, and run again.",
    ),
    "PROXY-REQUEST": (
        "A request that the proxy does not pass on",
        (
            "The client sent what is no HTTP/1.1, is ambiguous about its length, or asks a forward proxy. Two readers could take it "
            "for different requests, so it was answered with 400 and never reached upstream."
        ),
        "Look at what sends it; HTTP/2 without TLS, `CONNECT` and absolute URLs are not served.",
    ),
    "PROXY-UPSTREAM": (
        "Upstream does not answer",
        (
            "The proxy could not reach its upstream, or the connection ended before an answer, or the answer is no HTTP/1.1. It answers "
            "502 in its own name then; no fault is at work."
        ),
        "Call upstream without the proxy; check --upstream, and for private certificates SSL_CERT_FILE.",
    ),
    "PROXY-UPSTREAM-URL": (
        "Upstream is no base URL",
        "The proxy stands in front of one base URL of http or https.",
        "`refute proxy --upstream https://api.openai.com`.",
    ),
    "REFUTE-DEFECT": (
        "A defect in Refute",
        "Something went wrong that is no fault of your system or your file. What was armed was rolled back; nothing was decided by it.",
        "`refute doctor` says whether anything is live; please report the lines above the message.",
    ),
    "REPORT-EMPTY": (
        "Nothing to report",
        "The ledger holds no experiment yet.",
        "Run one: `refute run`.",
    ),
    "REPORT-UNKNOWN": (
        "No such experiment",
        "The ledger has no experiment, or more than one, whose id starts so.",
        "Name more of the id, or `last`, or `all`.",
    ),
    "RERUN-CHANGED": (
        "The run cannot be repeated as it was",
        "The intent or the system has changed since, so that the same experiment would no longer be planned.",
        "See what would be: `refute plan --again`.",
    ),
    "RERUN-UNKNOWN": (
        "No such run",
        "The ledger has no run of that id.",
        "Name one of those in the message, or `last`.",
    ),
    "RUN-SHARED": (
        "Another run harms the same",
        (
            "The target, or something that calls it, is also harmed by a live run on another system: each would take the other's harm "
            "for its own."
        ),
        "Wait for that run, or stop it: `refute abort`.",
    ),
    "RUN-CONCURRENT": (
        "Another run on this system is live",
        "Two experiments on one system at once would each see the other's faults, and neither verdict would mean anything.",
        "Wait for the other one, or stop it with `refute abort`.",
    ),
    "SLO-PROMETHEUS": (
        "The burn rate is not known",
        "Prometheus does not answer, answers an error, or not with one number. Not knowing is not taken for well.",
        "Ask it the same query with curl, and correct the query or the address.",
    ),
    "SPACE-NONE": (
        "No fault space",
        "The folder holds no JSON file with measured outcomes of faults.",
        "Name a folder that does; tests/data/fault-spaces is one.",
    ),
    "SPACE-UNREADABLE": (
        "Not a fault space",
        "The file is no JSON object with `application`, `calls` and `runs`, or its runs name calls that it does not list.",
        "Mend the file as tests/data/fault-spaces/README.md describes, or take it out of the folder.",
    ),
    "SUGGEST-MODEL": (
        "The model cannot word the claims",
        "The endpoint does not answer as an OpenAI-compatible server does, or the model did not answer with one sentence.",
        "See that the endpoint answers, name its model, or leave both options out: the catalogue's words are used then.",
    ),
    "RUN-NOT-RECOVERED": (
        "The system is not well again",
        (
            "The fault is provably gone, and yet the system does not do what it did before: something that the fault set off goes on. "
            "The verdict stands, for it was made before. No other experiment follows, and the exit code is at least 3."
        ),
        "See to the system. What set it off is known, so this is a finding of its own: state it as a belief once it is mended.",
    ),
    "TRACES-EMPTY": (
        "No span in the traces",
        "The files could be read and hold no span.",
        "Look whether the exporter writes traces, and not only logs or metrics, to these files.",
    ),
    "TRACES-PROTOBUF": (
        "Protobuf traces need an extra",
        "OTLP protobuf is read with `opentelemetry-proto`, which the core installation leaves out.",
        "`pip install 'refute[otlp]'`, or have the exporter write JSON.",
    ),
    "TRACES-UNREADABLE": (
        "Traces cannot be read",
        "The file is neither OTLP JSON Lines, nor one OTLP JSON object, nor OTLP protobuf, or is damaged where the message says.",
        "Export it again: `format: json` of the collector's file exporter.",
    ),
    "TRY-MAGNITUDE": (
        "A magnitude that does not fit",
        "The fault has no magnitude, or another unit.",
        "See `refute faults show NAME`.",
    ),
    "TRY-SHARE": (
        "A share that cannot be read",
        "A share is a percentage or a fraction of the calls that could be hit.",
        "Write it like 30% or 0.3.",
    ),
    "TRY-TARGET": (
        "No target",
        "Faults of tools and retrievers, and those in a proxy, need to know which function or endpoint to strike.",
        "Name it with --python module:function or --endpoint URL; with --via proxy, by the proxy's address.",
    ),
    "TRY-WHOLE": (
        "A fault of a whole component",
        (
            "`refute try` breaks single calls of one command. Faults of processes, ports and disks strike a component that an intent "
            "describes."
        ),
        "State a belief about it in an intent, and test it with `refute run`.",
    ),
    "WORKLOAD-DIED": (
        "The workload's process died",
        ("The process in which the workload runs ended in the middle of a phase. Its faults went with it, and the run gives no verdict."),
        "See worker.log beside the ledger for what it printed last.",
    ),
    "WORKLOAD-SETUP": (
        "The workload could not be set up",
        "The workload, its setup or its indicators could not be imported or started. Nothing was injected.",
        "See the error in the message and worker.log beside the ledger; try `refute check`.",
    ),
    "WORKLOAD-STUCK": (
        "A phase does not end",
        "Units of the workload did not end within their time limit, and the phase with them. Faults were removed.",
        "Lower `workload.rate`, or raise `workload.timeout`.",
    ),
    **TRAINING_CODES,
}
"""Code to title, explanation, and what to do."""
