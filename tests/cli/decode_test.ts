import assert from "node:assert/strict";
import { invoke } from "../../src/cli/command.ts";
import { command, decodeCommand } from "../../src/cli/decode.ts";
import { HOLD_BYTES } from "../../src/cli/trace_rows.ts";
import { parseConfig } from "../../src/config/load.ts";
import { type Group, type Vector, vector } from "../fixtures/vectors.ts";
import { compareProof, compareTable } from "../reference/compare.ts";
import { type CommandOutcome, type CommandWorld, outcomeOf } from "./world.ts";

const SAMPLES: readonly (readonly [Group, string])[] = [
  ["traces", "001-transfer-eoa"],
  ["traces", "025-proxy-delegatecall"],
  ["traces", "014-factory-create-nested"],
  ["traces", "116-legacy-costs-byzantium"],
  ["traces", "494-7702-delegate-precompile-geth"],
  ["variants", "136-refund-mixed@besu-old"],
  ["variants", "134-refund-mixed@nethermind-old"],
  ["bad", "025-no-stack"],
];

for (const [group, name] of SAMPLES) {
  Deno.test(`decode writes what ${group}/${name} expects, in every table`, async () => {
    const sample = await vector(group, name);
    const { expected } = sample;
    await withFiles(sample, async (flags) => {
      const structlog = await decode([...flags, "--proof", "off"], sample.trace);
      assert.deepEqual(compareTable("structlog", expected.structlog, rowsOf(structlog)), []);
      const frames = await decode([...flags, "--proof", "off", "--table", "frames"], sample.trace);
      assert.deepEqual(compareTable("agg", expected.agg, rowsOf(frames)), []);
      const verdict = await decode([...flags, "--table", "verdict"], sample.trace);
      const [record] = rowsOf(verdict);
      assert.deepEqual(compareProof(expected.proof, recordOf(record!)), []);
      for (const { stderr } of [structlog, frames, verdict]) {
        assert.deepEqual(stderr, expected.proof.verdict === "violated" ? stderr : []);
      }
    });
  });
}

Deno.test("decode reads the envelope and the bare result alike", async () => {
  const sample = await vector("traces", "025-proxy-delegatecall");
  const result = new TextDecoder().decode(sample.trace);
  await withFiles(sample, async (flags) => {
    const bare = await decode(flags, sample.trace);
    assert.equal(bare.code, 0);
    for (const envelope of [`{"jsonrpc":"2.0","id":1,"result":${result}}`, ` {"result":${result},"id":"x"}\n`]) {
      const { code, stdout, stderr } = await decode(flags, new TextEncoder().encode(envelope));
      assert.deepEqual({ code, stderr, same: stdout === bare.stdout }, { code: 0, stderr: [], same: true });
    }
  });
});

Deno.test("decode leaves out the columns of files that it was not given, and calls the trace unproved", async () => {
  const sample = await vector("traces", "025-proxy-delegatecall");
  await withFiles(sample, async () => {
    const alone = rowsOf(await decode(["--client", sample.meta.client, "--fork", "prague"], sample.trace));
    assert.equal(alone.length, sample.expected.structlog.count);
    for (const name of ["block_number", "transaction_hash", "transaction_gas", "transaction_failed", "block_hash"]) {
      assert.ok(!(name in alone[0]!), name);
    }
    assert.equal(alone[0]!.meta_network_name, "");
    assert.equal(typeof alone[0]!.transaction_return_value, "string");
    const frames = rowsOf(await decode(["--table", "frames", "--fork", "prague"], sample.trace));
    assert.ok(!("intrinsic_gas" in frames[0]!));
    const verdict = await decode(["--table", "verdict", "--fork", "prague"], sample.trace);
    const [record] = rowsOf(verdict);
    assert.equal(record!.verdict, "unproved");
    assert.equal(record!.intrinsic_gas, null);
    assert.equal(record!.gas_used, null);
    assert.notEqual(record!.detail, null);
  });
});

Deno.test("decode refuses a violated trace: exit 3, no row, one line on stderr", async () => {
  const sample = await vector("bad", "001-erigon-timeout-tail-missing");
  await withFiles(sample, async (flags) => {
    for (const table of ["structlog", "frames"]) {
      for (const format of ["ndjson", "native", "none"]) {
        const { code, bytes, stderr } = await decode([...flags, "--table", table, "--format", format], sample.trace);
        assert.deepEqual({ code, length: bytes.length, lines: stderr.length }, { code: 3, length: 0, lines: 1 });
        assert.match(stderr[0]!, /^violated: (R2|R3|F6) \S/);
      }
    }
  });
});

Deno.test("decode prints the record of a violated trace with --table verdict, and exits with 3", async () => {
  const sample = await vector("bad", "003-limit-in-child");
  await withFiles(sample, async (flags) => {
    const verdict = await decode([...flags, "--table", "verdict"], sample.trace);
    assert.equal(verdict.code, 3);
    const [record] = rowsOf(verdict);
    assert.deepEqual(compareProof(sample.expected.proof, recordOf(record!)), []);
    assert.ok((record!.violations as unknown[]).length > 1);
  });
});

