// One word for whether what is shown can be trusted. Old data are never called live.

const FRESH = 5; // seconds without any event after which data are old
const STALE = 15; // seconds after which that is no longer a pause between events
const BEHIND = 5; // seconds of lag that are no catching up yet
const LASTS = 60; // seconds for which a signal, or the market's state, tells of now; then it is unknown

export const isOld = (time, now) => time !== null && now - time > LASTS;

// When the newest event of the whole market was, null before the first.
function newestEvent(symbols, fleet) {
  const times = symbols.symbols.map((row) => row.last_event).filter((time) => time !== null);
  for (const worker of fleet.workers) {
    if (worker.context_age_seconds !== null) times.push(worker.time - worker.context_age_seconds);
  }
  return times.length ? times.reduce((one, other) => Math.max(one, other)) : null;
}

export function judge(symbols, fleet, connected, now) {
  if (symbols === null || fleet === null) return { kind: connected ? "connecting" : "disconnected", since: null };
  const newest = newestEvent(symbols, fleet);
  if (!connected) return { kind: "disconnected", since: newest };
  if (symbols.missing.length || fleet.workers.some(isBehind)) return { kind: "catching up", since: newest };
  if (newest === null) return { kind: "no feed", since: null };
  const age = now - newest;
  if (age < -STALE) return { kind: "clocks differ", since: newest }; // no age tells anything then
  return { kind: age > STALE ? "stale" : age > FRESH ? "quiet" : "live", since: newest };
}

const isBehind = (worker) => worker.phase !== "ready" || worker.lag_seconds > BEHIND;
