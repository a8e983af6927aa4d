/**
 * The heartbeat's thread: a Web Worker with a connection of its own, so that three seconds of synchronous work on the
 * main isolate cost no lease. It renews what moves, and tells what is lost and what stands still.
 */
/// <reference lib="deno.worker" />
import { accessError, disconnected, newClient, type RedisTarget, runScript, script } from "./redis_connection.ts";
import { CELL_LENGTH, Pulse } from "./pulse.ts";
import heartbeat from "./scripts/heartbeat.lua" with { type: "text" };

/** A lease as the main isolate describes it. */
export interface BeatLease {
  readonly token: number;
  readonly class: string;
  readonly entry: string;
  readonly id: string;
  readonly buffer: number;
  readonly offset: number;
}

/** To the thread. */
export type ToHeartbeat =
  | {
    readonly kind: "open";
    readonly target: RedisTarget;
    readonly consumer: string;
    readonly heartbeatMs: number;
    readonly stallTimeoutMs: number;
  }
  | { readonly kind: "share"; readonly network: string; readonly buffer: number; readonly memory: SharedArrayBuffer }
  | {
    readonly kind: "watch";
    readonly network: string;
    /** Tokens of leases that have ended. */
    readonly forgotten: readonly number[];
    readonly leases: readonly BeatLease[];
  }
  | { readonly kind: "close" };

/** From the thread. */
export type FromHeartbeat =
  | { readonly kind: "lost"; readonly network: string; readonly tokens: readonly number[] }
  | { readonly kind: "stalled"; readonly network: string; readonly tokens: readonly number[] }
  | { readonly kind: "renewed"; readonly network: string; readonly leases: number }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "closed" };

interface Watching extends BeatLease {
  readonly progress: Int32Array;
}

const HEARTBEAT = script(heartbeat);
const ARGUMENTS_KEEP_UNUSED = 0;
const MOST_PER_SCRIPT = 200;

function send(message: FromHeartbeat): void {
  self.postMessage(message);
}

function open({ target, consumer, heartbeatMs, stallTimeoutMs }: Extract<ToHeartbeat, { kind: "open" }>): {
  receive(message: ToHeartbeat): void;
} {
  const client = newClient(target);
  const memories = new Map<string, SharedArrayBuffer>();
  const pulses = new Map<string, Pulse<Watching>>();
  let beating = false;
  client.on("error", () => {}); // the main connection reports outages; without a listener each would be printed
  client.connect().catch(() => {}); // reconnects by itself

  async function beat(): Promise<void> {
    if (beating) return; // an answer is outstanding: Redis is away, and a second question would only queue up
    beating = true;
    try {
      for (const [network, pulse] of pulses) {
        const { moving, stalled } = pulse.take(performance.now());
        if (stalled.length > 0) send({ kind: "stalled", network, tokens: stalled.map(({ token }) => token) });
        for (let from = 0; from < moving.length; from += MOST_PER_SCRIPT) {
          await renew(network, moving.slice(from, from + MOST_PER_SCRIPT));
        }
      }
    } finally {
      beating = false;
    }
  }

  async function renew(network: string, leases: readonly Watching[]): Promise<void> {
    const args = leases.flatMap((lease) => [lease.class, lease.entry, String(lease.token), lease.id]);
    try {
      const lost = await runScript(client, target, HEARTBEAT, network, [ARGUMENTS_KEEP_UNUSED, consumer, ...args]);
      const tokens = (lost as string[]).map(Number);
      if (tokens.length > 0) send({ kind: "lost", network, tokens });
      send({ kind: "renewed", network, leases: leases.length - tokens.length });
    } catch (error) {
      const known = accessError(target, error);
      send({ kind: "failed", message: (known ?? error as Error).message });
    }
  }

  const timer = setInterval(() => void beat(), heartbeatMs);
  return {
    receive(message) {
      switch (message.kind) {
        case "share":
          memories.set(`${message.network} ${message.buffer}`, message.memory);
          break;
        case "watch": {
          const pulse = pulses.get(message.network) ?? new Pulse<Watching>(stallTimeoutMs);
          pulses.set(message.network, pulse);
          for (const token of message.forgotten) pulse.forget(token);
          for (const lease of message.leases) {
            const memory = memories.get(`${message.network} ${lease.buffer}`) as SharedArrayBuffer;
            pulse.watch(
              { ...lease, progress: new Int32Array(memory, lease.offset, CELL_LENGTH) },
              performance.now(),
            );
          }
          break;
        }
        case "close":
          clearInterval(timer);
          void disconnected(client).then(() => {
            send({ kind: "closed" });
            self.close();
          });
          break;
      }
    },
  };
}

let heart: ReturnType<typeof open> | undefined;
self.onmessage = ({ data }: MessageEvent<ToHeartbeat>) => {
  if (data.kind === "open") heart = open(data);
  else heart?.receive(data);
};
