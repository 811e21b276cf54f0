// The list of symbols, the hottest first; rows are updated in place.
import { to } from "./address.js";
import { byId, make, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { isOld } from "./health.js";
import { LEVELS, short } from "./levels.js";
import { drawSpark, makeSpark } from "./spark.js";
import { now } from "./time.js";

const table = byId("list");
const body = byId("rows");
const filter = byId("filter");
const scroll = byId("list-scroll");

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
    this.told = row.timestamp;
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
    const longs = `longs ${format.number(row.long_share * 100)}% of the USD of 5 minutes`;
    setAttribute(split, "title", row.long_share === null ? "" : longs);
    setText(venue, row.leading_exchange ?? "");
    setAttribute(venue, "title", row.leading_exchange ?? "");
    this.grow();
  }

  grow() {
    const cell = this.cells[8];
    const event = this.lastEvent;
    setAttribute(this.node, "data-old", String(isOld(this.told, now())));
    setText(cell, event === null ? "–" : format.age(now() - event));
    if (event !== null) setAttribute(cell, "title", `${format.moment(event, now())} UTC, ${format.local(event)}`);
  }
}

const change = (value) => (value > 0 ? "+" : "") + format.number(value, 2);
const OVER = 6; // rows beyond the edges of what can be seen
const found = new Map(); // what is known of each symbol
const rows = new Map(); // the rows on the page: those in view
let order = [];
let total = 0;
let active = null;
let chosen = null;
let made = 0;

export function showSymbols({ symbols, count }, open) {
  // Nothing moves away under a pointer.
  const held = body.matches(":hover") && order.length > 0;
  const places = held ? new Map(order.map((symbol, place) => [symbol, place])) : null;
  found.clear();
  for (const row of symbols) found.set(row.symbol, row);
  order = [...found.keys()];
  if (held) order.sort((one, other) => (places.get(one) ?? Infinity) - (places.get(other) ?? Infinity));
  total = count;
  chosen = open;
  arrange();
}

export function age() {
  for (const row of rows.values()) row.grow();
}

export function markChosen(open) {
  chosen = open;
  for (const [symbol, row] of rows) setAttribute(row.node, "aria-selected", String(symbol === chosen));
}

// Put the rows in view on the page, in order; of hundreds the others are only room to scroll.
function arrange() {
  const names = visible();
  const height = body.rows[0]?.offsetHeight ?? 30;
  const first = Math.max(0, Math.floor(scroll.scrollTop / height) - OVER);
  const shown = names.slice(first, Math.ceil((scroll.scrollTop + scroll.clientHeight) / height) + OVER);
  const wanted = new Set(shown);
  for (const [symbol, row] of rows) {
    if (wanted.has(symbol)) continue;
    row.node.remove();
    rows.delete(symbol);
  }
  let place = body.firstElementChild;
  shown.forEach((symbol, index) => {
    const row = rows.get(symbol) ?? new Row(symbol, `row-${(made += 1)}`);
    rows.set(symbol, row);
    row.show(found.get(symbol));
    setAttribute(row.node, "aria-rowindex", String(first + index + 2));
    if (row.node === place) place = place.nextElementSibling;
    else body.insertBefore(row.node, place);
  });
  byId("above").style.height = `${first * height}px`;
  byId("below").style.height = `${(names.length - first - shown.length) * height}px`;
  setAttribute(table, "aria-rowcount", String(names.length + 1));
  setText(byId("list-count"), total > names.length ? `${names.length} of ${format.number(total)}` : `${total}`);
  const some = order.length < total ? `None of the hottest ${order.length}` : "No symbol";
  const open = order.length < total ? ": Enter opens the one that is named so." : ".";
  const nothing = names.length ? "" : order.length ? `${some} with this in its name${open}` : "No symbol yet.";
  byId("list-empty").hidden = !nothing;
  setText(byId("list-empty"), nothing);
  markChosen(chosen);
  markActive();
}

function visible() {
  return order.filter((symbol) => symbol.includes(asked()));
}

const asked = () => filter.value.trim().toUpperCase();

function activate(symbol) {
  active = symbol;
  const place = visible().indexOf(symbol);
  const height = body.rows[0]?.offsetHeight ?? 30;
  const most = place * height;
  const least = (place + 1) * height + table.tHead.offsetHeight - scroll.clientHeight;
  if (place >= 0) scroll.scrollTop = Math.max(least, Math.min(most, scroll.scrollTop));
  arrange();
}

function markActive() {
  for (const [symbol, row] of rows) row.node.classList.toggle("active", symbol === active);
  if (rows.has(active)) setAttribute(table, "aria-activedescendant", rows.get(active).node.id);
  else table.removeAttribute("aria-activedescendant");
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
table.addEventListener("focus", () => found.has(active) || activate(found.has(chosen) ? chosen : visible()[0] ?? null));
filter.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    activate(visible()[0] ?? null);
    if (event.key === "Enter" && (active ?? asked())) location.hash = to(active ?? asked());
    table.focus();
    event.preventDefault();
  }
});
filter.addEventListener("input", arrange);
scroll.addEventListener("scroll", () => requestAnimationFrame(arrange));
body.addEventListener("click", (event) => {
  const node = event.target.closest("tr");
  const row = [...rows.values()].find((each) => each.node === node);
  if (row === undefined) return;
  activate(row.symbol);
  location.hash = to(row.symbol);
});
