/** A trace worker that does what the network of its job says: whatever can happen to an isolate, without a trace. */
/// <reference lib="deno.worker" />
import type { FromWorker, ToWorker } from "../../src/pipeline/worker_messages.ts";

/** A module with one function, `trap`, which is `unreachable`. */
const TRAP = new Uint8Array([
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0],
  ...[7, 8, 1, 4, 116, 114, 97, 112, 0, 0, 10, 5, 1, 3, 0, 0, 11],
]);

function tell(message: FromWorker): void {
  self.postMessage(message);
}

function spin(turn: () => void): void {
  while (true) turn();
}

function perform(id: number, network: string): void {
  switch (network) {
    case "fine":
      tell({ kind: "read", id, outcome: { kind: "cancelled" } });
      tell({ kind: "accepted", id });
      tell({ kind: "results", id, results: { transactions: [] } });
      return;
    case "throws":
      throw new Error("nobody foresaw this");
    case "traps":
      return (new WebAssembly.Instance(new WebAssembly.Module(TRAP)).exports["trap"] as () => void)();
    case "spins":
      return spin(() => {});
    case "hoards": {
      const hoard: unknown[] = [];
      return spin(() => void hoard.push(Array.from({ length: 1_000_000 }, (_, index) => ({ index }))));
    }
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.kind) {
    case "setup": {
      const { pulse } = data.setup;
      setInterval(() => Atomics.add(pulse, 0, 1), 20);
      return tell({ kind: "ready" });
    }
    case "run":
      return perform(data.id, data.job.network);
    case "abort":
      return tell({ kind: "results", id: data.id, results: { transactions: [] } });
    case "drain":
      return tell({ kind: "drained" });
  }
};
