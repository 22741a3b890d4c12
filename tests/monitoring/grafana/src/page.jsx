// A dashboard, drawn with Grafana's own components from what a real Prometheus and a log store answer. For tests; not Grafana itself.
// What is drawn is said in `data-report` of the document: of each panel whether it has data, its declared empty state, or an error.

import { ThemeContext } from "@grafana/data";
import { GlobalStyles, PanelChrome } from "@grafana/ui";
import { initPluginTranslations } from "@grafana/i18n";
import { Component, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { address, recent, text } from "../../../../envoy/monitoring/page/ask.js";
import { Graph, Heatmap, Pie, States } from "./drawn.jsx";
import { register } from "./fields.js";
import { frames, theme } from "./frames.js";
import { Bars, Lines, LogLines, Rows, Stat } from "./panels.jsx";

const DRAWN = {
  stat: Stat, timeseries: Lines, bargauge: Bars, table: Rows, logs: LogLines, piechart: Pie, heatmap: Heatmap, "state-timeline": States, nodeGraph: Graph,
};
const WIDTH = 1392;
const [COLUMN, LINE, GAP] = [WIDTH / 24, 38, 8];

/** What a component throws while it draws is the panel's error. */
class Caught extends Component {
  state = {};

  static getDerivedStateFromError = (error) => ({ error });

  componentDidCatch(error) {
    this.props.onError(error);
  }

  render() {
    return this.state.error ? null : this.props.children;
  }
}

function Panel({ panel, found, time, onError }) {
  const { x, y, w, h } = panel.gridPos;
  const Drawn = DRAWN[panel.type];
  // A stat says itself that there is nothing.
  const isEmpty = !found.frames?.length && panel.type !== "stat";
  const body = (width, height) => {
    if (found.error) return null;
    if (isEmpty) return <div className="nothing">{panel.fieldConfig.defaults.noValue}</div>;
    return <Caught onError={onError}><Drawn {...{ panel, width, height, time }} frames={found.frames} /></Caught>;
  };
  return (
    <div data-panel={panel.id} style={{ position: "absolute", left: x * COLUMN, top: y * LINE }}>
      <PanelChrome title={panel.title} description={panel.description} statusMessage={found.error?.message} width={w * COLUMN - GAP} height={h * LINE - GAP}>
        {body}
      </PanelChrome>
    </div>
  );
}

const Row = ({ panel }) => <h4 style={{ position: "absolute", top: panel.gridPos.y * LINE + 8 }}>{panel.title}</h4>;

function Dashboard({ dashboard, answers, time, onDrawn }) {
  useEffect(onDrawn, []);
  const one = (panel) => (panel.type === "row" ? <Row key={panel.id} panel={panel} /> : (
    <Panel key={panel.id} panel={panel} found={answers.get(panel.id)} time={time} onError={(error) => { answers.get(panel.id).error = error; }} />
  ));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h3>{dashboard.title}</h3>
      <div style={{ position: "relative" }}>{dashboard.panels.map(one)}</div>
    </ThemeContext.Provider>
  );
}

async function answer(panel, time) {
  try {
    return { frames: await frames(panel, time) };
  } catch (error) {
    return { error };
  }
}

function isPainted(canvas) {
  const { data } = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, at) => at % 4 === 3 && value > 0);
}

/** Whether something of a panel's body is to be seen. */
function isDrawn(id) {
  const body = document.querySelector(`[data-panel="${id}"] [data-testid="data-testid panel content"]`);
  if (!body) return false;
  const canvas = body.querySelector("canvas");
  if (canvas) return isPainted(canvas);
  const svg = body.querySelector("svg");
  return svg ? svg.querySelector("rect, circle, line, path") !== null : body.textContent.trim() !== "";
}

function report(panels, answers) {
  return panels.map(({ id, title, type }) => {
    const { frames: found, error } = answers.get(id);
    const full = found?.some(({ length }) => length) ? "data" : "nothing";
    const state = error ? "error" : isDrawn(id) ? full : "blank";
    return { title, type, state, error: error?.message ?? "" };
  });
}

const later = () => new Promise((resolve) => { setTimeout(resolve, 50); });

/** Charts are painted some time after their elements are there. Not by animation frames: a browser without a screen may make none. */
async function painted(panels, answers) {
  for (let left = 100; left && report(panels, answers).some(({ state }) => state === "blank"); left -= 1) await later();
}

async function main() {
  register();
  await initPluginTranslations("portcullis");
  const dashboard = JSON.parse(await text(`/dashboards/${address.get("dashboard") ?? "gateway-overview"}.json`));
  const panels = dashboard.panels.filter(({ type }) => type !== "row");
  const time = recent();
  const answers = new Map(await Promise.all(panels.map(async (panel) => [panel.id, await answer(panel, time)])));
  const root = createRoot(document.getElementById("dashboard"));
  await new Promise((resolve) => { root.render(<Dashboard {...{ dashboard, answers, time }} onDrawn={() => { resolve(); }} />); });
  await painted(panels, answers);
  document.documentElement.dataset.report = JSON.stringify(report(panels, answers));
}

main().catch((error) => {
  document.documentElement.dataset.report = JSON.stringify([{ title: "page", state: "error", error: String(error.stack) }]);
});
