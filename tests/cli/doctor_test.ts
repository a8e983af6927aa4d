import assert from "node:assert/strict";
import type { CommandIo } from "../../src/cli/command.ts";
import { command as doctor } from "../../src/cli/doctor.ts";
import { command as nodes } from "../../src/cli/nodes.ts";
import { Workload } from "../../src/embedded/workload.ts";
import { answerNodes } from "../../src/rpc/operator_routes.ts";
import { openNodePool } from "../../src/rpc/pool.ts";
import { openChain } from "../embedded/open_chain.ts";
import { clientFlags } from "../../src/ethereum/clients.ts";
import { type Vector, vectors } from "../fixtures/vectors.ts";
import { startFlakyNode } from "../rpc/flaky_node.ts";
import { poolOptions } from "../rpc/options.ts";
import { startReplayingNode } from "./replaying_node.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly errors: readonly string[];
}

async function run(command: typeof doctor, config: string, ...args: string[]): Promise<Ran> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/config.yaml`, config);
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    const errors: string[] = [];
    const io: CommandIo = {
      stdin: new ReadableStream(),
      stdout: new WritableStream({ write: (chunk) => void chunks.push(chunk as Uint8Array<ArrayBuffer>) }),
      stderr: (line) => void errors.push(line),
      signal: new AbortController().signal,
    };
    const code = await command.run([...args, "--config", `${folder}/config.yaml`], io);
    return { code, out: await new Blob(chunks).text(), errors };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function config(chainId: number, nodeLines: readonly string[], api = "", more = ""): string {
  return `networks:
  - name: dev
    chainId: ${chainId}
    blockTime: 1s
