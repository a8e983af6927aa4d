/** The ledger without a database: for tests and dry runs, under the same contract. */
import type { BlockRecords, Ledger, LedgerBounds, LedgerPart, LedgerRow } from "./ledger.ts";

/** Keeps rows in a map; the larger version wins, as in the table. */
export class MemoryLedger implements Ledger {
  readonly #rows = new Map<string, LedgerRow>();

  /** @param recordsOf Counts of one block's records, where a store is at hand. */
  constructor(
    readonly network: string,
    readonly recordsOf: (blockNumber: number, blockHash: string) => BlockRecords | undefined = () => undefined,
  ) {}

  write(rows: readonly LedgerRow[]): Promise<void> {
    for (const row of rows) {
      const key = `${row.processor} ${row.blockNumber} ${row.blockHash}`;
      const known = this.#rows.get(key);
      if (known === undefined || known.version <= row.version) this.#rows.set(key, row);
    }
    return Promise.resolve();
  }

  /** Forgets rows, as a DELETE by hand would. @returns how many. */
  delete(gone: (row: LedgerRow) => boolean): number {
    const keys = [...this.#rows].filter(([, row]) => gone(row)).map(([key]) => key);
    for (const key of keys) this.#rows.delete(key);
    return keys.length;
  }

  bounds(from = 0): Promise<LedgerBounds | undefined> {
    const numbers = this.#numbers().filter((number) => number >= from);
    if (numbers.length === 0) return Promise.resolve(undefined);
    return Promise.resolve({ lowest: numbers[0]!, highest: numbers.at(-1)! });
  }

  runStart(number: number): Promise<number> {
    const numbers = new Set(this.#numbers());
    let lowest = number;
    while (numbers.has(lowest - 1)) lowest--;
    return Promise.resolve(lowest);
  }

  between(from: number, to: number): Promise<readonly LedgerRow[]> {
    return Promise.resolve(this.#sorted().filter((row) => row.blockNumber >= from && row.blockNumber <= to));
  }

  open(part: LedgerPart, after: number, max: number, upTo = Infinity): Promise<readonly LedgerRow[]> {
    const rows = this.#sorted().filter((row) =>
      row.state === "accepted" && isOf(row, part) && row.blockNumber > after && row.blockNumber <= upTo
    );
    return Promise.resolve(rows.slice(0, max));
  }

  unverified(
    part: LedgerPart,
    from: number,
    finishedBeforeMs: number,
    max: number,
  ): Promise<readonly LedgerRow[]> {
    const rows = this.#sorted().filter((row) =>
      (row.state === "complete" || row.state === "stuck") && isOf(row, part) && row.blockNumber >= from &&
      row.transactions > 0 && row.verifiedMs === undefined && (row.completedMs ?? Infinity) < finishedBeforeMs
    );
    return Promise.resolve(rows.slice(0, max));
  }

  missing(processor: string, from: number, to: number, max: number): Promise<readonly number[]> {
    const present = this.#present(processor);
    const numbers: number[] = [];
    for (let number = from; number <= to && numbers.length < max; number++) {
      if (!present.has(number)) numbers.push(number);
    }
    return Promise.resolve(numbers);
  }

  orphaned(from: number): Promise<readonly LedgerRow[]> {
    return Promise.resolve(this.#sorted().filter((row) => row.state === "orphaned" && row.blockNumber >= from));
  }

  records(
    blocks: readonly { readonly blockNumber: number; readonly blockHash: string }[],
  ): Promise<readonly BlockRecords[]> {
    return Promise.resolve(blocks.flatMap((block) => this.recordsOf(block.blockNumber, block.blockHash) ?? []));
  }

  #sorted(): LedgerRow[] {
    return [...this.#rows.values()].sort((a, b) => a.blockNumber - b.blockNumber);
  }

  /** Of blocks that are not orphaned, ascending. */
  #numbers(): number[] {
    return this.#sorted().filter((row) => row.state !== "orphaned").map((row) => row.blockNumber);
  }

  #present(processor: string): Map<number, LedgerRow> {
    return new Map(
      this.#sorted().filter((row) => row.processor === processor && row.state !== "orphaned").map((
        row,
      ) => [row.blockNumber, row]),
    );
  }
}

function isOf({ direction, processor }: LedgerRow, { directions, processors }: LedgerPart): boolean {
  return directions.includes(direction) && processors.includes(processor);
}
