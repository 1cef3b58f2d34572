// The page: overview, beliefs, experiments, what next.

const GLYPHS = { held: "✔", refuted: "✘", aborted: "■", inconclusive: "?", void: "∅", untested: "○", stale: "~" };

function badge(verdict) {
  return h("span", { class: `badge ${verdict}` }, `${GLYPHS[verdict] || "·"} ${verdict}`);
}

function overview(model) {
  const intent = model.intent;
  const when = model.at ? new Date(model.at * 1000).toISOString().replace("T", " ").slice(0, 16) + " UTC" : "";
  const meta = [intent.environment, intent.path, intent.digest ? intent.digest.slice(0, 12) : "", when].filter(Boolean);
  return h(
    "header",
    null,
    h("p", { class: "mark" }, h("b", null, "Refute"), h("span", null, intent.system || "")),
    h("h1", null, model.overview.headline),
    h("p", { class: "quiet" }, meta.join(" · ")),
    h(
      "dl",
      { class: "facts" },
      model.overview.facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
    h("p", { class: "quiet" }, model.overview.exit),
    model.overview.unproven.map((rollback) =>
      h(
        "div",
        { class: "alarm", role: "alert" },
        h("strong", null, "Rollback unproven: something may still be broken."),
        h("p", null, rollback.remove_by_hand || rollback.text),
      ),
    ),
  );
}

function cards(model) {
  const found = model.experiments.flatMap((experiment) => experiment.verdicts.map((verdict) => [experiment, verdict]));
  if (!found.length) return null;
  return h(
    "nav",
    { class: "cards", "aria-label": "Experiments" },
    found.map(([experiment, verdict]) =>
      h(
        "a",
        { class: `card ${verdict.verdict}`, href: `#${anchor(experiment, verdict)}` },
        badge(verdict.verdict),
        h("b", null, verdict.claim),
        h("span", { class: "quiet" }, experiment.does),
        h(
          "span",
          { class: "numbers-line" },
          verdict.n ? `${percent(verdict.rate)} breached, control ${percent(verdict.control.rate)}` : "no units",
          verdict.learned && verdict.learned.counted
            ? h("span", null, `confidence ${percent(verdict.learned.confidence_before)} → ${percent(verdict.learned.confidence_after)}`)
            : null,
        ),
      ),
    ),
  );
}

const anchor = (experiment, verdict) => `${experiment.id}-${verdict.belief}`;

function beliefsSection(model) {
  if (!model.beliefs.length) return null;
  const rows = model.beliefs.map((belief) => {
    const tests = belief.tests.map((test) =>
      h("a", { href: `#${anchor({ id: test.experiment }, { belief: belief.id })}` }, badge(test.verdict)),
    );
    const moved = belief.before === belief.now ? belief.now_text : `${belief.before_text} → ${belief.now_text}`;
    return h(
      "tr",
      { class: belief.tests.length ? null : "blind" },
      h("th", { scope: "row" }, belief.claim, h("span", { class: "quiet" }, `${belief.fault} on ${belief.target}: ${belief.then}`)),
      h(
        "td",
        { class: "mark-cell" },
        confidenceMark(belief.before, belief.now, `Confidence ${moved}.`, 22),
        h("span", { class: "quiet" }, moved),
      ),
      h(
        "td",
        null,
        tests.length ? tests : h("span", { class: "badge untested" }, `○ ${belief.state === "untested" ? "never tested" : belief.state}`),
        ...(belief.stale ?? []).map((reason) => h("span", { class: "quiet" }, reason)),
      ),
      h(
        "td",
        null,
        belief.decides || "–",
        h("span", { class: "quiet" }, [belief.if_wrong && `${belief.if_wrong} if wrong`, belief.owner].filter(Boolean).join(", ")),
      ),
    );
  });
  return h(
    "section",
    { id: "beliefs" },
    h("h2", null, "What we believe now"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "beliefs" },
      h(
        "table",
        { class: "beliefs" },
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["belief", "confidence", "tests", "what hangs on it"].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h("tbody", null, rows),
      ),
    ),
  );
}

