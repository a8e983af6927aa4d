import assert from "node:assert/strict";
import fc from "fast-check";
import { parseGwei, serializeTransaction, type TransactionSerializable } from "viem";
import { encodedSize, transactionRow, TransactionShapeError } from "../../src/pipeline/simple_transactions.ts";
import type { FullBlock, JsonObject } from "../../src/stages/source/chain.ts";

const HASH = `0x${"ab".repeat(32)}`;
const ADDRESS = `0x${"12".repeat(20)}` as const;

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value): `0x${string}` => `0x${value.toHex()}`);
const input = fc.uint8Array({ maxLength: 300 }).map((value): `0x${string}` => `0x${value.toHex()}`);
const amount = fc.bigInt({ min: 0n, max: 2n ** 90n });
const accessList = fc.array(
  fc.record({ address: bytes(20), storageKeys: fc.array(bytes(32), { maxLength: 3 }) }),
  { maxLength: 3 },
);
const signature = fc.record({
  r: fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }),
  s: fc.bigInt({ min: 1n, max: 2n ** 255n }),
});

function hex(value: bigint | number): `0x${string}` {
  return `0x${value.toString(16)}`;
}

/** A transaction of each type with what a node answers for it. */
const transaction = fc.record({
  type: fc.constantFrom(0, 1, 2, 3, 4),
  nonce: fc.nat(1e6),
  gas: fc.bigInt({ min: 21_000n, max: 30_000_000n }),
  to: fc.option(bytes(20), { nil: undefined }),
  value: amount,
  data: input,
  price: amount,
  tip: amount,
  accessList,
  blobs: fc.array(bytes(31).map((tail): `0x${string}` => `0x01${tail.slice(2)}`), { minLength: 1, maxLength: 6 }),
  authority: bytes(20),
  signature,
  parity: fc.constantFrom(0, 1),
}, { noNullPrototype: true }).map((made) => {
  const { type, nonce, gas, value, data, price, tip, blobs, authority, parity } = made;
  // A blob or a delegation needs somebody to be called.
  const to = type >= 3 ? made.to ?? ADDRESS : made.to;
  const [r, s] = [hex(made.signature.r), hex(made.signature.s)];
  const padded = (quantity: `0x${string}`): `0x${string}` => `0x${quantity.slice(2).padStart(64, "0")}`;
  const signed = { r: padded(r), s: padded(s), yParity: parity };
  const call = { nonce, gas, value, data, ...(to === undefined ? {} : { to }) };
  const fees = { maxFeePerGas: price + tip, maxPriorityFeePerGas: tip, chainId: 1 };
  const authorization = { address: authority, chainId: 1, nonce: 7, ...signed };
  const forms: Record<number, TransactionSerializable> = {
    0: { type: "legacy", gasPrice: price, chainId: 1, ...call },
    1: { type: "eip1559", ...fees, ...call },
    2: { type: "eip1559", ...fees, ...call, accessList: made.accessList },
    3: {
      ...{ type: "eip4844", ...fees, ...call, to: to ?? ADDRESS, accessList: made.accessList },
      ...{ blobVersionedHashes: blobs, maxFeePerBlobGas: parseGwei("3") },
    },
    4: { type: "eip7702", ...fees, ...call, accessList: made.accessList, authorizationList: [authorization] },
  };
  if (type === 1) forms[1] = { type: "eip2930", gasPrice: price, chainId: 1, ...call, accessList: made.accessList };
  const legacy = type === 0;
  const raw = serializeTransaction(forms[type]!, { ...signed, v: legacy ? BigInt(37 + parity) : BigInt(parity) });
  const json: JsonObject = {
    hash: HASH,
    type: hex(type),
    nonce: hex(nonce),
    gas: hex(gas),
    to: to ?? null,
    from: ADDRESS,
    value: hex(value),
    input: data,
    chainId: "0x1",
    r,
    s,
    v: hex(legacy ? 37 + parity : parity),
    ...(legacy ? {} : { yParity: hex(parity), accessList: made.accessList }),
    ...(type < 2 ? { gasPrice: hex(price) } : {
      maxFeePerGas: hex(price + tip),
      maxPriorityFeePerGas: hex(tip),
    }),
    ...(type === 3 ? { blobVersionedHashes: blobs, maxFeePerBlobGas: hex(parseGwei("3")) } : {}),
    ...(type === 4
      ? {
        authorizationList: [{ address: authority, chainId: "0x1", nonce: "0x7", yParity: hex(parity), r, s }],
      }
      : {}),
  };
  return { json, type, data, bytes: (raw.length - 2) / 2 };
});

