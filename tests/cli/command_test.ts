import assert from "node:assert/strict";
import { choice, type Command, type CommandIo, invoke, readFlags, UsageError } from "../../src/cli/command.ts";
import { outcomeOf } from "./world.ts";

const KINDS = { rpc: "text", table: "text", force: "switch", "dry-run": "switch" } as const;

Deno.test("readFlags() takes flags in both spellings and the words that are named", () => {
  const { flags, words } = readFlags(["--rpc", "http://a", "0xab", "--table=frames", "--dry-run"], KINDS, ["hash"]);
  assert.deepEqual({ ...flags }, { rpc: "http://a", table: "frames", "dry-run": true });
  assert.deepEqual(words, ["0xab"]);
});

for (
  const [args, message] of [
    [["--tabel", "frames"], /no such flag: did you mean --table\?/],
    [["--toString", "x"], /no such flag/],
    [["-x"], /Cannot take -x, there is no such flag/],
    [["--rpc"], /Cannot take --rpc without a value/],
    [["--force=yes"], /Cannot take a value for --force: current value is "yes"/],
    [["--rpc", "a", "--rpc", "b"], /Cannot take --rpc twice/],
    [["surplus"], /Cannot take "surplus" as an argument/],
  ] as const
) {
  Deno.test(`readFlags() refuses ${args.join(" ")}`, () => {
    assert.throws(() => readFlags(args, KINDS), (error) => error instanceof UsageError && message.test(error.message));
  });
}

Deno.test("choice() is the first where nothing is given, and names all where the given one is none of them", () => {
  assert.equal(choice("--table", undefined, ["a", "b"]), "a");
  assert.equal(choice("--table", "b", ["a", "b"]), "b");
  assert.throws(() => choice("--table", "c", ["a", "b"]), /Cannot read --table as one of a, b: current value is "c"/);
});

Deno.test("invoke() prints help on stdout and ends with 0", async () => {
  const { code, stdout, stderr } = await outcomeOf((io) =>
    invoke(probe(() => assert.fail()), ["--force", "--help"], io)
  );
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "All about it.\n", stderr: [] });
});

Deno.test("invoke() ends with 2 and one line when the arguments are wrong", async () => {
  const { code, stdout, stderr } = await outcomeOf((io) =>
    invoke(probe((args) => void readFlags(args, KINDS)), ["--x"], io)
  );
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.deepEqual(stderr, ['Cannot take --x, there is no such flag. See "probe --help".']);
});

Deno.test("invoke() passes on the exit code, and errors that are not about arguments", async () => {
  assert.equal((await outcomeOf((io) => invoke(probe(() => 3), [], io))).code, 3);
  const failing = probe(() => {
    throw new Error("a defect");
  });
  await assert.rejects(outcomeOf((io) => invoke(failing, [], io)), /a defect/);
});

function probe(run: (args: readonly string[], io: CommandIo) => number | void): Command {
  return {
    name: "probe",
    summary: "for tests",
    help: "All about it.",
    run: (args, io) => Promise.resolve().then(() => run(args, io) ?? 0),
  };
}
