// Numbers as Grafana shows them, as far as the dashboards use its units.

const scaled = (value, base, names) => {
  let step = 0;
  while (Math.abs(value) >= base && step < names.length - 1) {
    value /= base;
    step += 1;
  }
  return `${digits(value)}${names[step]}`;
};

function digits(value) {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-3) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  return size < 120 ? `${digits(value)} s` : size < 7200 ? `${digits(value / 60)} min` : `${digits(value / 3600)} h`;
}

/** A value in a unit, with so many decimals where that is said. */
export function shown(value, unit, decimals) {
  if (value === null || Number.isNaN(value)) return "";
  switch (unit) {
    case "percentunit": return `${(value * 100).toFixed(decimals ?? 1)}%`;
    case "reqps": return `${digits(value)} req/s`;
    case "cps": return `${digits(value)} /s`;
    case "s": return seconds(value);
    case "bytes": return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
    case "Bps": return scaled(value, 1000, [" B/s", " kB/s", " MB/s", " GB/s"]);
    case "suffix: cents": return `${Math.round(value)} cents`;
    case "locale": return Math.round(value).toLocaleString("en");
    case "short": return scaled(value, 1000, ["", " K", " M", " G"]);
    default: return unit?.startsWith("currency") ? `$${value.toFixed(decimals ?? 2)}` : digits(value);
  }
}
