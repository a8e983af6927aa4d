/** The main isolate's end of the heartbeat's thread: one for all networks of a process. */
import { emit } from "../../telemetry/emit.ts";
import type { FromHeartbeat, ToHeartbeat } from "./heartbeat_worker.ts";
import type { Heart } from "./leases.ts";
import { type QueueOptions, taskId } from "./port.ts";
import type { RedisTarget } from "./redis_connection.ts";

/** How long the thread may take a lease that has ended for one in hand. */
const FORGET_LINGER_MS = 100;

/** What the heartbeat finds out about a network's leases. */
export interface Findings {
  lost(tokens: readonly number[]): void;
  stalled(tokens: readonly number[]): void;
}

/** Starts the thread, and speaks with it. */
export class HeartbeatThread {
  readonly #worker: Worker;
  readonly #findings = new Map<string, Findings>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #forgotten = new Map<string, number[]>();
  #lingering: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(target: RedisTarget, consumer: string, options: QueueOptions) {
    this.#worker = new Worker(new URL("./heartbeat_worker.ts", import.meta.url), { type: "module", name: "heartbeat" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromHeartbeat>) => this.#receive(data);
    const { heartbeatMs, stallTimeoutMs } = options;
    this.#send({ kind: "open", target, consumer, heartbeatMs, stallTimeoutMs });
  }

  /** The heart of one network. */
  heart(network: string, findings: Findings): Heart {
    this.#findings.set(network, findings);
    return {
      share: (buffer, memory) => this.#send({ kind: "share", network, buffer, memory }),
      watch: (leases) => {
        const forgotten = this.#forgotten.get(network) ?? [];
        this.#forgotten.delete(network);
        this.#send({
          kind: "watch",
          network,
          forgotten,
          leases: leases.map(({ delivery, cell }) => ({
            token: delivery.token,
            class: shortClass(delivery.task.class),
            entry: delivery.entry,
            id: taskId(delivery.task),
            buffer: cell.buffer,
            offset: cell.offset,
          })),
        });
      },
      forget: (tokens) => this.#forget(network, tokens),
    };
  }

  /** Ends the thread, and with it every renewal. */
  async close(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#lingering);
    this.#send({ kind: "close" });
    await this.#closed.promise;
    this.#worker.terminate();
  }

  /** Goes with the next leases to watch: until then a renewal finds that the token is no longer theirs. */
  #forget(network: string, tokens: readonly number[]): void {
    if (tokens.length === 0 || this.#ended) return;
    this.#lingering ??= setTimeout(() => this.#flush(), FORGET_LINGER_MS);
    const together = this.#forgotten.get(network) ?? [];
    together.push(...tokens);
    this.#forgotten.set(network, together);
  }

  #flush(): void {
    this.#lingering = undefined;
    for (const [network, forgotten] of this.#forgotten) {
      this.#send({ kind: "watch", network, forgotten, leases: [] });
    }
    this.#forgotten.clear();
  }

  #send(message: ToHeartbeat): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromHeartbeat): void {
    switch (message.kind) {
      case "lost":
        return this.#findings.get(message.network)?.lost(message.tokens);
      case "stalled":
        return this.#findings.get(message.network)?.stalled(message.tokens);
      case "renewed":
        return emit({ kind: "queue_renewed", network: message.network, leases: message.leases });
      case "failed":
        return emit({ kind: "queue_heartbeat_failed", reason: message.message });
      case "closed":
        return this.#closed.resolve();
    }
  }
}

/** `process_forwards` is `pf` in keys. */
export function shortClass(taskClass: string): string {
  return `${taskClass[0]}${taskClass[taskClass.indexOf("_") + 1]}`;
}
