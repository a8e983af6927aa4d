/** One reply from the node's socket to the sink: caps, evidence, and what the node is told to have done. */
import assert from "node:assert/strict";
import { clientFlags } from "../../src/ethereum/clients.ts";
import { forkByName } from "../../src/ethereum/forks.ts";
import { type Evidence, type JobResults, openLane, runTraceJob, type TraceJob } from "../../src/pipeline/trace_job.ts";
import { settlementOf } from "../../src/pipeline/settlement.ts";
import { closeTraceConnections } from "../../src/rpc/open_trace.ts";
import type { NodeView, Outcome } from "../../src/rpc/port.ts";
import { MemoryStorage } from "../../src/stages/sink/memory.ts";
import { openSink } from "../../src/stages/sink/sink.ts";
import { type Vector, vector } from "../fixtures/vectors.ts";
import { attemptStart, OPTIONS } from "../stages/sink/attempts.ts";

const CLIENT = "Geth/v1.17.10-stable";
const lane = await openLane();

function viewOf(url: string): NodeView {
  return {
    network: "testnet",
    name: "a",
    url,
    headers: {},
    gzip: false,
    clientVersion: CLIENT,
    flags: clientFlags(CLIENT),
    caCerts: [],
    connections: 1,
    limits: { wholeMs: 60_000, firstByteMs: 60_000, stallMs: 60_000, executionMs: 30_000 },
  };
}

interface Ran {
  readonly results: JobResults;
  readonly evidence: readonly Evidence[];
  readonly outcomes: readonly Outcome[];
  readonly structlogRows: number;
}

/** Runs a job whose node answers with `pieces`. */
async function run(pieces: readonly Uint8Array[], vector: Vector, changes: Partial<TraceJob> = {}): Promise<Ran> {
  const count = changes.transactions?.length ?? 1;
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return new Response(ReadableStream.from(pieces) as ReadableStream<Uint8Array<ArrayBuffer>>);
  });
  const { transaction, receipt, block, meta } = vector;
  const transactions = Array.from({ length: count }, (_, index) => ({
    index,
    transaction,
    receipt,
    start: attemptStart(index, { client: CLIENT }),
  }));
  const storage = new MemoryStorage({ rows: "counted" });
  const sink = openSink(OPTIONS, storage);
  const [evidence, outcomes]: [Evidence[], Outcome[]] = [[], []];
  const waits = { open: 0, ever: 0 };
  const running = runTraceJob(
    {
      network: "testnet",
      shape: "transaction",
      target: attemptStart(0).transactionHash,
      node: viewOf(`http://127.0.0.1:${server.addr.port}`),
      returnData: false,
      caps: {},
      policy: "enforce",
      evidenceBytes: 100,
      fork: forkByName(meta.fork)!,
      chainId: meta.chain_id,
      block,
      transactions,
      ...changes,
    },
    lane,
    sink,
    new AbortController().signal,
    {
      moved: () => {},
      waiting: () => {
        waits.open++;
        waits.ever++;
        return { [Symbol.dispose]: () => void waits.open-- };
      },
      read: (outcome) => outcomes.push(outcome),
      progress: () => {},
      violated: (found) => evidence.push(found),
    },
  );
  const results = await running.results;
  await running.accepted.catch(() => {});
  assert.equal(waits.open, 0, "a wait that never ends would renew the lease of a job that stands still");
  assert.ok(waits.ever >= 2, "both the node and the store are waited for");
  await sink.drain(60_000);
  closeTraceConnections();
  const structlogRows = storage.counts("canonical_execution_transaction_structlog").rows;
  return { results, evidence, outcomes, structlogRows };
}

/** The items of a block's reply: traces of the same transaction, each with the gas that it prints at its top. */
function blockReply(traces: readonly string[]): Uint8Array {
  const items = traces.map((trace, index) => `{"txHash":"${attemptStart(index).transactionHash}","result":${trace}}`);
  return new TextEncoder().encode(`{"jsonrpc":"2.0","id":1,"result":[${items.join(",")}]}\n`);
}

function transactionsOf(vector: Vector, count: number): TraceJob["transactions"] {
  const { transaction, receipt } = vector;
  return Array.from({ length: count }, (_, index) => ({ index, transaction, receipt, start: attemptStart(index) }));
}

/** The trace with another total: valid JSON that R4 refuses. */
function lying(trace: string): string {
  const changed = trace.replace(/"gas":(\d+),"failed"/, (_, gas) => `"gas":${Number(gas) + 1},"failed"`);
  assert.notEqual(changed, trace);
  return changed;
}

const sound = await vector("traces", "404-create-tx-geth");
const soundText = new TextDecoder().decode(sound.trace);

Deno.test("runTraceJob() stores a trace, and tells of nothing refused", async () => {
  const { results, evidence, outcomes, structlogRows } = await run([sound.trace], sound);
  assert.equal(results.error, undefined);
  assert.deepEqual(results.transactions.map(({ verdict }) => verdict), ["proved"]);
  assert.deepEqual(evidence, []);
  assert.equal(outcomes[0]!.kind, "ok");
  assert.equal(structlogRows, results.transactions[0]!.structlogs);
});

