// The list of symbols, the hottest first; rows are updated in place.
import { to } from "./address.js";
import { byId, make, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { LEVELS, short } from "./levels.js";
import { drawSpark, makeSpark } from "./spark.js";

const table = byId("list");
const body = byId("rows");
const filter = byId("filter");

class Row {
  constructor(symbol, id) {
    this.symbol = symbol;
    this.spark = makeSpark();
    this.longs = make("i");
    this.cells = ["mark", "name", "number", "spark", "number", "number", "split", "venue", "number age"].map(
      (kind) => make("td", { class: kind }),
    );
    this.cells[3].append(this.spark);
    this.cells[6].append(make("div", {}, this.longs));
    this.node = make("tr", { id, role: "row" }, ...this.cells);
    for (const cell of this.cells) cell.setAttribute("role", "gridcell");
    setText(this.cells[1], symbol);
    this.cells[1].title = symbol;
  }

  show(row) {
    const [mark, , probability, , velocity, dollars, split, venue] = this.cells;
    this.lastEvent = row.last_event;
    setAttribute(this.node, "class", `level-${row.signal_level}`);
    setText(mark, short(row.signal_level));
    setAttribute(mark, "aria-label", LEVELS[row.signal_level].name);
    setText(probability, format.number(row.probability, 2));
    setAttribute(probability, "title", `${change(row.change)} in a minute`);
    drawSpark(this.spark, row.trend);
    setText(velocity, format.number(row.velocity, 1));
    setText(dollars, format.usd(row.volume_usd));
    split.firstChild.hidden = row.long_share === null;
    this.longs.style.width = `${(row.long_share ?? 0) * 100}%`;
    setAttribute(split, "title", row.long_share === null ? "" : `longs ${format.number(row.long_share * 100)}% of the USD of 5 minutes`);
    setText(venue, row.leading_exchange ?? "");
    setAttribute(venue, "title", row.leading_exchange ?? "");
  }

  grow(now) {
    const cell = this.cells[8];
    setText(cell, this.lastEvent === null ? "–" : format.age(now - this.lastEvent));
    if (this.lastEvent !== null) setAttribute(cell, "title", `${format.moment(this.lastEvent, now)} UTC, ${format.local(this.lastEvent)}`);
  }
}

const change = (value) => (value > 0 ? "+" : "") + format.number(value, 2);
const rows = new Map();
let order = [];
let active = null;
let made = 0;

export function showSymbols({ symbols, count }, chosen, now) {
  const seen = new Set(symbols.map((row) => row.symbol));
  for (const [symbol, row] of rows) {
    if (seen.has(symbol)) continue;
    row.node.remove();
    rows.delete(symbol);
  }
  for (const data of symbols) {
    if (!rows.has(data.symbol)) rows.set(data.symbol, new Row(data.symbol, `row-${(made += 1)}`));
    rows.get(data.symbol).show(data);
  }
  // Nothing moves away under a pointer.
  const held = body.matches(":hover") && order.length > 0;
  const places = held ? new Map(order.map((symbol, place) => [symbol, place])) : null;
  order = symbols.map((row) => row.symbol);
  if (held) order.sort((one, other) => (places.get(one) ?? Infinity) - (places.get(other) ?? Infinity));
  arrange(count);
  markChosen(chosen);
  age(now);
}

export function age(now) {
  for (const row of rows.values()) row.grow(now);
}

export function markChosen(chosen) {
  for (const [symbol, row] of rows) setAttribute(row.node, "aria-selected", String(symbol === chosen));
  if (!rows.has(active)) activate(null);
}

function arrange(count) {
  let place = body.firstElementChild;
  for (const symbol of visible()) {
    const { node } = rows.get(symbol);
    if (node === place) place = place.nextElementSibling;
    else body.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextElementSibling;
    place.remove();
    place = next;
  }
  setAttribute(table, "aria-rowcount", String(body.rows.length + 1));
  setText(byId("list-count"), count > body.rows.length ? `${body.rows.length} of ${format.number(count)}` : `${count}`);
  const nothing = body.rows.length ? "" : order.length ? "No symbol with this in its name." : "No symbol yet.";
  byId("list-empty").hidden = !nothing;
  setText(byId("list-empty"), nothing);
}

function visible() {
  const wanted = filter.value.trim().toUpperCase();
  return order.filter((symbol) => symbol.includes(wanted));
}

function activate(symbol) {
  rows.get(active)?.node.classList.remove("active");
  active = symbol;
  const row = rows.get(active);
  if (row === undefined) {
    table.removeAttribute("aria-activedescendant");
    return;
  }
  row.node.classList.add("active");
  setAttribute(table, "aria-activedescendant", row.node.id);
  row.node.scrollIntoView({ block: "nearest" });
}

// The focus stays on the table and the active row is a symbol: it keeps both when rows move.
function onKey(event) {
  const shown = visible();
  const place = shown.indexOf(active);
  const last = shown.length - 1;
  const steps = { ArrowDown: place + 1, ArrowUp: place < 0 ? last : place - 1, Home: 0, End: last };
  if (event.key === "Enter" && place >= 0) location.hash = to(active);
  else if (event.key in steps && last >= 0) activate(shown[Math.min(Math.max(steps[event.key], 0), last)]);
  else return;
  event.preventDefault();
}

table.addEventListener("keydown", onKey);
table.addEventListener("focus", () => active === null && activate(chosenOrFirst()));
filter.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    activate(visible()[0] ?? null);
    if (event.key === "Enter" && active !== null) location.hash = to(active);
    table.focus();
    event.preventDefault();
  }
});
filter.addEventListener("input", () => arrange(order.length));
body.addEventListener("click", (event) => {
  const node = event.target.closest("tr");
  const found = [...rows.values()].find((row) => row.node === node);
  if (found === undefined) return;
  activate(found.symbol);
  location.hash = to(found.symbol);
});

const chosenOrFirst = () =>
  [...rows.values()].find((row) => row.node.ariaSelected === "true")?.symbol ?? visible()[0] ?? null;
