// The dashboards as a page: reads Grafana's JSON, asks Prometheus and the log store, draws. For `make monitor` and its test; what is
// deployed is Grafana. `window.report` says of each panel whether it has data, nothing to show, or an error.

import * as draw from "./draw.js";
import { address, lines, recent, series, text } from "./ask.js";

const EVERY = 10_000;
const PANELS_AT_ONCE = 6;

const DRAWN = {
  stat: draw.stat, timeseries: draw.timeseries, bargauge: draw.bargauge, piechart: draw.pie, table: draw.table,
  heatmap: draw.heatmap, "state-timeline": draw.states, nodeGraph: draw.graph, logs: draw.logs,
};

/** What a panel shows: HTML, or null for nothing. */
async function content(panel, time) {
  const defaults = panel.fieldConfig.defaults;
  if (panel.type === "logs") {
    const rows = await lines(panel, time);
    return rows.length ? draw.logs({ lines: rows }) : null;
  }
  const found = await series(panel, time);
  return found.length ? DRAWN[panel.type]({ panel, series: found, defaults, time }) : null;
}

async function show(element, panel, time) {
  const body = element.querySelector(".body");
  try {
    const html = await content(panel, time);
    body.innerHTML = html ?? `<div class="nothing">${panel.fieldConfig.defaults.noValue}</div>`;
    element.classList.remove("error");
    return { title: panel.title, type: panel.type, state: html === null ? "nothing" : "data" };
  } catch (error) {
    body.textContent = error.message;
    element.classList.add("error");
    return { title: panel.title, type: panel.type, state: "error", error: error.message };
  }
}

function place(element, { x, y, w, h }) {
  element.style.gridColumn = `${x + 1} / span ${w}`;
  element.style.gridRow = `${y + 1} / span ${h}`;
  return element;
}

function frame(panel) {
  const element = document.createElement(panel.type === "row" ? "div" : "section");
  element.className = panel.type === "row" ? "row" : "panel";
  if (panel.type === "row") {
    element.textContent = panel.title;
  } else {
    element.innerHTML = `<h2></h2><div class="body"></div>`;
    element.querySelector("h2").textContent = panel.title;
    element.querySelector("h2").title = panel.description;
  }
  return place(element, panel.gridPos);
}

async function refresh(panels) {
  const time = recent();
  const report = [];
  const waiting = [...panels];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) report.push(await show(next.element, next.panel, time));
  };
  await Promise.all(Array.from({ length: PANELS_AT_ONCE }, worker));
  window.report = report;
  document.title = `${report.filter(({ state }) => state === "error").length} errors`;
  document.getElementById("state").textContent = `${report.length} panels, ${report.filter(({ state }) => state === "data").length} with data; ${new Date().toTimeString().slice(0, 8)}`;
  document.documentElement.dataset.report = JSON.stringify(report);
}

async function main() {
  const uids = JSON.parse(await text("dashboards.json"));
  const uid = address.get("dashboard") ?? "gateway-overview";
  const nav = document.getElementById("dashboards");
  for (const each of uids) {
    const link = document.createElement("a");
    const query = new URLSearchParams(address);
    query.set("dashboard", each);
    link.href = `?${query}`;
    link.textContent = each.replaceAll("-", " ");
    link.className = each === uid ? "here" : "";
    nav.append(link);
  }
  const dashboard = JSON.parse(await text(`dashboards/${uid}.json`));
  document.getElementById("title").textContent = dashboard.title;
  const main = document.getElementById("panels");
  const panels = dashboard.panels.map((panel) => ({ panel, element: frame(panel) }));
  panels.forEach(({ element }) => main.append(element));
  const asked = panels.filter(({ panel }) => panel.type !== "row");
  await refresh(asked);
  if (!address.has("once")) setInterval(() => refresh(asked), EVERY);
}

main().catch((error) => {
  document.getElementById("state").textContent = error.message;
  document.documentElement.dataset.report = JSON.stringify([{ title: "page", state: "error", error: error.message }]);
});
