/** The checksum of rows, computed once more in TypeScript from the rows that left. */
import assert from "node:assert/strict";
import { intHash64, xxHash64 } from "../../src/stages/encode/hash64.ts";
import { openDecoder } from "../../src/stages/decode/decoder.ts";
import type { JsonObject } from "../../src/stages/decode/port.ts";
import { vectors } from "../fixtures/vectors.ts";
import { Collected, contextOf, decodeInto } from "../stages/decode/collect.ts";

const SOURCE = await Deno.readTextFile(new URL("../../wasm/checksum.ts", import.meta.url));

function constant(name: string): bigint {
  const found = new RegExp(`export const ${name}: u64 = (0x[0-9a-f]+);`).exec(SOURCE)?.[1];
  assert.ok(found, name);
  return BigInt(found);
}

const STRUCTLOG_CELLS =
  ("index program_counter operation gas gas_cost gas_used gas_self depth return_data refund error " +
    "call_to_address call_frame_id call_frame_path").split(" ");
const AGGREGATE_CELLS =
  ("call_frame_id parent_call_frame_id call_frame_path depth target_address call_type operation " +
    "opcode_count error_count gas gas_cumulative min_depth max_depth gas_refund intrinsic_gas memory_words_sum_before " +
    "memory_words_sum_after memory_words_sq_sum_before memory_words_sq_sum_after memory_expansion_gas cold_access_count")
    .split(" ");
const NULLABLE_INTEGERS = new Set(["refund", "parent_call_frame_id", "gas_refund", "intrinsic_gas"]);

function cell(name: string, value: unknown): bigint {
  if (value === null) return 0n;
  if (typeof value === "string") return xxHash64(value) | 1n;
  if (Array.isArray(value)) {
    const step = constant("PATH_STEP");
    return value.reduce((sum, id, at) => sum + intHash64(BigInt.asUintN(64, BigInt(id) + BigInt(at + 1) * step)), 0n);
  }
  return NULLABLE_INTEGERS.has(name) ? intHash64(BigInt(value as number)) | 1n : BigInt(value as number);
}

function checksum(rows: readonly JsonObject[], names: readonly string[]): bigint {
  const weights = names.map((_, at) => constant(`K${at + 1}`));
  const hashes = rows.map((row) =>
    intHash64(BigInt.asUintN(64, names.reduce((sum, name, at) => sum + cell(name, row[name]) * weights[at]!, 0n)))
  );
  return BigInt.asUintN(64, hashes.reduce((sum, hash) => sum + hash, 0n));
}

Deno.test("the checksums of the record are those of the rows", async () => {
  const decoder = await openDecoder();
  const chosen = [...await vectors("traces"), ...await vectors("variants")]
    .filter((vector, at) => vector.expected.proof.rows < 2_000 && at % 11 === 0);
  assert.ok(chosen.length > 40);
  for (const vector of chosen) {
    const collected = new Collected();
    decodeInto(decoder, contextOf(vector), [vector.trace], collected);
    const record = collected.record!;
    assert.equal(record.structlogChecksum, checksum(collected.rows("structlog"), STRUCTLOG_CELLS), vector.name);
    assert.equal(record.aggregateChecksum, checksum(collected.rows("agg"), AGGREGATE_CELLS), vector.name);
  }
});

Deno.test("the weights are odd and different from each other", () => {
  const weights = AGGREGATE_CELLS.map((_, at) => constant(`K${at + 1}`));
  assert.ok(weights.every((weight) => weight % 2n === 1n));
  assert.equal(new Set(weights).size, weights.length);
});