function blindSection(model) {
  const parts = model.components.map((component) =>
    h(
      "li",
      { class: component.tested ? null : "blind" },
      h("b", null, component.name),
      h("span", { class: "quiet" }, ` ${component.kind}`),
      h("span", { class: "sight" }, component.sight),
    ),
  );
  const unknown = model.next.unknown.map((text) => h("li", null, text));
  if (!parts.length && !unknown.length) return null;
  return h(
    "section",
    { id: "blind" },
    h("h2", null, "Where we are blind"),
    unknown.length ? h("ul", { class: "plain" }, unknown) : null,
    h("ul", { class: "components", "aria-label": "components" }, parts),
  );
}

function proof(found, yes, no) {
  if (!found) return h("li", { class: "none" }, h("b", null, `? ${yes}`), " nothing was recorded: no fault was applied");
  return h("li", { class: found.ok ? "ok" : "bad" }, h("b", null, found.ok ? `✔ ${yes}` : `✘ ${no}`), ` ${found.text}`);
}

const quiet = (text) => h("span", { class: "quiet" }, text);

function verdictBlock(experiment, verdict) {
  return h(
    "div",
    { class: "verdict-block", id: anchor(experiment, verdict) },
    verdictHead(verdict),
    h("div", { class: "figures" }, thresholdPlot(verdict), cohortPlot(verdict), evidencePlot(verdict), learnedPlot(verdict), forecastPlot(verdict)),
  );
}

function verdictHead(verdict) {
  const stake = verdict.if_wrong ? quiet(` (${verdict.if_wrong} if wrong)`) : null;
  const evidence = [quiet("Evidence: "), verdict.evidence_text, "."];
  return h(
    "div",
    { class: `headline ${verdict.verdict}` },
    h("h3", null, h("span", { class: "sign", "aria-hidden": "true" }, GLYPHS[verdict.verdict] || "·"), verdict.headline),
    h("p", { class: "criterion" }, h("code", null, verdict.then)),
    verdict.decides ? h("p", null, quiet("What hangs on it: "), h("b", null, verdict.decides), stake) : null,
    h("p", null, quiet("Treatment: "), verdict.treatment_text, "; ", verdict.allowed, "."),
    h("p", null, quiet("Control: "), verdict.control_text, ". ", evidence),
    verdict.reasons.length ? h("p", null, quiet("Because: "), verdict.reasons.join("; "), ".") : null,
    h("p", { class: "advice" }, h("b", null, "To do. "), verdict.advice),
  );
}

function proofs(experiment) {
  const stops = experiment.stops.map((stop) => {
    const seen = `${Number(stop.value.toPrecision(3))} seen after ${stop.units} units`;
    const text = ` ${stop.condition}: ${seen}; rolled back within ${stop.seconds_to_rollback.toFixed(2)} s`;
    return h("li", { class: "stopped" }, h("b", null, "■ Stopped"), text);
  });
  return h(
    "ul",
    { class: "proofs" },
    proof(experiment.landing, "Landed", "Did not land"),
    proof(experiment.rollback, "Rolled back", "Rollback unproven"),
    stops,
  );
}

function tables(experiment) {
  const measured = experiment.cohorts.map((row) => [`${row.indicator} ${row.statistic}`, row.treatment_text, row.control_text]);
  const journeys = experiment.journeys.map((row) => [row.journey, `${row.treatment} (${row.n} units)`, row.control, row.lost || "–"]);
  const one = (title, note, head, rows) => (rows.length ? figure(title, note, table(head, rows)) : null);
  const read = experiment.journeys.length ? experiment.journeys[0].indicator : "";
  return [
    one("What was counted", "effects of the fault, errors and cost", ["", "treatment", "control"], experiment.effects),
    one("Indicators during the injection", "with 95 % intervals", ["indicator", "treatment", "control"], measured),
    experiment.blast.rows ? one("Blast radius", experiment.blast.note, ["", "predicted", "actual"], experiment.blast.rows) : null,
    one("User journeys", `${read}, and the value of answers lost`, ["journey", "treatment", "control", "lost"], journeys),
  ];
}

