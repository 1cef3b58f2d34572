// The plots of one verdict and of one experiment.

// Points with their intervals against the bound.
function cohortPlot(verdict) {
  const sides = [
    ["treatment", verdict, "treatment"],
    ["control", verdict.control, "control"],
  ].filter(([, side]) => side && side.n);
  if (!sides.length) return null;
  const bound = verdict.bound + (verdict.relative ? verdict.control.rate || 0 : 0);
  const highest = Math.max(bound * 1.6, ...sides.map(([, side]) => (side.interval || [0, side.rate])[1] * 1.08), 0.01);
  const top = Math.min(1.02, highest);
  const draw = (width) => {
    const box = { left: 78, right: width - 18 };
    const x = (value) => box.left + (Math.min(value, top) / top) * (box.right - box.left);
    const root = svg("svg", {
      viewBox: `0 0 ${width} 212`,
      role: "img",
      "aria-label": `Treatment: ${verdict.treatment_text}. Control: ${verdict.control_text}. ${verdict.allowed}.`,
    });
    root.append(svg("rect", { class: "band breach", x: x(bound), y: 22, width: Math.max(0, box.right - x(bound)), height: 140 }));
    for (const at of ticks(0, top, width > 460 ? 6 : 4)) {
      root.append(
        svg("path", { class: "grid", d: `M${x(at)},22V162` }),
        svg("text", { class: "tick", x: x(at), y: 180, "text-anchor": "middle" }, percent(at)),
      );
    }
    root.append(svg("path", { class: "rule", d: `M${x(bound)},18V162` }));
    const label = verdict.relative ? `control + ${(verdict.bound * 100).toPrecision(2)} points` : `${percent(verdict.bound)} allowed`;
    const late = x(bound) > width * 0.6;
    root.append(svg("text", { class: "note", x: x(bound) + (late ? -5 : 5), y: 14, "text-anchor": late ? "end" : "start" }, label));
    sides.forEach(([name, side, kind], i) => {
      const y = 64 + i * 58;
      const [low, high] = side.interval || [side.rate, side.rate];
      root.append(
        svg("text", { class: `name ${kind}`, x: box.left - 10, y: y + 4, "text-anchor": "end" }, name),
        svg("path", { class: `span ${kind}`, d: `M${x(low)},${y}H${x(high)}` }),
        svg("path", { class: `cap ${kind}`, d: `M${x(low)},${y - 6}V${y + 6}M${x(high)},${y - 6}V${y + 6}` }),
        svg("circle", { class: `dot ${kind}`, cx: x(side.rate), cy: y, r: 6 }),
      );
    });
    root.append(
      svg(
        "text",
        { class: "tick", x: (box.left + box.right) / 2, y: 204, "text-anchor": "middle" },
        width > 420 ? "share of eligible units that breach, with 95 % interval" : "share of eligible units that breach",
      ),
    );
    return [root];
  };
  const rows = sides.map(([name, side]) => [
    name,
    String(side.n),
    String(side.breaches),
    percent(side.rate),
    side.interval ? side.interval.map(percent).join(" to ") : "–",
  ]);
  return figure(
    "Treatment beside control",
    "same minutes, same traffic; the shaded side breaks the claim",
    plot(draw),
    table(["arm", "n", "breaches", "rate", "interval"], rows),
  );
}

function evidencePlot(verdict) {
  const found = verdict.evidence;
  if (!found.n.length) return null;
  const log10 = (values) => values.map((value) => (value === null ? null : value / Math.LN10));
  const bound = verdict.log_e.bound / Math.LN10;
  const [hold, refute] = [log10(found.log_e_hold), log10(found.log_e_refute)];
  const seen = [...hold, ...refute].filter((value) => value !== null);
  const low = Math.max(-3, Math.floor(Math.min(-1, ...seen)));
  const high = Math.min(5, Math.ceil(Math.max(bound * 1.15, ...seen)));
  const shown = (value) => (value >= 0 ? String(Math.round(10 ** value)) : (10 ** value).toPrecision(1));
  const marks = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  const read = (value) => (value > 5 ? "over 100000" : value < -3 ? "under 0.001" : (10 ** value).toPrecision(2));
  const start = { x: [0], y: [0] };
  const line = (name, kind, y) => ({ name, kind, x: [...start.x, ...found.n], y: [...start.y, ...y] });
  const chart = lineChart({
    label: `Evidence by unit. At the end: ${verdict.evidence_text}.`,
    x: { low: 0, high: Math.max(...found.n), label: "units in treatment", show: String, read: (n) => `${n} units` },
    y: { low, high, ticks: marks, show: shown, read: (value) => read(value) },
    series: [line("it holds", "held", hold), line("it does not", "refuted", refute)],
    rules: [{ y: bound, label: `${Math.round(10 ** bound)} decides` }],
  });
  const rows = found.n.map((n, i) => [
    String(n),
    String(found.breaches[i]),
    hold[i] === null ? "–" : read(hold[i]),
    refute[i] === null ? "–" : read(refute[i]),
  ]);
  return figure(
    "Evidence, unit by unit",
    "log scale; a verdict needs a line to cross its bound",
    chart,
    table(["n", "breaches", "it holds", "it does not"], rows),
  );
}

