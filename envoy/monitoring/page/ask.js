// Asks Prometheus and the log store what a panel of a dashboard asks.

import { lines as linesOf, numbers as numbersOf } from "./logql.js";

export const address = new URLSearchParams(location.search);
const PROMETHEUS = address.get("prometheus") ?? "http://127.0.0.1:9090";
const LOGS = address.get("logs") ?? "http://127.0.0.1:9428";
const SECONDS = Number(address.get("seconds") ?? 900);
const STEP = 30;

/** What is looked at: up to the newest scrape, not the last whole step. */
export function recent() {
  const to = Math.floor(Date.now() / 1000);
  return { from: to - SECONDS, to, step: Math.max(STEP / 2, Math.ceil(SECONDS / 240)) };
}

function withVariables(query, interval) {
  const values = {
    __rate_interval: `${Math.max(4 * interval, 4 * Number(address.get("scrape") ?? 5))}s`, __range: `${SECONDS}s`, job: ".+", instance: ".+",
    request_id: address.get("request_id") ?? ".*",
  };
  return query.replace(/\$(__rate_interval|__range|job|instance|request_id)/g, (_, name) => values[name]);
}

/** The text at an address. */
export async function text(url) {
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
  const { data } = JSON.parse(await text(`${PROMETHEUS}/api/v1/${path}&query=${query}`));
  return data.result.map(({ metric, value, values }) => {
    const { __name__, ...labels } = metric;
    const points = (values ?? [value]).map(([at, number]) => [at, Number(number)]).filter(([, number]) => !Number.isNaN(number));
    return { refId: target.refId, labels, name: legend(target.legendFormat, labels), points };
  });
}

async function stored(query) {
  const found = await text(`${LOGS}/select/logsql/query?query=${encodeURIComponent(`_time:${SECONDS}s ${query}`)}&limit=200`);
  return found.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

async function counted(target, time) {
  const rows = await stored(numbersOf(withVariables(target.expr, time.step)));
  return rows.map(({ value, ...labels }) => ({ refId: target.refId, labels, name: legend(target.legendFormat, labels), points: [[time.to, Number(value)]] }));
}

const isLogs = (target) => target.datasource.type === "loki";

/** The newest lines that a panel of lines asks for. */
export async function lines({ targets: [target] }, time) {
  return stored(`${linesOf(withVariables(target.expr, time.step))} | sort by (_time desc) | limit 60`);
}

/** The series that a panel asks for: `{ refId, labels, name, points }`. */
export async function series({ targets }, time) {
  const answers = await Promise.all(targets.map((target) => (isLogs(target) ? counted(target, time) : metrics(target, time))));
  return answers.flat().filter(({ points }) => points.length);
}
