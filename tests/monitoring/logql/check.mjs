// Every LogQL query of the rendered files, by Grafana's own grammar; and whether `make monitor` can ask its log store the same.
//
//   node check.mjs envoy/monitoring/example

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parser } from "@grafana/lezer-logql";
import { lines, numbers } from "../../../envoy/monitoring/page/logql.js";

const folder = process.argv[2];

/** A query as Grafana sends it. */
const asked = (query) => query.replaceAll("$__range", "1h").replaceAll("$request_id", ".*");

function dashboards() {
  const files = readdirSync(join(folder, "dashboards"));
  const panels = files.flatMap((file) => JSON.parse(readFileSync(join(folder, "dashboards", file))).panels.map((panel) => ({ file, panel })));
  return panels.flatMap(({ file, panel }) => (panel.targets ?? [])
    .filter(({ datasource }) => datasource.type === "loki")
    .map(({ expr }) => ({ place: `${file}: ${panel.title}`, query: asked(expr), isLines: panel.type === "logs", translated: true })));
}

/** What stands behind `expr:` in YAML: folded over the following lines, or on its own. */
function rules() {
  const text = readFileSync(join(folder, "logs/loki-rules.yaml"), "utf8");
  const folded = [...text.matchAll(/^( *)expr: >-\n((?:\1 +.*\n)+)/gm)].map(([, , body]) => body.trim().split(/\s*\n\s*/).join(" "));
  const plain = [...text.matchAll(/^ *expr: (?!>-)(.*)$/gm)].map(([, expr]) => expr);
  return [...folded, ...plain].map((query) => ({ place: "loki-rules.yaml", query }));
}

function mistakes({ place, query, isLines, translated }) {
  const found = [];
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) found.push(`${place}: no LogQL at ${node.from}: ${query}`);
    },
  });
  if (translated) {
    try {
      (isLines ? lines : numbers)(query);
    } catch (error) {
      found.push(`${place}: ${error.message}`);
    }
  }
  return found;
}

const queries = [...dashboards(), ...rules()];
const found = queries.flatMap(mistakes);
found.forEach((mistake) => console.error(mistake));
// The check itself must notice a brace that is missing.
if (!mistakes({ place: "a broken one", query: '{service="gateway"' }).length) found.push("nothing notices a broken query");
console.log(`${queries.length} LogQL queries, ${found.length} wrong`);
process.exit(found.length || queries.length < 8 ? 1 : 0);
