// How panels are drawn: plain HTML and SVG, each from series of Prometheus or lines of the log store.

import { shown } from "./units.js";

const COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d", "#ffcb7d", "#c0d8ff"];
const NAMED = { green: "#73bf69", red: "#f2495c", orange: "#ff9830", blue: "#8ab8ff" };
const colour = (at) => COLOURS[at % COLOURS.length];
const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** What a value is worth: the colour of its threshold. */
function verdict(value, { thresholds }) {
  const steps = thresholds.steps.filter((step) => step.value === null || value >= step.value);
  return NAMED[steps.at(-1)?.color] ?? NAMED.blue;
}

function mapped(value, { mappings }) {
  return mappings[0]?.options?.[String(value)];
}

const text = (value, defaults) => mapped(value, defaults)?.text ?? shown(value, defaults.unit, defaults.decimals);

export function stat({ series, defaults }) {
  const value = series[0].points.at(-1)[1];
  const shade = NAMED[mapped(value, defaults)?.color] ?? verdict(value, defaults);
  return `<div class="stat" style="color:${shade}">${escaped(text(value, defaults))}</div>`;
}

export function bargauge({ series, defaults }) {
  const last = series.map(({ name, points }) => ({ name, value: points.at(-1)[1] }));
  const most = defaults.max ?? Math.max(...last.map(({ value }) => value), 1e-9);
  const bar = ({ name, value }, at) => `<div class="bar"><span title="${escaped(name)}">${escaped(name)}</span>
    <div><b style="width:${(100 * Math.max(value, 0)) / most}%;background:${colour(at)}"></b></div><em>${escaped(text(value, defaults))}</em></div>`;
  return `<div class="scroll">${last.map(bar).join("")}</div>`;
}

const WIDTH = 600;
const HEIGHT = 170;
const LEFT = 56;
const across = ({ from, to }) => (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT);

function legend(series) {
  const item = ({ name }, at) => `<span><i style="background:${colour(at)}"></i>${escaped(name)}</span>`;
  return `<div class="legend">${series.map(item).join("")}</div>`;
}

function grid(most, least, defaults, time) {
  const lines = [0, 0.5, 1].map((part) => {
    const y = HEIGHT - 14 - part * (HEIGHT - 24);
    const label = escaped(shown(least + part * (most - least), defaults.unit, defaults.unit === "percentunit" ? 0 : undefined));
    return `<line class="grid" x1="${LEFT}" x2="${WIDTH}" y1="${y}" y2="${y}"/><text x="${LEFT - 4}" y="${y + 3}" text-anchor="end">${label}</text>`;
  });
  const clock = (part) => new Date((time.from + part * (time.to - time.from)) * 1000).toTimeString().slice(0, 5);
  const times = [0.02, 0.5, 0.95].map((part) => `<text x="${LEFT + part * (WIDTH - LEFT)}" y="${HEIGHT}" text-anchor="middle">${clock(part)}</text>`);
  return lines.concat(times).join("");
}

const svg = (inner) => `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">${inner}</svg>`;

/** Lines, or areas on each other. */
export function timeseries({ series, defaults, time }) {
  const mode = defaults.custom?.stacking?.mode;
  const x = across(time);
  const times = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const rows = series.map(({ points }) => {
    const values = new Map(points);
    return times.map((at) => values.get(at) ?? (mode ? 0 : null));
  });
  if (mode === "percent") {
    times.forEach((_, at) => {
      const sum = rows.reduce((all, row) => all + row[at], 0) || 1;
      rows.forEach((row) => { row[at] /= sum; });
    });
  }
  const base = times.map(() => 0);
  const areas = rows.map((row) => row.map((value, at) => {
    if (!mode) return [value, value];
    base[at] += value;
    return [base[at] - value, base[at]];
  }));
  const tops = areas.flat().map(([, top]) => top).filter((top) => top !== null);
  const most = mode === "percent" ? 1 : defaults.max ?? Math.max(...tops, 1e-9);
  const least = Math.min(0, ...tops);
  const y = (value) => HEIGHT - 14 - ((value - least) / (most - least)) * (HEIGHT - 24);
  const paths = areas.map((area, at) => {
    const edge = (side) => area.map((pair, n) => [x(times[n]), pair[side]]).filter(([, value]) => value !== null).map(([px, value]) => `${px.toFixed(1)},${y(value).toFixed(1)}`);
    const line = `<polyline points="${edge(1).join(" ")}" fill="none" stroke="${colour(at)}" stroke-width="1.5" vector-effect="non-scaling-stroke"/>`;
    return mode ? `<polygon points="${edge(1).concat(edge(0).reverse()).join(" ")}" fill="${colour(at)}" fill-opacity="0.55"/>${line}` : line;
  });
  const unit = mode === "percent" ? { ...defaults, unit: "percentunit" } : defaults;
  return `<div style="height:calc(100% - 32px)">${svg(grid(most, least, unit, time) + paths.join(""))}</div>${legend(series)}`;
}

