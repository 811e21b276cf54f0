// The line below the top bar: what is wrong with what is shown, and what to do.
import { byId, setText } from "./dom.js";
import * as format from "./format.js";
import { isOld } from "./health.js";

export function showNotice(health, symbols, fleet, market, connection, gone, now) {
  const text = words(health, symbols, fleet, market, connection, gone, now);
  byId("notice").hidden = !text;
  byId("again").hidden = health.kind !== "disconnected";
  setText(byId("notice-text"), text);
}

function words(health, symbols, fleet, market, connection, gone, now) {
  const at = health.since === null ? "" : ` Figures are of ${format.moment(health.since, now)} UTC.`;
  if (health.kind === "disconnected") {
    const left = connection.next === null ? 0 : Math.max(0, connection.next - performance.now());
    const next = left ? `next try in ${Math.ceil(left / 1_000)} s` : "trying now";
    return `The worker does not answer, for ${format.duration(connection.silent / 1_000)}: ${next}.${at}`;
  }
  const troubles = troublesInWords(fleet);
  if (symbols?.missing.length) return `Partial: ${symbols.missing.map(inWords).join("; ")}.${goneInWords(gone)}${troubles}`;
  if (troubles) return `Not ready.${troubles}${health.kind === "live" ? "" : at}`;
  if (health.kind === "catching up") return `Catching up with Kafka.${at}`;
  if (health.kind === "clocks differ") {
    const ahead = format.duration(health.since - now);
    return `The newest event is ${ahead} ahead of the worker's clock: one of the two is wrong, and so is every age here.`;
  }
  if (health.kind === "stale") return `No liquidation and no price since then: is a producer down?${at}`;
  const { reference, regime } = market ?? {};
  if (!isOld(regime?.timestamp ?? null, now)) return "";
  return `The market is unknown: no price of ${reference} since ${format.moment(regime.timestamp, now)} UTC.`;
}

export const inWords = ({ partitions, reason }) =>
  `${partitions.length === 1 ? "partition" : "partitions"} ${partitions.join(", ")} not current (${reason})`;

// What workers say of themselves: it comes before any guess at what is wrong.
function troublesInWords(fleet) {
  const troubled = fleet?.workers.filter((worker) => worker.problems.length) ?? [];
  return troubled.map(({ worker, problems }) => ` ${worker}: ${problems.join("; ")}.`).join("");
}

function goneInWords(gone) {
  if (!gone.length) return "";
  const more = gone.length > 8 ? ` and ${gone.length - 8} more` : "";
  return ` Not shown: ${gone.slice(0, 8).join(", ")}${more}.`;
}
