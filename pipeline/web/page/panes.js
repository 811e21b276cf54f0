// The panes' titles, with the figures under the cross-hair or the newest.
import { byId, make, setText } from "./dom.js";
import * as format from "./format.js";
import { MARGIN, PANES } from "./layout.js";

// A text may come with the class of its colour.
const FIGURES = {
  price: (at) => [["price"], [format.price(at("price"))], [at.time, "soft"]],
  probability: (at) => [["probability"], [format.number(at("probability"), 2)]],
  liquidated: (at) => [
    ["liquidated in 5 min, USD"],
    [`longs ${format.usd(at("long_usd"))}`, "long"],
    [`shorts ${format.usd(at("short_usd"))}`, "short"],
    [`USD/s ${format.usd(at("volume_usd"))}`],
  ],
  velocity: (at) => [
    [`liquidations/s ${format.number(at("velocity"), 1)}`, "accent"],
    [`their rise /s² ${format.number(at("acceleration"), 1)}`, "second"],
  ],
  components: () => [["what each part gives to the probability"]],
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
  at.time = place < 0 ? "" : `${format.clock(history.time[place])} UTC`;
  byId("panes").title = place < 0 ? "" : format.local(history.time[place]);
  for (const [key, title] of titles) {
    const texts = FIGURES[key](at);
    while (title.children.length < texts.length) title.append(make("span"));
    texts.forEach(([text, kind = ""], column) => {
      setText(title.children[column], text);
      title.children[column].className = kind;
    });
  }
}