/** Buckets over time: what fell between a bucket's bound and the one below it. */
export function heatmap({ series, time }) {
  const bound = ({ labels }) => (labels.le === "+Inf" ? Infinity : Number(labels.le));
  const sorted = [...series].sort((a, b) => bound(a) - bound(b));
  const counts = sorted.map(({ points }, at) => {
    const below = new Map(at ? sorted[at - 1].points : []);
    return points.map(([when, value]) => [when, Math.max(0, value - (below.get(when) ?? 0))]);
  });
  const most = Math.max(...counts.flat().map(([, value]) => value), 1e-9);
  const x = across(time);
  const high = (HEIGHT - 20) / sorted.length;
  const cells = counts.flatMap((row, at) => row.filter(([, value]) => value > 0).map(([when, value]) =>
    `<rect x="${x(when - time.step).toFixed(1)}" y="${(HEIGHT - 16 - (at + 1) * high).toFixed(1)}" width="${Math.max(1, x(time.from + time.step) - LEFT).toFixed(1)}" height="${high.toFixed(1)}" fill="#ff9830" fill-opacity="${(0.15 + 0.85 * value / most).toFixed(2)}"/>`));
  const names = sorted.map(({ labels }, at) => `<text x="${LEFT - 4}" y="${HEIGHT - 16 - at * high - high / 2 + 3}" text-anchor="end">${labels.le === "+Inf" ? "more" : shown(Number(labels.le), "s")}</text>`);
  return svg(names.join("") + cells.join(""));
}

/** One line for each series, coloured by state. */
export function states({ series, defaults, time }) {
  const x = across(time);
  const high = (HEIGHT - 20) / series.length;
  const line = ({ name, points }, at) => {
    const top = at * high;
    const cells = points.map(([when, value]) => {
      const shade = NAMED[mapped(value, defaults)?.color] ?? NAMED.blue;
      return `<rect x="${x(when - time.step).toFixed(1)}" y="${(top + 2).toFixed(1)}" width="${(x(time.from + time.step) - LEFT + 0.3).toFixed(1)}" height="${(high - 4).toFixed(1)}" fill="${shade}"/>`;
    });
    return `<text x="${LEFT - 4}" y="${top + high / 2 + 3}" text-anchor="end">${escaped(name)}</text>${cells.join("")}`;
  };
  const names = Object.values(defaults.mappings[0]?.options ?? {}).map(({ text: name, color }) => `<span><i style="background:${NAMED[color]}"></i>${name}</span>`);
  return `<div style="height:calc(100% - 18px)">${svg(series.map(line).join(""))}</div><div class="legend">${names.join("")}</div>`;
}

export function pie({ series, defaults }) {
  const parts = series.map(({ name, points }) => ({ name, value: points.at(-1)[1] })).filter(({ value }) => value > 0);
  const whole = parts.reduce((sum, { value }) => sum + value, 0);
  if (!whole) return null;
  let turned = 0;
  const ring = parts.map(({ value }, at) => {
    const share = value / whole;
    const arc = `<circle r="40" cx="60" cy="60" fill="none" stroke="${colour(at)}" stroke-width="24" pathLength="1" stroke-dasharray="${share} ${1 - share}" stroke-dashoffset="${-turned}" transform="rotate(-90 60 60)"/>`;
    turned += share;
    return arc;
  });
  const rows = parts.map(({ name, value }, at) => `<tr><td><i style="display:inline-block;width:10px;height:10px;background:${colour(at)}"></i> ${escaped(name)}</td><td class="number">${escaped(text(value, defaults))}</td><td class="number">${shown(value / whole, "percentunit", 0)}</td></tr>`);
  return `<div style="display:flex;height:100%"><svg style="width:45%" viewBox="0 0 120 120">${ring.join("")}</svg><div class="scroll" style="width:55%"><table>${rows.join("")}</table></div></div>`;
}

