/** Jobs and workers for tests of what becomes of them. */
import { clientFlags } from "../../src/ethereum/clients.ts";
import type { TraceJob } from "../../src/pipeline/trace_job.ts";
import type { JobEars, Workers } from "../../src/pipeline/workers.ts";
import { Workers as Pool } from "../../src/pipeline/workers.ts";
import { CELL_BYTES } from "../../src/stages/queue/pulse.ts";
import { attemptStart, OPTIONS } from "../stages/sink/attempts.ts";

const CLIENT = "Geth/v1.17.10-stable";
const HASH = attemptStart(0).transactionHash;

/** The script that does what the network of its job says. */
export const MADE_UP = new URL("./made_up_worker.ts", import.meta.url);

/** A job of one transaction. */
export function jobOf(network: string, url = "http://127.0.0.1:1"): TraceJob {
  return {
    network,
    shape: "transaction",
    target: HASH,
    node: {
      network,
      name: "a",
      url,
      headers: {},
      gzip: false,
      clientVersion: CLIENT,
      flags: clientFlags(CLIENT),
      caCerts: [],
      connections: 1,
      limits: { wholeMs: 600_000, firstByteMs: 600_000, stallMs: 600_000 },
    },
    returnData: false,
    caps: {},
    policy: "enforce",
    evidenceBytes: 0,
    chainId: 1,
    block: {},
    transactions: [{ index: 0, transaction: { hash: HASH }, receipt: {}, start: attemptStart(0) }],
  };
}

/** Ears that hear nothing. */
export function deaf(): JobEars {
  return { progress: new Int32Array(new SharedArrayBuffer(CELL_BYTES)), read: () => {}, violated: () => {} };
}

/** Workers that store nothing. */
export function openWorkers(
  entry: URL,
  workers: number,
  stallTimeoutMs = 600_000,
  endProcess = () => {},
): Promise<Workers> {
  return Pool.open({ entry, workers, lanes: 4, sink: OPTIONS, storage: "memory", stallTimeoutMs, endProcess });
}
