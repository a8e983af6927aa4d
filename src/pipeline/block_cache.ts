/** Blocks with their receipts, read once for all tasks of a block that run about the same time. */
import { PipelineError } from "../errors.ts";
import type { Chain, FullBlock, JsonObject, ReadAsk } from "../stages/source/chain.ts";

/** A block and the receipts of its transactions, in order. */
export interface TracedBlock {
  readonly block: FullBlock;
  readonly receipts: readonly JsonObject[];
}

/** The block of a task is not the chain's any more: its tasks end as orphaned. */
export class BlockOrphanedError extends PipelineError {
  readonly code = "block_orphaned";
  readonly disposition = "dead";
}

/** No node knows the block or its receipts yet. */
export class BlockMissingError extends PipelineError {
  readonly code = "block_missing";
  readonly disposition = "retry";
  override readonly release = true;
}

/** Blocks kept; more than lanes that work on different blocks are read again. */
const MAX_BLOCKS = 16;

/** Reads through `chain`; the least recently used block leaves. */
export class BlockCache {
  readonly #blocks = new Map<string, Promise<TracedBlock>>();

  constructor(readonly chain: Chain) {}

  /**
   * The block of this hash with all receipts.
   *
   * @throws {BlockOrphanedError} the chain has another block of this number. @throws {BlockMissingError} not known yet.
   */
  get(blockHash: string, blockNumber: number, ask: ReadAsk): Promise<TracedBlock> {
    const known = this.#blocks.get(blockHash);
    this.#blocks.delete(blockHash);
    const reading = known ?? this.#read(blockHash, blockNumber, ask);
    this.#blocks.set(blockHash, reading);
    reading.catch(() => {
      if (this.#blocks.get(blockHash) === reading) this.#blocks.delete(blockHash);
    });
    if (this.#blocks.size > MAX_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value!);
    return reading;
  }

  /** Whether the block is of the chain, or may be: no node has another of its number. */
  async canonical(blockHash: string, blockNumber: number, ask: ReadAsk): Promise<boolean> {
    const header = await this.chain.headerByNumber(blockNumber, ask);
    return header === undefined || header.hash === blockHash;
  }

  /** Forgets a block, so that the next task reads it anew. */
  forget(blockHash: string): void {
    this.#blocks.delete(blockHash);
  }

  async #read(blockHash: string, blockNumber: number, ask: ReadAsk): Promise<TracedBlock> {
    const block = await this.chain.blockByHash(blockHash, blockNumber, ask);
    if (block === undefined) throw await this.#absence(blockHash, blockNumber, ask);
    const hashes = block.transactionJson.map((transaction) => String(transaction["hash"]).toLowerCase());
    const receipts = hashes.length === 0 ? [] : await this.chain.receipts(block, hashes, ask);
    const checked = [];
    for (const [index, receipt] of receipts.entries()) {
      if (receipt === undefined) throw await this.#absence(blockHash, blockNumber, ask);
      if (String(receipt["blockHash"]).toLowerCase() !== blockHash) {
        throw new BlockOrphanedError(
          `Cannot use the receipt of ${hashes[index]} for block ${blockHash}: its block is ${receipt["blockHash"]}`,
        );
      }
      checked.push(receipt);
    }
    return { block, receipts: checked };
  }

  async #absence(blockHash: string, blockNumber: number, ask: ReadAsk): Promise<PipelineError> {
    const canonical = await this.chain.headerByNumber(blockNumber, ask);
    if (canonical !== undefined && canonical.hash !== blockHash) {
      return new BlockOrphanedError(
        `Cannot read block ${blockHash}: block ${blockNumber} of the chain is ${canonical.hash}`,
      );
    }
    return new BlockMissingError(
      `Cannot read block ${blockNumber} ${blockHash}: no node knows it with all its receipts yet`,
    );
  }
}
