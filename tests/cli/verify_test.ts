import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command } from "../../src/cli/verify.ts";
import { migrations } from "../../src/stages/sink/schema.ts";
import { type StoreWorld, storeWorld } from "./store_world.ts";
import { outcomeOf } from "./world.ts";

async function verify(world: StoreWorld, ...args: readonly string[]) {
  return await outcomeOf((io) => invoke(command, [...args, "--config", world.config], io));
}

/** A store with the schema and complete, verified blocks of these numbers. */
async function verifiedBlocks(from: number, count: number): Promise<StoreWorld> {
  const world = await storeWorld();
  for (const { statements } of migrations) for (const statement of statements) await world.database.query(statement);
  await enter(world, from, count, "complete", "now64(3)");
  return world;
}

async function enter(world: StoreWorld, from: number, count: number, state: string, verifiedAt: string) {
  await world.database.query(
    `INSERT INTO execution_block SELECT now64(3), 'testnet', processor, 24000000 + number, repeat('0', 66), repeat('0', 66),
       '${state}', ${state === "complete" ? 1 : 0}, 'forwards', 1, 200, 2000000, 2000000, 1, ${
      state === "stuck" ? 3 : 0
    },
       0, ${verifiedAt}, now64(3), now64(3), toUnixTimestamp64Milli(now64(3))
     FROM numbers(${from}, ${count}) ARRAY JOIN ['transaction_structlog', 'transaction_structlog_agg'] AS processor`,
  );
}

Deno.test("verify prints a certificate that fits 80 columns and ends with 0 when nothing is amiss", async () => {
  await using world = await verifiedBlocks(0, 5000);
  const { code, stdout, stderr } = await verify(world);
  assert.deepEqual([code, stderr], [0, []]);
  assert.match(stdout, /^Certificate of testnet, blocks 24,000,000 to 24,004,999 \(5,000\)\n/);
  assert.match(stdout, /\n {2}24,000,000 {2}24,004,999 {3}5,000 {2}complete {6}1,000,000 {2}10,000,000,000\n/);
  assert.match(stdout, /\nNothing is amiss\.\n$/);
  for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
});

Deno.test("verify names what is missing, stuck and unverified, and ends with 1", async () => {
  await using world = await verifiedBlocks(10, 5);
  await enter(world, 15, 1, "stuck", "NULL");
  await enter(world, 16, 2, "complete", "NULL");
  const { code, stdout } = await verify(world, "--from", "24000008", "--to", "24000018", "--network", "testnet");
  assert.equal(code, 1);
  assert.match(stdout, /\ntransaction_structlog_agg: 5 complete, 2 unverified, 1 stuck, 3 missing\n/);
  assert.match(stdout, /24,000,015 {2}24,000,015 {7}1 {2}stuck \(3 dead\)/);
  assert.match(stdout, /\nSomething is amiss\.\n$/);
});

Deno.test("verify --json is the whole certificate", async () => {
  await using world = await verifiedBlocks(0, 3);
  const { code, stdout } = await verify(world, "--json", "--to", "24000003");
  assert.equal(code, 1);
  const certificate = JSON.parse(stdout);
  assert.deepEqual([certificate.network, certificate.from, certificate.to, certificate.ok], [
    "testnet",
    24000000,
    24000003,
    false,
  ]);
  assert.deepEqual(
    certificate.processors.map(({ processor, blocks }: { processor: string; blocks: object }) => [processor, blocks]),
    ["transaction_structlog", "transaction_structlog_agg"].map((processor) => [
      processor,
      { complete: 3, unverified: 0, violated: 0, open: 0, stuck: 0, forked: 0, missing: 1 },
    ]),
  );
});

Deno.test("verify of an empty ledger certifies nothing", async () => {
  await using world = await verifiedBlocks(0, 0);
  const { code, stderr } = await verify(world);
  assert.equal(code, 1);
  assert.match(stderr[0]!, /its ledger is empty/);
});

Deno.test("verify refuses arguments that it cannot read", async () => {
  await using world = await storeWorld();
  for (
    const [args, text] of [
      [["--from", "0x10"], /Cannot read --from as a block number: current value is "0x10"/],
      [["--from", "5", "--to", "4"], /Cannot take --from 5 and --to 4 as a range/],
      [["--network", "elsewhere"], /Cannot find network elsewhere in the configuration: it has testnet/],
      [["--frm", "5"], /did you mean --from\?/],
    ] as const
  ) {
    const { code, stderr } = await verify(world, ...args);
    assert.equal(code, 2);
    assert.match(stderr[0]!, text);
  }
});

Deno.test("verify ends with 3 where the store cannot be asked", async () => {
  await using world = await storeWorld();
  const { code, stderr } = await verify(world);
  assert.equal(code, 3);
  assert.match(stderr[0]!, /execution_block/);
});
