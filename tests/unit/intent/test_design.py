import pytest

from refute.intent import load
from refute.intent.checks.safety import refused_in
from support.intents import FAULTS, VALID, changed, problems, project

FIRST = "{fault: llm.rate_limit, target: llm, share: 30%}"
SECOND = "{fault: retriever.delay, target: retriever, magnitude: 2 s}"
LATENCY = "then: latency p95 worse by <= 1 s"
PYTHON = 'python: "app.main:answer"\n  setup: "app.main:running"'

FLAWS = [
    ("calls: [retriever, llm, orders]", "calls: [retriever, llm, orders, ghost]", "COMPONENT-UNKNOWN"),
    ("never: [payments]", "never: [payment]", "COMPONENT-UNKNOWN"),
    (FIRST, "{fault: llm.rate_limit, target: lmm}", "COMPONENT-UNKNOWN"),
    (FIRST, "{fault: llm.rate_limits, target: llm}", "FAULT-UNKNOWN"),
    ("then: answered >= 95%", "then: answerd >= 95%", "INDICATOR-UNKNOWN"),
    ("then: answered >= 95%", "then: loss >= 95%", "INDICATOR-UNKNOWN"),
    ("- answered < 70%", "- answerd < 70%", "INDICATOR-UNKNOWN"),
    ('holds: ["answered >= 95%"]', 'holds: ["answerd >= 95%"]', "INDICATOR-UNKNOWN"),
    ("then: answered >= 95%", "then: checkout.answered >= 95%", "JOURNEY-UNKNOWN"),
    (
        "journeys:\n  ask-about-order: {entry: assistant, share: 70%",
        "journeys:\n  ask-about-order: {entry: assistant, share: 80%",
        "JOURNEY-SHARES",
    ),
    ("id: slow-retrieval-tolerated", "id: rate-limits-absorbed", "BELIEF-TWICE"),
    (FIRST, "{fault: retriever.delay, target: llm}", "FAULT-KIND"),
    ("{kind: retriever, python: ", "{kind: retriever, endpont: ", "KEY-UNKNOWN"),
    (SECOND, "{fault: retriever.delay, target: retriever, magnitude: 2}", "MAGNITUDE-UNIT"),
    (SECOND, "{fault: retriever.delay, target: retriever, magnitude: 2%}", "MAGNITUDE-UNIT"),
    (SECOND, "{fault: retriever.delay, target: retriever, magnitude: lots}", "MAGNITUDE-UNIT"),
    (SECOND, "{fault: retriever.delay, target: retriever, magnitude: 2 h}", "MAGNITUDE-RANGE"),
    (SECOND, "{fault: retriever.truncated, target: retriever, magnitude: 50}", "MAGNITUDE-UNIT"),
    (SECOND, "{fault: retriever.truncated, target: retriever, magnitude: 200%}", "MAGNITUDE-RANGE"),
    (FIRST, "{fault: llm.rate_limit, target: llm, magnitude: 2 s}", "MAGNITUDE-NONE"),
    (FIRST, "{fault: llm.token_spike, target: llm, magnitude: 1000}", "MAGNITUDE-RANGE"),
    (FIRST, "{fault: llm.token_spike, target: llm, magnitude: 10 s}", "MAGNITUDE-UNIT"),
    (FIRST, "{fault: tool.wrong_entity, target: orders}", "HAZARD-NOT-ALLOWED"),
    ("then: answered >= 95%", "then: answered >= 2 s", "CRITERION-UNIT"),
    ("then: answered >= 95%", "then: answered >= 0.95", "CRITERION-UNIT"),
    ("then: answered >= 95%", "then: answered p95 >= 95%", "CRITERION-STATISTIC"),
    ("then: answered >= 95%", "then: answered > 95%", "CRITERION-RELATION"),
    ("then: answered >= 95%", "then: answered worse by > 5 points", "CRITERION-RELATION"),
    ("then: answered >= 95%", "then: answered worse by <= 1 s", "CRITERION-UNIT"),
    ("then: answered >= 95%", "then: answered >= 0%", "CRITERION-WORTHLESS"),
    ("then: answered >= 95%", "then: answered <= 100%", "CRITERION-WORTHLESS"),
    ("then: answered >= 95%", "then: answered worse by <= 100 points", "CRITERION-WORTHLESS"),
    ("then: answered >= 95%", "then: answered worse by <= -1 points", "CRITERION-RANGE"),
    ("then: answered >= 95%", "then: answered >= 100%", "CRITERION-UNPROVABLE"),
    ("then: answered >= 95%", "then: answered worse by <= 0 points", "CRITERION-UNPROVABLE"),
    (LATENCY, "then: latency <= 4 s", "CRITERION-STATISTIC"),
    (LATENCY, "then: latency mean <= 4 s", "CRITERION-STATISTIC"),
    (LATENCY, "then: latency p95 <= 95%", "CRITERION-UNIT"),
    (LATENCY, "then: latency p95 worse by <= 5 points", "CRITERION-UNIT"),
    (LATENCY, "then: latency p95 >= 4 s", "CRITERION-RELATION"),
    (LATENCY, "then: latency p95 <= 0 s", "CRITERION-UNPROVABLE"),
    ("- answered < 70%", "- answered <= 70%", "CRITERION-RELATION"),
    ("- answered < 70%", "- answered < 0%", "CRITERION-WORTHLESS"),
    ("- answered < 70%", "- answered worse by > 100 points", "CRITERION-WORTHLESS"),
    ("- spend > 6 USD", "- spend < 6 USD", "CRITERION-UNIT"),
    ("- spend > 6 USD", "- spend > 6", "CRITERION-UNIT"),
    ("- spend > 6 USD", "- spend p95 > 6 USD", "CRITERION-UNIT"),
    ("- loss > 5 USD", "- loss > 5 EUR", "LOSS-VALUE"),
    ("- spend > 6 USD", "- spend > 6 EUR", "SPEND-PRICE"),
    ("price: 0.60 USD per 1M", "price: 0.60 USD per 0", "VALUE-UNIT"),
    ("price: 0.60 USD per 1M", "price: 0 USD", "VALUE-UNIT"),
    ("price: 0.60 USD per 1M", "price: 0.60", "VALUE-UNIT"),
    ('{ratio: "app.checks:grounded"}', '{ratio: "app.checks:grounded", price: 1 USD}', "PRICE-KIND"),
    (LATENCY, "then: tokens p95 <= 0.05 EUR", "CRITERION-UNIT"),
    (LATENCY, "then: tokens p95 worse by <= 5 points", "CRITERION-UNIT"),
    ('holds: ["answered >= 95%"]', 'holds: ["tokens mean <= 900"]', "CRITERION-STATISTIC"),
    ("- answered < 70%", "- tokens > 900", "CRITERION-STATISTIC"),
    ('holds: ["answered >= 95%"]', 'holds: ["answered worse by <= 5 points"]', "CRITERION-RELATIVE"),
    ('holds: ["answered >= 95%"]', 'holds: ["answered < 95%"]', "CRITERION-RELATION"),
    ("  grounded:", "  loss:", "NAME-RESERVED"),
    (PYTHON, 'http: "http://10.0.0.7:8000/ask"', "HOST-NOT-ALLOWED"),
    ("hosts: [127.0.0.1]", "hosts: ['http://127.0.0.1']", "HOST-SYNTAX"),
    ("{allow: [availability]}", "{allow: [availability, state_write]}", "HAZARD-PRODUCTION"),
    ("{allow: [availability]}", "{approvals: {signers: nobody}}", "APPROVAL-SIGNERS"),
    ("{objective: 99%, window: 30 d, spend: 2%}", "{slo: nothing.yaml, spend: 2%}", "SLO-FILE"),
    ("{objective: 99%, window: 30 d, spend: 2%}", "{objective: 99%, spend: 2%}", "BUDGET-STATED"),
    ("{objective: 99%, window: 30 d, spend: 2%}", "{objective: 99%, window: 30 d, slo: x, spend: 2%}", "BUDGET-STATED"),
    ("{allow: [availability]}", '{freezes: "Christmas"}', "FREEZE-SYNTAX"),
    ("{allow: [availability]}", "{blast_radius: {cohort: 60%}}", "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", "{blast_radius: {units: 900}}", "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", "{blast_radius: {duration: 1 h}}", "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", "{blast_radius: {hosts: [example.org]}}", "ENVIRONMENT-LOOSER"),
    (
        "{allow: [availability]}",
        "{blast_radius: {error_budget: {objective: 99%, window: 30 d, spend: 20%}}}",
        "ENVIRONMENT-LOOSER",
    ),
    ("{allow: [availability]}", "{blast_radius: {never: [ghost]}}", "COMPONENT-UNKNOWN"),
    ("{allow: [availability]}", "{blast_radius: {ramp: [5%, 60%]}}", "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", '{stop_when: ["answered < 60%"]}', "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", '{stop_when: ["latency p99 > 21 s"]}', "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", '{stop_when: ["ask-about-order.answered worse by > 11 points"]}', "ENVIRONMENT-LOOSER"),
    ("{allow: [availability]}", '{stop_when: ["answerd < 80%"]}', "INDICATOR-UNKNOWN"),
    ("{allow: [availability]}", '{stop_when: ["answered >= 80%"]}', "CRITERION-RELATION"),
    ("cohort: 50%", "ramp: [20%, 5%]", "RAMP-ORDER"),
    ("cohort: 50%", "cohort_by: tenant", "COHORT-BY"),
    ("cohort: 50%", "only: {cases: {tier: free}}", "SCOPE-EMPTY"),
    ("cohort: 50%", "except: {journeys: [ghost]}", "JOURNEY-UNKNOWN"),
    ("cases: cases.jsonl", "cases: none.jsonl", "CASES-MISSING"),
    ("[prompts/, app/llm.py, model]", "[prompt/, app/llm.py, model]", "DEPENDS-MISSING"),
    ("[prompts/, app/llm.py, model]", "[app/llms.py, gpt-4.1, model]", "DEPENDS-MISSING"),
]


