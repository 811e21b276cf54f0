// The choice in the address: #BTCUSDT, or #BTCUSDT@1795636739.5 for a moment of it.

export function read() {
  const [symbol, moment] = location.hash.slice(1).split("@");
  const time = Number(moment);
  return { symbol: decoded(symbol).toUpperCase() || null, moment: moment && Number.isFinite(time) ? time : null };
}

export function to(symbol, moment = null) {
  return `#${encodeURIComponent(symbol)}${moment === null ? "" : `@${moment}`}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
