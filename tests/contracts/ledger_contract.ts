/** What every ledger promises, one test per guarantee, written against the port. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  advanced,
  type BlockRecords,
  type Ledger,
  type LedgerPart,
  type LedgerRow,
  nextVersion,
} from "../../src/stages/gate/ledger.ts";

/** A ledger without rows, ended by `await using`. */
export interface EmptyLedger extends AsyncDisposable {
  readonly ledger: Ledger;
  /** The store has these records. */
  record(records: readonly BlockRecords[]): Promise<void>;
}

/** Network of every ledger under test. */
export const NETWORK = "testnet";
const FORWARDS: LedgerPart = { directions: ["forwards"], processors: ["transaction_structlog"] };
const BACKWARDS: LedgerPart = { ...FORWARDS, directions: ["backwards"] };
const ACCEPTED_MS = 1_700_000_000_123;

/** Hash of block `number` on fork `fork`. */
export function hashOf(number: number, fork = 0): string {
  return `0x${fork.toString(16).padStart(2, "0")}${number.toString(16).padStart(62, "0")}`;
}

/** A row with everything set that a test does not care about. */
export function row(blockNumber: number, changes: Partial<LedgerRow> = {}): LedgerRow {
  return {
    network: NETWORK,
    processor: "transaction_structlog",
    blockNumber,
    blockHash: hashOf(blockNumber),
    parentHash: hashOf(Math.max(0, blockNumber - 1)),
    state: "accepted",
    direction: "forwards",
    taskCount: 1,
    transactions: 3,
    expectedRows: 0,
    storedRows: 0,
    attempts: 0,
    dead: 0,
    violated: 0,
    acceptedMs: ACCEPTED_MS,
    version: 1,
    ...changes,
  };
}

function numbersOf(rows: readonly LedgerRow[]): number[] {
  return rows.map((entry) => entry.blockNumber);
}

