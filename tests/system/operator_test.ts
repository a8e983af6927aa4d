/** The assembled processor under an operator's hands: its API, its verification, its certificate. */
import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command as verify } from "../../src/cli/verify.ts";
import { DEV_CHAIN_ID } from "../../src/embedded/chain.ts";
import { Workload } from "../../src/embedded/workload.ts";
import { outcomeOf } from "../cli/world.ts";
import { speaker } from "../embedded/shared_engine.ts";
import { openChain } from "../embedded/open_chain.ts";
import { assertExact } from "./exact.ts";
import { ANY_PORT, listening, NETWORK, openStore, PATIENCE_MS, startProcessor, until } from "./stack.ts";

const AUDITS = `
  SELECT audit.differences AS differences, audit.example AS example, record.node = audit.node AS same_node
  FROM execution_transaction_audit AS audit FINAL
  INNER JOIN (SELECT transaction_hash, row_version, node FROM execution_transaction_trace FINAL WHERE block_number = {block:UInt64}) AS record
    ON record.transaction_hash = audit.transaction_hash AND record.row_version = audit.row_version
  WHERE audit.meta_network_name = {network:String} AND audit.block_number = {block:UInt64}`;

/** How often the test tries to be faster than the verification of a new block. */
const TRIES = 8;

/** The API as the test uses it. */
class Operator {
  constructor(readonly url: string, readonly log: () => string) {}

  // deno-lint-ignore no-explicit-any -- what a test finds in the answer is what the test is about
  async call(method: string, path: string): Promise<{ status: number; json: any }> {
    const response = await fetch(`${this.url}${path}`, { method });
    return { status: response.status, json: await response.json() };
  }

  /** Blocks 1 to `last` in each condition, of the first processor. */
  async conditions(last: number): Promise<Record<string, number>> {
    return (await this.call("GET", `/api/v1/status/range?from=1&to=${last}`)).json.processors[0].blocks;
  }

  async certified(last: number): Promise<void> {
    const ok = async () => (await this.call("GET", `/api/v1/status/range?from=1&to=${last}`)).json.ok === true;
    await until(`a clean certificate of ${last} blocks`, PATIENCE_MS, ok, this.log);
  }

  async stored(last: number): Promise<void> {
    const all = async () => {
      const { complete, unverified } = await this.conditions(last);
      return complete! + unverified! === last;
    };
    await until(`${last} blocks`, PATIENCE_MS, all, this.log);
  }

  /** Stops all claims, and waits until no verification runs. */
  async pause(): Promise<void> {
    assert.equal((await this.call("POST", "/api/v1/pause")).status, 200);
    const idle = async () =>
      (await this.call("GET", "/api/v1/status")).json.networks[0].queue.classes.verify_forwards.in_flight === 0;
    await until("no verification in hand", PATIENCE_MS, idle, this.log);
  }

  async resume(): Promise<void> {
    assert.equal((await this.call("POST", "/api/v1/resume")).status, 200);
  }
}

