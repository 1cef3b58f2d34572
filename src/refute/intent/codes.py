"""Every code that an intent file can be answered with: its title, what it means, and what to do."""

from __future__ import annotations

from refute.intent.combination_codes import CODES as COMBINATION
from refute.intent.deviation_codes import CODES as DEVIATION
from refute.intent.radius_codes import CODES as RADIUS
from refute.intent.stand_in_codes import CODES as STAND_IN
from refute.intent.training_codes import TRAINING_CODES

CODES: dict[str, tuple[str, str, str]] = {
    "FILE-MISSING": (
        "A file is not there",
        "The intent, or a file that it names under a section or `include`, does not exist. Paths are relative to the file that names them.",
        "Correct the path, start an intent with `refute init`, or see one at work with `refute demo`.",
    ),
    "FILE-UNREADABLE": (
        "A file cannot be read",
        "The file exists, but the operating system does not let Refute read it.",
        "Look at its permissions: `ls -l FILE`.",
    ),
    "FILE-SIZE": (
        "A file is too large",
        "An intent is a page or two. A file of several hundred kilobytes is most likely something else.",
        "Name the right file, or split the intent with `include:`. Cases belong in their own JSON Lines file.",
    ),
    "FILE-ENCODING": (
        "A file is not plain UTF-8",
        "The file has bytes that are not UTF-8, or control characters.",
        "Save it as UTF-8, for example with `iconv -t UTF-8`.",
    ),
    "FILE-EMPTY": (
        "A file is empty",
        "The file holds nothing but comments or spaces.",
        "Start an intent with `refute init`.",
    ),
    "YAML-SYNTAX": (
        "The text is not YAML",
        "The YAML reader stopped here; brackets or quotes that are not closed, or wrong indentation, are the usual reasons.",
        "Look at this line and at the one before it.",
    ),
    "YAML-TAB": (
        "A tab in the indentation",
        "YAML allows only spaces there.",
        "Replace tabs with two spaces a level.",
    ),
    "YAML-FOLD": (
        "A value begins with `>`",
        "In YAML a `>` at the start of a value begins folded text, so `then: >= 95%` is not what it looks like.",
        "Begin with the indicator, `then: answered >= 95%`, or put the value in quotes.",
    ),
    "YAML-QUOTE": (
        "A value needs quotes",
        "The value holds `: `, or begins with a character such as * & @ ` % ! that means something to YAML.",
        "Put the whole value in double quotes.",
    ),
    "YAML-TWICE": (
        "A key stands twice",
        "Most YAML readers silently keep the last one; here both are refused, since one of them is a mistake.",
        "Remove or rename one of them.",
    ),
    "YAML-MANY": (
        "More than one document",
        "The file holds a second `---`. An intent is one document.",
        "Split the file, and name the second one under `include:`.",
    ),
    "YAML-BOOL": (
        "A word that YAML reads as a boolean",
        "In YAML 1.1 the words on, off, yes and no are booleans, as keys and as values.",
        'Put the word in quotes: "on". For booleans write true or false.',
    ),
    "YAML-NUMBER": (
        "A number that YAML reads in an unexpected way",
        "1:30 is a number in base 60, 010 is octal, 0x1F is hexadecimal, 1_000 is 1000, .nan is not a number.",
        "Write a plain decimal number, a value with its unit (90 s), or put text in quotes.",
    ),
    "YAML-DATE": (
        "A word that YAML reads as a date",
        "Unquoted dates become date objects.",
        "Put it in quotes.",
    ),
    "YAML-KEY": (
        "A key that is no word",
        "Keys are names. Numbers, dates, nothing, lists and mappings cannot be keys here.",
        "Use a word, or put it in quotes.",
    ),
    "YAML-TAG": (
        "A tag",
        "Tags such as !!python/object ask YAML to build objects. An intent holds plain values only.",
        "Remove the tag. Anything computed is a Python reference: module:function.",
    ),
    "YAML-ALIAS": (
        "An alias that cannot be followed",
        "The anchor does not exist, stands twice, is no mapping under `<<`, or expands into more values than any intent has.",
        "Define `&name` once before `*name`, and keep what it repeats small.",
    ),
    "YAML-DEEP": (
        "Values nested too deeply",
        "The file nests far deeper than any intent, or an anchor contains itself.",
        "Flatten it.",
    ),
    "INCLUDE-CYCLE": (
        "Files include each other",
        "Following `include` leads back to a file that is being read.",
        "Remove one of the includes in the circle.",
    ),
    "INCLUDE-TWICE": (
        "Two files set the same thing",
        "Included files add names and list entries; they do not override each other, so that no file changes another's meaning unseen.",
        "Keep one of the two.",
    ),
    "VERSION-UNKNOWN": (
        "Unknown version of the intent file",
        "The first key says which version of the format the file uses.",
        "Write `version: 1`, or update Refute.",
    ),
    "NOT-YET": (
        "Reserved for something that is not there yet",
        "The key or word has a meaning in the design of Refute, but this version cannot act on it, and does not pretend to.",
        "Remove it, or write what the message names instead.",
    ),
    "KEY-UNKNOWN": (
        "Unknown key",
        "Unknown keys are refused rather than ignored: a mistyped limit that is ignored protects nobody.",
        "Use one of the keys listed. `refute schema intent` prints all of them for your editor.",
    ),
    "KEY-MISSING": (
        "A key is missing",
        "The key is required; the message says what it holds.",
        "Add it.",
    ),
    "KEY-ONE-OF": (
        "Keys that exclude each other",
        "Of these keys exactly one must be given.",
        "Keep one.",
    ),
    "VALUE-TYPE": (
        "A value of the wrong type",
        "Text, number, list or mapping was expected, and something else was found.",
        "Write the type that the message names.",
    ),
    "THRESHOLD-MAGNITUDE": (
        "A threshold with a magnitude",
        "`confidence: {at_least: …, sure: …}` asks for the largest magnitude that the criterion bears, so `when` must not fix one.",
        "Leave out `magnitude`, or state one confidence (`80%`) in the one magnitude.",
    ),
    "TRACES-MISSING": (
        "No trace file is there",
        "A path of traces, or a pattern such as `traces/*.json`, names no file. In an intent it is relative to the intent file.",
        "Correct the path, or have the OpenTelemetry collector's file exporter write there.",
    ),
    "VALUE-CHOICE": (
        "A word that is not among the choices",
        "Only the words listed are allowed here.",
        "Use one of them.",
    ),
    "VALUE-UNIT": (
        "A value without its unit",
        "Durations, shares, rates and money carry units, so that 30 cannot be taken for 30 seconds, 30 % or 30 times.",
        "Write the unit: 30 s, 30%, 5/s, 0.40 USD.",
    ),
    "VALUE-RANGE": (
        "A value out of range",
        "The value has the right form, but no experiment could run with it.",
        "Choose one within the limits named.",
    ),
    "VALUE-EMPTY": (
        "Something is empty",
        "There must be at least one entry, or some text.",
        "Fill it in.",
    ),
    "VALUE-REFERENCE": (
        "Not a Python reference",
        "A reference names a module and, after a colon, a function in it.",
        "Write module:function, such as app.main:answer.",
    ),
    "VALUE-URL": (
        "Not the URL of an HTTP service",
        "A URL starts with http:// or https://, names a host and holds no password: the intent is recorded.",
        "Correct it; put secrets into the environment.",
    ),
    "VALUE-GUARDIAN": (
        "Not the address of a guardian",
        "The guardian of another host is reached over TLS, at a host and a port.",
        "Write it as `tls://10.0.0.2:7443`.",
    ),
    "NAME-SYNTAX": (
        "Not a name",
        "Names and ids begin with a letter and go on with letters, digits, - and _; criteria could not name them otherwise.",
        "Rename it.",
    ),
    "NAME-RESERVED": (
        "A name with another meaning",
        "`loss` and `spend` are the money that stop conditions bound.",
        "Rename the indicator.",
    ),
    "CONFIDENCE-CERTAIN": (
        "A confidence of 0 % or 100 %",
        "Whoever is certain cannot learn: no evidence moves a probability of 0 or 1, so no experiment is worth its risk.",
        "State how sure you are, over 0% and under 100%.",
    ),
    "CRITERION-SYNTAX": (
        "A criterion that cannot be read",
        "A criterion reads: [journey.]indicator [pNN|mean] (>= | <= | worse by <=) value.",
        "Rewrite it, such as `answered >= 95%` or `latency p95 worse by <= 1 s`.",
    ),
    "CRITERION-UNIT": (
        "A value that does not fit its indicator",
        "Ratios are bounded by percentages and compared in points, latencies by durations, scores by numbers, costs by numbers or money.",
        "Write the value as the message says.",
    ),
    "CRITERION-STATISTIC": (
        "A statistic that does not fit its indicator",
        "Latencies and costs are judged by a quantile: no data could prove a bound on their mean. Ratios and scores have no quantile.",
        "Add or remove the quantile. To bound what is spent as a whole, use the stop condition `spend`.",
    ),
    "CRITERION-RELATION": (
        "A comparison that points the wrong way",
        "Beliefs and the steady state say what must hold (>=, <=, worse by <=); stop conditions what must not happen (<, >, worse by >).",
        "Turn it round as suggested.",
    ),
    "CRITERION-RELATIVE": (
        "`worse by` where there is no control",
        "`worse by` compares with units that run at the same time without the fault. The steady state has none.",
        "Use an absolute bound.",
    ),
    "CRITERION-RANGE": (
        "A bound outside the indicator's range",
        "The indicator never takes such a value.",
        "Choose a bound within the range.",
    ),
    "CRITERION-WORTHLESS": (
        "A criterion with one possible answer",
        "Whatever the system does, the result is the same; an experiment would cost and teach nothing.",
        "Choose a bound that the system could break.",
    ),
    "CRITERION-UNPROVABLE": (
        "A criterion that can never be proven",
        "With no room for a single failure, no finite number of units suffices: the run could only refute it or stay inconclusive.",
        "Leave a little room, such as 99%.",
    ),
    "COMPONENT-UNKNOWN": (
        "Unknown component",
        "The name is not declared under `system.components`.",
        "Declare it there, or correct the name.",
    ),
    "INDICATOR-UNKNOWN": (
        "Unknown indicator",
        "The name is not declared under `indicators`. `loss` and `spend` are for stop conditions only.",
        "Declare it there, or correct the name.",
    ),
    "JOURNEY-UNKNOWN": (
        "Unknown journey",
        "The word before the dot of a criterion is a journey, declared under `journeys`.",
        "Declare it there, or correct the name.",
    ),
    "JOURNEY-SHARES": (
        "Shares that do not add up",
        "The shares of traffic of all journeys are parts of one whole.",
        "Let them add up to at most 100%.",
    ),
    "BELIEF-TWICE": (
        "Two beliefs with one id",
        "Evidence is kept by id; two beliefs would share it.",
        "Rename one.",
    ),
    "FAULT-UNKNOWN": (
        "Unknown fault",
        "The catalogue has no fault of that name.",
        "List the catalogue with `refute faults`.",
    ),
    "FAULT-KIND": (
        "The fault does not apply to this kind of component",
        "Each fault says which kinds of component it can happen to; on others it would be a caricature.",
        "Choose a fault for this kind (`refute faults`), another target, or correct the component's kind.",
    ),
    "FAULT-SEAM": (
        "The fault cannot get at the component",
        "Faults on HTTP strike at a component's `endpoint`, faults on functions at its `python` reference.",
        "Add the one that the message names to the component.",
    ),
    "UNCONTROLLED-UNSAID": (
        "A fault that no unit is kept out of",
        (
            "A process, a port or a disk cannot be broken for some units only. While such a fault lasts every unit sees it, and there is "
            "no control beside them; the cohort of the blast radius does not bound it. That must be agreed in so many words."
        ),
        "Write `uncontrolled: true` under `when` if that may be risked, or use a fault that strikes single calls.",
    ),
    "UNCONTROLLED-NEEDLESS": (
        "An agreement that nothing needs",
        "`uncontrolled` is for faults that strike a component as a whole; this one strikes single calls, and control is kept out of it.",
        "Delete `uncontrolled`.",
    ),
    "UNCONTROLLED-SHARE": (
        "A share of something whole",
        "A fault that strikes a component as a whole is there or it is not: no call is drawn.",
        "Delete `share`; how hard it strikes is its `magnitude`.",
    ),
    "UNCONTROLLED-AMONG": (
        "No unit can be told to have met the fault",
        "While a whole component is broken nobody can say which unit met the fault, so that all of them count.",
        "Delete `among`, or write `among: eligible`.",
    ),
    "UNCONTROLLED-RELATIVE": (
        "Nothing to compare with",
        (
            "`worse by` compares with units beside the faulted ones. Where every unit sees the fault there are none, and the time before "
            "it is no substitute: the difference might be the hour's."
        ),
        "State an absolute bound, such as `answered >= 95%` or `latency p95 <= 4 s`.",
    ),
    "UNCONTROLLED-STOP": (
        "A stop condition that could not fire",
        "It compares with control, and a fault of a whole component leaves no control. A kill switch that cannot work is none.",
        "State an absolute bound for it, or put the belief into a file of its own.",
    ),
    "TARGET-OFF-LIMITS": (
        "The target is off limits",
        "`blast_radius.never` names the component, or one that is found at the same endpoint, function, port, pidfile or directory.",
        "Choose another target, or have whoever is responsible lift the limit.",
    ),
    "TARGET-UNREACHABLE": (
        "No journey reaches the target",
        "Following `calls` from every journey's entry never leads to the target, so a fault there would touch nobody.",
        "Add the missing `calls`, or choose another target.",
    ),
    "TARGET-PATH": (
        "The target is not on the path of that journey",
        "The criterion reads one journey's units, and their calls never reach the target: it would hold whatever the fault does.",
        "Read a journey that passes through the target, or add the missing `calls`.",
    ),
    "MAGNITUDE-NONE": (
        "The fault has no magnitude",
        "Some faults strike or do not; how often is their `share`.",
        "Remove `magnitude`.",
    ),
    "MAGNITUDE-UNIT": (
        "A magnitude without its unit",
        "Each fault has a unit for how hard it strikes.",
        "Write the magnitude as the message says.",
    ),
    "MAGNITUDE-RANGE": (
        "A magnitude out of range",
        "The catalogue gives the range seen in the field, and that injectors can deliver.",
        "Choose one within it.",
    ),
    "HOST-PATH": (
        "A path on another host",
        "Paths of a component on another host are read there, where no intent file is for them to be relative to.",
        "Write it from the root: `/run/stock.pid`.",
    ),
    "HOST-UNKNOWN": (
        "Unknown host",
        "A component runs on a host that `system.hosts` does not state, so that nobody knows who could break it there.",
        "State it: `hosts: {NAME: {guardian: tls://HOST:PORT}}` under `system`.",
    ),
    "HOST-SYNTAX": (
        "Not a host",
        "Hosts are listed one by one: no scheme, port or wildcard.",
        "Write the name or address alone.",
    ),
    "HOST-NOT-ALLOWED": (
        "Load may not be sent there",
        "Load goes to loopback only, unless the intent names the host; a mistyped URL must not hit somebody else's system.",
        "Add the host to `blast_radius.hosts` if you may load it.",
    ),
    "HAZARD-NOT-ALLOWED": (
        "A hazard that no environment allows",
        "The fault's hazard is missing under `allow`.",
        "Choose a milder fault, or declare an environment in which the hazard is allowed.",
    ),
    "WORKLOAD-CASES": (
        "Cases where none are asked, or none where some are",
        "A workload that makes units takes them from `cases`. One that observes live traffic makes none, and has nothing to set up.",
        "Give `cases: FILE` beside `python` or `http`; leave `cases` and `setup` out beside `observe`.",
    ),
    "HAZARD-PRODUCTION": (
        "A hazard that production never allows",
        "Rolling back a fault does not undo what was written or shown meanwhile.",
        "Test it in another environment.",
    ),
    "ENVIRONMENT-LOOSER": (
        "An environment that loosens a limit",
        "Environments may only tighten what stands at the top, so that the top is a limit that holds everywhere.",
        "Tighten the bound, or raise it at the top and tighten the other environments.",
    ),
    "LOSS-VALUE": (
        "A loss that cannot be counted",
        "Loss is the value of answers lost; journeys say what an answer is worth, in one currency.",
        "Add `value: 0.40 USD` to a journey, or remove the stop condition.",
    ),
    "PRICE-KIND": (
        "A price of something that is no cost",
        "A price turns a `cost`, such as a number of tokens, into money. Other indicators are not spent.",
        "Remove it, or make the indicator a `cost`.",
    ),
    "SPEND-PRICE": (
        "A spend that cannot be counted",
        "Spend is the sum of the `cost` indicators that have a `price`, in one currency. Without one the cap could never fire.",
        (
            'Give a cost its price: `tokens: {cost: "app.checks:tokens", price: 0.60 USD per 1M}`; where the function returns money, '
            "`price: 1 USD`."
        ),
    ),
    "CASES-MISSING": (
        "The cases are not there",
        "`workload.cases` names a file that does not exist; it is relative to the intent.",
        "Write one: a JSON object a line.",
    ),
    "CASES-FORMAT": (
        "A case that cannot be read",
        "Cases are JSON Lines: each line one JSON object, in UTF-8.",
        "Correct the line that the message names.",
    ),
    "CASES-EMPTY": (
        "No cases",
        "There is nothing to ask of the system.",
        "Write at least one JSON object.",
    ),
    "CASES-TWICE": (
        "Two cases with one id",
        "Repeats are counted by case; two cases under one id would be taken for repeats. A case without id has its line's number.",
        "Rename one.",
    ),
    "CASES-JOURNEY": (
        "Cases and journeys do not match",
        "A case names a journey that is not declared, or a criterion reads a journey that no case belongs to.",
        'Correct the name, or add cases with "journey".',
    ),
    "DEPENDS-MISSING": (
        "A dependency that does not exist",
        "`depends_on` lists files and folders whose change makes the answer stale. A word that does not look like a path names a version.",
        "Correct the path.",
    ),
    "REFERENCE-MODULE": (
        "No such module",
        "The reference's module is neither in the intent's folder nor installed for this Python.",
        "Correct the name, or run Refute with the Python of your application.",
    ),
    "REFERENCE-NAME": (
        "No such function",
        "The module was imported, but has no such name.",
        "Correct the name.",
    ),
    "REFERENCE-CALLABLE": (
        "Not a function",
        "The reference leads to something that cannot be called.",
        "Name a function.",
    ),
    "REFERENCE-IMPORT": (
        "A module that cannot be imported",
        "Importing it raised, or ended the process. References are imported in a child process, in the intent's folder.",
        "Try it yourself: `python -c 'import MODULE'` in that folder.",
    ),
    "REFERENCE-LATE": (
        "An import that does not end",
        "The module does work when it is imported, such as starting a server.",
        "Move that work under `if __name__ == '__main__':` or into `workload.setup`.",
    ),
    "SLO-FILE": (
        "A file of objectives cannot be read",
        "The file is neither OpenSLO (`openslo/v1`) nor Sloth (`prometheus/v1`), or lacks what they demand.",
        "Correct it; the message says what is wrong.",
    ),
    "SLO-NONE": (
        "No objective over events",
        "Refute spends error budgets of good and bad events; the file holds none such.",
        "Name a file with a ratio of events.",
    ),
    "SLO-NAME": (
        "Which objective?",
        "The file holds several objectives, or none of that name.",
        "Name one as `FILE#NAME`.",
    ),
    "APPROVAL-SIGNERS": (
        "Nobody may approve",
        "`signers` names a file in OpenSSH's `allowed_signers` format, one principal and key a line; it does not exist.",
        "Make it with one line a person: `ada@example.org ssh-ed25519 AAAA…`.",
    ),
    "BUDGET-STATED": (
        "An error budget stated in part, or twice",
        "What was promised stands either here, as `objective` and `window`, or in an OpenSLO or Sloth file that `slo` names.",
        "State one of them; `prometheus` needs the queries of an `slo`.",
    ),
    "FREEZE-SYNTAX": (
        "A freeze that cannot be read",
        "A freeze names its first and its last day and a time zone.",
        "Write it as `2026-12-20 to 2027-01-02 Europe/Berlin`.",
    ),
    "WINDOW-SYNTAX": (
        "Hours that cannot be read",
        "A window names days of the week, hours and a time zone.",
        "Write it as `Mon-Thu 09:00-16:00 Europe/Berlin`.",
    ),
    **COMBINATION,
    **RADIUS,
    **STAND_IN,
    **DEVIATION,
    **TRAINING_CODES,
}
