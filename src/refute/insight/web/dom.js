"use strict";
// Elements are made, never parsed: whatever a claim holds becomes text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false)
      element.append(typeof child === "string" && element.localName !== "code" ? together(child) : child);
  }
  return element;
}

// A number keeps its unit on its line.
function together(text) {
  return text.replace(/(\d) (%|s|ms|min|bits|units|points|USD)(?!\w)/g, "$1\u00a0$2");
}

function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function table(head, rows, attributes) {
  const body = rows.map((row) =>
    h(
      "tr",
      null,
      row.map((cell, i) => h(i ? "td" : "th", i ? null : { scope: "row" }, cell)),
    ),
  );
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "table" },
    h(
      "table",
      attributes,
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          head.map((cell) => h("th", { scope: "col" }, cell)),
        ),
      ),
      h("tbody", null, body),
    ),
  );
}

// A figure: a title, a plot and the same numbers as a table for whoever cannot see it.
function figure(title, note, plot, numbers, attributes) {
  return h(
    "figure",
    attributes,
    h("figcaption", null, h("strong", null, title), note ? h("span", null, note) : null),
    plot,
    numbers ? h("details", { class: "numbers" }, h("summary", null, "Numbers"), numbers) : null,
  );
}

// Draws at the width that there is, and again when it changes.
function plot(draw) {
  const host = h("div", { class: "plot" });
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.round(host.clientWidth);
    if (now && now !== width) {
      width = now;
      host.replaceChildren(...draw(now));
    }
  }).observe(host);
  return host;
}

const percent = (value) => {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 0.0005) return "< 0.1 %";
  if (value < 1 && value > 0.9995) return "> 99.9 %";
  return `${(value * 100).toFixed(1).replace(/\.0$/, "")} %`;
};
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const seconds = (value) =>
  value === null ? "–" : value > 0 && value < 0.1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