Deno.test("encodedSize() is the length of the EIP-2718 encoding of each type", () => {
  fc.assert(
    fc.property(transaction, ({ json, type, data, bytes }) => {
      assert.equal(encodedSize(json, type, data.slice(2)), bytes);
    }),
    { numRuns: 300 },
  );
});

function blockOf(json: JsonObject, header: JsonObject = {}): FullBlock {
  return {
    number: 7,
    hash: HASH,
    parentHash: HASH,
    timestamp: 0,
    gasUsed: 0,
    transactions: 1,
    json: header,
    transactionJson: [json],
  };
}

Deno.test("transactionRow() holds what block and receipt say", () => {
  fc.assert(fc.property(transaction, ({ json, type, data, bytes }) => {
    const receipt = { gasUsed: "0x5208", status: "0x1", effectiveGasPrice: "0x9" };
    const row = transactionRow("testnet", blockOf(json), 0, receipt, 5n);
    const input = data.slice(2).match(/../g) ?? [];
    const zeros = input.filter((byte) => byte === "00").length;
    assert.deepEqual(
      [row.type, row.size, row.gas_used, row.gas_price, row.success, row.row_version],
      [type, bytes, 21_000n, 9n, true, 5n],
    );
    assert.deepEqual([row.n_input_bytes, row.n_input_zero_bytes], [input.length, zeros]);
    assert.equal(row.n_input_nonzero_bytes + row.n_input_zero_bytes, row.call_data_size);
    assert.equal(row.gas_tip_cap === undefined, type < 2);
    assert.equal(row.blob_gas, type === 3 ? BigInt(row.blob_hashes.length) * 131_072n : undefined);
  }));
});

const LEGACY: JsonObject = {
  ...{ hash: HASH, from: ADDRESS, to: null, nonce: "0x1", gas: "0x5208", gasPrice: "0x7", value: "0x0" },
  ...{ input: "0x", v: "0x1b", r: "0x1", s: "0x1", type: "0x0" },
};

Deno.test("before Byzantium a transaction that burnt all its gas has failed", () => {
  const successOf = (gasUsed: string) => transactionRow("testnet", blockOf(LEGACY), 0, { gasUsed }, 1n).success;
  assert.deepEqual([successOf("0x5207"), successOf("0x5208")], [true, false]);
});

Deno.test("a receipt without a price leaves the transaction's own, or what its caps allow", () => {
  const priceOf = (json: JsonObject, header: JsonObject) =>
    transactionRow("testnet", blockOf({ ...LEGACY, ...json }, header), 0, { gasUsed: "0x1" }, 1n).gas_price;
  assert.equal(priceOf({}, {}), 7n);
  const dynamic = {
    type: "0x2",
    gasPrice: undefined,
    maxFeePerGas: "0x64",
    maxPriorityFeePerGas: "0x5",
    chainId: "0x1",
  };
  assert.equal(priceOf(dynamic, { baseFeePerGas: "0x32" }), 55n);
  assert.equal(priceOf(dynamic, { baseFeePerGas: "0x62" }), 100n);
});

Deno.test("an answer that lacks a member is refused with the transaction and the member", () => {
  const { nonce: _, ...incomplete } = LEGACY;
  assert.throws(
    () => transactionRow("testnet", blockOf(incomplete), 0, { gasUsed: "0x1" }, 1n),
    (error: unknown) =>
      error instanceof TransactionShapeError && error.message.includes(`nonce of transaction ${HASH}`),
  );
  assert.throws(() => encodedSize(LEGACY, 9, ""), /current type is 9/);
});