Deno.test("runTraceJob() ends a reply beyond trace.maxBytes or trace.maxStructlogs as a dead letter with the figure", async () => {
  const structlogs = sound.expected.proof.rows;
  const within = await run([sound.trace], sound, {
    caps: { maxBytes: sound.trace.length, maxStructlogs: structlogs },
  });
  assert.equal(within.results.error, undefined);
  const cases = [
    [{ maxBytes: sound.trace.length - 1 }, `trace.maxBytes allows: current value is ${sound.trace.length} of`],
    [{ maxStructlogs: structlogs - 1 }, `trace.maxStructlogs allows: current value is ${structlogs} of`],
  ] as const;
  for (const [caps, figure] of cases) {
    const { results, evidence, outcomes, structlogRows } = await run([sound.trace], sound, { caps });
    const { error, transactions } = results;
    assert.equal(error!.code, "trace_too_large");
    assert.equal(error!.disposition, "dead");
    assert.ok(error!.message.includes(figure), error!.message);
    assert.deepEqual([transactions, evidence, structlogRows], [[], [], 0]);
    assert.deepEqual(outcomes, [{ kind: "cancelled" }], "the node did nothing wrong");
    const task = {
      kind: "trace",
      network: "testnet",
      class: "process_forwards",
      blockNumber: 100,
      blockHash: "0x",
      attempts: 0,
      recoveries: 0,
      failedNodes: [],
      firstEnqueuedMs: 0,
    } as const;
    const alone = settlementOf({ task: { ...task, first: 4, last: 4 }, results: [], error: error! });
    assert.equal(alone.outcome, "dead");
    // In a range only the large one shall die: each is read alone.
    const range = settlementOf({ task: { ...task, first: 4, last: 5 }, results: [], error: error! });
    assert.equal(range.outcome, "split");
  }
});

Deno.test("runTraceJob() keeps both ends of exactly the refused result, wherever it lies in a block's reply", async () => {
  const refused = lying(soundText);
  for (const at of [0, 1, 7]) {
    const traces = Array.from({ length: 8 }, (_, index) => index === at ? refused : soundText);
    const reply = blockReply(traces);
    const third = Math.floor(reply.length / 3);
    for (
      const pieces of [[reply], [reply.subarray(0, third), reply.subarray(third, 2 * third), reply.subarray(2 * third)]]
    ) {
      const { results, evidence, outcomes } = await run(pieces, sound, {
        shape: "block",
        transactions: transactionsOf(sound, traces.length),
      });
      assert.equal(results.error, undefined);
      assert.deepEqual(
        results.transactions.map(({ verdict }) => verdict === "violated"),
        traces.map((_, i) => i === at),
      );
      assert.deepEqual(outcomes, [{ kind: "violated", identity: "R4" }]);
      assert.equal(evidence.length, 1);
      const [{ transactionHash, identity, node, head, tail, omittedBytes, record, receipt }] = evidence as [Evidence];
      assert.deepEqual([transactionHash, identity, node], [attemptStart(at).transactionHash, "R4", "a"]);
      assert.equal(new TextDecoder().decode(head), refused.slice(0, 100));
      assert.equal(new TextDecoder().decode(tail), refused.slice(-100));
      assert.equal(omittedBytes, refused.length - 200);
      assert.equal(record.bytes, refused.length);
      assert.deepEqual(receipt, sound.receipt);
    }
  }
});

Deno.test("runTraceJob() refuses nothing and keeps no evidence where the policy is off, and tells where it is record", async () => {
  const trace = new TextEncoder().encode(lying(soundText));
  const off = await run([trace], sound, { policy: "off" });
  assert.deepEqual([off.evidence, off.results.transactions[0]!.stored.published], [[], true]);
  const recorded = await run([trace], sound, { policy: "record" });
  assert.deepEqual([recorded.evidence.length, recorded.results.transactions[0]!.stored.published], [1, true]);
  const enforced = await run([trace], sound);
  assert.deepEqual([enforced.evidence.length, enforced.results.transactions[0]!.stored.published], [1, false]);
});

Deno.test("runTraceJob() blames the node for what is no trace of these transactions", async () => {
  const encoder = new TextEncoder();
  const error = '{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"execution timeout"}}';
  const cases = [
    [encoder.encode(soundText.slice(0, -5)), "malformed", "other"],
    [encoder.encode(`${soundText}x`), "malformed", "other"],
    [encoder.encode(error), "execution_timeout", "split"],
    [encoder.encode('{"jsonrpc":"2.0","id":1,"result":null}'), "absent", "missing"],
    [encoder.encode(`{"txHash":"0x${"12".repeat(32)}","result":${soundText}}`), "malformed", "other"],
  ] as const;
  for (const [reply, reason, action] of cases) {
    const { results, outcomes, structlogRows } = await run([reply], sound);
    assert.deepEqual([results.error?.failure?.reason, results.error?.failure?.action], [reason, action]);
    assert.equal(outcomes.length, 1);
    assert.equal(outcomes[0]!.kind, "failed");
    assert.deepEqual([results.transactions, structlogRows], [[], 0]);
  }
  const short = await run([blockReply([soundText])], sound, {
    shape: "block",
    transactions: transactionsOf(sound, 2),
  });
  assert.equal(short.results.error!.failure?.reason, "malformed");
});
