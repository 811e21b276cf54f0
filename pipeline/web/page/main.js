// Puts the page together: what is asked of the worker when, and what is shown of it where.
import * as address from "./address.js";
import { showCharts } from "./charts.js";
import { Connection, Refused, ask } from "./connection.js";
import { showDetail, showInstead } from "./detail.js";
import { byId, make } from "./dom.js";
import { span } from "./format.js";
import { judge } from "./health.js";
import { addChanges, known, show as showLog, weigh } from "./log.js";
import { showNotice } from "./notice.js";
import { showFeeds, showFleet } from "./strip.js";
import { age, markChosen, showSymbols } from "./symbols.js";
import { learn, now } from "./time.js";
import { showContagion } from "./timeline.js";
import { showClock, showHealth, showLevels, showMarket } from "./topbar.js";

const RANGES = [300, 900, 3_600, 21_600, 86_400];
const state = { symbols: null, fleet: null, feeds: null, market: null, detail: null, problem: null, seconds: 300, rounds: 0 };
const partitions = new Map(); // of every symbol that was ever in the list
let choice = address.read();

const connection = new Connection(round, showAll);

// The symbol that is open: the one in the address, else the hottest.
const chosen = () => choice.symbol ?? state.opened ?? state.symbols?.symbols[0]?.symbol ?? null;

async function round() {
  const seldom = state.rounds % 2 === 0;
  const tasks = [ask("/api/symbols").then(takeSymbols), wanted() && askDetail(chosen())];
  if (seldom) tasks.push(ask("/api/fleet").then((fleet) => { state.fleet = fleet; }));
  if (state.rounds % 10 === 0) tasks.push(ask("/api/feeds").then(({ gaps }) => { state.feeds = gaps; }));
  if (seldom) tasks.push(ask("/api/regime").then((market) => { state.market = market; }));
  if (seldom) tasks.push(ask("/api/signals?changes=true&limit=500").then(({ signals }) => addChanges(signals)));
  await Promise.all(tasks);
  state.rounds += 1;
  if (state.detail === null && state.problem === null && chosen() !== null) await askDetail(chosen());
}

// The past of hours is long and moves slowly.
const wanted = () => chosen() !== null && (state.detail === null || state.seconds <= 900 || state.rounds % 3 === 0);

function takeSymbols(symbols) {
  learn(symbols.time);
  state.symbols = symbols;
  for (const row of symbols.symbols) partitions.set(row.symbol, row.partition);
  if (choice.symbol === null) state.opened ??= symbols.symbols[0]?.symbol;
}

async function askDetail(symbol) {
  const since = choice.moment === null ? 0 : now() - choice.moment;
  const seconds = Math.min(86_400, Math.ceil(Math.max(state.seconds, since + state.seconds / 2)));
  let answer;
  try {
    answer = { detail: await ask(`/api/symbols/${encodeURIComponent(symbol)}?seconds=${seconds}`), problem: null };
  } catch (error) {
    if (!(error instanceof Refused) || error.status >= 500 && error.status !== 503) throw error;
    answer = { detail: null, problem: error };
  }
  if (symbol === chosen()) Object.assign(state, answer);
}

function showAll() {
  const { symbols, fleet, market } = state;
  if (symbols !== null) {
    showLevels(symbols);
    showSymbols(symbols, chosen());
  }
  if (fleet !== null) showFleet(fleet);
  if (state.feeds !== null) showFeeds(state.feeds, now());
  if (market !== null) showMarket(market, now());
  showSpread();
  showChosen();
  showTrust();
}

const showSpread = () => state.symbols !== null && showContagion(known(), state.symbols.count, now());

function showChosen() {
  const { symbols, detail, problem, seconds } = state;
  if (problem !== null) {
    const reason = problem.message.replace(/^.*?: /, "");
    showInstead(chosen(), reason, "Choose a symbol of the list, or wait: a record of it may still come.");
  } else if (detail !== null) {
    weigh(detail.components);
    showDetail(detail, now());
    showCharts(detail, detail.changes, seconds, choice.moment, now()).catch((error) => console.warn(error.message));
  } else if (symbols === null) {
    showInstead("Asking the worker …");
  } else {
    showInstead(...WAITING);
  }
}

const WAITING = [
  "Waiting for data",
  "No liquidation and no price has come yet. Are the topics there, and does a producer write to them?",
  "$ cascade topics check",
  "To see what this looks like, play a simulated market on servers of its own:",
  "$ cascade demo",
  "Or recorded files, to this broker:",
  "$ cascade replay --to-kafka --liquidations FILE --prices FILE",
];

// What has to be right every second, also when nothing comes.
function showTrust() {
  const { symbols, fleet, market } = state;
  const health = judge(symbols, fleet, connection.connected, now());
  showClock(now());
  showHealth(health, now());
  showNotice(health, symbols, fleet, market, connection, gone(), now());
}

// Symbols that were shown and lie on partitions of which nothing is known.
function gone() {
  const missing = new Set(state.symbols?.missing.flatMap((each) => each.partitions));
  return [...partitions].filter(([, partition]) => missing.has(partition)).map(([symbol]) => symbol).sort();
}

function choose() {
  choice = address.read();
  state.detail = state.problem = null;
  markChosen(chosen());
  showInstead(`${chosen() ?? ""} …`);
  connection.again();
}

function makeRanges() {
  const pressed = (seconds) => String(seconds === state.seconds);
  const buttons = RANGES.map((seconds) => make("button", { type: "button", "aria-pressed": pressed(seconds) }, span(seconds)));
  buttons.forEach((button, place) =>
    button.addEventListener("click", () => {
      state.seconds = RANGES[place];
      buttons.forEach((each, index) => each.setAttribute("aria-pressed", pressed(RANGES[index])));
      if (choice.moment !== null) location.hash = address.to(chosen());
      state.rounds = 0;
      connection.again();
    }),
  );
  byId("ranges").append(...buttons);
}

// Level changes and the regime at once; what was missed comes with the next round.
function listen() {
  const stream = new EventSource("/api/stream?min_level=NONE&changes=true");
  stream.addEventListener("signal", (event) => addChanges([JSON.parse(event.data)]));
  stream.addEventListener("regime", (event) => {
    if (state.market === null) return;
    state.market.regime = JSON.parse(event.data);
    showMarket(state.market, now());
  });
}

makeRanges();
byId("again").addEventListener("click", () => connection.again());
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("list").focus();
});
addEventListener("hashchange", choose);
document.addEventListener("visibilitychange", showTrust);
setInterval(() => {
  showTrust();
  showLog();
  showSpread();
  age();
}, 1_000);
listen();
connection.run();
