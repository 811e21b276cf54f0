// Draws the charts of a report, in the colours of the system. Its tools are named, for plotly's own set has one
// that sends a chart away.
const tools = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const [text, line] = dark.matches ? ["#e6ebf1", "#27303c"] : ["#14202c", "#d8dfe6"];
  for (const place of document.querySelectorAll(".chart")) {
    const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
    const axes = Object.keys(layout).filter((name) => /^[xy]axis/.test(name));
    for (const name of axes) Object.assign(layout[name], { gridcolor: line, zerolinecolor: line, linecolor: line });
    Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: text, size: 12 } });
    Plotly.react(place, data, layout, { responsive: true, displaylogo: false, modeBarButtons: tools });
  }
}
dark.addEventListener("change", draw);
draw();