/** One row for each set of labels, one column for each query. */
export function table({ series, panel, defaults }) {
  const columns = panel.targets.map(({ refId, legendFormat }) => ({ refId, name: legendFormat }));
  const labels = [...new Set(series.flatMap(({ labels: own }) => Object.keys(own)))].sort();
  const rows = new Map();
  for (const { labels: own, refId, points } of series) {
    const key = JSON.stringify(labels.map((label) => own[label] ?? ""));
    rows.set(key, { ...(rows.get(key) ?? {}), [refId]: points.at(-1)[1] });
  }
  const unit = ({ name }) => {
    const own = panel.fieldConfig.overrides.find(({ matcher }) => matcher.options === name)?.properties.find(({ id }) => id === "unit");
    return own ? [own.value] : [defaults.unit, defaults.decimals];
  };
  const first = columns[0].refId;
  const sorted = [...rows].sort((a, b) => (b[1][first] ?? 0) - (a[1][first] ?? 0));
  const head = labels.map((label) => `<th>${escaped(label)}</th>`).concat(columns.map(({ name }) => `<th class="number">${escaped(name)}</th>`));
  const row = ([key, values]) => `<tr>${JSON.parse(key).map((value) => `<td>${escaped(value)}</td>`).join("")}${columns.map((column) => `<td class="number">${values[column.refId] === undefined ? "" : escaped(shown(values[column.refId], ...unit(column)))}</td>`).join("")}</tr>`;
  return `<div class="scroll"><table><tr>${head.join("")}</tr>${sorted.map(row).join("")}</table></div>`;
}

/** The gateway and its services in a circle, each as thick as it is busy. */
export function graph({ series, defaults }) {
  const edges = series.filter(({ labels }) => labels.source);
  const nodes = series.filter(({ labels }) => !labels.source);
  const services = nodes.filter(({ labels }) => labels.id !== "gateway");
  const place = Object.fromEntries(services.map(({ labels }, at) => {
    const angle = (2 * Math.PI * at) / services.length;
    return [labels.id, [300 + 200 * Math.cos(angle), 150 + 110 * Math.sin(angle)]];
  }));
  place.gateway = [300, 150];
  const value = ({ points }) => points.at(-1)[1];
  const most = Math.max(...edges.map(value), 1e-9);
  const lines = edges.map((edge) => {
    const [[x1, y1], [x2, y2]] = [place[edge.labels.source], place[edge.labels.target]];
    return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#8ab8ff" stroke-width="${1 + (6 * value(edge)) / most}"/>`;
  });
  const dots = nodes.map((node, at) => {
    const [x, y] = place[node.labels.id];
    return `<circle cx="${x}" cy="${y}" r="30" fill="#22252b" stroke="${colour(at)}" stroke-width="3"/><text x="${x}" y="${y - 2}" text-anchor="middle">${escaped(node.labels.title)}</text><text x="${x}" y="${y + 12}" text-anchor="middle">${escaped(shown(value(node), defaults.unit ?? "reqps"))}</text>`;
  });
  return `<svg viewBox="0 0 600 300">${lines.join("")}${dots.join("")}</svg>`;
}

export function logs({ lines }) {
  const line = (entry) => `<div><span class="${escaped(entry.level)}">${escaped(entry._time?.slice(11, 23))} ${escaped(entry.level)}</span> ${escaped(entry.action)} ${escaped(entry._msg ?? entry.message ?? "")} ${escaped(entry.request_id ?? "")}</div>`;
  return `<div class="logs scroll">${lines.map(line).join("")}</div>`;
}
