// Dark or light: as the system has it, or as it was chosen here. Runs before the page is painted.
"use strict";
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // storage may be off: then the choice lasts for this page
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;

  const system = matchMedia("(prefers-color-scheme: light)");
  const tell = () => dispatchEvent(new Event("theme"));
  system.addEventListener("change", tell);
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const now = document.documentElement.dataset.theme ?? (system.matches ? "light" : "dark");
      const next = now === "dark" ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      try {
        localStorage.setItem("theme", next);
      } catch {
        // as above
      }
      tell();
    });
  });
}
