/**
 * What happens on the dev chain: blocks of a few transactions each that together show everything a trace can hold.
 * All of it follows from a seed, so that two chains with the same genesis end at the same hashes; and the workload
 * checks that each transaction succeeded or failed as it was meant to, so that a demo of failures shows failures.
 */
import { WorkloadError } from "./errors.ts";
import { nodeRequest } from "./node_request.ts";
import { type ContractName, FAILING_SCENARIOS, planBlock, type Scenario, type ScenarioRequest } from "./scenarios.ts";

/** Number of the workload's last block; the first is 1. */
export const WORKLOAD_BLOCKS = 36;

/** One transaction that is in a block. */
export interface MinedTransaction {
  readonly hash: string;
  readonly scenario: Scenario;
}

/** One block of the workload. */
export interface MinedBlock {
  readonly number: number;
  readonly hash: string;
  /** In the order of the block. */
  readonly transactions: readonly MinedTransaction[];
}

/** Where the workload runs, and which. */
export interface WorkloadOptions {
  /** HTTP endpoint of a fresh dev chain that mines by hand. */
  readonly url: string;
  readonly seed: number;
  readonly signal?: AbortSignal;
}

interface Receipt {
  readonly transactionHash: string;
  readonly status: string;
  readonly contractAddress: string | null;
}

const GWEI = 1_000_000_000n;
const BLOCK_SECONDS = 12;

/** Mines the workload on one chain, in order, in as many parts as one likes. */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly #addresses = new Map<ContractName, string>();
  #accounts: readonly string[] = [];
  #genesisTime = 0;
  #mined = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  /**
   * Mines the blocks `first` to `last`, both included, and yields each when it is on the chain.
   *
   * @throws {WorkloadError} when `first` is not the next block, or the chain did not do what was meant.
   */
  async *mine(first: number, last: number): AsyncGenerator<MinedBlock, void, void> {
    if (first !== this.#mined + 1 || last > WORKLOAD_BLOCKS) {
      throw new WorkloadError(
        `Cannot mine blocks ${first} to ${last}: the next block is ${this.#mined + 1}, the last ${WORKLOAD_BLOCKS}`,
      );
    }
    if (this.#mined === 0) await this.#meet();
    while (this.#mined < last) {
      const block = await this.#mineBlock(this.#mined + 1);
      this.#mined += 1;
      yield block;
    }
  }

  /** Names of the contracts deployed so far, by address. */
  get contracts(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#addresses, ([name, address]) => [address, name]));
  }

  async #meet(): Promise<void> {
    this.#accounts = await this.#ask<string[]>("eth_accounts");
    const genesis = await this.#ask<{ timestamp: string }>("eth_getBlockByNumber", "0x0", false);
    this.#genesisTime = Number(genesis.timestamp);
  }

  async #mineBlock(number: number): Promise<MinedBlock> {
    const { seed } = this.#options;
    const requests = planBlock({ number, seed, accounts: this.#accounts, addresses: this.#addresses });
    const transactions: MinedTransaction[] = [];
    for (const [position, request] of requests.entries()) {
      const from = this.#accounts[(number + position) % this.#accounts.length]!;
      const hash = await this.#ask<string>("eth_sendTransaction", wireForm(request, from));
      transactions.push({ hash, scenario: request.scenario });
    }
    await this.#ask("evm_mine", this.#genesisTime + number * BLOCK_SECONDS);
    const tag = hex(number);
    const block = await this.#ask<{ hash: string; transactions: string[] } | null>("eth_getBlockByNumber", tag, false);
    const sent = transactions.map(({ hash }) => hash);
    if (block?.transactions.join() !== sent.join()) {
      throw new WorkloadError(
        `Cannot use block ${number}: expected the ${sent.length} transactions in the order that they were sent, ` +
          `the chain has ${block?.transactions.length ?? "no such block"}`,
      );
    }
    const receipts = await this.#ask<Receipt[]>("eth_getBlockReceipts", tag);
    for (const [position, receipt] of receipts.entries()) this.#check(requests[position]!, receipt);
    return { number, hash: block.hash, transactions };
  }

  /** Compares the outcome with the intention, and remembers what was deployed. */
  #check({ scenario, deploys }: ScenarioRequest, { transactionHash, status, contractAddress }: Receipt): void {
    const failed = status === "0x0";
    if (failed !== FAILING_SCENARIOS.has(scenario)) {
      throw new WorkloadError(
        `Cannot use transaction ${transactionHash} as "${scenario}": it ${failed ? "failed" : "succeeded"}`,
      );
    }
    if (deploys !== undefined && contractAddress !== null) this.#addresses.set(deploys, contractAddress);
  }

  #ask<Result>(method: string, ...params: readonly unknown[]): Promise<Result> {
    return nodeRequest(this.#options.url, method, params, this.#options.signal);
  }
}

/** The parameter of `eth_sendTransaction`: types 0, 1 and 2 by what the request has. */
function wireForm(request: ScenarioRequest, from: string): Readonly<Record<string, unknown>> {
  const { to, input, value, gasLimit, accessList, legacy } = request;
  const old = legacy === true || accessList !== undefined;
  return {
    from,
    ...(to !== undefined && { to }),
    input,
    value: hex(value),
    gas: hex(gasLimit),
    ...(old ? { gasPrice: hex(100n * GWEI) } : { maxFeePerGas: hex(100n * GWEI), maxPriorityFeePerGas: hex(GWEI) }),
    ...(accessList !== undefined && { accessList }),
  };
}

function hex(quantity: number | bigint): string {
  return `0x${quantity.toString(16)}`;
}