@pytest.mark.parametrize(("old", "new", "code"), FLAWS)
def test_a_flaw_of_the_design_is_told_with_its_code_and_its_line(tmp_path, old, new, code):
    text, line = changed(old, new)
    path = project(tmp_path, text)
    assert [(problem.code, problem.where) for problem in problems(path)] == [(code, f"{path}:{line}")]


@pytest.mark.parametrize(("new", "code"), [
    ("ramp: [20%]", "RAMP-ORDER"),
    ("cohort: 50%\n  ramp: [5%, 20%]", "RAMP-COHORT"),
    ("only: {components: [ghost]}", "COMPONENT-UNKNOWN"),
    ("only: {components: [orders]}", "TARGET-OFF-LIMITS"),
    ("except: {components: [llm]}", "TARGET-OFF-LIMITS"),
])  # fmt: skip
def test_a_flaw_of_the_blast_radius_is_told(tmp_path, new, code):
    text, _ = changed("cohort: 50%", new)
    assert code in {problem.code for problem in problems(project(tmp_path, text))}


ALLOWED = [
    (PYTHON, 'http: "http://localhost:8000/ask"'),
    ("hosts: [127.0.0.1]", "hosts: [127.0.0.1, staging.example.org, '::1']"),
    (FIRST, "{fault: llm.token_spike, target: llm, magnitude: 10}"),
    (SECOND, "{fault: retriever.truncated, target: retriever, magnitude: 50%}"),
    (SECOND, "{fault: retriever.delay, target: retriever, draw: attempt}"),
    ("then: answered >= 95%", "then: ask-about-order.answered worse by <= 5 points"),
    (LATENCY, "then: latency p99.5 <= 4 s"),
    (LATENCY, "then: tokens p95 <= 0.05 USD"),
    (LATENCY, "then: tokens p95 worse by <= 300"),
    ("- answered < 70%", "- tokens p95 > 900"),
    ('holds: ["answered >= 95%"]', 'holds: ["tokens p95 <= 900"]'),
    ("price: 0.60 USD per 1M", "price: 2 USD per 1000 tokens"),
    ("[prompts/, app/llm.py, model]", "[gpt-4.1, gpt-4o-2024-08-06, v2]"),
    ("- spend > 6 USD", "- grounded < 10%"),
    ("confidence: 90%", "confidence: 99.5 %"),
    ("if_wrong: high", "if_wrong: 5000 USD"),
    ("beliefs:", "verdict: {alpha: 1%}\nbeliefs:"),
    ("  production:", "  staging: {}\n  production:"),
    ("cohort: 50%", "ramp: [1%, 5%, 20%]"),
    ("cohort: 50%", "cohort_by: id"),
    ("cohort: 50%", "only: {journeys: [ask-about-order]}"),
    ("cohort: 50%", "except: {components: [orders], cases: {tier: [free, 3, true]}}"),
    ("{allow: [availability]}", "{blast_radius: {ramp: [1%, 5%]}}"),
    ("{allow: [availability]}", '{stop_when: ["answered < 80%", "latency p99 > 10 s", "grounded < 50%"]}'),
    ("{allow: [availability]}", "{allow: [availability], blast_radius: {cohort: 5%, units: 100, duration: 1 min, never: [orders]}}"),
    ('grounded: {ratio: "app.checks:grounded"}', 'grounded: {score: "app.checks:grounded"}'),
]