function experimentSection(experiment) {
  return h(
    "section",
    { class: "experiment", id: experiment.id },
    h("h2", null, experiment.summary || experiment.does, quiet(` ${experiment.does} · experiment ${experiment.id}`)),
    proofs(experiment),
    experiment.verdicts.length ? null : h("p", { class: "quiet" }, "This experiment reached no verdict."),
    experiment.verdicts.map((verdict) => verdictBlock(experiment, verdict)),
    h(
      "div",
      { class: "figures" },
      lossPlot(experiment.training),
      recoveryPlot(experiment.training),
      timelinePlot(experiment),
      latencyPlot(experiment),
      tables(experiment),
    ),
    h("details", { class: "settings" }, h("summary", null, "Settings, versions and seed"), table(["setting", "value"], experiment.settings)),
    h("p", { class: "rerun" }, quiet("Re-run: "), h("code", null, experiment.rerun)),
  );
}

function nextSection(model) {
  const proposals = model.next.proposals.map((proposal) =>
    h(
      "li",
      null,
      h("b", null, proposal.beliefs.join(", ")),
      ` ${proposal.text}`,
      (proposal.reasons || []).map((reason) => h("span", { class: "quiet" }, reason)),
    ),
  );
  const refusals = model.refusals.map((refusal) =>
    h("li", null, h("b", null, `${refusal.fault} on ${refusal.target}`), ` ${refusal.reason}`, h("code", null, refusal.code)),
  );
  if (!proposals.length && !refusals.length) return null;
  return h(
    "section",
    { id: "next" },
    proposals.length ? [h("h2", null, "What next"), h("ol", { class: "plain" }, proposals)] : null,
    refusals.length ? [h("h2", null, "Refused, and why"), h("ul", { class: "plain" }, refusals)] : null,
  );
}

function problemsSection(model) {
  if (!model.problems.length) return null;
  return h(
    "section",
    { id: "problems" },
    h("h2", null, "Problems"),
    h(
      "ul",
      { class: "plain" },
      model.problems.map((problem) =>
        h(
          "li",
          null,
          h("b", null, problem.what),
          h("code", null, problem.code),
          problem.next ? h("span", { class: "quiet" }, `Next: ${problem.next}`) : null,
        ),
      ),
    ),
  );
}

function legendSection() {
  const words = [
    ["breach", "a unit that does not meet the criterion; a unit that failed or timed out breaches too"],
    ["treatment, control", "units that could meet the fault, and units beside them in the same minutes that could not"],
    [
      "evidence",
      "a factor that starts at 1; when the claim is wrong, evidence for it reaches the bound with at most the stated error rate, and likewise the other way round, however often one looks",
    ],
    ["confidence", "the probability that the belief is true, now; 1 bit is what a fair coin's toss tells"],
    ["landed", "the fault reached the share of calls that it was meant for, and nothing in control"],
  ];
  return h(
    "footer",
    null,
    h(
      "details",
      null,
      h("summary", null, "How to read this page"),
      h(
        "dl",
        null,
        words.map(([word, meaning]) => [h("dt", null, word), h("dd", null, meaning)]),
      ),
    ),
  );
}

function render(model, root) {
  root.replaceChildren(
    h(
      "main",
      null,
      overview(model),
      cards(model),
      problemsSection(model),
      beliefsSection(model),
      blindSection(model),
      model.experiments.map(experimentSection),
      nextSection(model),
      legendSection(),
    ),
  );
}

render(JSON.parse(document.getElementById("data").textContent), document.getElementById("page"));