${more}    nodes:
${nodeLines.map((line) => `      - ${line}`).join("\n")}
queue: { url: "memory:" }
clickhouse: { url: "http://127.0.0.1:1" }
${api}`;
}

Deno.test("doctor proves what a chain traces and finds two nodes equal", async () => {
  await using chain = await openChain();
  for await (const _ of new Workload({ url: chain.httpUrl, seed: 3 }).mine(1, 12));
  const line = (name: string) => `{ name: ${name}, url: "${chain.httpUrl}" }`;
  const { code, out, errors } = await run(doctor, config(31_337, [line("one"), line("two")]), "--json");
  assert.deepEqual(errors, []);
  const [report] = JSON.parse(out);
  const [one] = report.nodes;
  assert.deepEqual(one.lacks, []);
  assert.equal(code, 0);
  assert.deepEqual(
    one.specimens.map(({ kind, verdict }: { kind: string; verdict: string }) => `${kind} ${verdict}`).sort(),
    ["calls proved", "creation proved", "failed proved", "transfer proved"],
  );
  assert.equal(one.batchItems, 100);
  assert.equal(one.flags.refund.seen, "always");
  assert.ok(one.calls <= 60, String(one.calls));
  assert.deepEqual(report.comparisons.map(({ result }: { result: string }) => result), ["agree"]);
});

Deno.test("doctor names the line that a node without traces needs, in 80 columns", async () => {
  await using node = startFlakyNode();
  node.script = ({ method }) =>
    method.startsWith("debug_") || method === "eth_getBlockReceipts"
      ? { kind: "error", error: { code: -32601, message: `the method ${method} does not exist/is not available` } }
      : method === "eth_getBlockByNumber"
      ? undefined
      : method === "eth_getBalance"
      ? { kind: "result", result: "0x0" }
      : undefined;
  const own = node.script;
  const hash = `0x${"a".repeat(64)}`;
  node.script = async (call) => {
    const { method, params } = call;
    if (method === "eth_getTransactionReceipt") {
      return { kind: "result", result: { transactionHash: hash, status: "0x1", gasUsed: "0x5208" } };
    }
    if (method === "eth_getBlockByNumber" && params[1] === true) {
      const block = {
        number: "0x64",
        hash,
        parentHash: hash,
        timestamp: "0x5f5e14b0",
        transactions: [{ hash, to: hash }],
      };
      return { kind: "result", result: block };
    }
    return await own(call);
  };
  const { code, out } = await run(doctor, config(1337, [`{ name: bare, url: "${node.url}" }`]));
  assert.equal(code, 1);
  assert.match(out, /needed: debug_traceTransaction\n {4}geth --http\.api eth,net,web3,debug/);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
});

Deno.test("doctor says of a node of another chain what is wrong", async () => {
  await using node = startFlakyNode();
  const { code, out } = await run(doctor, config(1, [`{ name: other, url: "${node.url}" }`]));
  assert.equal(code, 2);
  assert.match(out, /other .*\n {2}does not serve: chain id is 1337 instead of 1/);
});

Deno.test("nodes probes when no process answers, and asks the process when one does", async () => {
  await using node = startFlakyNode();
  const line = `{ name: a, url: "${node.url}" }`;
  const probed = await run(nodes, config(1337, [line]));
  assert.equal(probed.code, 0, probed.out);
  assert.match(probed.out, /^No process answers: probed once\.\n\nNetwork dev\n\na {2}primary {2}ready {2}Geth/);
  assert.match(probed.out, /\n {2}family geth, batches of 100\n/);
  for (const text of probed.out.split("\n")) assert.ok(text.length <= 80, text);

  await using pool = openNodePool({ ...poolOptions({ nodes: [{ name: "a", url: node.url }] }), name: "dev" });
  await pool.ready();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => answerNodes(request, [pool]) ?? new Response("", { status: 404 }),
  );
  const api = `api: { address: "127.0.0.1:${server.addr.port}" }`;
  const asked = await run(nodes, config(1337, [line], api));
  assert.match(asked.out, /^As the running process knows it\./);
  const drained = await run(nodes, config(1337, [line], api), "drain", "a");
  assert.equal(drained.code, 0, drained.errors.join());
  assert.equal(pool.nodes()[0]!.condition, "drained");
  assert.equal((await run(nodes, config(1337, [line], api))).code, 1);
  await run(nodes, config(1337, [line], api), "resume", "a");
  assert.equal(pool.nodes()[0]!.condition, "ready");
  const unknown = await run(nodes, config(1337, [line], api), "reset", "b");
  assert.deepEqual([unknown.code, unknown.errors], [1, ["Cannot find node b: see GET /nodes"]]);
});

/** Of each client and release that was recorded, the trace that shows most. */
async function recordings(): Promise<readonly Vector[]> {
  const chosen = new Map<string, Vector>();
  const worth = ({ name, expected, meta }: Vector) =>
    meta.expect_verdict !== undefined || meta.node_bug !== undefined || expected.proof.frames < 2
      ? -1
      : (name.includes("refund") ? 1_000 : 0) + (name.includes("calls") ? 500 : 0) + Math.min(400, expected.proof.rows);
  for (const vector of await vectors("traces", "variants")) {
    const before = chosen.get(vector.meta.client);
    if (worth(vector) >= 0 && (before === undefined || worth(vector) > worth(before))) {
      chosen.set(vector.meta.client, vector);
    }
  }
  return [...chosen.values()];
}

Deno.test("doctor finds what each recorded client prints as its family's table says, and proves it", async () => {
  const found = await recordings();
  assert.ok(found.length >= 12, String(found.length));
  const families = new Set<string>();
  for (const vector of found) {
    await using node = startReplayingNode(vector);
    const { meta, expected } = vector;
    const forks = `    forks: { ${meta.fork}: 0 }\n`;
    const { out } = await run(
      doctor,
      config(meta.chain_id, [`{ name: recorded, url: "${node.url}" }`], "", forks),
      "--json",
    );
    const [{ nodes: [examination] }] = JSON.parse(out);
    const name = `${meta.client}, ${vector.name}: ${JSON.stringify(examination.specimens)}`;
    const flags = clientFlags(meta.client);
    families.add(examination.family);
    assert.equal(examination.family, flags.family, name);
    assert.equal(examination.specimens[0]?.verdict, expected.proof.verdict, name);
    assert.equal(examination.flags.refund.seen, examination.flags.refund.table, name);
    assert.equal(examination.flags.refund.table, flags.refund, name);
    assert.equal(examination.flags["top-level gas"].seen, flags.topGas, name);
    assert.ok(examination.calls <= 60, name);
  }
  assert.deepEqual([...families].sort(), ["besu", "erigon", "ethereumjs", "geth", "nethermind", "revm"]);
});

Deno.test("doctor names the switch of an anvil whose traces are empty", async () => {
  await using chain = await openChain({ stepsTracing: false });
  for await (const _ of new Workload({ url: chain.httpUrl, seed: 3 }).mine(1, 4));
  const { code, out } = await run(doctor, config(31_337, [`{ name: mute, url: "${chain.httpUrl}" }`]));
  assert.equal(code, 1, out);
  assert.match(out, /needed: structlogs: traces are empty\n {4}anvil --steps-tracing/);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
});

Deno.test("doctor shows where two nodes differ, in 80 columns", async () => {
  await using chain = await openChain();
  await using mute = await openChain({ stepsTracing: false });
  for (const { httpUrl } of [chain, mute]) for await (const _ of new Workload({ url: httpUrl, seed: 3 }).mine(1, 4));
  const nodes = [`{ name: one, url: "${chain.httpUrl}" }`, `{ name: mute, url: "${mute.httpUrl}" }`];
  const { code, out } = await run(doctor, config(31_337, nodes));
  assert.equal(code, 1, out);
  assert.match(out, /one and mute differ about\n {2}0x[0-9a-f]{64}:\n {2}0 PUSH1, pc 0, depth 1, .*\n {2}no row\n/);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
});

Deno.test("doctor says how far a node is behind the others", async () => {
  await using ahead = startFlakyNode();
  await using behind = startFlakyNode({ head: 95 });
  const { out } = await run(
    doctor,
    config(1337, [`{ name: ahead, url: "${ahead.url}" }`, `{ name: behind, url: "${behind.url}" }`]),
  );
  assert.match(out, /\nahead .*\n {2}head +100, /);
  assert.match(out, /\nbehind .*\n {2}head +95, 5 behind/);
});
