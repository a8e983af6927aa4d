/**
 * One ClickHouse endpoint with patience: repeats what failed in an outage, with growing pauses and jitter, and leaves
 * the endpoint alone while its circuit breaker is open. This is the one layer of the sink that retries.
 */
import { circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhen, isBrokenCircuitError } from "cockatiel";
import { emit } from "../../telemetry/emit.ts";
import { classified } from "../../errors.ts";
import { pause } from "../../flow/pause.ts";
import { StorageUnavailableError } from "./errors.ts";
import type { BreakerOptions, RetryOptions } from "./port.ts";

/** Options of an {@linkcode Endpoint}. */
export interface EndpointOptions {
  /** Label of the endpoint in events. */
  readonly name: string;
  /** Name of the isolate: each has a breaker of its own. */
  readonly isolate: string;
  readonly retry: RetryOptions;
  readonly breaker: BreakerOptions;
  /** In [0, 1), for jitter. */
  readonly random: () => number;
  readonly now: () => number;
}

const STATES = {
  [CircuitState.Closed]: "closed",
  [CircuitState.Open]: "open",
  [CircuitState.HalfOpen]: "half_open",
  [CircuitState.Isolated]: "open",
} as const;

/** See the module's comment. */
export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #breaker;
  #awaySinceMs: number | undefined;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#breaker = circuitBreaker(handleWhen((error) => error instanceof StorageUnavailableError), {
      breaker: new ConsecutiveBreaker(options.breaker.failures),
      halfOpenAfter: options.breaker.halfOpenAfterMs,
    });
    const { name: endpoint, isolate } = options;
    let wasClosed = true;
    const tell = (to: CircuitState) => {
      const state = STATES[to];
      emit({ kind: "storage_breaker_changed", endpoint, isolate, state, wasClosed });
      wasClosed = state === "closed";
    };
    // An isolate that replaces another one begins with a closed breaker, whatever that one's was.
    tell(CircuitState.Closed);
    this.#breaker.onStateChange(tell);
  }

  /** How long the endpoint has been away, 0 when its last answer was one. In milliseconds. */
  get awayMs(): number {
    return this.#awaySinceMs === undefined ? 0 : this.#options.now() - this.#awaySinceMs;
  }

  /**
   * Repeats `operation` until it is done, refused, or the endpoint has been away for `patienceMs`.
   *
   * @throws {PipelineError} of the last try; the signal's reason when it is aborted.
   */
  async run<T>(operation: (signal: AbortSignal) => Promise<T>, signal: AbortSignal, patienceMs = Infinity): Promise<T> {
    for (let tries = 0;; tries++) {
      signal.throwIfAborted();
      try {
        const result = await this.#breaker.execute(() => operation(signal));
        this.#awaySinceMs = undefined;
        return result;
      } catch (error) {
        signal.throwIfAborted();
        const failure = isBrokenCircuitError(error) ? brokenCircuit(this.#options.name, error) : classified(error);
        const outage = failure instanceof StorageUnavailableError;
        if (outage) this.#awaySinceMs ??= this.#options.now();
        else this.#awaySinceMs = undefined;
        const repeated = outage && this.awayMs < patienceMs;
        if (!isBrokenCircuitError(error)) this.#report(failure, repeated);
        if (!repeated) throw failure;
        await pause(this.#delayMs(tries), signal);
      }
    }
  }

  #report(failure: ReturnType<typeof classified>, repeated: boolean): void {
    const { code, disposition, message } = failure;
    emit({ kind: "storage_failed", endpoint: this.#options.name, code, disposition, repeated, error: message });
  }

  /** Half of the exponential delay for sure, the other half by chance. */
  #delayMs(tries: number): number {
    const { initialDelayMs, maxDelayMs } = this.#options.retry;
    const delay = Math.min(maxDelayMs, initialDelayMs * 2 ** tries);
    return delay / 2 + this.#options.random() * delay / 2;
  }
}

function brokenCircuit(name: string, cause: unknown): StorageUnavailableError {
  return new StorageUnavailableError(`Cannot use ${name}: its circuit breaker is open`, { cause });
}
