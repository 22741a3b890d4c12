// LogQL, as far as the dashboards use it, in LogsQL, the language of the log store of `make monitor`. Users' dashboards ask Loki; this
// page and the tests ask the store that can be had without a container.

const SELECTOR = /^\{([^}]*)\}((?:\s*\|\s*[a-z_]+\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*")*)((?:\s*\|~\s*"(?:[^"\\]|\\.)*")*)$/;
const MATCHER = /([a-z_]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")/g;

function filters(text) {
  const one = ([, label, operator, value]) => {
    switch (operator) {
      case "=": return `${label}:=${value}`;
      case "!=": return value === '""' ? `${label}:*` : `!${label}:=${value}`;
      // LogQL's expressions are anchored.
      case "=~": return value === '".*"' ? "*" : `${label}:~${JSON.stringify(`^(?:${JSON.parse(value)})$`)}`;
      default: return `!${label}:~${JSON.stringify(`^(?:${JSON.parse(value)})$`)}`;
    }
  };
  return [...text.matchAll(MATCHER)].map(one).join(" ");
}

/** The LogsQL of lines: `{..} | label="value" |~ "part of the line"`. */
export function lines(query) {
  const parts = SELECTOR.exec(query.trim());
  if (!parts) throw new Error(`no selector: ${query}`);
  return `${filters(parts[1] + parts[2])}${parts[3].replaceAll(/\s*\|~\s*/g, " _msg:~")}`;
}

/** The LogsQL of a number by labels. Its result has the labels and `value`. */
export function numbers(query) {
  let text = query.trim();
  let most = /^topk\((\d+),\s*([\s\S]*)\)$/.exec(text);
  const count = /^count\(([\s\S]*)\)$/.exec(text);
  text = most ? most[2].trim() : count ? count[1].trim() : text;
  const sum = /^sum\(count_over_time\(([\s\S]*?)\s*\[[^\]]+\]\)\)$/.exec(text);
  if (sum) return `${lines(sum[1])} | stats count() value`;
  const by = /^sum by \(([a-z_, ]+)\) \(count_over_time\(([\s\S]*?)\s*\[[^\]]+\]\)\)$/.exec(text);
  if (!by) throw new Error(`not a count of lines: ${query}`);
  const stats = `${lines(by[2])} | stats by (${by[1]}) count() value`;
  if (most) return `${stats} | sort by (value desc) limit ${most[1]}`;
  return count ? `${stats} | stats count() value` : stats;
}
