// How levels look: a letter, a shape and a colour each, so that colour alone never tells.

export const LEVELS = [
  { name: "NONE", letter: "N", shape: "·", plotly: "circle" },
  { name: "WATCH", letter: "W", shape: "○", plotly: "circle-open" },
  { name: "ALERT", letter: "A", shape: "△", plotly: "triangle-up-open" },
  { name: "CRITICAL", letter: "C", shape: "▲", plotly: "triangle-up" },
  { name: "EXTREME", letter: "E", shape: "◆", plotly: "diamond" },
];

export const short = (level) => `${LEVELS[level].shape} ${LEVELS[level].letter}`;
export const long = (level) => `${LEVELS[level].shape} ${LEVELS[level].name}`;
