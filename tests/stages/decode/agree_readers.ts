/**
 * Whether both readers and `JSON.parse` agree on generated replies: every way to write a trace, and damaged ones. What they
 * throw names the seed and the smallest reply that they disagree on.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { cut, parseExactly, parseStructlogs, Probe, said, type Told } from "./probe.ts";
import { random, Serialiser, type WrittenResult, type WrittenStructlog } from "./serialise.ts";

const u64 = fc.oneof(
  { weight: 6, arbitrary: fc.nat(60_000_000).map(String) },
  { weight: 2, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("0", "9", "99999999", "100000000", "18446744073709551615", "9007199254740993"),
  },
);
const signed = fc.oneof({ weight: 8, arbitrary: u64 }, { weight: 1, arbitrary: u64.map((digits) => `-${digits}`) });
const hexOf = (maxLength: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 1, maxLength });
const word = fc.oneof({ weight: 4, arbitrary: hexOf(8) }, { weight: 1, arbitrary: hexOf(64) });
const op = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.constantFrom("PUSH1", "ADD", "KECCAK256", "SHA3", "SUICIDE", "PREVRANDAO", "RETURNDATASIZE", "DUP16"),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("opcode 0xc not defined", "INVALID", "Unknown", "ADDD", "é", "exactly16letters"),
  },
  { weight: 1, arbitrary: fc.constantFrom(null, "") },
);
const orNull = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { freq: 3 });

const structlog: fc.Arbitrary<WrittenStructlog> = fc.record({
  pc: fc.oneof(fc.nat(30_000), fc.constantFrom(0, 99_999_999, 4_294_967_295)).map(String),
  op,
  gas: u64,
  gasCost: fc.option(signed, { freq: 9 }),
  depth: fc.integer({ min: 0, max: 1025 }).map(String),
  stack: fc.option(fc.array(word, { maxLength: 20 }), { freq: 9 }),
  refund: orNull(signed),
  error: orNull(fc.constantFrom("", "out of gas", "stack underflow (1 <=> 2)", "{", "null", 'é\n"quoted"')),
  returnData: orNull(fc.oneof(hexOf(80), fc.constant(""))),
});

/** Half of the stacks begin like the one before, as in real traces. */
const structLogs = fc.tuple(fc.array(structlog, { maxLength: 8 }), fc.nat()).map(([logs, seed]) => {
  const next = random(seed);
  let before: readonly string[] = [];
  return logs.map((log) => {
    if (log.stack === null || next() < 0.5) return log;
    const kept = before.slice(0, Math.floor(next() * (before.length + 1)));
    const stack = next() < 0.2 ? before : [...kept, ...log.stack.slice(0, 3)];
    before = stack;
    return { ...log, stack };
  });
});

const result: fc.Arbitrary<WrittenResult> = fc.record({
  structLogs,
  gas: u64,
  failed: fc.boolean(),
  returnValue: fc.oneof(hexOf(80), fc.constant("")),
});

const share = (most: number) => fc.oneof(fc.constant(0), fc.double({ min: 0, max: most, noNaN: true }));
const wildness = fc.record({
  blanks: share(0.3),
  escapes: share(0.05),
  junk: share(0.3),
  textNumbers: share(0.5),
  order: share(1),
});

const written = fc.record({ result, wildness, seed: fc.nat(), cutSeed: fc.nat() });

const encoder = new TextEncoder();

/** Pieces at up to three random positions. */
function pieces(bytes: Uint8Array, seed: number): Uint8Array[] {
  const next = random(seed);
  const positions = Array.from({ length: Math.floor(next() * 4) }, () => Math.floor(next() * bytes.length));
  return cut(bytes, positions.sort((a, b) => a - b));
}

function write(
  { result, wildness, seed }: { result: WrittenResult; wildness: never; seed: number } | Written,
): Uint8Array {
  return encoder.encode(new Serialiser(random(seed), wildness).reply(result));
}

