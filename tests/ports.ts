/**
 * Ports of servers that must have the same one again after a pause, or cannot choose one themselves. All are below
 * those that a system gives to whoever wants any port, so that nobody takes one meanwhile by accident; whoever uses one
 * has to try another where it is taken.
 */
const FIRST = {
  redis: 10_000,
  oldClickHouse: 15_000,
  // 20,000 to 24,999 are buses of a Redis cluster, which are always 10,000 above its port.
  node: 25_000,
} as const;
const COUNT = 5_000;

/** Tries of a port that may be taken. */
export const PORT_TRIES = 100;

/** A port for a server of this kind. */
export function anyPort(kind: keyof typeof FIRST): number {
  return FIRST[kind] + Math.floor(COUNT * Math.random());
}
