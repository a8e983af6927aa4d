/** Reorgs: where our chain and the node's part. */
import { PipelineError } from "../../errors.ts";
import type { BlockHeader } from "./chain.ts";

/** A block of ours that left the chain. */
export interface LeftBlock {
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** The reorg is deeper than `reorg.maxDepth`: this network stops until somebody has looked. */
export class ReorgTooDeepError extends PipelineError {
  readonly code = "reorg_too_deep";
  readonly disposition = "fatal";

  constructor(
    readonly network: string,
    readonly maxDepth: number,
    readonly blockNumber: number,
    readonly oldHash: string,
    readonly newHash: string,
  ) {
    super(
      `Cannot follow the reorg of ${network}: it is deeper than reorg.maxDepth, current value is ${maxDepth}; ` +
        `block ${blockNumber} was ${oldHash} and is ${newHash}`,
    );
  }
}

/** What the walk back reads. */
export interface ReorgReads {
  readonly network: string;
  /** Hashes of our blocks of this number that are not orphaned. */
  readonly ours: (blockNumber: number) => Promise<readonly string[]>;
  /** The canonical header, as one node has it. */
  readonly canonical: (blockNumber: number) => Promise<BlockHeader | undefined>;
  /** Whether the nodes together say that these blocks of ours are not of the chain: see {@linkcode outvoted}. */
  readonly outvoted: (blockNumber: number, ours: readonly string[]) => Promise<boolean>;
}

/**
 * Whether more nodes have another block than have ours. One node's word is not enough while as many keep to ours: it
 * may have gone astray a moment ago, or be the first to follow a reorg, which the others will then do too.
 *
 * @param ours Our hashes of a number.
 * @param hashes What each node has there; where none says, nothing is known.
 */
export function outvoted(ours: readonly string[], hashes: readonly string[]): boolean {
  const others = hashes.filter((hash) => !ours.includes(hash)).length;
  return others > hashes.length - others;
}

/** Whether more nodes have this block than have another of its number. Where as many do, or none says, it is not. */
export function upheld(blockHash: string, hashes: readonly string[]): boolean {
  const same = hashes.filter((hash) => hash === blockHash).length;
  return same > hashes.length - same;
}

/**
 * Walks back from `blockNumber` until one of our blocks is canonical or we have none. A number that the node has no
 * block of proves nothing by itself: the chain may be shorter for a moment, or the node behind. Only where a block below
 * it is another one than ours is it gone, since its parent is. What most nodes keep to is of the chain, whatever one says.
 *
 * @returns our blocks that left the chain, lowest number first; empty when there was no reorg.
 * @throws {ReorgTooDeepError} after `maxDepth` blocks.
 */
export async function leftBlocks(
  blockNumber: number,
  maxDepth: number,
  reads: ReorgReads,
): Promise<readonly LeftBlock[]> {
  const left: LeftBlock[] = [];
  let proven = false;
  for (let number = blockNumber; number >= 0; number--) {
    const ours = await reads.ours(number);
    if (ours.length === 0) break;
    const canonical = await reads.canonical(number);
    const gone = ours.filter((blockHash) => blockHash !== canonical?.hash);
    const ancestor = canonical !== undefined && ours.includes(canonical.hash);
    if (ancestor && gone.length === 0) break;
    if (canonical !== undefined && !ancestor && !await reads.outvoted(number, ours)) break;
    if (blockNumber - number >= maxDepth) {
      throw new ReorgTooDeepError(reads.network, maxDepth, number, gone[0] ?? "", canonical?.hash ?? "not there");
    }
    left.push(...gone.map((blockHash) => ({ blockNumber: number, blockHash })));
    if (canonical !== undefined) proven = true;
    if (ancestor) break;
  }
  return proven ? left.reverse() : [];
}
