// The charts of a symbol: five panes, one time axis, one cross-hair, one zoom.
// No text of a message goes into the figure: plotly would take HTML in it for HTML.
import { byId } from "./dom.js";
import { layout } from "./layout.js";
import { palette } from "./palette.js";
import { makePanes, showPanes } from "./panes.js";
import { traces } from "./traces.js";

const figure = byId("figure");
const OPTIONS = { displayModeBar: false, responsive: true, doubleClick: "reset", scrollZoom: false };
let plotly = null;
let shown = null;
let hovered = null;

// Load the library once the page is there; charts come when it has come.
function load() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.body.dataset.plotly;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => {
      plotly = null;
      reject(new Error("the chart library did not come"));
    };
    document.head.append(script);
  });
  return plotly;
}

export async function showCharts(detail, changes, seconds, moment, now) {
  shown = { detail, changes, seconds, moment, now };
  figure.setAttribute("aria-label", `Charts of ${detail.row.symbol}: price, probability, liquidations, velocity, components`);
  await draw();
}

async function draw() {
  const library = await load();
  const { detail, changes, seconds, moment, now } = shown;
  const colours = palette();
  const fresh = figure.data === undefined;
  await library.react(figure, traces(detail, changes, seconds, colours), layout(detail, seconds, moment, now, colours), OPTIONS);
  if (fresh) {
    makePanes();
    figure.on("plotly_hover", ({ points }) => readOut(points[0]?.pointIndex ?? null, points[0]));
    figure.on("plotly_unhover", () => readOut(null));
  }
  showPanes(detail.history, hovered);
}

// The panes' titles tell the figures under the cross-hair, else the newest.
function readOut(place, point = null) {
  if (point !== null && point.data.name === "changes") return;
  hovered = place === null ? null : shown.detail.history.time[place] ?? null;
  showPanes(shown.detail.history, hovered);
}

addEventListener("theme", () => shown && figure.data && draw());
