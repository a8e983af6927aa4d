/** The main isolate's end of the heartbeat's thread: one for all networks of a process. */
import { emit } from "../../telemetry/emit.ts";
import type { FromHeartbeat, ToHeartbeat } from "./heartbeat_worker.ts";
import type { Heart } from "./leases.ts";
import type { QueueOptions } from "./port.ts";
import { heartMs } from "./pulse.ts";
import type { RedisTarget } from "./redis_connection.ts";

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

  constructor(target: RedisTarget, consumer: string, options: QueueOptions) {
    this.#worker = new Worker(new URL("./heartbeat_worker.ts", import.meta.url), { type: "module", name: "heartbeat" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromHeartbeat>) => this.#receive(data);
    const { heartbeatMs, stallTimeoutMs } = options;
    this.#send({ kind: "open", target, consumer, heartbeatMs, stallTimeoutMs });
  }

  /** The heart of one network. */
  heart(network: string, findings: Findings): Heart {
    this.#findings.set(network, findings);
    return { now: heartMs, share: (memory) => this.#send({ kind: "share", network, memory }) };
  }

  /** Ends the thread, and with it every renewal. */
  async close(): Promise<void> {
    this.#send({ kind: "close" });
    await this.#closed.promise;
    this.#worker.terminate();
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
