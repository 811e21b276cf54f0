// How an episode spread: which symbol rose above NONE first, and who followed when, to which level.
import { MOST } from "./changes.js";

const QUIET = 60; // seconds with every symbol at NONE after which the next rise begins an episode

// The newest episode of changes (newest first), null without one. Times are Unix seconds: `ended` and a
// span's `to` are null while they last. `whole` tells whether its beginning is surely among the changes.
export function contagion(changes) {
  const levels = new Map();
  const above = new Set();
  let quiet = changes.length < MOST ? -Infinity : changes.at(-1).timestamp;
  let found = null;
  for (const { symbol, timestamp, signal_level: level } of [...changes].reverse()) {
    const rested = timestamp - quiet >= QUIET;
    if (level && !above.size && (rested || found === null)) {
      found = { began: timestamp, ended: null, whole: rested, symbols: new Map() };
    }
    if (level) above.add(symbol);
    else if ((above.delete(symbol) || !levels.has(symbol)) && !above.size) quiet = timestamp;
    levels.set(symbol, level);
    if (found !== null) step(found, symbol, timestamp, level);
  }
  if (found === null) return null;
  return { ...found, ended: above.size ? null : quiet, symbols: [...found.symbols.values()] };
}

function step({ began, symbols }, symbol, time, level) {
  const last = symbols.get(symbol)?.spans.at(-1);
  if (last && last.to === null) last.to = time;
  if (!level) return;
  if (!symbols.has(symbol)) symbols.set(symbol, { symbol, after: time - began, highest: 0, spans: [] });
  const own = symbols.get(symbol);
  own.highest = Math.max(own.highest, level);
  own.spans.push({ level, from: time, to: null });
}