/** Runs the contract against one adapter. */
export function ledgerContract(name: string, open: () => Promise<EmptyLedger>): void {
  const test = (fact: string, run: (ledger: Ledger, empty: EmptyLedger) => Promise<void>) =>
    Deno.test(`${name}: ${fact}`, async () => {
      await using empty = await open();
      await run(empty.ledger, empty);
    });

  test("an empty ledger has no bounds and no rows", async (ledger) => {
    assert.equal(await ledger.bounds(), undefined);
    assert.deepEqual(await ledger.between(0, 1_000), []);
    assert.deepEqual(await ledger.open(FORWARDS, -1, 10), []);
    assert.deepEqual(await ledger.orphaned(0), []);
    assert.deepEqual(await ledger.missing("transaction_structlog", 3, 6, 10), [3, 4, 5, 6]);
    assert.deepEqual(await ledger.records([{ blockNumber: 1, blockHash: hashOf(1) }]), []);
    await ledger.write([]);
    assert.equal(await ledger.bounds(), undefined);
  });

  test("what is written comes back whole", async (ledger) => {
    const written = row(19_000_000, {
      state: "complete",
      direction: "backwards",
      taskCount: 4,
      transactions: 211,
      expectedRows: 5_000_000_000,
      storedRows: 5_000_000_000,
      attempts: 2,
      dead: 1,
      violated: 1,
      verifiedMs: ACCEPTED_MS + 7,
      completedMs: ACCEPTED_MS + 5,
      version: ACCEPTED_MS + 9,
    });
    await ledger.write([written]);
    assert.deepEqual(await ledger.between(19_000_000, 19_000_000), [written]);
  });

  test("the row with the larger version wins, whatever the order", async (ledger) => {
    const newer = row(5, { state: "complete", completedMs: ACCEPTED_MS, version: 7 });
    await ledger.write([newer]);
    await ledger.write([row(5, { version: 6 })]);
    assert.deepEqual(await ledger.between(5, 5), [newer]);
    await ledger.write([row(5, { version: 8 })]);
    assert.equal((await ledger.between(5, 5))[0]!.state, "accepted");
  });

  test("processors and forks of a number have rows of their own", async (ledger) => {
    await ledger.write([
      row(5),
      row(5, { processor: "transaction_structlog_agg" }),
      row(5, { blockHash: hashOf(5, 1), state: "orphaned" }),
    ]);
    assert.equal((await ledger.between(5, 5)).length, 3);
    assert.equal((await ledger.between(0, 4)).length, 0);
  });

  test("bounds are those of blocks that are not orphaned", async (ledger) => {
    await ledger.write([row(5), row(7), row(9, { state: "orphaned" }), row(3, { state: "orphaned" })]);
    assert.deepEqual(await ledger.bounds(), { lowest: 5, highest: 7 });
    assert.deepEqual(await ledger.bounds(6), { lowest: 7, highest: 7 });
    assert.equal(await ledger.bounds(8), undefined);
    await ledger.write([
      row(9, { version: 2 }),
      row(3, { blockHash: hashOf(3, 1) }),
      row(5, { state: "orphaned", version: 2 }),
    ]);
    assert.deepEqual(await ledger.bounds(), { lowest: 3, highest: 9 }, "one came back, one was replaced");
    assert.deepEqual(await ledger.bounds(4), { lowest: 7, highest: 9 });
  });

  test("open() pages through accepted blocks of a part, lowest first", async (ledger) => {
    await ledger.write([
      row(9),
      row(4),
      row(6, { direction: "backwards" }),
      row(5, { state: "complete" }),
      row(7, { state: "stuck" }),
      row(8, { state: "orphaned" }),
      row(0),
    ]);
    assert.deepEqual(numbersOf(await ledger.open(FORWARDS, -1, 10)), [0, 4, 9]);
    assert.deepEqual(numbersOf(await ledger.open(FORWARDS, -1, 2)), [0, 4]);
    assert.deepEqual(numbersOf(await ledger.open(FORWARDS, 4, 2)), [9]);
    assert.deepEqual(numbersOf(await ledger.open(FORWARDS, -1, 10, 8)), [0, 4]);
    assert.deepEqual(numbersOf(await ledger.open(BACKWARDS, -1, 10)), [6]);
    await ledger.write([row(3, { processor: "transaction_simple" })]);
    assert.deepEqual(numbersOf(await ledger.open(FORWARDS, -1, 10)), [0, 4, 9]);
    const all: LedgerPart = {
      directions: ["forwards", "backwards"],
      processors: ["transaction_simple", "transaction_structlog"],
    };
    assert.deepEqual(numbersOf(await ledger.open(all, -1, 10)), [0, 3, 4, 6, 9]);
  });

  test("unverified() names finished blocks that nobody has verified", async (ledger) => {
    const finished = (number: number, changes: Partial<LedgerRow> = {}) =>
      row(number, { state: "complete", completedMs: ACCEPTED_MS, ...changes });
    await ledger.write([
      row(1),
      finished(2),
      finished(3, { verifiedMs: ACCEPTED_MS + 1 }),
      finished(4, { state: "stuck" }),
      finished(5, { transactions: 0 }),
      finished(6, { completedMs: ACCEPTED_MS + 10 }),
      finished(7, { state: "orphaned" }),
      finished(8, { direction: "backwards" }),
      finished(9),
    ]);
    assert.deepEqual(numbersOf(await ledger.unverified(FORWARDS, 0, ACCEPTED_MS + 10, 10)), [2, 4, 9]);
    assert.deepEqual(numbersOf(await ledger.unverified(FORWARDS, 3, ACCEPTED_MS + 11, 2)), [4, 6]);
    assert.deepEqual(numbersOf(await ledger.unverified(BACKWARDS, 0, ACCEPTED_MS + 1, 10)), [8]);
    assert.deepEqual(numbersOf(await ledger.unverified(FORWARDS, 0, ACCEPTED_MS, 10)), []);
    const both: LedgerPart = { ...FORWARDS, directions: ["forwards", "backwards"] };
    assert.deepEqual(numbersOf(await ledger.unverified(both, 4, ACCEPTED_MS + 1, 10)), [4, 8, 9]);
    assert.deepEqual(
      await ledger.unverified({ ...both, processors: ["transaction_simple"] }, 0, ACCEPTED_MS + 1, 9),
      [],
    );
  });

  test("missing() names the holes of one processor, lowest first, ends included, no more than asked for", async (ledger) => {
    await ledger.write([
      row(2),
      row(3, { state: "orphaned" }),
      row(3, { processor: "transaction_simple" }),
      row(6),
      row(7),
    ]);
    assert.deepEqual(await ledger.missing("transaction_structlog", 0, 9, 10), [0, 1, 3, 4, 5, 8, 9]);
    assert.deepEqual(await ledger.missing("transaction_structlog", 0, 9, 4), [0, 1, 3, 4]);
    assert.deepEqual(await ledger.missing("transaction_structlog", 6, 7, 4), []);
    assert.deepEqual(await ledger.missing("transaction_structlog", 7, 6, 4), []);
    assert.deepEqual(await ledger.missing("transaction_simple", 2, 4, 10), [2, 4]);
  });

  test("runStart() is the lower end of a run without holes", async (ledger) => {
    await ledger.write([
      row(0),
      row(1),
      row(3, { state: "orphaned" }),
      row(4),
      row(5),
      row(5, { processor: "transaction_simple" }),
      row(6, { processor: "transaction_simple" }),
    ]);
    assert.equal(await ledger.runStart(6), 4);
    assert.equal(await ledger.runStart(4), 4);
    assert.equal(await ledger.runStart(1), 0);
    assert.equal(await ledger.runStart(0), 0);
  });

  test("missing() and bounds() agree on any set of blocks", async (ledger) => {
    let version = 1;
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 20, max: 40 }), { maxLength: 15 }), async (present) => {
        version++;
        const states = Array.from({ length: 21 }, (_, index) => present.includes(20 + index));
        await ledger.write(
          states.map((there, index) => row(20 + index, { state: there ? "complete" : "orphaned", version })),
        );
        const absent = states.flatMap((there, index) => there ? [] : [20 + index]);
        assert.deepEqual(await ledger.missing("transaction_structlog", 20, 40, 100), absent);
        const bounds = present.length === 0
          ? undefined
          : { lowest: Math.min(...present), highest: Math.max(...present) };
        assert.deepEqual(await ledger.bounds(), bounds);
      }),
      { numRuns: 15 },
    );
  });

  test("orphaned() names what left the chain from a number on", async (ledger) => {
    await ledger.write([3, 5, 7].map((number) => row(number, { state: "orphaned" })));
    await ledger.write([row(6)]);
    assert.deepEqual(numbersOf(await ledger.orphaned(4)), [5, 7]);
  });

  test("records() counts what the records of a block's transactions say", async (ledger, empty) => {
    const records: BlockRecords[] = [
      { blockNumber: 5, blockHash: hashOf(5), transactions: 2, structlogRows: 30, aggregateRows: 4, violated: 1 },
      { blockNumber: 6, blockHash: hashOf(6), transactions: 1, structlogRows: 15, aggregateRows: 2, violated: 0 },
    ];
    await empty.record(records);
    const asked = [5, 6, 7].map((number) => ({ blockNumber: number, blockHash: hashOf(number) }));
    const found = [...await ledger.records(asked)].sort((a, b) => a.blockNumber - b.blockNumber);
    assert.deepEqual(found, records);
    assert.deepEqual(await ledger.records([{ blockNumber: 5, blockHash: hashOf(5, 1) }]), []);
    assert.deepEqual(await ledger.records([]), []);
    const many = Array.from({ length: 2_000 }, (_, at) => ({ blockNumber: 1_000 + at, blockHash: hashOf(1_000 + at) }));
    assert.deepEqual(await ledger.records([...many, asked[0]!]), await ledger.records([asked[0]!]));
  });

  test("a block that left and came back: each step has the larger version", async (ledger) => {
    const accepted = row(5, { version: ACCEPTED_MS });
    const left = advanced(accepted, "orphaned", {}, ACCEPTED_MS + 1)!;
    const late = advanced(accepted, "complete", {}, ACCEPTED_MS + 2)!;
    await ledger.write([left]);
    await ledger.write([late]);
    assert.equal((await ledger.between(5, 5))[0]!.state, "orphaned");
    await ledger.write([{ ...accepted, version: nextVersion(left.version, ACCEPTED_MS + 3) }]);
    assert.equal((await ledger.between(5, 5))[0]!.state, "accepted");
  });
}