type Written = typeof written extends fc.Arbitrary<infer T> ? T : never;

/** `runs` ways to write a trace. @throws {Error} on the first that is not read alike */
export async function agreeOnWritten(runs: number, seed: number): Promise<void> {
  const fast = await Probe.open({ scan: true, sliceBytes: 97 });
  const general = await Probe.open({ scan: false, sliceBytes: 128 * 1024 });
  let fastDocuments = 0;
  fc.assert(
    fc.property(written, (choice) => {
      const bytes = write(choice);
      const told = fast.read(pieces(bytes, choice.cutSeed));
      assert.equal(told.error, undefined);
      assert.equal(said(general.read([bytes])), said(told));
      const parsed = parseExactly(bytes);
      const expected = (parsed.result ?? parsed) as Parameters<typeof parseStructlogs>[0];
      assert.deepEqual(told.transactions[0]!.structlogs, parseStructlogs(expected));
      const { facts } = told.transactions[0]!;
      assert.equal(facts.gas, BigInt(choice.result.gas));
      assert.equal(facts.failed, choice.result.failed);
      assert.equal(facts.returnValue ?? "", choice.result.returnValue);
      if (told.fastBytes > 0) fastDocuments++;
    }),
    { numRuns: runs, seed },
  );
  assert.ok(fastDocuments > runs / 4, `the scanner took part in ${fastDocuments} documents only`);
}

/** Damages bytes: `kind` 0 deletes, 1 inserts, 2 changes, 3 doubles a stretch, 4 cuts off. */
function damage(bytes: Uint8Array, kind: number, seed: number): Uint8Array {
  const next = random(seed);
  const at = Math.floor(next() * bytes.length);
  const length = 1 + Math.floor(next() ** 3 * 20);
  const byte = next() < 0.5
    ? encoder.encode('{}[]",:0x1-.e\\ \n\0tfn')[Math.floor(next() * 20)]!
    : Math.floor(next() * 256);
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
  const joined = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
  switch (kind) {
    case 0:
      return joined(before, bytes.subarray(at + length));
    case 1:
      return joined(before, Uint8Array.of(byte), behind);
    case 2:
      return joined(before, Uint8Array.of(byte), behind.subarray(1));
    case 3:
      return joined(before, bytes.subarray(at, at + length), behind);
    default:
      return before;
  }
}

const damaged = fc.record({
  written,
  wounds: fc.array(fc.record({ kind: fc.nat(4), seed: fc.nat() }), { minLength: 1, maxLength: 2 }),
});

/** `runs` damaged replies. @throws {Error} on the first that is not read alike */
export async function agreeOnDamaged(runs: number, seed: number): Promise<void> {
  const fast = await Probe.open({ scan: true, sliceBytes: 97 });
  const general = await Probe.open({ scan: false, sliceBytes: 128 * 1024 });
  let refused = 0;
  fc.assert(
    fc.property(damaged, ({ written, wounds }) => {
      const bytes = wounds.reduce((hurt, { kind, seed }) => damage(hurt, kind, seed), write(written));
      const told = fast.read(pieces(bytes, written.cutSeed));
      assert.equal(said(general.read([bytes])), said(told));
      if (told.error !== undefined) refused++;
      else assert.deepEqual(told.transactions[0]!.structlogs, accepted(bytes, told));
    }),
    { numRuns: runs, seed },
  );
  assert.ok(refused > runs / 2, `${refused} of ${runs} were refused`);
}

/** What `JSON.parse` makes of a damaged reply that the readers take: it must take it too. */
function accepted(bytes: Uint8Array, told: Told): unknown {
  const parsed = parseExactly(bytes);
  const result = ("result" in parsed ? parsed.result : parsed) as { readonly structLogs?: unknown };
  assert.equal(told.transactions[0]!.facts.structLogs, Array.isArray(result.structLogs));
  return parseStructlogs({ structLogs: result.structLogs ?? [] });
}
