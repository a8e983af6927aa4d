import assert from "node:assert/strict";
import { frameLines, recordLine, structlogLines } from "../../src/cli/ndjson.ts";
import {
  type FrameColumns,
  NO_OPERATION,
  type NullableStrings,
  type ProofRecord,
  type StructlogColumns,
} from "../../src/stages/decode/port.ts";

const NAMES = Array.from(
  { length: NO_OPERATION + 2 },
  (_, position) => position === NO_OPERATION ? "" : `OP${position}`,
)
  .with(NO_OPERATION + 1, `opcode "0x0c"`);

Deno.test("structlogLines() writes a row a line, constants and cells in the order of the table", () => {
  const constants = new Map([["block_number", "7"], ["meta_network_name", '"dev"'], ["block_hash", '"0xab"']]);
  const [first, second] = parsed(structlogLines(structlogs(), NAMES, constants, new Set()));
  assert.deepEqual(first, {
    block_number: 7,
    index: 4,
    operation: "OP1",
    gas: 9007199254740991,
    gas_cost: 3,
    gas_used: 4294967296,
    gas_self: 0,
    depth: 1,
    return_data: null,
    refund: null,
    error: 'stack "under"flow é',
    call_to_address: null,
    call_frame_id: 0,
    call_frame_path: [0],
    meta_network_name: "dev",
    program_counter: 12,
    block_hash: "0xab",
    row_version: 0,
  });
  assert.deepEqual(Object.keys(first!), Object.keys(second!));
  assert.equal(second!.return_data, "ab".repeat(100));
});

Deno.test("structlogLines() writes 64-bit values beyond 2^53 as texts, and quotes names", () => {
  const [, second] = parsed(structlogLines(structlogs(), NAMES, new Map(), new Set()));
  assert.equal(second!.gas, "18446744073709551615");
  assert.equal(second!.gas_cost, "9007199254740992");
  assert.equal(second!.operation, `opcode "0x0c"`);
  assert.deepEqual(second!.call_frame_path, [0, 3]);
  assert.equal(second!.refund, 4800);
});

Deno.test("structlogLines() writes any number of rows", () => {
  for (const rows of [0, 1, 255, 256, 257, 1000]) {
    const one = structlogs();
    const columns: StructlogColumns = {
      ...one,
      rows,
      index: Uint32Array.from({ length: rows }, (_, row) => row),
      programCounter: new Uint32Array(rows),
      operation: new Uint16Array(rows),
      gas: new Uint32Array(2 * rows),
      gasCost: new Uint32Array(2 * rows),
      gasUsed: new Uint32Array(2 * rows),
      gasSelf: new Uint32Array(2 * rows),
      depth: new Uint16Array(rows),
      refundNulls: new Uint8Array(rows),
      refund: new Uint32Array(2 * rows),
      returnData: nullableStrings(Array.from({ length: rows }, () => null)),
      error: nullableStrings(Array.from({ length: rows }, () => null)),
      callToAddress: nullableStrings(Array.from({ length: rows }, () => null)),
      callFrameId: new Uint32Array(rows),
      callFramePathEnds: Uint32Array.from({ length: 2 * rows }, (_, lane) => lane % 2 === 0 ? lane / 2 + 1 : 0),
      callFramePath: new Uint32Array(rows),
    };
    const lines = parsed(structlogLines(columns, NAMES, new Map(), new Set()));
    assert.deepEqual(lines.map(({ index }) => index), [...columns.index]);
  }
});

Deno.test("frameLines() writes summary and opcode rows, and leaves out what is to be omitted", () => {
  const lines = parsed(frameLines(frames(), NAMES, new Map(), new Set(["intrinsic_gas"])));
  assert.equal(lines.length, 2);
  assert.deepEqual(lines.map(({ operation, call_type }) => [operation, call_type]), [["", ""], ["OP5", "OP241"]]);
  assert.deepEqual(lines.map((row) => row.parent_call_frame_id), [null, 0]);
  assert.deepEqual(lines.map((row) => row.gas_refund), [null, 0]);
  assert.deepEqual(lines.map((row) => row.call_frame_path), [[0], [0, 1]]);
  assert.ok(!("intrinsic_gas" in lines[0]!));
  const [root] = parsed(frameLines(frames(), NAMES, new Map(), new Set()));
  assert.equal(root!.intrinsic_gas, 21000);
});

