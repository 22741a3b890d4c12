// Panels that Grafana's libraries have a component for.

import { FieldType, VizOrientation, dateTime, getFieldDisplayValues } from "@grafana/data";
import { BarGauge, BigValue, Table, TimeSeries } from "@grafana/ui";
import { theme } from "./frames.js";

const values = ({ panel, frames }) => getFieldDisplayValues({
  data: frames, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, timeZone: "utc",
});

export function Stat({ panel, frames, width, height }) {
  const [{ display }] = values({ panel, frames });
  const { colorMode, graphMode, textMode } = panel.options;
  return <BigValue {...{ colorMode, graphMode, textMode, width, height, theme }} value={display} />;
}

export function Bars({ panel, frames, width, height }) {
  const all = values({ panel, frames });
  const each = Math.max(24, Math.floor(height / all.length) - 4);
  const bar = ({ display, field }, at) => (
    <div key={at} style={{ marginBottom: 4 }}>
      <BarGauge
        value={display} field={field} display={(value) => ({ ...display, numeric: value })} width={width} height={each} theme={theme}
        orientation={VizOrientation.Horizontal} displayMode={panel.options.displayMode} showUnfilled={panel.options.showUnfilled}
      />
    </div>
  );
  return <div style={{ height, overflow: "hidden" }}>{all.map(bar)}</div>;
}

export function Lines({ panel, frames, width, height, time }) {
  const [from, to] = [dateTime(time.from * 1000), dateTime(time.to * 1000)];
  const timeRange = { from, to, raw: { from, to } };
  const legend = { ...panel.options.legend, calcs: [] };
  return (
    <TimeSeries {...{ frames, legend, timeRange, width, height }} timeZone="utc" options={{}}>
      {() => null}
    </TimeSeries>
  );
}

export function Rows({ panel, frames: [data], width, height }) {
  return <Table {...{ data, width, height }} initialSortBy={panel.options.sortBy} />;
}

/** Lines of a log, as a table: Grafana's own list of lines is a part of its application. */
export function LogLines({ frames: [data], width, height }) {
  const fields = data.fields.map((field) => (field.type === FieldType.time ? { ...field, config: { ...field.config, unit: undefined } } : field));
  return <Table data={{ ...data, fields }} {...{ width, height }} />;
}
