/**
 * The checksum of a transaction's stored rows: a sum over the rows, modulo 2^64, so that the order does not matter and
 * the engine can compute it with `sum`. A row adds the hash of the cells that differ by row, which decode computes
 * while it makes them, and the hash of the cells that all rows of the transaction share, which is computed here.
 *
 * A hash is `intHash64(Σ cell × weight)`; an integer's cell is itself, a text's `xxHash64(text) | 1`, null's 0, a
 * nullable integer's `intHash64(value) | 1`, a path's `Σ intHash64(element + position × C)`, positions from 1.
 */
import { intHash64, xxHash64 } from "./hash64.ts";
import type { Columns } from "./table.ts";
import type { TransactionConstants } from "./transaction_constants.ts";

/** Names of a table's columns, by which part of the hash their cells enter; the place in the list chooses the weight. */
export interface ChecksumColumns {
  /** In the order of decode's weights. */
  readonly row: readonly string[];
  readonly transaction: readonly (keyof typeof TRANSACTION_CELLS)[];
}

/** Weights of decode's cells (`wasm/checksum.ts`), odd and otherwise without meaning. */
const ROW_WEIGHTS = [
  0x910a2dec89025cc1n,
  0x975835de1c9756cfn,
  0x1d0b14e4db018fedn,
  0x6e73e372e2338acbn,
  0x63033b0ca389c35bn,
  0xbd64a5d9adefe001n,
  0x63cbe1e459320dd7n,
  0x9e5651b0ef953637n,
  0xaeaf52febe706065n,
  0x088712be8a582fcbn,
  0x50f5647d2380309dn,
  0x943ff9fc99de8f03n,
  0xc4ca37b7f8ad8affn,
  0x6aa9d61435dbe63fn,
  0x875b9307abf55005n,
  0x5de186dcba779207n,
  0x808475f02ee37363n,
  0x1120b3d00955f033n,
  0xbc4075f2ef431a45n,
  0x362259904816818dn,
  0x06ca0a95b7e825c7n,
] as const;

/** What a position weighs in a path. */
const PATH_WEIGHT = 0x23259b94f13cf545n;

/** The cells that all rows of a transaction share: weight, and value where the rows are written. */
const TRANSACTION_CELLS = {
  block_number: { weight: 0x3c6ef372fe94f82bn, cell: (of) => BigInt(of.blockNumber) },
  block_hash: { weight: 0xa54ff53a5f1d36f1n, cell: (of) => textCell(of.blockHash) },
  transaction_hash: { weight: 0x510e527fade682d1n, cell: (of) => textCell(of.transactionHash) },
  transaction_index: { weight: 0x9b05688c2b3e6c1fn, cell: (of) => BigInt(of.transactionIndex) },
  transaction_gas: { weight: 0x1f83d9abfb41bd6bn, cell: (of) => BigInt(of.gasUsed) },
  transaction_failed: { weight: 0x5be0cd19137e2179n, cell: (of) => of.failed ? 1n : 0n },
  transaction_return_value: {
    weight: 0xcbbb9d5dc1059ed9n,
    cell: (of) => of.returnValue === undefined ? 0n : textCell(of.returnValue),
  },
  meta_network_name: { weight: 0x629a292a367cd507n, cell: (of) => textCell(of.network) },
} as const satisfies Record<string, { weight: bigint; cell: (of: TransactionConstants) => bigint }>;

/** Hashes of short texts: network and block hash come with every transaction, its own hash with both tables. */
const recentTexts = new Map<string, bigint>();
const RECENT_TEXTS = 1024;
const RECENT_LENGTH = 80;

function textCell(text: string): bigint {
  const known = recentTexts.get(text);
  if (known !== undefined) return known;
  const cell = xxHash64(text) | 1n;
  if (recentTexts.size === RECENT_TEXTS) recentTexts.clear();
  if (text.length <= RECENT_LENGTH) recentTexts.set(text, cell);
  return cell;
}

/** The hash of the cells that all rows of one transaction share. */
export function transactionHash64(columns: ChecksumColumns, constants: TransactionConstants): bigint {
  let sum = 0n;
  for (const name of columns.transaction) {
    const { weight, cell } = TRANSACTION_CELLS[name];
    sum += cell(constants) * weight;
  }
  return intHash64(BigInt.asUintN(64, sum));
}

/** The checksum of `rows` stored rows whose own cells add up to `rowsChecksum`. */
export function storedChecksum(
  columns: ChecksumColumns,
  constants: TransactionConstants,
  rows: number,
  rowsChecksum: bigint,
): bigint {
  if (rows === 0) return 0n;
  return BigInt.asUintN(64, rowsChecksum + BigInt(rows) * transactionHash64(columns, constants));
}

/** The same in SQL: what one row adds. `sum(…)` of it over a transaction's rows is the record's checksum. */
export function checksumSql(columns: Columns, { row, transaction }: ChecksumColumns): string {
  const own = row.map((name, i) => weighted(cellSql(name, columns[name]!.type.name), ROW_WEIGHTS[i]!));
  const shared = transaction.map((name) =>
    weighted(cellSql(name, columns[name]!.type.name), TRANSACTION_CELLS[name].weight)
  );
  return `intHash64(${own.join(" + ")})\n  + intHash64(${shared.join(" + ")})`;
}

function weighted(cell: string, weight: bigint): string {
  return `${cell} * toUInt64(${weight})`;
}

function cellSql(name: string, type: string): string {
  const column = `\`${name}\``;
  switch (type) {
    case "Array(UInt32)":
      return `arraySum((element, position) -> intHash64(toUInt64(element) + position * toUInt64(${PATH_WEIGHT})), ${column}, arrayEnumerate(${column}))`;
    case "Nullable(String)":
      return `ifNull(bitOr(xxHash64(${column}), 1), 0)`;
    case "Nullable(UInt64)":
    case "Nullable(UInt32)":
      return `ifNull(bitOr(intHash64(toUInt64(${column})), 1), 0)`;
    case "LowCardinality(String)":
    case "FixedString(66)":
      return `bitOr(xxHash64(toString(${column})), 1)`;
    default:
      return `toUInt64(${column})`;
  }
}
