/** A chain that a test makes up block by block, and a pool whose one node answers from it. */
import { NEVER } from "rxjs";
import type { EachAsk, EachResults, NodePool, NodeState, RequestAsk, Result } from "../../src/rpc/port.ts";

/** A block as far as discovery looks at it. */
export interface MadeUpBlock {
  readonly number: number;
  readonly hash: string;
  readonly parentHash: string;
  readonly transactions: number;
}

/** Gas of every transaction. */
const GAS = 21_000;
/** Hashes of a branch are made of numbers from here on. */
const BRANCHED = 1 << 20;

/** Blocks 0 to head; a reorg puts others in their place. */
export class MadeUpChain {
  readonly #blocks: MadeUpBlock[] = [];
  #made = 0;
  /** Numbers that the node does not know yet. */
  readonly unknown = new Set<number>();

  /** @param head Number of the newest block. */
  constructor(head: number, readonly transactions = 2) {
    this.mine(head + 1);
  }

  get head(): number {
    return this.#blocks.length - 1;
  }

  /** The canonical block. */
  block(number: number): MadeUpBlock {
    const block = this.#blocks[number];
    if (block === undefined) throw new RangeError(`Cannot give block ${number}: the head is ${this.head}`);
    return block;
  }

  /** Hashes of blocks `from` to the head. */
  hashes(from: number): string[] {
    return this.#blocks.slice(from).map((block) => block.hash);
  }

  mine(count: number): void {
    for (let block = 0; block < count; block++) {
      const hash = `0x${(++this.#made).toString(16).padStart(8, "0")}${"ab".repeat(28)}`;
      const parentHash = this.#blocks.at(-1)?.hash ?? `0x${"00".repeat(32)}`;
      this.#blocks.push({ number: this.#blocks.length, hash, parentHash, transactions: this.transactions });
    }
  }

  /** The newest `depth` blocks make room for `count` others. */
  reorg(depth: number, count: number): void {
    this.#blocks.splice(this.#blocks.length - depth);
    this.mine(count);
  }

  /** The newest blocks, for {@linkcode MadeUpChain.restore}. */
  fork(depth: number): readonly MadeUpBlock[] {
    return this.#blocks.slice(-depth);
  }

  /** Another chain with the blocks up to `head`, for a node that goes its own way from there. */
  branch(head: number): MadeUpChain {
    const other = new MadeUpChain(-1, this.transactions);
    other.#blocks.push(...this.#blocks.slice(0, head + 1));
    other.#made = BRANCHED + this.#made;
    return other;
  }

  /** Puts blocks of an earlier fork back, which becomes the head. */
  restore(blocks: readonly MadeUpBlock[]): void {
    this.#blocks.splice(blocks[0]!.number, Infinity, ...blocks);
  }

  /** What a node answers. */
  answer(method: string, params: readonly unknown[]): unknown {
    switch (method) {
      case "eth_blockNumber":
        return hex(this.head);
      case "eth_getBlockByNumber":
        return this.#json(this.#blocks[Number(params[0])], params[1] === true);
      case "eth_getBlockByHash":
        return this.#json(this.#blocks.find((block) => block.hash === params[0]), params[1] === true);
      case "eth_getBlockReceipts": {
        const block = this.#blocks.find((candidate) => candidate.hash === params[0]);
        return block === undefined ? null : transactionHashes(block).map((transactionHash) => ({
          transactionHash,
          blockHash: block.hash,
          gasUsed: hex(GAS),
          status: "0x1",
        }));
      }
      default:
        throw new RangeError(`Cannot answer ${method}: this chain knows blocks only`);
    }
  }

  #json(block: MadeUpBlock | undefined, whole: boolean): unknown {
    if (block === undefined || this.unknown.has(block.number)) return null;
    const hashes = transactionHashes(block);
    return {
      number: hex(block.number),
      hash: block.hash,
      parentHash: block.parentHash,
      timestamp: hex(1_700_000_000 + block.number),
      gasUsed: hex(GAS * block.transactions),
      transactions: whole ? hashes.map((hash) => ({ hash })) : hashes,
    };
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function transactionHashes(block: MadeUpBlock): string[] {
  return Array.from({ length: block.transactions }, (_, index) => `${block.hash.slice(0, -2)}${10 + index}`);
}

/** Nodes that always answer, in the order they are asked; each on a chain, which may be the same. */
export class MadeUpPool implements Pick<NodePool, "request" | "batch" | "each" | "heads" | "nodes"> {
  readonly heads = NEVER;
  /** Chains by the names of their nodes; the first one that a call does not exclude answers it. */
  chains: Readonly<Record<string, MadeUpChain>>;

  constructor(chain: MadeUpChain) {
    this.chains = { first: chain };
  }

  async request<T>(method: string, params: readonly unknown[], ask: RequestAsk<T>): Promise<T> {
    await Promise.resolve();
    ask.signal?.throwIfAborted();
    const [, chain] = Object.entries(this.chains).find(([name]) => ask.not?.includes(name) !== true)!;
    return ask.decode(chain.answer(method, params));
  }

  async each<T, R>(
    items: Iterable<T>,
    ask: EachAsk,
    work: (item: T, signal: AbortSignal, index: number) => Promise<R>,
  ): Promise<EachResults<R>> {
    const signal = ask.signal ?? new AbortController().signal;
    const results = await Promise.all(
      [...items].map(async (item, index): Promise<Result<R>> => ({ ok: true, value: await work(item, signal, index) })),
    );
    return { results, failures: 0 };
  }

  nodes(): readonly NodeState[] {
    return Object.entries(this.chains).map(([name, { head }]) => {
      return { name, condition: "ready", headNumber: head, methodsOff: [] as readonly string[] } as NodeState;
    });
  }

  batch(): never {
    throw new RangeError("Cannot answer a batch: this node knows eth_getBlockReceipts");
  }
}