Deno.test("decode --proof off writes the rows of a violated trace and exits with 0, --proof record with 3", async () => {
  const sample = await vector("bad", "001-erigon-timeout-tail-missing");
  await withFiles(sample, async (flags) => {
    const off = await decode([...flags, "--proof", "off"], sample.trace);
    assert.deepEqual(compareTable("structlog", sample.expected.structlog, rowsOf(off)), []);
    assert.deepEqual({ code: off.code, stderr: off.stderr }, { code: 0, stderr: [] });
    const record = await decode([...flags, "--proof", "record"], sample.trace);
    assert.deepEqual({ code: record.code, same: record.stdout === off.stdout }, { code: 3, same: true });
    assert.match(record.stderr[0]!, /^violated: /);
  });
});

Deno.test("decode streams what takes more than the hold, and says so when it was violated", async () => {
  const sample = await vector("traces", "084-loop-200k");
  const text = new TextDecoder().decode(sample.trace);
  const cut = new TextEncoder().encode(`${text.slice(0, text.lastIndexOf("},{", 8_000_000))}}]}`);
  await withFiles(sample, async (flags) => {
    const streamed = await decode(flags, cut, { command: decodeCommand({ holdBytes: 100_000 }) });
    assert.equal(streamed.code, 3);
    const lines = streamed.stdout.split("\n").length - 1;
    assert.ok(lines > 1000, `${lines} rows`);
    assert.match(streamed.stderr[0]!, new RegExp(`^violated: .*; ${lines} rows were written before`));
    const held = await decode(flags, cut);
    assert.deepEqual({ code: held.code, written: held.bytes.length }, { code: 3, written: 0 });
  });
});

Deno.test("decode fills transaction_return_value of rows that leave early, where it was read before them", async () => {
  const sample = await vector("traces", "084-loop-200k");
  const text = new TextDecoder().decode(sample.trace);
  const reply = new TextEncoder().encode(text.replace(/"returnValue":"[^"]*"/, '"returnValue":"0xABcd"'));
  const { code, stdout } = await decode(["--fork", "prague"], reply, {
    command: decodeCommand({ holdBytes: 100_000 }),
  });
  assert.equal(code, 0);
  assert.equal(stdout.split("\n").length - 1, sample.expected.structlog.count);
  assert.ok(stdout.split("\n", 2).every((line) => line.includes('"transaction_return_value":"abcd"')));
});

Deno.test("decode --format none counts and prints no row", async () => {
  const sample = await vector("traces", "025-proxy-delegatecall");
  const { code, stdout } = await decode(["--format", "none"], sample.trace);
  assert.equal(code, 0);
  const figures = JSON.parse(stdout);
  assert.deepEqual(Object.keys(figures), ["structlogs", "bytes", "seconds"]);
  assert.equal(figures.structlogs, sample.expected.structlog.count);
  assert.equal(figures.bytes, sample.trace.length);
  assert.ok(figures.seconds > 0);
});

Deno.test("decode ends with 1 and the length as offset on every proper prefix of a reply", async () => {
  const sample = await vector("traces", "007-create-tx-stop");
  const envelope = new TextEncoder().encode(
    `{"jsonrpc":"2.0","id":1,"result":${new TextDecoder().decode(sample.trace)}}`,
  );
  for (const reply of [sample.trace, envelope]) {
    for (let length = 0; length < reply.length; length++) {
      const { code, bytes, stderr } = await decode([], reply.subarray(0, length));
      assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 1, written: 0, lines: 1 });
      assert.ok(stderr[0]!.includes(`at byte ${length},`), `${length}: ${stderr[0]}`);
    }
  }
});

for (
  const [what, reply, message] of [
    [
      "an error reply",
      `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"execution timeout"}}`,
      /-32000.*execution timeout/,
    ],
    ["a null result", `{"jsonrpc":"2.0","id":1,"result":null}`, /Cannot read the reply as a trace/],
    ["other JSON", `[1,2,3]`, /at byte \d+/],
    ["text", `<html>bad gateway</html>`, /at byte 0/],
    ["text behind the trace", `{"gas":1,"failed":false,"returnValue":"","structLogs":[]} x`, /nothing more at byte 58/],
    [
      "a fraction as gas",
      `{"structLogs":[{"pc":0,"op":"STOP","gas":1.5,"gasCost":0,"depth":1,"stack":[]}]}`,
      /at byte/,
    ],
  ] as const
) {
  Deno.test(`decode ends with 1 and one line on ${what}`, async () => {
    const { code, bytes, stderr } = await decode([], new TextEncoder().encode(reply));
    assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 1, written: 0, lines: 1 });
    assert.match(stderr[0]!, message);
  });
}

