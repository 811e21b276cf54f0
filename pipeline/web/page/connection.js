// Asks the worker again and again; when it does not answer, ever more slowly.

const EVERY = 1_000;
const PATIENCE = 12_000;
const LONGEST_WAIT = 15_000;

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, body.error);
  return body;
}

export class Connection {
  // `round` asks for all that is wanted; `changed` hears of each success and failure.
  constructor(round, changed) {
    this.round = round;
    this.changed = changed;
    this.failures = 0;
    this.answered = null; // when the worker last answered, by this page's own clock
    this.began = performance.now();
    this.next = null; // when it is asked next, while it does not answer
    this.soon = false;
    this.wake = () => {};
  }

  get connected() {
    return this.failures === 0 && this.silent < PATIENCE;
  }

  // Milliseconds since the last answer: also a tab that was asleep knows that its figures are old.
  get silent() {
    return performance.now() - (this.answered ?? this.began);
  }

  async run() {
    for (;;) {
      let wait = EVERY;
      this.next = null;
      this.soon = false;
      try {
        await this.round();
        this.answered = performance.now();
        this.failures = 0;
      } catch (error) {
        this.failures += 1;
        this.error = error;
        wait = Math.min(EVERY * 2 ** (this.failures - 1), LONGEST_WAIT);
        this.next = performance.now() + wait;
      }
      this.changed();
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, this.soon ? 0 : wait);
      });
    }
  }

  // Ask at once, or as soon as what is being asked is answered.
  again() {
    this.soon = true;
    this.wake();
  }
}
