/** Evidence for tests: a refused transaction with both ends of a result. */
import type { Evidence } from "../../src/pipeline/trace_job.ts";
import { proof, VIOLATED } from "../stages/sink/attempts.ts";
import { hash } from "../stages/encode/columns.ts";

/** Evidence of transaction `number`. */
export function madeUpEvidence(number: number, changes: Partial<Evidence> = {}): Evidence {
  return {
    network: "testnet",
    blockNumber: 100 + number,
    blockHash: hash(100 + number),
    transactionHash: hash(number),
    node: "a",
    client: "Geth/v1.17.10",
    identity: "R3",
    detail: "gas by the trace 1, receipt 2",
    transaction: { hash: hash(number), gas: "0x5208" },
    receipt: { gasUsed: "0x2" },
    record: proof(3, 1, VIOLATED),
    head: new TextEncoder().encode('{"gas":1,'),
    tail: new TextEncoder().encode('"structLogs":[]}'),
    omittedBytes: 12,
    ...changes,
  };
}
