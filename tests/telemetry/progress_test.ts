import assert from "node:assert/strict";
import { Progress, progressBar, progressLine } from "../../src/telemetry/progress.ts";

function stored(rows: number) {
  return {
    kind: "transaction_stored",
    network: "dev",
    blockNumber: 1,
    transactionHash: "0x",
    verdict: "proved",
    identity: "",
    structlogs: rows,
    structlogRows: rows,
    aggregateRows: 0,
    bytes: 1,
    seconds: 1,
  } as const;
}

Deno.test("Progress adds up, and its rates are those of the last seconds", () => {
  let now = 0;
  const progress = new Progress(() => now);
  progress.figures();
  for (let block = 1; block <= 4; block++) {
    progress.read({
      kind: "block_accepted",
      network: "dev",
      direction: "forwards",
      blockNumber: block,
      transactions: 1,
      tasks: 1,
    });
  }
  progress.read({
    kind: "block_finished",
    network: "dev",
    direction: "forwards",
    blockNumber: 1,
    state: "complete",
    transactions: 1,
    seconds: 1,
  });
  progress.read(stored(1_000));
  now = 2_000;
  const figures = progress.figures();
  assert.deepEqual([figures.blocks, figures.blocksAccepted, figures.transactions, figures.structlogs], [
    1,
    4,
    1,
    1_000,
  ]);
  assert.equal(figures.rowsPerSecond, 500);
  assert.equal(figures.etaSeconds, 6);
  for (let later = 3_000; later <= 20_000; later += 1_000) {
    now = later;
    progress.figures();
  }
  assert.equal(progress.figures().rowsPerSecond, 0);
});

Deno.test("the bar fits its terminal and the line says every figure", () => {
  const figures = {
    blocks: 5,
    blocksAccepted: 10,
    transactions: 1_234,
    structlogs: 5_678_901,
    rows: 6_000_000,
    rowsPerSecond: 250_000,
    etaSeconds: 12.3,
  };
  const line = progressLine(figures);
  assert.equal(line, "blocks 5/10  tx 1,234  structlogs 5,678,901  rows/s 250,000  ETA 13 s");
  assert.equal(progressBar(figures, 120), `[${"█".repeat(12)}${"░".repeat(12)}] ${line}`);
  assert.ok([...progressBar(figures, 60)].length <= 60);
});
