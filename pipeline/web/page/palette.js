// The colours of the style sheet, for the charts.

const NAMES = ["text", "soft", "line", "accent", "second", "long", "short"];
const PARTS = ["velocity", "acceleration", "volume", "oi_change", "funding", "volatility"];

export function palette() {
  const style = getComputedStyle(document.body);
  const probe = document.body.appendChild(document.createElement("span"));
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(NAMES.map((name) => [name, read(name)]));
  found.levels = [0, 1, 2, 3, 4].map((level) => read(`level-${level}`));
  found.parts = Object.fromEntries(PARTS.map((name) => [name, read(`part-${name}`)]));
  probe.remove();
  return { ...found, font: style.fontFamily };
}
