// The top bar: the market's state, how many symbols are at each level, and whether data are fresh.
import { byId, make, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { isOld } from "./health.js";
import { LEVELS } from "./levels.js";

const badges = LEVELS.map((level, place) => {
  const count = make("b", {}, "–");
  const word = make("span", { class: "word" }, ` ${level.name}`);
  byId("levels").prepend(make("li", { class: `level-${place}`, title: level.name }, level.shape, word, count));
  return count;
});

export function showClock(now) {
  setText(byId("clock"), `${format.clock(now)} UTC`);
  byId("clock").title = format.local(now);
}

export function showHealth(health, now) {
  const old = health.kind === "stale" ? ` since ${format.moment(health.since, now)}` : "";
  setText(byId("health-word"), health.kind + old);
  setAttribute(document.body, "data-health", health.kind);
  const newest = health.since === null ? "No event has come." : `Newest event: ${format.clock(health.since)} UTC.`;
  setAttribute(byId("health"), "title", newest);
}

export function showLevels(symbols) {
  LEVELS.forEach(({ name }, level) => {
    const count = symbols.by_level[name];
    setText(badges[level], format.number(count));
    badges[level].parentElement.classList.toggle("zero", count === 0);
  });
  const hot = [4, 3, 2].filter((level) => symbols.by_level[LEVELS[level].name]);
  const words = hot.map((level) => `${LEVELS[level].shape}${symbols.by_level[LEVELS[level].name]}`);
  document.title = [...words, "cascade"].join(" ");
}

export function showMarket({ reference, regime, volatility }, now) {
  setText(byId("reference"), reference);
  const word = byId("regime");
  setText(word, regime?.market_regime ?? "unknown");
  setAttribute(word, "data-regime", regime?.market_regime ?? "unknown");
  setText(byId("reference-price"), format.price(volatility?.price));
  const warming = volatility?.warming ? " (warming)" : "";
  setText(byId("risk"), volatility ? `× ${format.number(volatility.cascade_risk_multiplier, 2)}${warming}` : "–");
  setText(byId("regime-held"), regime ? held(regime, now) : "");
  setText(byId("liquidity"), words(regime?.liquidity_regime));
  setText(byId("trend"), words(regime?.trend_regime));
  setAttribute(byId("facts"), "data-old", String(isOld(regime?.timestamp ?? null, now)));
}

const words = (name) => name?.toLowerCase().replaceAll("_", " ") ?? "–";

function held({ timestamp, time_in_regime: seconds }, now) {
  if (isOld(timestamp, now)) return `at ${format.moment(timestamp, now)}`;
  return `for ${format.duration(seconds + Math.max(0, now - timestamp))}`;
}
