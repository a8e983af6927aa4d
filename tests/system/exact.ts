/** Whether what is stored is exactly what the chain holds: nothing missing, nothing more, nothing twice. */
import assert from "node:assert/strict";
import { ask, NETWORK, type openStore } from "./stack.ts";

type Store = Pick<Awaited<ReturnType<typeof openStore>>, "query">;

interface Block {
  readonly hash: string;
  readonly transactions: readonly string[];
}

/** Rows per transaction of the structlog table, with FINAL. */
const ROWS = `
  SELECT transaction_hash AS hash, count() AS found, uniqExact(index) AS indices, uniqExact(row_version) AS versions
  FROM canonical_execution_transaction_structlog FINAL
  WHERE meta_network_name = {network:String} GROUP BY hash`;
const RECORDS = `
  SELECT transaction_hash AS hash, structlog_rows AS expected, published, verdict
  FROM execution_transaction_trace FINAL WHERE meta_network_name = {network:String}`;
const LEDGER = `
  SELECT block_number AS number, block_hash AS hash, state, processor
  FROM execution_block FINAL WHERE meta_network_name = {network:String} AND state != 'orphaned' ORDER BY number`;

/** Checks blocks `from` to `to` of the chain at `url`. @returns structlogs compared. */
export async function assertExact(store: Store, url: string, from: number, to: number): Promise<number> {
  const params = { network: NETWORK };
  const rows = new Map(
    (await store.query<{ hash: string; found: string; indices: string; versions: string }>(ROWS, params)).map((
      row,
    ) => [row.hash, row]),
  );
  const records = new Map(
    (await store.query<{ hash: string; expected: string; published: number; verdict: string }>(RECORDS, params)).map((
      row,
    ) => [row.hash, row]),
  );
  const ledger = await store.query<{ number: string; hash: string; state: string; processor: string }>(LEDGER, params);
  let compared = 0;
  const expectedHashes = new Set<string>();
  for (let number = from; number <= to; number++) {
    const block = await ask<Block>(url, "eth_getBlockByNumber", [`0x${number.toString(16)}`, false]);
    const entries = ledger.filter((entry) => Number(entry.number) === number);
    assert.ok(entries.length > 0, `block ${number} is not in the ledger`);
    for (const entry of entries) {
      assert.deepEqual([entry.hash, entry.state], [block.hash, "complete"], `block ${number}, ${entry.processor}`);
    }
    for (const hash of block.transactions) {
      expectedHashes.add(hash);
      const trace = await ask<{ structLogs: unknown[] }>(url, "debug_traceTransaction", [hash, {}]);
      const found = rows.get(hash);
      const record = records.get(hash);
      assert.equal(Number(found?.found ?? 0), trace.structLogs.length, `rows of ${hash} in block ${number}`);
      assert.equal(Number(found?.indices ?? 0), trace.structLogs.length, `indices of ${hash}`);
      assert.ok(Number(found?.versions ?? 1) === 1, `versions of ${hash}`);
      assert.deepEqual(
        [record?.published, Number(record?.expected)],
        [1, trace.structLogs.length],
        `record of ${hash}`,
      );
      assert.match(record!.verdict, /^(proved|bounded)$/);
      compared += trace.structLogs.length;
    }
  }
  for (const hash of rows.keys()) assert.ok(expectedHashes.has(hash), `rows of ${hash}, which is not on the chain`);
  return compared;
}