Deno.test("recordLine() writes null for what is not known, and violations when there are several", () => {
  const record: ProofRecord = {
    verdict: "proved",
    identity: "",
    detail: "",
    violations: [],
    outcome: "success",
    intrinsicGas: 21000,
    floorGas: 21000,
    rootGas: 2n ** 60n,
    codeDepositGas: 0,
    refundSource: "interval",
    refundApplied: 0,
    gasUsed: 30000,
    rows: 1,
    frames: 1,
    accessMismatch: { setColdGasWarm: 1 },
    notes: [],
    aggregateRows: 2,
    structlogChecksum: 0n,
    aggregateChecksum: 0n,
    offset: 0,
    bytes: 10,
  };
  const alone = JSON.parse(recordLine(record, { transaction: false, receipt: true }));
  assert.equal(alone.identity, null);
  assert.equal(alone.intrinsic_gas, null);
  assert.equal(alone.gas_used, 30000);
  assert.equal(alone.refund_counter, null);
  assert.equal(alone.refund_applied, null);
  assert.deepEqual(alone.access_mismatch, { set_cold_gas_warm: 1 });
  assert.equal(alone.root_gas, String(2n ** 60n));
  assert.ok(!("violations" in alone));
  const violations = [{ identity: "R3", detail: "a" }, { identity: "F6", detail: "b", index: 3 }];
  const violated = JSON.parse(
    recordLine({ ...record, violations, identity: "R3" }, { transaction: true, receipt: false }),
  );
  assert.deepEqual(violated.violations, violations);
  assert.equal(violated.gas_used, null);
});

function parsed(chunks: Iterable<Uint8Array>): Record<string, unknown>[] {
  let text = "";
  for (const chunk of chunks) text += new TextDecoder().decode(chunk);
  assert.ok(text === "" || text.endsWith("\n"));
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

function structlogs(): StructlogColumns {
  return {
    rows: 2,
    index: Uint32Array.of(4, 5),
    programCounter: Uint32Array.of(12, 13),
    operation: Uint16Array.of(1, NO_OPERATION + 1),
    gas: lanes(2n ** 53n - 1n, 2n ** 64n - 1n),
    gasCost: lanes(3n, 2n ** 53n),
    gasUsed: lanes(2n ** 32n, 5n),
    gasSelf: lanes(0n, 5n),
    depth: Uint16Array.of(1, 2),
    refundNulls: Uint8Array.of(1, 0),
    refund: lanes(0n, 4800n),
    returnData: nullableStrings([null, "ab".repeat(100)]),
    error: nullableStrings(['stack "under"flow é', null]),
    callToAddress: nullableStrings([null, null]),
    callFrameId: Uint32Array.of(0, 3),
    callFramePathEnds: lanes(1n, 3n),
    callFramePath: Uint32Array.of(0, 0, 3),
  };
}

function frames(): FrameColumns {
  const [none, zero] = [Uint8Array.of(0, 0), lanes(0n, 0n)];
  return {
    rows: 2,
    callFrameId: Uint32Array.of(0, 1),
    parentNulls: Uint8Array.of(1, 0),
    parentCallFrameId: Uint32Array.of(0, 0),
    callFramePathEnds: lanes(1n, 3n),
    callFramePath: Uint32Array.of(0, 0, 1),
    depth: Uint32Array.of(0, 1),
    targetAddress: nullableStrings([null, "0x00"]),
    callType: Uint16Array.of(NO_OPERATION, 241),
    operation: Uint16Array.of(NO_OPERATION, 5),
    opcodeCount: lanes(3n, 1n),
    errorCount: zero,
    gas: lanes(9n, 3n),
    gasCumulative: lanes(9n, 3n),
    minDepth: Uint32Array.of(0, 1),
    maxDepth: Uint32Array.of(0, 1),
    memoryWordsSumBefore: zero,
    memoryWordsSumAfter: zero,
    memoryWordsSqSumBefore: zero,
    memoryWordsSqSumAfter: zero,
    memoryExpansionGas: zero,
    coldAccessCount: zero,
    gasRefundNulls: Uint8Array.of(1, 0),
    gasRefund: zero,
    intrinsicGasNulls: none,
    intrinsicGas: lanes(21000n, 0n),
  };
}

function lanes(...values: bigint[]): Uint32Array {
  return new Uint32Array(BigUint64Array.from(values).buffer);
}

function nullableStrings(texts: readonly (string | null)[]): NullableStrings {
  const bytes = texts.flatMap((text) => {
    const encoded = new TextEncoder().encode(text ?? "");
    const length = encoded.length < 128 ? [encoded.length] : [encoded.length & 0x7f | 0x80, encoded.length >> 7];
    return [...length, ...encoded];
  });
  return { nulls: Uint8Array.from(texts, (text) => text === null ? 1 : 0), bytes: Uint8Array.from(bytes) };
}