@pytest.mark.parametrize(("old", "new"), ALLOWED)
def test_what_is_allowed_passes(tmp_path, old, new):
    text, _line = changed(old, new)
    assert problems(project(tmp_path, text)) == ()


def test_a_target_off_limits_is_refused(tmp_path):
    text, _line = changed("never: [payments]", "never: [retriever]")
    path = project(tmp_path, text)
    line = VALID[: VALID.index(SECOND)].count("\n") + 1
    assert [(problem.code, problem.where) for problem in problems(path)] == [("TARGET-OFF-LIMITS", f"{path}:{line}")]


def test_a_target_that_no_journey_reaches_could_not_be_noticed(tmp_path):
    text, _line = changed("never: [payments]", "never: []")
    text, _line = changed("{kind: service}", '{kind: service, endpoint: "http://127.0.0.1:9"}', text)
    text, line = changed(SECOND, "{fault: service.delay, target: payments}", text)
    path = project(tmp_path, text)
    assert [(problem.code, problem.where) for problem in problems(path)] == [("TARGET-UNREACHABLE", f"{path}:{line}")]


def test_a_target_off_the_path_of_the_criterions_journey_proves_nothing(tmp_path):
    text, _line = changed("small-talk:      {entry: assistant", "small-talk:      {entry: llm")
    text, _line = changed(LATENCY, "then: small-talk.latency p95 worse by <= 1 s", text)
    (problem,) = problems(project(tmp_path, text))
    assert (problem.code, problem.suggestion) == ("TARGET-PATH", "ask-about-order.latency")


