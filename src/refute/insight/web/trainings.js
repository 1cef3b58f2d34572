// Training runs: the loss of all of them by step, and how each one with the fault came back.

function lossPlot(training) {
  const loss = training && training.loss;
  if (!loss) return null;
  const scaled = (values) => values.map((value) => (value === null ? null : loss.log ? Math.log10(value) : value));
  const show = (value) => String(Number((loss.log ? 10 ** value : value).toPrecision(3)));
  const [low, high] = scaled([loss.low, loss.high]);
  const one = (line, name, kind) => ({ name, kind, x: line.x, y: scaled(line.y) });
  const both = ["treatment", "control"].filter((arm) => loss.medians[arm]);
  const names = { treatment: "with the fault, median", control: "control, median" };
  const ended = loss.lost ? ` In ${loss.lost} with the fault the loss ceased to be a number (✕).` : "";
  const chart = lineChart({
    label: `Loss by step of ${loss.curves.length} training runs.${ended}`,
    height: 280,
    marks: loss.strikes.map((step) => ({ x: step })),
    faint: loss.curves.map((curve) => one(curve, "", curve.arm)),
    crosses: loss.curves.filter((curve) => curve.ends !== null).map((curve) => ({ x: curve.ends, kind: curve.arm })),
    x: { low: loss.first, high: Math.max(loss.last, loss.first + 1), label: "step", show: (value) => String(Math.round(value)) },
    y: { low: loss.log ? low : Math.min(0, low), high: high > low ? high + 0.05 * (high - low) : low + 1, show },
    series: both.map((arm) => one(loss.medians[arm], names[arm], arm)),
  });
  const said = (value) => (value === null || value === undefined ? "–" : value.toPrecision(3));
  const at = (arm, step) => (loss.medians[arm] ? loss.medians[arm].y[loss.medians[arm].x.indexOf(step)] : null);
  const steps = [...new Set(both.flatMap((arm) => loss.medians[arm].x))].sort((a, b) => a - b);
  const rows = steps
    .filter((_, i) => i % Math.ceil(steps.length / 24) === 0)
    .map((step) => [String(step), said(at("treatment", step)), said(at("control", step))]);
  const note = `every run is a thin line; the fault struck at the dashed steps${loss.log ? "; log scale" : ""}.${ended}`;
  return figure("Loss", note, chart, table(["step", "with the fault, median", "control, median"], rows), { class: "wide" });
}

// One line a run with the fault: when it was struck, who told, what it did again, how it ended.
function recoveryPlot(training) {
  if (!training) return null;
  const rows = training.rows;
  const end = Math.max(...rows.map((row) => Math.max(row.seconds, row.usual_s || 0)), 0.001);
  const draw = (width) => {
    const [left, right, tall] = [64, width - 18, 26];
    const height = rows.length * tall + 48;
    const x = (at) => left + (at / end) * (right - left);
    const label = `${rows.length} runs with the fault: when each was struck, what it did again, and how it ended.`;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    for (const at of ticks(0, end, width > 500 ? 8 : 4)) {
      root.append(
        svg("path", { class: "grid", d: `M${x(at)},6V${height - 38}` }),
        svg("text", { class: "tick", x: x(at), y: height - 22, "text-anchor": "middle" }, seconds(at)),
      );
    }
    root.append(svg("text", { class: "tick", x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, "since the run's start"));
    rows.forEach((row, i) => root.append(...recoveryRow(row, 8 + i * tall, x, left)));
    return [root];
  };
  const key = [
    ["bar held", "training"],
    ["bar control", "control run"],
    ["bar refuted", "until as far again"],
  ].map(([kind, name]) => h("span", { class: "key" }, svg("svg", { width: 22, height: 8 }, svg("rect", { class: kind, width: 22, height: 8 })), name));
  const signs = [
    ["▼", "struck"],
    ["✘", "a process failed"],
    ["!", "somebody was told"],
  ].map(([sign, name]) => h("span", { class: "key" }, h("b", null, sign), name));
  const body = h("div", null, h("div", { class: "legend wrapped", "aria-hidden": "true" }, key, signs), plot(draw));
  const head = ["run", "struck by", "told after", "steps done again", "as far again after", "end"];
  return figure("Recovery", "each run with the fault, beside the control run of its seed", body, table(head, training.table), { class: "wide" });
}

function recoveryRow(row, top, x, left) {
  const bar = (from, to, kind, y, tall) => svg("rect", { class: `bar ${kind}`, x: x(from), y, width: Math.max(1, x(to) - x(from)), height: tall });
  const sign = (at, text, kind) => svg("text", { class: `sign-mark ${kind}`, x: x(at), y: top + 11, "text-anchor": "middle" }, text);
  const parts = [
    svg("text", { class: "tick", x: left - 8, y: top + 11, "text-anchor": "end" }, row.cells[0]),
    bar(0, row.seconds, row.ok ? "held" : "open", top, 12),
  ];
  for (const one of row.setbacks) parts.push(bar(one.from_s, one.to_s === null ? row.seconds : one.to_s, "refuted", top, 12));
  if (row.usual_s) parts.push(bar(0, row.usual_s, "control", top + 14, 4));
  for (const at of row.failures) parts.push(sign(at, "✘", "failed"));
  if (row.told_s !== null && !row.failures.includes(row.told_s)) parts.push(sign(row.told_s, "!", "told"));
  if (row.struck_s !== null) parts.push(sign(row.struck_s, "▼", "struck"));
  return parts;
}
