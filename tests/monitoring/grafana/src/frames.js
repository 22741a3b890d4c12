// What Prometheus and the log store answer, as frames of Grafana: shaped as its datasources do, transformed and configured by its code.

import { FieldType, applyFieldOverrides, createDataFrame, createTheme, transformDataFrame } from "@grafana/data";
import { firstValueFrom } from "rxjs";
import { lines, series } from "../../../../envoy/monitoring/page/ask.js";
import { OPTIONS } from "./fields.js";

export const theme = createTheme({ colors: { mode: "dark" } });
const plain = (text) => text;

function overTime({ refId, labels, name, points }) {
  return createDataFrame({
    refId,
    fields: [
      { name: "Time", type: FieldType.time, values: points.map(([at]) => at * 1000) },
      { name: "Value", type: FieldType.number, labels, values: points.map(([, value]) => value), config: { displayNameFromDS: name } },
    ],
  });
}

/** A row for each series of a query. */
function asTable(refId, found, queries) {
  const own = found.filter((each) => each.refId === refId);
  const labels = [...new Set(own.flatMap((each) => Object.keys(each.labels)))].sort();
  return createDataFrame({
    refId,
    fields: [
      { name: "Time", type: FieldType.time, values: own.map(({ points }) => points.at(-1)[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: own.map((each) => each.labels[label] ?? "") })),
      { name: queries > 1 ? `Value #${refId}` : "Value", type: FieldType.number, values: own.map(({ points }) => points.at(-1)[1]) },
    ],
  });
}

function ofLines(rows) {
  const column = (name, of) => ({ name, type: FieldType.string, values: rows.map((row) => of(row) ?? "") });
  return createDataFrame({
    fields: [
      { name: "Time", type: FieldType.time, values: rows.map(({ _time }) => Date.parse(_time)) },
      column("level", ({ level }) => level), column("action", ({ action }) => action), column("line", ({ _msg }) => _msg),
      column("request_id", ({ request_id }) => request_id),
    ],
  });
}

async function raw(panel, time) {
  if (panel.type === "logs") {
    const rows = await lines(panel, time);
    return rows.length ? [ofLines(rows)] : [];
  }
  const found = await series(panel, time);
  if (panel.type !== "table") return found.map(overTime);
  const tables = panel.targets.map(({ refId }) => asTable(refId, found, panel.targets.length)).filter(({ length }) => length);
  return tables.length ? firstValueFrom(transformDataFrame(panel.transformations, tables, { interpolate: plain })) : [];
}

/** The frames of a panel, with units, thresholds, mappings and colours; none where there is nothing to show. */
export async function frames(panel, time) {
  const fieldConfig = structuredClone(panel.fieldConfig);
  return applyFieldOverrides({
    data: await raw(panel, time), fieldConfig, fieldConfigRegistry: OPTIONS, replaceVariables: plain, theme, timeZone: "utc",
  });
}