@pytest.mark.parametrize(
    ("component", "fault", "allowed"),
    [
        ("{kind: service}", "service.delay", "add `endpoint:` or `python:` to `system.components.payments`"),
        ("{kind: service}", "process.kill", "a fault that strikes HTTP or a Python function"),
    ],
)
def test_a_fault_without_a_seam_to_its_target_is_refused(tmp_path, component, fault, allowed):
    text, _line = changed("orders]", "orders, payments]")
    text, _line = changed("{kind: service}", component, text)
    text, _line = changed("never: [payments]", "never: []", text)
    text, line = changed(SECOND, f"{{fault: {fault}, target: payments}}", text)
    path = project(tmp_path, text)
    (problem,) = problems(path)
    assert (problem.code, problem.where, problem.allowed) == ("FAULT-SEAM", f"{path}:{line}", allowed)


def test_a_fault_on_functions_needs_a_function(tmp_path):
    text, _line = changed('{kind: tool, python: "app.tools:lookup_order"}', '{kind: tool, endpoint: "http://127.0.0.1:9"}')
    text, _line = changed("allow: [availability]", "allow: [availability, wrong_answer]", text)
    text, _line = changed(FIRST, "{fault: tool.wrong_entity, target: orders}", text)
    (problem,) = problems(project(tmp_path, text))
    assert (problem.code, problem.seen, problem.allowed) == (
        "FAULT-SEAM",
        "orders is reached by endpoint",
        "add `python:` to `system.components.orders`",
    )


def test_a_loss_needs_the_worth_of_an_answer(tmp_path):
    text, _line = changed(", value: 0.40 USD", "")
    assert [problem.code for problem in problems(project(tmp_path, text))] == ["LOSS-VALUE"]


def test_a_journey_without_share_next_to_shares_that_take_all_is_refused(tmp_path):
    text, _line = changed("share: 70%, ", "share: 100%, ")
    text, _line = changed(", share: 30%", "", text)
    assert [problem.code for problem in problems(project(tmp_path, text))] == ["JOURNEY-SHARES"]


def test_a_cost_has_no_provable_mean(tmp_path):
    text, _line = changed(LATENCY, "then: tokens <= 0.05 USD")
    (problem,) = problems(project(tmp_path, text))
    assert (problem.code, problem.suggestion) == ("CRITERION-STATISTIC", "tokens p95 <= 0.05 USD")


