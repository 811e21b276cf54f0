// The worker's clock, carried on between its answers: ages need no right clock here.

let offset = null;

export function learn(serverTime) {
  offset = serverTime - performance.now() / 1_000;
}

export const now = () => (offset === null ? Date.now() : offset * 1_000 + performance.now()) / 1_000;