Deno.test("rows that vanish before a block is verified are found and made again; an operator can ask for everything", async () => {
  await using chain = await openChain();
  await using store = await openStore();
  const workload = new Workload({ url: chain.httpUrl, seed: 31 });
  // Two doors to one chain, so that an audit has another node to ask.
  const nodes = [{ name: "anvil", url: chain.httpUrl, ws: chain.wsUrl }, { name: "other", url: chain.httpUrl }];
  await using processor = await startProcessor({
    nodes,
    clickhouse: store.section,
    network: { verify: { delay: "4s", auditShare: 1 } },
    rest: {
      roles: ["discover", "work", "api"],
      api: { address: ANY_PORT },
      queue: { lease: "3s", heartbeat: "1s" },
    },
  });
  const operator = new Operator(await listening("the operator API", processor.log), processor.log);

  // A block that is stored and not verified, while nothing is claimed.
  let blocks = 0;
  let unverified = false;
  while (!unverified) {
    assert.ok(blocks < TRIES, "every block was verified before it could be touched");
    blocks++;
    for await (const block of workload.mine(blocks, blocks)) assert.ok(block.transactions.length > 0);
    await operator.stored(blocks);
    await operator.pause();
    const { json } = await operator.call("GET", `/api/v1/status/range?from=${blocks}&to=${blocks}`);
    unverified = json.processors[0].blocks.unverified === 1;
    if (!unverified) await operator.resume();
  }
  const victims = { network: NETWORK, block: blocks };
  const recordOf =
    "SELECT transaction_hash AS hash, toString(row_version) AS version FROM execution_transaction_trace FINAL WHERE meta_network_name = {network:String} AND block_number = {block:UInt64} AND structlog_rows > 0 ORDER BY transaction_index LIMIT 1";
  const [lost] = await store.query<{ hash: string; version: string }>(recordOf, victims);
  const { query } = speaker(store.section, store.section.database);
  await query(
    `DELETE FROM canonical_execution_transaction_structlog WHERE meta_network_name = '${NETWORK}' AND block_number = ${blocks} AND transaction_hash = '${
      lost!.hash
    }' AND index % 2 = 0`,
  );
  await operator.resume();
  await operator.certified(blocks);
  assert.ok(await assertExact(store, chain.httpUrl, 1, blocks) > 0);
  const [made] = await store.query<{ version: string }>(recordOf, victims);
  assert.ok(BigInt(made!.version) > BigInt(lost!.version), "the block was processed again");
  assert.match(processor.log(), /stored rows differ from their record/);

  // Every transaction was traced again on the node that had not traced it, and agrees.
  const audits = async () =>
    await store.query<{ differences: string; example: string; same_node: number }>(AUDITS, victims);
  await until("audits of the block", PATIENCE_MS, async () => (await audits()).length > 0, processor.log);
  for (const { differences, example, same_node } of await audits()) {
    assert.deepEqual([Number(differences), example, same_node], [0, "", 0]);
  }

  // The same by an operator's wish; a block that is complete stays so.
  const queued = await operator.call("POST", `/api/v1/queue/block/all/${blocks}`);
  assert.deepEqual([queued.status, queued.json.status], [200, "queued"], JSON.stringify(queued.json));
  const again = async () => {
    const { json } = await operator.call("GET", `/api/v1/status/transaction/${lost!.hash}`);
    return BigInt(json.record.row_version) > BigInt(made!.version);
  };
  await until("the block to be processed again", PATIENCE_MS, again, processor.log);
  const { complete, unverified: anew } = await operator.conditions(blocks);
  assert.equal(complete! + anew!, blocks, "stored all the while; it is verified anew");
  assert.equal((await operator.call("POST", "/api/v1/queue/block/all/999999")).status, 404);
  assert.equal((await operator.call("GET", "/nodes")).json.networks[0].nodes[0].name, "anvil");
  assert.equal(await processor.end("SIGTERM"), 0, processor.log());

  await using configuration = await configFile(nodes, store.section);
  const certificate = (...args: readonly string[]) =>
    outcomeOf((io) => invoke(verify, ["--config", configuration.path, ...args], io));
  const clean = await certificate();
  assert.deepEqual([clean.code, clean.stderr], [0, []], clean.stdout);
  const gap = await certificate("--to", String(blocks + 2));
  assert.equal(gap.code, 1);
  assert.match(gap.stdout, /transaction_structlog: .*, 2 missing\n/);
});

async function configFile(nodes: readonly object[], clickhouse: object): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempFile({ prefix: "operator-", suffix: ".yaml" });
  await Deno.writeTextFile(
    path,
    JSON.stringify({
      networks: [{ name: NETWORK, chainId: DEV_CHAIN_ID, nodes, verify: { enabled: false } }],
      clickhouse,
    }),
  );
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
