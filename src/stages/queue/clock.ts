/** Time as the memory adapter sees it, so that a test can be the clock. */
export interface Clock {
  /** Milliseconds since the epoch; may have a fraction. */
  now(): number;
  /** Calls once after `ms`, unless disposed before. */
  after(ms: number, call: () => void): Disposable;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
