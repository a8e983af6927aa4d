/**
 * The heartbeat's thread: a Web Worker with a connection of its own, so that three seconds of synchronous work on the
 * main isolate cost no lease. It renews what moves, and tells what is lost and what stands still.
 */
/// <reference lib="deno.worker" />
import { accessError, disconnected, newClient, type RedisTarget, runScript, script } from "./redis_connection.ts";
import { type Beating, heartMs, Pulse } from "./pulse.ts";
import heartbeat from "./scripts/heartbeat.lua" with { type: "text" };

/** To the thread. */
export type ToHeartbeat =
  | {
    readonly kind: "open";
    readonly target: RedisTarget;
    readonly consumer: string;
    readonly heartbeatMs: number;
    readonly stallTimeoutMs: number;
  }
  | { readonly kind: "share"; readonly network: string; readonly memory: SharedArrayBuffer }
  | { readonly kind: "close" };

/** From the thread. */
export type FromHeartbeat =
  | { readonly kind: "lost"; readonly network: string; readonly tokens: readonly number[] }
  | { readonly kind: "stalled"; readonly network: string; readonly tokens: readonly number[] }
  | { readonly kind: "renewed"; readonly network: string; readonly leases: number }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "closed" };

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
  const pulses = new Map<string, Pulse>();
  let beating = false;
  let closing = false;
  client.on("error", () => {}); // the main connection reports outages; without a listener each would be printed
  client.connect().catch(() => {}); // reconnects by itself

  async function beat(): Promise<void> {
    if (beating) return; // an answer is outstanding: Redis is away, and a second question would only queue up
    beating = true;
    try {
      for (const [network, pulse] of pulses) {
        const { moving, stalled } = pulse.take(heartMs());
        if (stalled.length > 0) {
          send({ kind: "stalled", network, tokens: stalled.map(({ token }) => token) });
        }
        for (let from = 0; from < moving.length; from += MOST_PER_SCRIPT) {
          await renew(network, moving.slice(from, from + MOST_PER_SCRIPT));
        }
      }
    } finally {
      beating = false;
    }
  }

  async function renew(network: string, leases: readonly Beating[]): Promise<void> {
    const args = leases.flatMap(({ token, id }) => [token, id]);
    try {
      const lost = await runScript(client, target, HEARTBEAT, network, [ARGUMENTS_KEEP_UNUSED, consumer, ...args]);
      const tokens = (lost as string[]).map(Number);
      if (tokens.length > 0) send({ kind: "lost", network, tokens });
      send({ kind: "renewed", network, leases: leases.length - tokens.length });
    } catch (error) {
      if (closing) return;
      const known = accessError(target, error);
      send({ kind: "failed", message: (known ?? error as Error).message });
    }
  }

  const timer = setInterval(() => void beat(), heartbeatMs);
  return {
    receive(message) {
      switch (message.kind) {
        case "share": {
          const pulse = pulses.get(message.network) ?? new Pulse(stallTimeoutMs);
          pulses.set(message.network, pulse);
          pulse.share(message.memory);
          break;
        }
        case "close":
          closing = true;
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
