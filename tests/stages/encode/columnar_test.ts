import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteReader } from "../../../src/stages/encode/bytes.ts";
import type { Part } from "../../../src/stages/encode/columnar.ts";
import { decodeBlocks } from "../../../src/stages/encode/native.ts";
import { structlogEncoder, structlogTable } from "../../../src/stages/encode/structlog.ts";
import { structlogAggEncoder, structlogAggTable } from "../../../src/stages/encode/structlog_agg.ts";
import type { TransactionConstants } from "../../../src/stages/encode/transaction_constants.ts";
import {
  constants,
  frameColumns,
  type FrameRow,
  OPERATIONS,
  structlogColumns,
  type StructlogRow,
  structlogRow,
  SUMS,
} from "./columns.ts";

type Cells = Readonly<Record<string, unknown>>;

function number(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** What a row of the structlog table must read as. */
function expectedStructlog(row: StructlogRow, of: TransactionConstants): Cells {
  return {
    ...row,
    gas: number(row.gas),
    gas_cost: number(row.gas_cost),
    gas_used: number(row.gas_used),
    gas_self: number(row.gas_self),
    refund: row.refund === undefined ? undefined : number(row.refund),
    ...shared(of),
    transaction_gas: of.gasUsed,
    transaction_failed: of.failed,
    transaction_return_value: of.returnValue,
  };
}

function expectedFrame({ sums, ...row }: FrameRow, of: TransactionConstants): Cells {
  return {
    ...row,
    ...Object.fromEntries(SUMS.map((name, i) => [name, number(sums[i]!)])),
    gas_refund: row.gas_refund === undefined ? undefined : number(row.gas_refund),
    intrinsic_gas: row.intrinsic_gas === undefined ? undefined : number(row.intrinsic_gas),
    ...shared(of),
  };
}

function shared(of: TransactionConstants): Cells {
  return {
    updated_date_time: of.encodedAt,
    block_number: of.blockNumber,
    block_hash: of.blockHash,
    transaction_hash: of.transactionHash,
    transaction_index: of.transactionIndex,
    meta_network_name: of.network,
    row_version: of.rowVersion,
  };
}

/** The rows of a block, cells that it leaves out absent. */
function rowsOf(bytes: Uint8Array, columns: readonly string[]): Cells[] {
  const [decoded, ...more] = decodeBlocks(new ByteReader(bytes));
  assert.deepEqual(more, []);
  return Array.from(
    { length: decoded!.rows },
    (_, row) => Object.fromEntries(columns.map((name) => [name, decoded!.columns.get(name)?.[row]])),
  );
}

function sorted(row: Cells): Cells {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => a < b ? -1 : 1));
}

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const uint32 = fc.nat({ max: 2 ** 32 - 1 });
const hex = fc.option(fc.stringMatching(/^[0-9a-f]{1,200}$/), { nil: undefined });
const name = fc.oneof(fc.nat({ max: 255 }).map((byte) => `OP${byte}`), fc.constantFrom("opcode 0x0c", "UNKNOWN", "ö"));

const structlog: fc.Arbitrary<StructlogRow> = fc.record({
  index: uint32,
  program_counter: uint32,
  operation: name,
  gas: uint64,
  gas_cost: uint64,
  gas_used: uint64,
  gas_self: uint64,
  depth: fc.integer({ min: 1, max: 1025 }),
  return_data: hex,
  refund: fc.option(uint64, { nil: undefined }),
  error: hex,
  call_to_address: hex,
  call_frame_id: uint32,
  call_frame_path: fc.array(uint32, { minLength: 1, maxLength: 12 }),
});

const frame: fc.Arbitrary<FrameRow> = fc.record({
  call_frame_id: uint32,
  parent_call_frame_id: fc.option(uint32, { nil: undefined }),
  call_frame_path: fc.array(uint32, { minLength: 1, maxLength: 12 }),
  depth: uint32,
  target_address: hex,
  call_type: fc.oneof(fc.constant(""), name),
  operation: fc.oneof(fc.constant(""), name),
  sums: fc.array(uint64, { minLength: SUMS.length, maxLength: SUMS.length }),
  min_depth: uint32,
  max_depth: uint32,
  gas_refund: fc.option(uint64, { nil: undefined }),
  intrinsic_gas: fc.option(uint64, { nil: undefined }),
});

/** Transactions, each with the rows of its segments, and whether its decoder is another one. */
function transactions<R>(row: fc.Arbitrary<R>) {
  const segments = fc.array(fc.array(row, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });
  return fc.array(fc.record({ segments, ownNames: fc.boolean(), returnValue: hex }), { minLength: 1, maxLength: 6 });
}