function timelinePlot(experiment) {
  if (!experiment.timelines.length) return null;
  const bands = experiment.phases.map((phase) => ({ from: phase.from, to: phase.to, label: phase.phase, kind: phase.phase }));
  const end = Math.max(...experiment.phases.map((phase) => phase.to));
  const through = bands.map((band) => band.label).join(", ");
  const one = (line) => {
    const values = [...line.treatment, ...line.control].filter((value) => value !== null);
    const isShare = line.indicator !== "latency" && values.every((value) => value >= 0 && value <= 1);
    const show = line.indicator === "latency" ? seconds : isShare ? percent : (value) => value.toPrecision(3);
    const lowest = Math.min(...values);
    return lineChart({
      label: `${line.indicator} over time in both arms, through ${through}.`,
      height: 260,
      bands,
      marks: experiment.stops.map((stop) => ({ x: stop.t })),
      x: { low: 0, high: end, label: "minutes since the first phase", show: clock },
      y: { low: isShare ? Math.max(0, Math.floor(lowest * 10 - 0.5) / 10) : 0, high: isShare ? 1 : Math.max(...values) * 1.1 || 1, show },
      series: [
        { name: "treatment", kind: "treatment", x: line.t, y: line.treatment },
        { name: "control", kind: "control", x: line.t, y: line.control },
      ],
    });
  };
  const host = h("div", null, one(experiment.timelines[0]));
  const tabs = experiment.timelines.map((line, i) => {
    const button = h("button", { type: "button", "aria-pressed": String(i === 0) }, line.indicator);
    button.addEventListener("click", () => {
      tabs.forEach((tab) => tab.setAttribute("aria-pressed", String(tab === button)));
      host.replaceChildren(one(line));
    });
    return button;
  });
  const said = (value) => (value === null ? "–" : value.toPrecision(3));
  const rows = experiment.timelines.flatMap((line) =>
    line.t
      .map((t, i) => [line.indicator, clock(t), said(line.treatment[i]), said(line.control[i])])
      .filter((_, i) => i % 4 === 0),
  );
  return figure(
    "Over time",
    "moving mean (of latency: median), by phase; the fault was live in the shaded part",
    h("div", null, h("div", { class: "tabs", role: "group", "aria-label": "indicator" }, tabs), host),
    table(["indicator", "time", "treatment", "control"], rows),
    { class: "wide" },
  );
}

function latencyPlot(experiment) {
  const arms = Object.entries(experiment.latency);
  if (!arms.length) return null;
  const high = Math.max(...arms.map(([, line]) => line.x[line.x.length - 1])) * 1.04;
  const p95 = experiment.cohorts.find((row) => row.indicator === "latency" && row.statistic === "p95");
  const chart = lineChart({
    label: `Share of units done within a time. p95: treatment ${p95.treatment_text}, control ${p95.control_text}.`,
    x: { low: 0, high, label: "seconds from intended start to end", show: (value) => String(Number(value.toPrecision(3))), read: seconds },
    y: { low: 0, high: 1, ticks: [0, 0.25, 0.5, 0.75, 1], show: percent },
    series: arms.map(([arm, line]) => ({ name: arm, kind: arm, step: true, x: [0, ...line.x], y: [0, ...line.y] })),
    rules: [{ y: 0.95, label: "p95" }],
  });
  const rows = experiment.cohorts
    .filter((row) => row.indicator === "latency")
    .map((row) => [row.statistic, row.treatment_text, row.control_text]);
  return figure("How long units took", "share done within a time", chart, table(["quantile", "treatment", "control"], rows));
}

// Where confidence stood, and where it stands.
function confidenceMark(before, after, label, height) {
  return plot((width) => {
    const middle = height / 2;
    const x = (value) => 8 + value * (width - 16);
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    root.append(
      svg("path", { class: "axis", d: `M${x(0)},${middle}H${x(1)}` }),
      svg("path", {
        class: "axis",
        d: `M${x(0)},${middle - 4}V${middle + 4}M${x(0.5)},${middle - 3}V${middle + 3}M${x(1)},${middle - 4}V${middle + 4}`,
      }),
    );
    if (after !== before) root.append(svg("path", { class: "moved", d: `M${x(before)},${middle}H${x(after)}` }));
    root.append(
      svg("circle", { class: "was", cx: x(before), cy: middle, r: 5 }),
      svg("circle", { class: "is", cx: x(after), cy: middle, r: 6 }),
    );
    return [root];
  });
}

