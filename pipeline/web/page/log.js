// The log of level changes: newest first, held still while somebody reads in it.
import { to } from "./address.js";
import { episodes, merged } from "./changes.js";
import { byId, make, setText, throttled } from "./dom.js";
import * as format from "./format.js";
import { LEVELS, long, short } from "./levels.js";
import { now } from "./time.js";

const MOST = 200;
const list = byId("log");
const least = byId("log-level");
const entries = new Map();
let changes = [];
let weights = {};

LEVELS.forEach((level, place) => least.append(make("option", { value: place }, place ? `${long(place)} +` : "all levels")));

export const known = () => changes;

// By the weights in force it is told which part was the strongest.
export function weigh(components) {
  weights = Object.fromEntries(components.map(({ name, weight }) => [name, weight]));
}

export function addChanges(more) {
  changes = merged(changes, more);
  show();
}

export const show = throttled(() => {
  const told = episodes(changes);
  const wanted = told.filter((entry) => entry.level >= Number(least.value)).slice(0, MOST);
  if (list.matches(":hover, :focus-within")) {
    const waiting = wanted.filter((entry) => !entries.has(entry.change.id)).length;
    setText(byId("log-paused"), waiting ? `held, ${waiting} new` : "held");
  } else {
    setText(byId("log-paused"), "");
    arrange(wanted);
  }
  for (const entry of told) entries.get(entry.change.id)?.grow(entry);
});

function arrange(wanted) {
  const kept = new Set(wanted.map((entry) => entry.change.id));
  for (const [id, shown] of entries) {
    if (kept.has(id)) continue;
    shown.node.remove();
    entries.delete(id);
  }
  let place = list.firstElementChild;
  for (const entry of wanted) {
    const { id } = entry.change;
    if (!entries.has(id)) entries.set(id, new Entry(entry.change));
    const { node } = entries.get(id);
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
  }
  list.classList.toggle("none", wanted.length === 0);
}

class Entry {
  constructor(change) {
    const time = make("time", { title: format.local(change.timestamp) }, format.moment(change.timestamp, now()));
    const link = make("a", { href: to(change.symbol, change.timestamp), title: "Show this moment in the charts" }, change.symbol);
    const copy = make("button", { type: "button", title: "Copy as JSON", "aria-label": `Copy ${change.symbol} as JSON` }, "{ }");
    copy.addEventListener("click", () => copied(copy, JSON.stringify(change, null, 2)));
    this.before = make("span");
    this.held = make("span", { class: "soft" });
    const after = make("b", { class: `level-${change.signal_level}` }, long(change.signal_level));
    const by = change.meta.level_reason;
    const strongest = by === "floor" ? "" : ", its strongest part is named";
    const title = `probability ${format.number(change.probability, 4)}; the level is by ${by}${strongest}`;
    this.reason = make("span", { class: "reason", title });
    this.node = make(
      "li",
      {},
      make("div", {}, time, link, this.held),
      make("div", {}, this.before, after, this.reason, copy),
    );
  }

  grow({ level, before, ended, began, change }) {
    setText(this.reason, reason(change));
    setText(this.before, before === null ? "→ " : `${short(before)} → `);
    this.before.className = before === null ? "" : `level-${before}`;
    if (level === 0) setText(this.held, before === null ? "" : `after ${format.duration(change.timestamp - began)}`);
    else if (ended !== null) setText(this.held, `for ${format.duration(ended - change.timestamp)}`);
    else setText(this.held, `${format.duration(now() - began)} so far`);
  }
}

function reason({ probability, scores, metrics, meta }) {
  const by = format.number(probability, 2);
  if (meta.level_reason === "floor") return `${by} floor ${format.number(metrics.velocity, 0)}/s`;
  const weighed = (name) => weights[name] * scores[name];
  const names = Object.keys(weights).filter(weighed).sort((one, other) => weighed(other) - weighed(one));
  return `${by} ${names.length ? format.part(names[0]) : "prob."}`;
}

async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS there is no clipboard but for what is marked.
    const area = document.body.appendChild(make("textarea", { class: "hidden", readonly: "" }));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  setText(button, "✓");
  setTimeout(() => setText(button, "{ }"), 1_500);
}

least.addEventListener("change", show);
for (const kind of ["mouseleave", "focusout"]) list.addEventListener(kind, () => setTimeout(show, 0));