Deno.test("the structlog table's blocks read back as the rows that went in, whatever segments and transactions", () => {
  fc.assert(
    fc.property(transactions(structlog), (list) => {
      const common = [...OPERATIONS];
      const expected: Cells[] = [];
      const parts: Part<TransactionConstants>[] = list.map(({ segments, ownNames, returnValue }, i) => {
        const of = constants(i, { returnValue, failed: i % 2 === 1 });
        const operations = ownNames ? [...OPERATIONS] : common;
        expected.push(...segments.flat().map((row) => expectedStructlog(row, of)));
        return {
          constants: of,
          segments: segments.map((rows) => structlogEncoder.segment(structlogColumns(rows, operations), operations)),
        };
      });
      const block = structlogEncoder.block(parts);
      assert.equal(block.rows, expected.length);
      assert.deepEqual(
        rowsOf(block.bytes, Object.keys(structlogTable.columns)).map(sorted),
        expected.map(sorted),
      );
    }),
    { numRuns: 60 },
  );
});

Deno.test("the aggregate table's blocks read back as the rows that went in", () => {
  fc.assert(
    fc.property(transactions(frame), (list) => {
      const operations = [...OPERATIONS];
      const expected: Cells[] = [];
      const parts = list.map(({ segments }, i) => {
        const of = constants(i);
        expected.push(...segments.flat().map((row) => expectedFrame(row, of)));
        return {
          constants: of,
          segments: segments.map((rows) => structlogAggEncoder.segment(frameColumns(rows, operations), operations)),
        };
      });
      const block = structlogAggEncoder.block(parts);
      assert.deepEqual(
        rowsOf(block.bytes, Object.keys(structlogAggTable.columns)).map(sorted),
        expected.map(sorted),
      );
    }),
    { numRuns: 60 },
  );
});

Deno.test("a segment is a copy: the decoder may reuse its memory at once", () => {
  const columns = structlogColumns([structlogRow(7)], [...OPERATIONS]);
  const segment = structlogEncoder.segment(columns, OPERATIONS);
  columns.index[0] = 99;
  const block = structlogEncoder.block([{ constants: constants(0), segments: [segment] }]);
  assert.equal(rowsOf(block.bytes, ["index"])[0]!.index, 7);
});

Deno.test("segments with other names at the same position share a block", () => {
  const named = (name: string) => {
    const operations = [...OPERATIONS];
    const columns = structlogColumns([structlogRow(0, { operation: name })], operations);
    return structlogEncoder.segment(columns, operations);
  };
  const segments = [named("X"), named("Y"), named("X")];
  const block = structlogEncoder.block([{ constants: constants(0), segments }]);
  assert.deepEqual(rowsOf(block.bytes, ["operation"]).map(({ operation }) => operation), ["X", "Y", "X"]);
});

Deno.test("a column whose every cell is null stays out of the block, and comes in with the first that is not", () => {
  const operations = [...OPERATIONS];
  const segment = (rows: StructlogRow[]) => structlogEncoder.segment(structlogColumns(rows, operations), operations);
  const nulls = segment([structlogRow(0, { refund: undefined }), structlogRow(1, { refund: undefined })]);
  const without = structlogEncoder.block([{ constants: constants(0), segments: [nulls] }]);
  const optional = ["transaction_return_value", "return_data", "refund", "error", "call_to_address"];
  assert.deepEqual(optional.filter((column) => without.columns.includes(column)), []);
  const some = segment([structlogRow(2, { error: "out of gas", refund: 0n })]);
  const withSome = structlogEncoder.block([
    { constants: constants(0), segments: [nulls] },
    { constants: constants(1, { returnValue: "00" }), segments: [some] },
  ]);
  assert.deepEqual(optional.filter((column) => withSome.columns.includes(column)), [
    "transaction_return_value",
    "refund",
    "error",
  ]);
  assert.deepEqual(rowsOf(withSome.bytes, ["error", "refund"]), [
    { error: undefined, refund: undefined },
    { error: undefined, refund: undefined },
    { error: "out of gas", refund: 0 },
  ]);
});

Deno.test("columns can be omitted, as where nothing is known of them", () => {
  const segment = structlogEncoder.segment(structlogColumns([structlogRow(0)], [...OPERATIONS]), OPERATIONS);
  const omit = new Set(["updated_date_time", "block_hash"]);
  const block = structlogEncoder.block([{ constants: constants(0), segments: [segment] }], { omit });
  assert.ok(!block.columns.includes("updated_date_time") && !block.columns.includes("block_hash"));
  assert.deepEqual(rowsOf(block.bytes, ["gas"]), [{ gas: 10_000_000 }]);
});

Deno.test("more than 256 and more than 65,536 transactions share a block", () => {
  for (const count of [257, 65_537]) {
    const segment = structlogEncoder.segment(structlogColumns([structlogRow(0)], [...OPERATIONS]), OPERATIONS);
    const parts = Array.from({ length: count }, (_, i) => ({ constants: constants(i), segments: [segment] }));
    const rows = rowsOf(structlogEncoder.block(parts).bytes, ["transaction_hash", "row_version"]);
    assert.equal(rows.length, count);
    for (const at of [0, 255, 256, count - 1]) {
      assert.equal(rows[at]!.transaction_hash, constants(at).transactionHash);
      assert.equal(rows[at]!.row_version, constants(at).rowVersion);
    }
  }
});

Deno.test("a block without rows has no rows", () => {
  const block = structlogAggEncoder.block([]);
  assert.equal(block.rows, 0);
  assert.deepEqual(rowsOf(block.bytes, ["gas"]), []);
});
