/** What the chain says about a block: header, transactions, receipts, each read from a node of the pool and checked. */
import type { NodePool, Priority } from "../../rpc/port.ts";

/** A JSON object as the node answered it. */
export type JsonObject = { readonly [member: string]: unknown };

/** The part of a header that decides which block comes next. */
export interface BlockHeader {
  readonly number: number;
  readonly hash: string;
  readonly parentHash: string;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly gasUsed: number;
  readonly transactions: number;
}

/** A block with what tracing it needs besides the traces. */
export interface FullBlock extends BlockHeader {
  /** As the node answered it, its transactions included. */
  readonly json: JsonObject;
  /** In the order of the block. */
  readonly transactionJson: readonly JsonObject[];
}

/** What a read is for. */
export interface ReadAsk {
  readonly priority: Priority;
  /** How long the answer is of use, in milliseconds from now. */
  readonly withinMs: number;
  readonly signal?: AbortSignal;
}

/** What reading needs of a pool. */
export type ReadPool = Pick<NodePool, "request" | "batch" | "nodes">;

/** Reads blocks of one network through its pool. */
export class Chain {
  constructor(readonly pool: ReadPool) {}

  /** Number of the newest block that a node has. */
  async headNumber(ask: ReadAsk): Promise<number> {
    return await this.pool.request("eth_blockNumber", [], {
      ...this.#ask(ask),
      class: "head",
      decode: (result) => quantity(result, "eth_blockNumber"),
    });
  }

  /** The canonical header of a number; `undefined`: no node has it yet. */
  async headerByNumber(blockNumber: number, ask: ReadAsk): Promise<BlockHeader | undefined> {
    return await this.pool.request("eth_getBlockByNumber", [hexQuantity(blockNumber), false], {
      ...this.#ask(ask),
      class: "read",
      blockNumber,
      decode: (result) => result === null ? undefined : checkedNumber(header(result), blockNumber),
    });
  }

  /**
   * What each node that keeps up with the chain calls the block of a number.
   *
   * @returns a hash per node; nodes that do not have the block or do not answer are left out.
   */
  async hashesByNumber(blockNumber: number, ask: ReadAsk): Promise<readonly string[]> {
    const names = this.pool.nodes().map(({ name }) => name);
    const asked = this.pool.nodes().filter(({ condition, headNumber }) =>
      condition === "ready" && headNumber !== undefined && headNumber >= blockNumber
    );
    const answers = await Promise.allSettled(
      asked.map((node) =>
        this.pool.request("eth_getBlockByNumber", [hexQuantity(blockNumber), false], {
          ...this.#ask(ask),
          class: "read",
          blockNumber,
          not: names.filter((name) => name !== node.name),
          absent: () => undefined,
          decode: (result) => result === null ? undefined : checkedNumber(header(result), blockNumber).hash,
        })
      ),
    );
    ask.signal?.throwIfAborted();
    return answers.flatMap((answer) =>
      answer.status === "fulfilled" && answer.value !== undefined ? [answer.value] : []
    );
  }

  /** The block of a hash with its transactions; `undefined`: it left the chain, or no node has it. */
  async blockByHash(blockHash: string, blockNumber: number, ask: ReadAsk): Promise<FullBlock | undefined> {
    return await this.pool.request("eth_getBlockByHash", [blockHash, true], {
      ...this.#ask(ask),
      class: "read",
      blockHash,
      blockNumber,
      decode: (result) => result === null ? undefined : checkedHash(fullBlock(result), blockHash),
    });
  }

  /** Number of the block that holds a transaction; `undefined`: it is pending, or no node knows it. */
  async blockOfTransaction(transactionHash: string, ask: ReadAsk): Promise<number | undefined> {
    return await this.pool.request("eth_getTransactionByHash", [transactionHash], {
      ...this.#ask(ask),
      class: "read",
      decode: (result) => {
        if (result === null) return undefined;
        const { blockNumber } = object(result, "eth_getTransactionByHash");
        return blockNumber === null ? undefined : quantity(blockNumber, "blockNumber");
      },
    });
  }

