// Where it is drawn: five panes one above the other on one time axis.
import { LEVELS } from "./levels.js";

// From top to bottom: the axis, the part of the height, the room above it for its title.
export const PANES = [
  { key: "price", top: 0, bottom: 0.25 },
  { key: "probability", top: 0.25, bottom: 0.45 },
  { key: "liquidated", top: 0.45, bottom: 0.65 },
  { key: "velocity", top: 0.65, bottom: 0.82 },
  { key: "components", top: 0.82, bottom: 1 },
];
export const MARGIN = { l: 52, r: 52, t: 2, b: 24 };
const GAP = 0.042;

const domain = (place) => [1 - PANES[place].bottom, 1 - PANES[place].top - GAP];

export function layout({ row, thresholds, history }, seconds, moment, now, colours) {
  const soft = { color: colours.soft };
  const lines = { gridcolor: colours.line, zerolinecolor: colours.line, linecolor: colours.line, tickfont: soft };
  const axis = { ...lines, fixedrange: true, nticks: 5 };
  const right = (left, color) => ({
    ...axis, overlaying: left, side: "right", showgrid: false, zeroline: false, tickfont: { color }, nticks: 4, tickmode: "auto",
  });
  const shorts = history.short_usd.map((value) => -value); // of null, where it is not known, 0
  const liquidated = aligned([...history.long_usd, ...shorts], history.volume_usd);
  const steps = thresholds.map((each) => each.probability);
  const tiny = history.price.some((value) => value !== null && value < 0.01); // no room for all its zeros
  const velocity = aligned([...history.velocity, ...history.velocity_60s, ...history.velocity_300s], history.acceleration);
  return {
    autosize: true,
    margin: MARGIN,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, size: 10, color: colours.soft },
    showlegend: false,
    hovermode: "x",
    hoverdistance: -1,
    spikedistance: -1,
    dragmode: "zoom",
    // A zoom is kept until another symbol, range or moment is chosen.
    uirevision: `${row.symbol} ${seconds} ${moment}`,
    xaxis: {
      ...lines, type: "date", range: range(seconds, moment, now), anchor: "y5", tickformatstops: TICKS, nticks: 8,
      showspikes: true, spikemode: "across", spikesnap: "cursor", spikethickness: -2, spikecolor: colours.soft, spikedash: "solid",
    },
    yaxis: { ...axis, domain: domain(0), tickformat: tiny ? "~e" : ",", nticks: 4 },
    yaxis2: { ...axis, domain: domain(1), range: [0, 1.02], tickvals: [0, ...steps], tickformat: ".1f" },
    yaxis3: { ...axis, domain: domain(2), range: liquidated.left, tickformat: ".3~s", nticks: 4, zerolinecolor: colours.soft },
    yaxis4: { ...axis, domain: domain(3), range: velocity.left, tickformat: ".3~r", nticks: 4 },
    yaxis5: { ...axis, domain: domain(4), range: [0, 1.02], tickvals: [0, 0.5, 1], tickformat: ".1f" },
    yaxis6: { ...right("y3", colours.text), range: liquidated.right, tickformat: ".3~s" },
    yaxis7: { ...right("y4", colours.second), range: velocity.right, tickformat: ".3~r" },
    annotations: letters(thresholds, colours),
    shapes: [...bands(thresholds, colours), ...momentLine(moment, colours)],
  };
}

const TICKS = [
  { dtickrange: [null, 60_000], value: "%H:%M:%S" },
  { dtickrange: [60_000, 86_400_000], value: "%H:%M" },
  { dtickrange: [86_400_000, null], value: "%b %d" },
];

// Up to now; or around a moment, as far as it is known.
function range(seconds, moment, now) {
  const end = moment === null ? now : Math.min(now, moment + seconds / 2);
  return [(end - seconds) * 1_000, end * 1_000];
}

// Ranges of two axes whose zeros are at the same height, whatever their units.
function aligned(left, right) {
  const ends = [left, right].map((values) => [Math.min(0, ...values), Math.max(0, ...values)]);
  const sizes = ends.map(([low, high]) => Math.max(high, -low) || 1);
  const low = Math.min(...ends.map(([least], side) => least / sizes[side])) * 1.06;
  const high = Math.max(...ends.map(([, most], side) => most / sizes[side]), 0.1) * 1.06;
  return { left: [low * sizes[0], high * sizes[0]], right: [low * sizes[1], high * sizes[1]] };
}

function bands(thresholds, colours) {
  return thresholds.map(({ probability, level }, place) => ({
    type: "rect", xref: "paper", x0: 0, x1: 1, yref: "y2", y0: probability, y1: thresholds[place + 1]?.probability ?? 1.02,
    fillcolor: colours.levels[place + 1], opacity: 0.16, layer: "below", line: { width: 0 }, name: level,
  }));
}

function letters(thresholds, colours) {
  return thresholds.map(({ probability }, place) => ({
    text: LEVELS[place + 1].letter, font: { size: 10, color: colours.levels[place + 1] }, showarrow: false, xref: "paper", x: 1,
    xanchor: "left", yref: "y2", y: (probability + (thresholds[place + 1]?.probability ?? 1.02)) / 2,
  }));
}

function momentLine(moment, colours) {
  if (moment === null) return [];
  const x = moment * 1_000;
  const line = { color: colours.accent, width: 1.5, dash: "dot" };
  return [{ type: "line", xref: "x", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line }];
}
