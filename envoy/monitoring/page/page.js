// The dashboards as a page: reads Grafana's JSON, asks Prometheus and the log store, draws. For `make monitor` and its test; what is
// deployed is Grafana. `window.report` says of each panel whether it has data, nothing to show, or an error.

import * as draw from "./draw.js";
import { lines as linesOf, numbers as numbersOf } from "./logql.js";

const address = new URLSearchParams(location.search);
const PROMETHEUS = address.get("prometheus") ?? "http://127.0.0.1:9090";
const LOGS = address.get("logs") ?? "http://127.0.0.1:9428";
const SECONDS = Number(address.get("seconds") ?? 900);
const STEP = 30;
const EVERY = 10_000;
const PANELS_AT_ONCE = 6;

const DRAWN = {
  stat: draw.stat, timeseries: draw.timeseries, bargauge: draw.bargauge, piechart: draw.pie, table: draw.table,
  heatmap: draw.heatmap, "state-timeline": draw.states, nodeGraph: draw.graph, logs: draw.logs,
};

function withVariables(query, interval) {
  const values = {
    __rate_interval: `${Math.max(4 * interval, 4 * Number(address.get("scrape") ?? 5))}s`, __range: `${SECONDS}s`, job: ".+", instance: ".+",
    request_id: address.get("request_id") ?? ".*",
  };
  return query.replace(/\$(__rate_interval|__range|job|instance|request_id)/g, (_, name) => values[name]);
}

async function json(url) {
  const answer = await fetch(url);
  const body = await answer.text();
  if (!answer.ok) throw new Error(body.slice(0, 300));
  return body;
}

function legend(format, labels) {
  const name = format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? "");
  return name.trim() || Object.entries(labels).filter(([label]) => label !== "__name__").map(([label, value]) => `${label}=${value}`).join(" ");
}

async function metrics(target, time) {
  const query = encodeURIComponent(withVariables(target.expr, time.step));
  const path = target.instant ? `query?time=${time.to}` : `query_range?start=${time.from}&end=${time.to}&step=${time.step}`;
  const { data } = JSON.parse(await json(`${PROMETHEUS}/api/v1/${path}&query=${query}`));
  return data.result.map(({ metric, value, values }) => {
    const { __name__, ...labels } = metric;
    const points = (values ?? [value]).map(([at, text]) => [at, Number(text)]).filter(([, number]) => !Number.isNaN(number));
    return { refId: target.refId, labels, name: legend(target.legendFormat, labels), points };
  });
}

async function stored(query, time) {
  const text = await json(`${LOGS}/select/logsql/query?query=${encodeURIComponent(`_time:${SECONDS}s ${query}`)}&limit=200`);
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

async function counted(target, time) {
  const rows = await stored(numbersOf(withVariables(target.expr, time.step)), time);
  return rows.map(({ value, ...labels }) => ({ refId: target.refId, labels, name: legend(target.legendFormat, labels), points: [[time.to, Number(value)]] }));
}

const isLogs = (target) => target.datasource.type === "loki";

/** What a panel shows: HTML, or null for nothing. */
async function content(panel, time) {
  const defaults = panel.fieldConfig.defaults;
  if (panel.type === "logs") {
    const [target] = panel.targets;
    const rows = await stored(`${linesOf(withVariables(target.expr, time.step))} | sort by (_time desc) | limit 60`, time);
    return rows.length ? draw.logs({ lines: rows }) : null;
  }
  const answers = await Promise.all(panel.targets.map((target) => (isLogs(target) ? counted(target, time) : metrics(target, time))));
  const series = answers.flat().filter(({ points }) => points.length);
  return series.length ? DRAWN[panel.type]({ panel, series, defaults, time }) : null;
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
  const to = Math.floor(Date.now() / 1000 / STEP) * STEP;
  const time = { from: to - SECONDS, to, step: Math.max(STEP / 2, Math.ceil(SECONDS / 240)) };
  // The newest scrape, not the last whole step.
  time.to = Math.floor(Date.now() / 1000);
  time.from = time.to - SECONDS;
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
  const uids = JSON.parse(await json("dashboards.json"));
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
  const dashboard = JSON.parse(await json(`dashboards/${uid}.json`));
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
