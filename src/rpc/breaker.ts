/** States of a circuit breaker. */
export type BreakerState = "closed" | "half_open" | "open";
