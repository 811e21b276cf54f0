// The panes' titles, with the figures under the cross-hair or the newest.
import { byId, make, setText } from "./dom.js";
import * as format from "./format.js";
import { MARGIN, PANES } from "./layout.js";
import { rates } from "./traces.js";

// A text may come with the class of its colour, and with a value; an optional one goes where there is no room.
const FIGURES = {
  price: (at) => [["price"], [format.price(at("price"))], [at.time, "soft"]],
  probability: (at) => [["probability"], [format.number(at("probability"), 2)]],
  liquidated: (at) => [
    ["USD in 5 min"],
    [`longs ${format.usd(at("long_usd"))}`, "long"],
    [`shorts ${format.usd(at("short_usd"))}`, "short"],
    ["USD/s: 10 s", "dash solid optional", format.usd(at("volume_usd"))],
    ["5 min", "dash dotted optional", format.usd(at.rate)],
  ],
  velocity: (at) => [
    ["liq./s"],
    ["10 s", "accent dash solid", format.number(at("velocity"), 1)],
    ["1 min", "accent dash dashed optional", format.number(at("velocity_60s"), 1)],
    ["5 min", "accent dash dotted optional", format.number(at("velocity_300s"), 1)],
    ["rise /s²", "second dash solid", format.number(at("acceleration"), 1)],
  ],
  components: (at) => [
    ["parts"],
    ...at.parts.map(([name, value]) => [format.part(name), `part part-${name} optional`, format.number(value, 2)]),
  ],
};
const titles = new Map();

export function makePanes() {
  for (const pane of PANES) {
    const title = make("p");
    title.style.top = `calc(${MARGIN.t}px + (100% - ${MARGIN.t + MARGIN.b}px) * ${pane.top})`;
    title.style.left = `${MARGIN.l}px`;
    byId("panes").append(title);
    titles.set(pane.key, title);
  }
}

// `time` is under the cross-hair; without one the newest is told.
export function showPanes(history, time) {
  const found = time === null ? -1 : history.time.indexOf(time);
  const place = found < 0 ? history.time.length - 1 : found;
  const at = (column) => history[column][place];
  at.rate = rates(history)[place];
  at.parts = Object.entries(history.contributions).map(([name, values]) => [name, values[place]]);
  at.time = place < 0 ? "" : `${format.clock(history.time[place])} UTC`;
  byId("panes").title = place < 0 ? "" : format.local(history.time[place]);
  for (const [key, title] of titles) {
    const texts = FIGURES[key](at);
    while (title.children.length < texts.length) title.append(make("span"));
    texts.forEach(([text, kind = "", value = ""], column) => {
      setText(title.children[column], text);
      title.children[column].className = kind;
      title.children[column].dataset.value = value;
    });
  }
}