def test_a_spend_without_a_price_cannot_be_counted(tmp_path):
    text, _line = changed(", price: 0.60 USD per 1M", "")
    text, line = changed("- spend > 6 USD", "- spend > 6 USD", text)
    path = project(tmp_path, text)
    assert [(problem.code, problem.where) for problem in problems(path)] == [("SPEND-PRICE", f"{path}:{line}")]


def test_a_criterion_in_money_needs_the_price_of_its_cost(tmp_path):
    text, _line = changed(", price: 0.60 USD per 1M", "")
    text, _line = changed("- spend > 6 USD", "- grounded < 10%", text)
    text, _line = changed(LATENCY, "then: tokens p95 <= 0.05 USD", text)
    (problem,) = problems(project(tmp_path, text))
    assert (problem.code, problem.allowed) == ("CRITERION-UNIT", "a plain number, or a `price` at the indicator")


def test_a_price_is_of_one_unit_of_its_cost(tmp_path):
    tokens = load(project(tmp_path, VALID), faults=FAULTS).indicators["tokens"]
    assert (tokens.price, tokens.currency) == (pytest.approx(0.6e-6), "USD")


def test_a_score_is_bounded_by_its_mean(tmp_path):
    text, _line = changed("grounded: {ratio:", "grounded: {score:")
    good, _line = changed(LATENCY, "then: grounded mean >= 0.8", text)
    bad, _line = changed(LATENCY, "then: grounded >= 1.5", text)
    assert problems(project(tmp_path, good)) == ()
    assert [problem.code for problem in problems(project(tmp_path, bad))] == ["CRITERION-RANGE"]


HTTP = 'http: "http://localhost:8000/ask"'


@pytest.mark.parametrize(
    ("hosts", "codes"),
    [
        ("[127.0.0.1]", []),
        ("[localhost]", []),
        ("[staging.example.org]", ["HOST-NOT-ALLOWED"]),
        ("[]", ["HOST-NOT-ALLOWED"]),
        ("['http://localhost']", ["ENVIRONMENT-LOOSER", "HOST-NOT-ALLOWED", "HOST-SYNTAX"]),
    ],
)
def test_an_environment_that_takes_the_workloads_host_away_is_told(tmp_path, hosts, codes):
    text, _line = changed("hosts: [127.0.0.1]", "hosts: [127.0.0.1, staging.example.org]")
    text, _line = changed(PYTHON, HTTP, text)
    text, line = changed("{allow: [availability]}", f"{{blast_radius: {{hosts: {hosts}}}}}", text)
    path = project(tmp_path, text)
    found = problems(path)
    assert sorted(problem.code for problem in found) == codes
    assert all(problem.where == f"{path}:{line}" for problem in found)


def test_so_is_another_name_for_what_is_off_limits(tmp_path):
    text, _line = changed("never: [payments]", "never: [llm]")
    text, _line = changed("    llm:", '    model: {kind: llm, endpoint: "http://localhost:8081/v1/"}\n    llm:', text)
    text = text.replace("llm, orders]", "llm, model, orders]").replace("target: llm,", "target: model,")
    codes = [(problem.code, problem.what) for problem in problems(project(tmp_path, text))]
    assert codes == [("TARGET-OFF-LIMITS", "`llm` is off limits: `blast_radius.never` names it, and `model` is where it is")]


def test_an_environments_hosts_do_not_matter_to_a_python_workload(tmp_path):
    text, _line = changed("{allow: [availability]}", "{blast_radius: {hosts: []}}")
    assert problems(project(tmp_path, text)) == ()


def test_an_environment_refuses_what_it_does_not_allow(tmp_path):
    text, _line = changed("  production:", "  staging: {blast_radius: {never: [llm]}}\n  production:")
    text, _line = changed(SECOND, "{fault: tool.wrong_entity, target: orders}", text)
    intent = load(project(tmp_path, text), faults=FAULTS)
    assert {name: problem.code for name, problem in refused_in(intent, "production", FAULTS).items()} == {
        "slow-retrieval-tolerated": "HAZARD-NOT-ALLOWED"
    }
    assert {name: problem.code for name, problem in refused_in(intent, "staging", FAULTS).items()} == {
        "rate-limits-absorbed": "TARGET-OFF-LIMITS"
    }
