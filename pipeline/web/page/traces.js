// What is drawn: the columns of a symbol's past.
import { LEVELS } from "./levels.js";

const milliseconds = (times) => times.map((time) => time * 1_000);

export function traces({ history }, changes, seconds, colours) {
  const x = milliseconds(history.time);
  const line = (name, y, axis, color, more = {}) => ({
    name, x, y, yaxis: axis, mode: "lines", line: { color, width: 1.5 }, hoverinfo: "none", ...more,
  });
  const area = (name, y, color) => line(name, y, "y3", color, { fill: "tozeroy", line: { color, width: 1, shape: "hv" } });
  const thin = (name, y, axis, color, dash) => line(name, y, axis, color, { line: { color, width: 1, dash } });
  return [
    line("price", history.price, "y", colours.text),
    marks(history, changes, seconds / 30, colours),
    line("probability", history.probability, "y2", colours.text, { line: { color: colours.text, width: 1.5, shape: "hv" } }),
    area("longs", history.long_usd, colours.long),
    area("shorts", history.short_usd.map((value) => value && -value), colours.short),
    line("USD/s", history.volume_usd, "y6", colours.text, { line: { color: colours.text, width: 1 } }),
    thin("USD/s in 5 min", rates(history), "y6", colours.text, "dot"),
    thin("velocity in 5 min", history.velocity_300s, "y4", colours.accent, "dot"),
    thin("velocity in 1 min", history.velocity_60s, "y4", colours.accent, "dash"),
    line("velocity", history.velocity, "y4", colours.accent),
    line("acceleration", history.acceleration, "y7", colours.second, { line: { color: colours.second, width: 1 } }),
    ...Object.entries(history.contributions).map(([name, y]) =>
      line(name, y, "y5", colours.parts[name], {
        stackgroup: "parts", line: { width: 0.5, color: colours.parts[name], shape: "hv" }, fillcolor: colours.parts[name],
      }),
    ),
  ];
}

// USD/s over the 5 minutes of which what was liquidated is known, null where it is not.
export const rates = ({ long_usd: longs, short_usd: shorts }) =>
  longs.map((value, place) => (value === null ? null : (value + shorts[place]) / 300));

// Where the level changed, on the price that was the last one then; with its letter where there is room.
function marks(history, changes, room, colours) {
  const told = changes.filter((change) => change.timestamp >= (history.time[0] ?? Infinity));
  const level = told.map((change) => change.signal_level);
  return {
    name: "changes",
    x: milliseconds(told.map((change) => change.timestamp)),
    y: told.map((change) => priceAt(history, change.timestamp)),
    yaxis: "y",
    mode: "markers+text",
    text: told.map((change, place) => (told[place - 1]?.timestamp - change.timestamp < room ? "" : LEVELS[level[place]].letter)),
    textposition: "top center",
    textfont: { color: level.map((each) => colours.levels[each]), size: 10 },
    marker: {
      symbol: level.map((each) => LEVELS[each].plotly),
      color: level.map((each) => colours.levels[each]),
      size: level.map((each) => (each ? 9 : 5)),
      line: { width: 1.5, color: level.map((each) => colours.levels[each]) },
    },
    hoverinfo: "none",
    cliponaxis: false,
  };
}

function priceAt(history, time) {
  const place = history.time.findLastIndex((each) => each <= time);
  return place < 0 ? null : history.price[place];
}