function learnedPlot(verdict) {
  const learned = verdict.learned;
  if (!learned) return null;
  const [before, after] = [learned.confidence_before, learned.confidence_after];
  const body = h(
    "div",
    { class: "learned" },
    h("div", { class: "big" }, h("span", { class: "quiet" }, percent(before)), " → ", h("strong", null, percent(after))),
    confidenceMark(before, after, `Confidence before ${percent(before)}, after ${percent(after)}.`, 34),
    h("div", { class: "scale", "aria-hidden": "true" }, h("span", null, "surely wrong"), h("span", null, "surely true")),
    h("p", null, `Gained ${learned.gained}.`),
  );
  return figure("Confidence in the belief", "before and after this run", body);
}

// The dose-response curve of a threshold: band, mean, what was tried, and the interval of the threshold itself.
function thresholdPlot(verdict) {
  const found = verdict.learned && verdict.learned.threshold;
  if (!found) return null;
  const scale = (value) => (found.log ? Math.log(value) : value);
  const [first, last] = [scale(found.curve[0].magnitude), scale(found.most)];
  const draw = (width) => {
    const box = { left: 52, right: width - 18, top: 16, bottom: 168 };
    const x = (value) => box.left + ((scale(value) - first) / (last - first)) * (box.right - box.left);
    const y = (rate) => box.bottom - rate * (box.bottom - box.top);
    const root = svg("svg", { viewBox: `0 0 ${width} 214`, role: "img", "aria-label": `It ${found.sentence}.` });
    const [low, high] = [found.low === null ? found.most : found.low, found.high === null ? found.most : found.high];
    const span = { class: "band", x: x(low), y: box.top, width: Math.max(2, x(high) - x(low)), height: box.bottom - box.top };
    root.append(svg("rect", span));
    for (const rate of [0, 0.5, 1]) {
      root.append(
        svg("path", { class: "grid", d: `M${box.left},${y(rate)}H${box.right}` }),
        svg("text", { class: "tick", x: box.left - 8, y: y(rate) + 4, "text-anchor": "end" }, percent(rate)),
      );
    }
    const marks = found.curve.filter((_, place) => place % Math.ceil(found.curve.length / (width > 460 ? 6 : 4)) === 0);
    for (const { text, magnitude } of marks) {
      root.append(svg("text", { class: "tick", x: x(magnitude), y: 186, "text-anchor": "middle" }, text));
    }
    const line = (points, key) => points.map((point) => `${x(point.magnitude)},${y(point[key])}`).join("L");
    const band = `M${line(found.curve, "low")}L${line([...found.curve].reverse(), "high")}Z`;
    root.append(
      svg("path", { class: "band breach", d: band }),
      svg("path", { class: "rule", d: `M${box.left},${y(found.bound)}H${box.right}` }),
      svg("path", { class: "span treatment", fill: "none", d: `M${line(found.curve, "rate")}` }),
    );
    for (const one of found.tried.filter((run) => run.n)) {
      root.append(svg("circle", { class: "dot treatment", cx: x(one.magnitude), cy: y(one.breaches / one.n), r: 5 }));
    }
    root.append(svg("text", { class: "tick", x: (box.left + box.right) / 2, y: 206, "text-anchor": "middle" }, "magnitude of the fault"));
    return [root];
  };
  const rows = found.tried.map((one) => [one.text, String(Math.round(one.n)), String(Math.round(one.breaches))]);
  const note = "share of units that breach; the upright band is where the threshold lies, dots are runs";
  return figure(`It ${found.sentence}`, note, plot(draw), table(["magnitude", "n", "breaches"], rows));
}

function forecastPlot(verdict) {
  const forecast = verdict.forecast;
  if (!forecast) return null;
  const rows = ["held", "refuted", "inconclusive"].map((name) => {
    const bar = h("span", { class: `fill ${name}` });
    bar.style.width = `${(forecast[name] || 0) * 100}%`;
    return h(
      "li",
      { class: name === verdict.verdict ? "came" : null },
      h("span", { class: "what" }, name),
      h("span", { class: "track" }, bar),
      h("span", { class: "share" }, percent(forecast[name])),
      h("span", { class: "mark" }, name === verdict.verdict ? "◀ came" : ""),
    );
  });
  const note = verdict.learned ? `${verdict.learned.foreseen[0].toUpperCase()}${verdict.learned.foreseen.slice(1)}.` : "";
  return figure(
    "Forecast and outcome",
    forecast.digest ? `locked before the run as ${forecast.digest}` : "locked before the run",
    h("div", null, h("ul", { class: "forecast" }, rows), h("p", null, note)),
  );
}