for (
  const [args, message] of [
    [["--table", "blocks"], /Cannot read --table as one of structlog, frames, verdict: current value is "blocks"/],
    [["--format", "csv"], /Cannot read --format/],
    [["--proof", "maybe"], /Cannot read --proof/],
    [["--fork", "berln"], /Cannot read --fork as a fork: current value is "berln", did you mean berlin\?/],
    [["--table", "verdict", "--format", "native"], /Cannot write the verdict as native/],
    [["--recept", "a.json"], /did you mean --receipt\?/],
    [["trace.json"], /Cannot take "trace.json" as an argument/],
  ] as const
) {
  Deno.test(`decode ends with 2 on ${args.join(" ")}`, async () => {
    const { code, bytes, stderr } = await decode(args, new Uint8Array());
    assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 2, written: 0, lines: 1 });
    assert.match(stderr[0]!, message);
  });
}

Deno.test("decode ends with 1 and names the file that it cannot read", async () => {
  const sample = await vector("traces", "001-transfer-eoa");
  await withFiles(sample, async (_flags, folder) => {
    await Deno.writeTextFile(`${folder}/cut.json`, `{"hash":"0x`);
    await Deno.writeTextFile(`${folder}/null.json`, `{"jsonrpc":"2.0","id":1,"result":null}`);
    for (
      const [name, message] of [["absent", /Cannot read --tx/], ["cut", /as JSON/], [
        "null",
        /as an object: .* null/,
      ]] as const
    ) {
      const { code, bytes, stderr } = await decode(["--tx", `${folder}/${name}.json`], sample.trace);
      assert.deepEqual({ code, written: bytes.length, lines: stderr.length }, { code: 1, written: 0, lines: 1 });
      assert.ok(stderr[0]!.includes(`${folder}/${name}.json`), stderr[0]);
      assert.match(stderr[0]!, message);
    }
  });
});

Deno.test("decode takes no transaction and receipt that do not belong together", async () => {
  const [one, other] = [await vector("traces", "001-transfer-eoa"), await vector("traces", "025-proxy-delegatecall")];
  await withFiles(one, (_flags, folder) =>
    withFiles(other, async (_others, otherFolder) => {
      const args = ["--tx", `${folder}/tx.json`, "--receipt", `${otherFolder}/receipt.json`];
      const { code, stderr } = await decode(args, one.trace);
      assert.equal(code, 1);
      assert.match(stderr[0]!, /Cannot take --tx and --receipt together/);
    }));
});

Deno.test("decode ends with 130 when it is interrupted while stdin is silent", async () => {
  const interrupt = new AbortController();
  const stdin = new ReadableStream({
    type: "bytes",
    pull: () => {
      interrupt.abort();
      return new Promise<void>(() => {});
    },
  });
  const { code, stderr } = await outcomeOf((io) => invoke(command, [], io), { stdin, signal: interrupt.signal });
  assert.deepEqual({ code, stderr }, { code: 130, stderr: [] });
});

Deno.test("decode ends with 141 when nobody reads its rows any more", async () => {
  const sample = await vector("traces", "025-proxy-delegatecall");
  const stdout = new WritableStream({ write: () => Promise.reject(new Deno.errors.BrokenPipe()) });
  const code = await invoke(command, [], {
    stdin: new Blob([new Uint8Array(sample.trace)]).stream(),
    stdout,
    stderr: assert.fail,
    signal: new AbortController().signal,
  });
  assert.equal(code, 141);
});

Deno.test("decode holds as many bytes as a configuration that does not say", () => {
  const least = "networks: [{ name: a, chainId: 1, nodes: [{ name: n, url: 'http://127.0.0.1:8545' }] }]";
  assert.equal(HOLD_BYTES, parseConfig(least, "least.yaml", () => undefined).config.sink.holdBytes);
});

function decode(
  args: readonly string[],
  reply: Uint8Array,
  { command: chosen = command, ...world }: CommandWorld & { command?: typeof command } = {},
): Promise<CommandOutcome> {
  const stdin = new Blob([new Uint8Array(reply)]).stream();
  return outcomeOf((io) => invoke(chosen, args, io), { stdin, ...world });
}

/** Gives `body` the flags that name the vector's files. */
async function withFiles(sample: Vector, body: (flags: string[], folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of ["tx.json", "receipt.json", "block.json"]) {
      await Deno.writeFile(`${folder}/${name}`, sample.file(name));
    }
    const { client, fork, network } = sample.meta;
    const files = ["tx", "receipt", "block"].flatMap((name) => [`--${name}`, `${folder}/${name}.json`]);
    await body([...files, "--client", client, "--fork", fork, "--network", network], folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function rowsOf({ stdout }: CommandOutcome): Record<string, unknown>[] {
  return stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

function recordOf(record: Record<string, unknown>): Parameters<typeof compareProof>[1] {
  const listed = (record.violations ?? []) as { identity: string }[];
  const identities = [record.identity as string, ...listed.map(({ identity }) => identity)];
  return { ...record, identities } as unknown as Parameters<typeof compareProof>[1];
}
