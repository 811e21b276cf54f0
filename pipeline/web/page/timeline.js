// The episode as a timeline: a bar for each symbol in the order of their rises, and one sentence.
import { to } from "./address.js";
import { contagion } from "./contagion.js";
import { byId, make, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { LEVELS, short } from "./levels.js";

const MOST = 50;
const ROOM = 26; // pixels that the mark of a level needs
const rows = [];

export function showContagion(changes, count, now) {
  const episode = contagion(changes);
  setText(byId("contagion-words"), sentence(episode, count));
  setText(byId("contagion-when"), when(episode, now));
  const told = episode?.symbols.slice(0, MOST) ?? [];
  while (rows.length > told.length) rows.pop().node.remove();
  while (rows.length < told.length) {
    rows.push(new Row());
    byId("contagion").append(rows.at(-1).node);
  }
  told.forEach((each, place) => rows[place].show(each, episode, now));
}

function sentence(episode, count) {
  if (episode === null) return "No symbol has risen above NONE.";
  const [first, ...others] = episode.symbols;
  const most = Math.max(count - 1, others.length);
  const rest = format.number(most);
  const begin = episode.whole ? `${first.symbol} first` : `It began before what is known; of that ${first.symbol} first`;
  if (others.length) return `${begin}; ${others.length} of ${rest} others followed within ${lag(others.at(-1).after)}.`;
  return `${begin}; ${most ? `none of ${rest} others followed` : "there is no other symbol"}.`;
}

function when(episode, now) {
  if (episode === null) return "";
  const begin = format.moment(episode.began, now);
  if (episode.ended === null) return `since ${begin}`;
  return `${begin}, lasted ${format.duration(episode.ended - episode.began)}`;
}

const lag = (seconds) => (seconds < 60 ? `${format.number(seconds, 1)} s` : format.duration(seconds));

class Row {
  constructor() {
    this.link = make("a", { title: "Show its rise in the charts" });
    this.bar = make("div", { class: "bars", "aria-hidden": "true" });
    this.after = make("span", { class: "number" });
    this.level = make("b");
    this.node = make("li", {}, this.link, this.bar, this.after, this.level);
  }

  show({ symbol, after, highest, spans }, { began, ended }, now) {
    setText(this.link, symbol);
    setAttribute(this.link, "href", to(symbol, spans[0].from));
    setText(this.after, after ? `+${lag(after)}` : "0 s");
    setText(this.level, short(highest));
    setAttribute(this.level, "class", `level-${highest}`);
    setAttribute(this.level, "title", `Highest: ${LEVELS[highest].name}`);
    const length = Math.max((ended ?? now) - began, 0.001);
    while (this.bar.children.length > spans.length) this.bar.lastChild.remove();
    while (this.bar.children.length < spans.length) this.bar.append(make("i"));
    spans.forEach((span, place) => drawn(this.bar.children[place], span, began, length, ended ?? now));
  }
}

function drawn(node, { level, from, to: until }, began, length, end) {
  const share = Math.max(0, (until ?? end) - from) / length;
  setAttribute(node, "class", `level-${level}`);
  setText(node, share * node.parentElement.clientWidth > ROOM ? short(level) : "");
  node.style.left = `${(100 * (from - began)) / length}%`;
  node.style.width = `${100 * share}%`;
}