  /**
   * Receipts of a whole block by one call, where a node has the method; otherwise by a batch, one for each of `hashes`.
   *
   * @returns receipts in the order of `hashes`; `undefined` in the place of one that no node knows.
   */
  async receipts(
    block: { readonly hash: string; readonly number: number },
    hashes: readonly string[],
    ask: ReadAsk,
  ): Promise<readonly (JsonObject | undefined)[]> {
    const whole = await this.#blockReceipts(block, ask);
    if (whole !== undefined) {
      const byHash = new Map(whole.map((receipt) => [receipt["transactionHash"], receipt]));
      return hashes.map((hash) => byHash.get(hash));
    }
    const results = await this.pool.batch(
      hashes.map((hash) => ({ method: "eth_getTransactionReceipt", params: [hash] })),
      {
        ...this.#ask(ask),
        class: "read",
        mode: "failFast",
        blockHash: block.hash,
        blockNumber: block.number,
        decode: (result) => result === null ? undefined : object(result, "eth_getTransactionReceipt"),
      },
    );
    return results.map((result) => {
      if (!result.ok) throw result.error;
      return result.value;
    });
  }

  async #blockReceipts(
    block: { readonly hash: string; readonly number: number },
    ask: ReadAsk,
  ): Promise<readonly JsonObject[] | undefined> {
    const usable = this.pool.nodes().some((node) => !node.methodsOff.includes("eth_getBlockReceipts"));
    if (!usable) return undefined;
    try {
      return await this.pool.request("eth_getBlockReceipts", [block.hash], {
        ...this.#ask(ask),
        class: "receipts",
        blockHash: block.hash,
        blockNumber: block.number,
        decode: (result) => {
          if (result === null) return undefined;
          if (!Array.isArray(result)) throw new TypeError("expected an array of receipts");
          return result.map((receipt) => object(receipt, "eth_getBlockReceipts"));
        },
      });
    } catch (error) {
      // A node that lacks the method has said so by now: the batch asks for what every node has.
      const still = this.pool.nodes().some((node) => !node.methodsOff.includes("eth_getBlockReceipts"));
      if (still) throw error;
      return undefined;
    }
  }

  #ask(ask: ReadAsk) {
    return {
      priority: ask.priority,
      deadlineMs: performance.now() + ask.withinMs,
      ...(ask.signal === undefined ? {} : { signal: ask.signal }),
    };
  }
}

/** A number as JSON-RPC writes quantities. */
export function hexQuantity(value: number): string {
  return `0x${value.toString(16)}`;
}

function quantity(value: unknown, name: string): number {
  const number = typeof value === "string" && /^0x[0-9a-f]+$/i.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) {
    throw new TypeError(`expected a hexadecimal quantity for ${name}, found ${JSON.stringify(value)}`);
  }
  return number;
}

function hash(value: unknown, name: string): string {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{64}$/.test(value)) {
    throw new TypeError(`expected 32 bytes in hexadecimal for ${name}, found ${JSON.stringify(value)}`);
  }
  return value.toLowerCase();
}

function object(value: unknown, name: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`expected an object for ${name}`);
  }
  return value as JsonObject;
}

function header(result: unknown): BlockHeader {
  const json = object(result, "block");
  const transactions = json["transactions"];
  if (!Array.isArray(transactions)) throw new TypeError("expected an array for transactions");
  return {
    number: quantity(json["number"], "number"),
    hash: hash(json["hash"], "hash"),
    parentHash: hash(json["parentHash"], "parentHash"),
    timestamp: quantity(json["timestamp"], "timestamp"),
    gasUsed: quantity(json["gasUsed"], "gasUsed"),
    transactions: transactions.length,
  };
}

function fullBlock(result: unknown): FullBlock {
  const json = object(result, "block");
  const transactions = json["transactions"] as readonly unknown[];
  return {
    ...header(json),
    json,
    transactionJson: transactions.map((transaction) => object(transaction, "transaction")),
  };
}

function checkedHash<B extends BlockHeader>(block: B, expected: string): B {
  if (block.hash !== expected.toLowerCase()) throw new TypeError(`expected block ${expected}, found ${block.hash}`);
  return block;
}

function checkedNumber<B extends BlockHeader>(block: B, expected: number): B {
  if (block.number !== expected) throw new TypeError(`expected block ${expected}, found ${block.number}`);
  return block;
}
