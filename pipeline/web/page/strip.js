// The workers: can what is shown be trusted? Every figure names the metric that it is.
import { byId, make, setRows, setText } from "./dom.js";
import * as format from "./format.js";
import { inWords } from "./notice.js";

const seconds = (value) => {
  if (value === null) return "–";
  return value < 60 ? `${format.number(value, value < 10 ? 2 : 0)} s` : format.duration(value);
};
const milliseconds = (value) => {
  if (value === null || value >= 1_000) return seconds(value && value / 1_000);
  return `${format.number(value, value < 10 ? 1 : 0)} ms`;
};

const COLUMNS = [
  ["worker", "its status", (worker) => ({ text: place(worker.worker), href: href(worker.worker) })],
  ["state", "cascade_ready", (worker) => (worker.problems.length ? bad(worker.problems.join("; ")) : good(worker.phase))],
  ["partitions", "cascade_partitions", (worker) => worker.partitions.map((each) => each.partition).join(", ") || "none"],
  ["lag", "cascade_lag_records", (worker) => (worker.lag === null ? "–" : format.number(worker.lag))],
  ["behind", "cascade_lag_seconds", (worker) => behind(worker.lag_seconds)],
  ["to signal p50", "cascade_event_to_signal_seconds", (worker) => milliseconds(worker.event_to_signal.p50_ms)],
  ["p99", "cascade_event_to_signal_seconds", (worker) => milliseconds(worker.event_to_signal.p99_ms)],
  ["checkpoint age", "cascade_checkpoint_age_seconds", (worker) => seconds(worker.checkpoint.age_seconds)],
  ["took p99", "cascade_checkpoint_seconds", (worker) => seconds(worker.checkpoint.p99_seconds)],
  ["market age", "cascade_context_age_seconds", (worker) => seconds(worker.context_age_seconds)],
  ["Redis", "cascade_redis_up", (worker) => redis(worker.redis)],
  ["dead letters", "cascade_dead_letters_total", (worker) => (worker.dead_letters ? bad : good)(format.number(worker.dead_letters))],
];
const TEXT = new Set(["worker", "state", "partitions", "Redis"]);

byId("workers").tHead.rows[0].append(
  ...COLUMNS.map(([title, metric]) => make("th", { scope: "col", title: metric, class: TEXT.has(title) ? "" : "number" }, title)),
);

export function showFleet({ workers, missing }) {
  setRows(byId("workers").tBodies[0], workers.map(cells));
  setText(byId("missing"), missing.map(inWords).join("; "));
}

// Where collectors tell of a silent feed, quiet says nothing of the market.
export function showFeeds(gaps, now) {
  const lasting = gaps.filter((gap) => gap.to === null);
  const told = lasting.map((gap) => `${gap.exchange} since ${format.moment(gap.from, now)} (${gap.reason})`);
  const over = gaps.length - lasting.length;
  const past = over ? `${over} ${over === 1 ? "gap" : "gaps"} of feeds in the last day` : "";
  byId("feeds").classList.toggle("lasting", lasting.length > 0);
  byId("feeds").title = "topic feed-status";
  setText(byId("feeds"), told.length ? `Silent feeds: ${told.join("; ")}` : past);
}

function cells(worker) {
  return COLUMNS.map(([title, metric, figure]) => {
    const found = figure(worker);
    const cell = typeof found === "string" ? { text: found } : found;
    const kind = `${TEXT.has(title) ? "" : "number"} ${cell.class ?? ""}`.trim();
    return { ...cell, class: kind, title: cell.title ?? metric };
  });
}

const good = (text) => ({ text });
const bad = (text) => ({ text, class: "bad" });
const behind = (age) => (age > 5 ? bad : good)(seconds(age));

function redis({ state, last_error: error, lag }) {
  if (state === "off") return "off";
  if (state === "down") return { ...bad("down"), title: `cascade_redis_up: ${error}` };
  return lag ? `up, ${format.number(lag)} waiting` : "up";
}

const place = (url) => url.replace(/^https?:\/\//, "");
const href = (url) => (/^https?:\/\//.test(url) ? `${url}/status` : "/status");
