// Level changes of all symbols: what each led from, how long it held, how long the episode lasted.

export const MOST = 500;
// As the worker orders them: symbols by their characters, in no language's order.
const before = (one, other) => Number(one > other) - Number(one < other);
const later = (one, other) =>
  other.timestamp - one.timestamp || before(other.symbol, one.symbol) || other.sequence - one.sequence;

// Put more changes to those that are known; newest first, each once.
export function merged(known, more) {
  const byId = new Map([...known, ...more].map((change) => [change.id, change]));
  return withoutRepeats([...byId.values()].sort(later)).slice(0, MOST);
}

// A stream tells the first level that it hears of a symbol: no change, when that was its level before.
function withoutRepeats(changes) {
  const levels = new Map();
  const isChange = ({ symbol, signal_level: level }) => {
    const before = levels.get(symbol);
    levels.set(symbol, level);
    return before !== level;
  };
  return [...changes].reverse().filter(isChange).reverse();
}

// Add to each change the level before (null where it is not known), when it ended and when its episode
// began: with the first level above NONE.
export function episodes(changes) {
  const last = new Map();
  const told = [];
  for (const change of [...changes].reverse()) {
    const before = last.get(change.symbol);
    const inEpisode = before && before.level > 0;
    const entry = {
      change,
      level: change.signal_level,
      before: before ? before.level : null,
      ended: null,
      began: inEpisode ? before.began : change.timestamp,
    };
    if (before) before.ended = change.timestamp;
    last.set(change.symbol, entry);
    told.push(entry);
  }
  return told.reverse();
}
