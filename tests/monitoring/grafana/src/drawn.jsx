// Panels that Grafana draws by parts of its application and not by its libraries: drawn here, with the libraries' values, colours and legend.

import { getFieldDisplayName, getFieldDisplayValues } from "@grafana/data";
import { VizLegend } from "@grafana/ui";
import { theme } from "./frames.js";

const LEGEND = 28;
const number = (frame) => frame.fields[1];
const last = (frame) => number(frame).values.at(-1);

function Legend({ items }) {
  const item = ({ label, color }) => ({ label, color, yAxis: 1, getItemKey: () => label, getDisplayValues: () => [] });
  return <div style={{ height: LEGEND, overflow: "hidden" }}><VizLegend placement="bottom" displayMode="list" items={items.map(item)} /></div>;
}

export function Pie({ panel, frames, width, height }) {
  const shown = getFieldDisplayValues({
    data: frames, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, timeZone: "utc",
  }).map(({ display }) => display).filter(({ numeric }) => numeric > 0);
  const whole = shown.reduce((sum, { numeric }) => sum + numeric, 0);
  let turned = 0;
  const arc = ({ numeric, color }, at) => {
    const share = numeric / whole;
    turned += share;
    return <circle key={at} r="38" cx="50" cy="50" fill="none" stroke={color} strokeWidth="22" pathLength="1" strokeDasharray={`${share} ${1 - share}`} strokeDashoffset={share - turned} />;
  };
  const label = ({ title, text, suffix = "", color }) => ({ label: `${title}: ${text}${suffix}`, color });
  return (
    <>
      <svg viewBox="0 0 100 100" width={width} height={height - LEGEND}>{shown.map(arc)}</svg>
      <Legend items={shown.map(label)} />
    </>
  );
}

/** Where a cell of a panel begins, and how wide it is, that shows the step before a time. */
const along = (time, width, left) => (at) => {
  const x = (seconds) => left + (Math.max(0, seconds - time.from) / (time.to - time.from)) * (width - left);
  return { x: x(at / 1000 - time.step), width: x(at / 1000) - x(at / 1000 - time.step) };
};

/** A line for each series, coloured by what its values are mapped to. */
export function States({ panel, frames, width, height, time }) {
  const place = along(time, width, 110);
  const high = (height - LEGEND) / frames.length;
  const line = (frame, row) => {
    const [{ values: times }, field] = frame.fields;
    const cell = (at, index) => (
      <rect key={index} {...place(at)} y={row * high + 2} height={high - 4} fill={field.display(field.values[index]).color} />
    );
    const name = <text x="104" y={row * high + high / 2 + 4} textAnchor="end" fill={theme.colors.text.primary}>{getFieldDisplayName(field, frame, frames)}</text>;
    return <g key={row}>{times.map(cell)}{name}</g>;
  };
  const states = Object.values(panel.fieldConfig.defaults.mappings[0]?.options ?? {});
  const label = ({ text, color }) => ({ label: text, color: theme.visualization.getColorByName(color) });
  return <><svg width={width} height={height - LEGEND}>{frames.map(line)}</svg><Legend items={states.map(label)} /></>;
}

const bound = (frame) => Number(number(frame).labels.le.replace("+Inf", "Infinity"));

/** What fell between a bucket's bound and the one below it. */
function counts(sorted, row) {
  const [times, below] = [sorted[row].fields[0].values, new Map()];
  if (row) sorted[row - 1].fields[0].values.forEach((at, index) => below.set(at, number(sorted[row - 1]).values[index]));
  return times.map((at, index) => [at, Math.max(0, number(sorted[row]).values[index] - (below.get(at) ?? 0))]);
}

export function Heatmap({ frames, width, height, time }) {
  const sorted = [...frames].sort((a, b) => bound(a) - bound(b));
  const rows = sorted.map((_, row) => counts(sorted, row));
  const most = Math.max(...rows.flat().map(([, count]) => count), 1e-9);
  const [place, high] = [along(time, width, 50), height / sorted.length];
  const cell = (row) => ([at, count], index) => (
    <rect key={index} {...place(at)} y={height - (row + 1) * high} height={high} fill={theme.visualization.getColorByName("orange")} fillOpacity={0.15 + (0.85 * count) / most} />
  );
  const name = (frame, row) => <text key={row} x="46" y={height - row * high - high / 2 + 4} textAnchor="end" fill={theme.colors.text.primary}>{number(frame).labels.le}</text>;
  return <svg width={width} height={height}>{rows.map((row, at) => <g key={at}>{row.filter(([, count]) => count > 0).map(cell(at))}</g>)}{sorted.map(name)}</svg>;
}

/** The gateway, and its services around it. */
export function Graph({ frames, width, height }) {
  const of = (frame) => number(frame).labels;
  const [edges, nodes] = [frames.filter((frame) => of(frame).source), frames.filter((frame) => !of(frame).source)];
  const services = nodes.filter((frame) => of(frame).id !== "gateway");
  const place = (frame) => {
    const angle = (2 * Math.PI * services.indexOf(frame)) / services.length;
    return [of(frame).id, services.includes(frame) ? [300 + 210 * Math.cos(angle), 150 + 110 * Math.sin(angle)] : [300, 150]];
  };
  const places = Object.fromEntries(nodes.map(place));
  const edge = (frame, at) => {
    const [[x1, y1], [x2, y2]] = [places[of(frame).source], places[of(frame).target]];
    return <line key={at} {...{ x1, y1, x2, y2 }} stroke={theme.colors.border.strong} strokeWidth="2" />;
  };
  const node = (frame, at) => {
    const [[x, y], { text, suffix = "", color }] = [places[of(frame).id], number(frame).display(last(frame))];
    return (
      <g key={at} textAnchor="middle" fill={theme.colors.text.primary}>
        <circle cx={x} cy={y} r="38" fill={theme.colors.background.secondary} stroke={color} strokeWidth="3" />
        <text x={x} y={y - 2}>{of(frame).title}</text><text x={x} y={y + 14}>{text}{suffix}</text>
      </g>
    );
  };
  return <svg viewBox="0 0 600 300" width={width} height={height}>{edges.map(edge)}{nodes.map(node)}</svg>;
}
