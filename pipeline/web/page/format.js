// Figures and times as people read them.

const NOTHING = "–";
const USD = [[1e9, "B"], [1e6, "M"], [1e3, "k"]];

export function number(value, digits = 0) {
  if (value === null || value === undefined) return NOTHING;
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return text.replace("-", "−");
}

export function usd(value) {
  if (value === null || value === undefined) return NOTHING;
  const [size, letter] = USD.find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return letter ? `${number(value / size, 1)} ${letter}` : number(value);
}

// Of less than 1 the first five figures that are not 0: some coins cost millionths.
export function price(value) {
  if (value === null || value === undefined) return NOTHING;
  const small = value < 1 && Math.min(20, 4 - Math.floor(Math.log10(value)));
  const digits = value >= 10_000 ? 0 : value >= 100 ? 2 : small || 3;
  return number(value, digits);
}

// 8 s, 3 min 20 s, 2 h 5 min, 3 d 4 h
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

// An age in a narrow column, in whole seconds while it is short.
export function age(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return `${whole} s`;
  if (whole < 6_000) return `${Math.round(whole / 60)} min`;
  return whole < 172_800 ? `${Math.round(whole / 3_600)} h` : `${Math.round(whole / 86_400)} d`;
}

export const clock = (time) => new Date(time * 1_000).toISOString().slice(11, 19);

// With the day where it is not today's.
export function moment(time, now) {
  const day = (at) => new Date(at * 1_000).toISOString().slice(0, 10);
  return day(time) === day(now) ? clock(time) : `${day(time)} ${clock(time)}`;
}

export const local = (time) => `${new Date(time * 1_000).toLocaleString()} local time`;

const PARTS = { acceleration: "accel.", oi_change: "OI", volatility: "volat." };

// A component where there is little room.
export const part = (name) => PARTS[name] ?? name;

export function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3_600 ? `${seconds / 60} min` : `${seconds / 3_600} h`;
}
