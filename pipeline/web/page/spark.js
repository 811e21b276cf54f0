// A spark line: probabilities of 0 to 1 on the bands of the levels.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 64;
const HEIGHT = 20;
const MOST = 40; // slots of 15 s in 10 minutes

export function makeSpark() {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(NAMESPACE, "polyline"));
  return svg;
}

export function drawSpark(svg, trend) {
  const first = MOST - trend.length;
  const points = trend.map((value, place) => {
    const x = ((first + place) / (MOST - 1)) * WIDTH;
    return `${x.toFixed(1)},${((1 - value) * (HEIGHT - 2) + 1).toFixed(1)}`;
  });
  const text = points.join(" ");
  const line = svg.firstChild;
  if (line.getAttribute("points") !== text) line.setAttribute("points", text);
}
