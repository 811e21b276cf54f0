// The chosen symbol: its figures, why its level is what it is, windows, components, thresholds.
import { byId, make, setAttribute, setRows, setText } from "./dom.js";
import * as format from "./format.js";
import { isOld } from "./health.js";
import { LEVELS, long, short } from "./levels.js";

const number = (text, more = {}) => ({ text, class: "number", ...more });

export function showDetail(detail, now) {
  byId("detail-empty").hidden = true;
  byId("detail").hidden = false;
  const { row, latest } = detail;
  setText(byId("symbol-name"), row.symbol);
  setAttribute(byId("symbol-level"), "class", `badge level-${row.signal_level}`);
  setText(byId("symbol-level"), long(row.signal_level));
  setText(byId("symbol-probability"), format.number(row.probability, 2));
  const old = isOld(row.timestamp, now);
  setAttribute(byId("detail"), "data-old", String(old));
  const level = row.level_since === null ? "" : `for ${format.duration(now - row.level_since)}`;
  const since = old ? `unknown, no signal for ${format.duration(now - row.timestamp)}` : level;
  const silent = (latest?.context.feeds ?? []).map((gap) => gap.exchange).join(", ");
  const unknown = row.stale ? ", market unknown" : "";
  setText(byId("symbol-since"), since + unknown + (silent && `, without all data of ${silent}`));
  setText(byId("symbol-price"), format.price(row.price));
  setText(byId("why"), detail.why || "No signal yet.");
  setText(byId("relief"), detail.relief && `It comes ${detail.relief}.`);
  showBands(detail.thresholds);
  setRows(byId("components").tBodies[0], detail.components.map(componentCells));
  setRows(byId("windows").tBodies[0], detail.windows.map(windowCells));
  setRows(byId("thresholds").tBodies[0], detail.thresholds.map((each) => thresholdCells(each, latest)));
  setRows(byId("market").tBodies[0], marketCells(detail, now));
}

// Say in the symbol's place why there is none; lines that begin with $ are commands.
export function showInstead(...lines) {
  byId("detail").hidden = true;
  byId("detail-empty").hidden = false;
  const text = lines.join("\n");
  if (byId("detail-empty").dataset.text === text) return;
  byId("detail-empty").dataset.text = text;
  byId("detail-empty").replaceChildren(
    ...lines.map((line, place) => {
      if (line.startsWith("$ ")) return make("code", {}, line.slice(2));
      return make(place ? "p" : "h2", {}, line);
    }),
  );
}

// The levels' bands behind every spark line.
function showBands(thresholds) {
  for (const { level, probability } of thresholds) {
    document.documentElement.style.setProperty(`--from-${level.toLowerCase()}`, `${probability * 100}%`);
  }
}

function componentCells({ name, weight, score, contribution, has_data: known }) {
  const words = name === "oi_change" ? "OI change" : name;
  const title = known ? "" : "It has nothing to go by.";
  const shown = known ? format.number(score, 2) : "no data";
  return [
    { text: words, class: `part part-${name}` },
    number(format.number(weight, 2)),
    number(shown, { title }),
    number(format.number(contribution, 3)),
  ];
}

function windowCells({ seconds, count, velocity, long_usd: longs, short_usd: shorts }) {
  return [
    format.span(seconds),
    number(format.number(count)),
    number(format.number(velocity, 1)),
    number(format.usd(longs)),
    number(format.usd(shorts)),
  ];
}

function thresholdCells({ level, probability, velocity, acceleration }, latest) {
  const place = LEVELS.findIndex((each) => each.name === level);
  const reached = (value, threshold) => (latest && threshold !== null && value > threshold ? " reached" : "");
  return [
    { text: `${short(place)} ${level}`, class: `level-${place}` },
    { text: format.number(probability, 2), class: `number${reached(latest?.probability, probability)}` },
    { text: format.number(velocity), class: `number${reached(latest?.metrics.velocity, velocity)}` },
    { text: format.number(acceleration), class: `number${reached(latest?.metrics.acceleration, acceleration)}` },
  ];
}

function marketCells({ latest, positioning, volatility, velocity }, now) {
  const share = (value) => (value === null || value === undefined ? "–" : `${format.number(value * 100, 2)}%`);
  const rate = (value) => (value === null || value === undefined ? "–" : `${format.number(value * 100, 4)}%`);
  const event = latest?.meta.event_timestamp;
  const pairs = [
    ["open interest USD", format.usd(positioning?.open_interest_usd)],
    ["its change in 1 min", share(positioning?.change_1m)],
    ["funding per 8 h", rate(positioning?.rate)],
    ["volatility 1 min", volatility ? `${format.number(volatility.volatility_1m, 2)}%` : "–"],
    ["venues correlate", format.number(velocity?.exchange_correlation, 2)],
    ["leading venue", velocity?.leading_exchange ?? "–"],
    ["last event", event ? format.age(now - event) : "–"],
  ];
  return pairs.map(([name, value]) => [name, number(value)]);
}
