// The page's elements. What comes from messages goes in as text and attributes, never as HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Show rows of cells in a table's body, in place: a cell is a text, or {text, class, title, href}.
export function setRows(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, place) => {
    const row = body.rows[place] ?? body.insertRow();
    cells.forEach((cell, column) => setCell(row.cells[column] ?? row.insertCell(), cell));
    while (row.cells.length > cells.length) row.deleteCell(-1);
  });
}

function setCell(node, cell) {
  const { text, class: kind = "", title = "", href = null } = typeof cell === "string" ? { text: cell } : cell;
  setAttribute(node, "class", kind);
  setAttribute(node, "title", title);
  if (href === null) {
    setText(node, text);
    return;
  }
  const link = node.querySelector("a") ?? node.appendChild(make("a", { rel: "noreferrer" }));
  setAttribute(link, "href", href);
  setText(link, text);
}

// Call a function at most every so many milliseconds, and always after the last call.
export function throttled(call, milliseconds = 250) {
  let waiting = false;
  let last = -Infinity;
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      last = performance.now();
      call();
    }, Math.max(0, last + milliseconds - performance.now()));
  };
}
