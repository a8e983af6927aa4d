/** The ledger's contract on both adapters, and the limiter's question beside it. */
import assert from "node:assert/strict";
import { configSchema } from "../../src/config/schema.ts";
import { openLedger } from "../../src/pipeline/ledger_store.ts";
import type { BlockRecords } from "../../src/stages/gate/ledger.ts";
import { MemoryLedger } from "../../src/stages/gate/ledger_memory.ts";
import { highestAllowed } from "../../src/stages/gate/limiter_query.ts";
import { openSink } from "../../src/stages/sink/sink.ts";
import { type EmptyLedger, ledgerContract, NETWORK } from "./ledger_contract.ts";
import { openEngineStorage } from "./storage_backends.ts";

const SINK = {
  isolate: "test",
  rows: 1_000,
  bytes: 1_000_000,
  lingerMs: 1,
  holdBytes: 1_000_000,
  inFlight: 1,
  memoryBytes: 10_000_000,
  settleOn: "durable",
  spillAfterMs: 60_000,
  retry: { initialDelayMs: 50, maxDelayMs: 1_000 },
  breaker: { failures: 5, halfOpenAfterMs: 1_000 },
} as const;

function openMemoryLedger(): Promise<EmptyLedger> {
  const records = new Map<string, BlockRecords>();
  return Promise.resolve({
    ledger: new MemoryLedger(NETWORK, (_number, hash) => records.get(hash)),
    record: (added) => {
      for (const one of added) records.set(one.blockHash, one);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

/** Splits what a block's records add up to into one record per transaction, the first of them refused where one is. */
function recordRows(records: readonly BlockRecords[]): string[] {
  return records.flatMap(({ blockNumber, blockHash, transactions, structlogRows, aggregateRows, violated }) =>
    Array.from({ length: transactions }, (_, index) => {
      const hash = `0x${blockNumber.toString(16).padStart(32, "0")}${index.toString(16).padStart(32, "0")}`;
      const verdict = index < violated ? "violated" : "proved";
      const [structlogs, aggregates] = index === 0 ? [structlogRows, aggregateRows] : [0, 0];
      return `('${NETWORK}', ${blockNumber}, '${blockHash}', '${hash}', ${index}, 1, ${structlogs}, ${aggregates}, '${verdict}')`;
    })
  );
}

async function openClickHouseLedger(): Promise<EmptyLedger> {
  const { storage, [Symbol.asyncDispose]: close } = await openEngineStorage();
  const sink = openSink(SINK, storage, undefined);
  return {
    ledger: openLedger(NETWORK, storage, sink),
    record: (records) =>
      storage.execute(
        `INSERT INTO execution_transaction_trace (meta_network_name, block_number, block_hash, transaction_hash, ` +
          `transaction_index, row_version, structlog_rows, agg_rows, verdict) VALUES ${recordRows(records).join(", ")}`,
        {},
      ),
    async [Symbol.asyncDispose]() {
      await sink.drain(10_000);
      await close();
    },
  };
}

ledgerContract("memory ledger", openMemoryLedger);
ledgerContract("ClickHouse ledger", openClickHouseLedger);

Deno.test("the limiter's own query finds the newest execution block of the network, and none in an empty table", async () => {
  await using engine = await openEngineStorage();
  const { storage } = engine;
  const { networks: [network] } = configSchema.parse({
    networks: [{ name: NETWORK, chainId: 1, nodes: [{ name: "a", url: "http://127.0.0.1:1" }], limiter: {} }],
  });
  const ask = async () => highestAllowed(await storage.query(network!.limiter!.query, { network: NETWORK }));
  await storage.execute(
    `CREATE TABLE canonical_beacon_block (updated_date_time DateTime, slot UInt32, block_root FixedString(66),
       execution_payload_block_number Nullable(UInt32), meta_network_name LowCardinality(String))
     ENGINE = ReplacingMergeTree(updated_date_time) ORDER BY (meta_network_name, slot, block_root)`,
    {},
  );
  assert.equal(await ask(), undefined);
  await storage.execute(
    `INSERT INTO canonical_beacon_block SELECT now(), number, toString(number), if(number = 7, NULL, 100 + number),
       if(number < 9, '${NETWORK}', 'other') FROM numbers(20)`,
    {},
  );
  assert.equal(await ask(), 108);
});
