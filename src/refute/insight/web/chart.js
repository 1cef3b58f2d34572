// Axes, lines and a reading under the pointer or the arrow keys.

function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((candidate) => candidate >= raw);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
  return found;
}

function path(series, x, y, step) {
  let line = "";
  let pen = false;
  series.x.forEach((at, i) => {
    const value = series.y[i];
    if (value === null) {
      pen = false;
      return;
    }
    const [px, py] = [x(at).toFixed(1), y(value).toFixed(1)];
    line += pen ? (step ? `H${px}V${py}` : `L${px},${py}`) : `M${px},${py}`;
    pen = true;
  });
  return line;
}

// spec: {label, height, x: {low, high, label, show, ticks?}, y: {low, high, show, ticks?}, series: [{name, kind, x, y, step}],
//        bands: [{from, to, label, kind}], rules: [{y, label}], marks: [{x}], faint: [lines that are not read], crosses: [{x, kind}]}
function lineChart(spec) {
  const legend = h(
    "div",
    { class: "legend", "aria-hidden": "true" },
    spec.series.map((one) =>
      h(
        "span",
        { class: `key ${one.kind}` },
        svg("svg", { width: 22, height: 8 }, svg("path", { class: `line ${one.kind}`, d: "M0,4H22" })),
        one.name,
      ),
    ),
  );
  return h(
    "div",
    null,
    legend,
    plot((width) => drawLines(spec, width)),
  );
}

function drawLines(spec, width) {
  const height = spec.height || 230;
  const box = { left: 52, right: width - 14, top: spec.bands ? 26 : 12, bottom: height - 38 };
  const x = (value) => box.left + ((value - spec.x.low) / (spec.x.high - spec.x.low || 1)) * (box.right - box.left);
  const y = (value) => {
    const share = (value - spec.y.low) / (spec.y.high - spec.y.low || 1);
    return box.bottom - Math.max(0, Math.min(1, share)) * (box.bottom - box.top);
  };
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spec.label, tabindex: "0" });
  for (const band of spec.bands || []) {
    const [from, to] = [x(band.from), x(band.to)];
    root.append(
      svg("rect", { class: `band ${band.kind}`, x: from, y: box.top, width: Math.max(0, to - from), height: box.bottom - box.top }),
    );
    if (to - from > band.label.length * 6.2)
      root.append(svg("text", { class: "tick", x: (from + to) / 2, y: box.top - 8, "text-anchor": "middle" }, band.label));
  }
  for (const at of spec.y.ticks || ticks(spec.y.low, spec.y.high, 4)) {
    root.append(svg("path", { class: "grid", d: `M${box.left},${y(at)}H${box.right}` }));
    root.append(svg("text", { class: "tick", x: box.left - 8, y: y(at) + 4, "text-anchor": "end" }, spec.y.show(at)));
  }
  for (const at of spec.x.ticks || ticks(spec.x.low, spec.x.high, width > 500 ? 8 : 4)) {
    root.append(svg("text", { class: "tick", x: x(at), y: box.bottom + 16, "text-anchor": "middle" }, spec.x.show(at)));
  }
  root.append(svg("text", { class: "tick", x: (box.left + box.right) / 2, y: height - 5, "text-anchor": "middle" }, spec.x.label));
  for (const rule of spec.rules || []) {
    root.append(svg("path", { class: "rule", d: `M${box.left},${y(rule.y)}H${box.right}` }));
    root.append(svg("text", { class: "note", x: box.left + 6, y: y(rule.y) - 5 }, rule.label));
  }
  for (const mark of spec.marks || []) root.append(svg("path", { class: "rule stop", d: `M${x(mark.x)},${box.top}V${box.bottom}` }));
  for (const one of spec.faint || []) root.append(svg("path", { class: `line faint ${one.kind}`, d: path(one, x, y) }));
  for (const cross of spec.crosses || [])
    root.append(svg("text", { class: `cross ${cross.kind}`, x: x(cross.x), y: box.top + 10, "text-anchor": "middle" }, "✕"));
  for (const one of spec.series) root.append(svg("path", { class: `line ${one.kind}`, d: path(one, x, y, one.step) }));
  return [root, reading(root, spec, { box, x, y })];
}

// What the lines say at one place on the x axis.
function reading(root, spec, { box, x, y }) {
  const places = [...new Set(spec.series.flatMap((one) => one.x))].sort((a, b) => a - b);
  const hair = svg("path", { class: "hair", visibility: "hidden" });
  const dots = spec.series.map((one) => svg("circle", { class: `dot ${one.kind}`, r: 4, visibility: "hidden" }));
  root.append(hair, ...dots);
  const note = h("div", { class: "reading", "aria-live": "polite", hidden: true });
  let index = -1;
  const show = (wanted) => {
    index = Math.max(0, Math.min(places.length - 1, wanted));
    const at = places[index];
    hair.setAttribute("d", `M${x(at)},${box.top}V${box.bottom}`);
    hair.setAttribute("visibility", "visible");
    const said = spec.series.map((one, i) => {
      const value = valueAt(one, at);
      dots[i].setAttribute("visibility", value === null ? "hidden" : "visible");
      if (value !== null) (dots[i].setAttribute("cx", x(at)), dots[i].setAttribute("cy", y(value)));
      return h("span", { class: one.kind }, `${one.name} ${value === null ? "–" : (spec.y.read || spec.y.show)(value)}`);
    });
    note.replaceChildren(h("span", null, spec.x.read ? spec.x.read(at) : spec.x.show(at)), ...said);
    note.hidden = false;
  };
  const hide = () => {
    index = -1;
    note.hidden = true;
    for (const mark of [hair, ...dots]) mark.setAttribute("visibility", "hidden");
  };
  root.addEventListener("pointermove", (event) => {
    const bounds = root.getBoundingClientRect();
    const at = ((event.clientX - bounds.left) / bounds.width) * root.viewBox.baseVal.width;
    let nearest = 0;
    places.forEach((place, i) => {
      if (Math.abs(x(place) - at) < Math.abs(x(places[nearest]) - at)) nearest = i;
    });
    if (places.length) show(nearest);
  });
  root.addEventListener("pointerleave", hide);
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !places.length) return;
    event.preventDefault();
    show(index < 0 ? 0 : index + move);
  });
  return note;
}

function valueAt(series, at) {
  let found = null;
  for (let i = 0; i < series.x.length && series.x[i] <= at + 1e-9; i++) found = series.y[i];
  return found;
}
