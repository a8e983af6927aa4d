/** Runs what `random_contracts.ts` draws on a dev chain, and asks the node for everything that decode wants to know. */
import { privateKeyToAccount } from "viem/accounts";
import { DEV_CHAIN_ID } from "../../src/embedded/chain.ts";
import { nodeRequest } from "../../src/embedded/node_request.ts";
import { openChain } from "./open_chain.ts";
import {
  pick,
  precompileAddress,
  type Random,
  randomAccess,
  randomCode,
  randomData,
  type RandomFork,
  randomFrom,
  randomInitCode,
  type Surroundings,
} from "./random_contracts.ts";

/** One transaction with its trace as the node sent it. */
export interface RandomCase {
  /** Bytes of the whole JSON-RPC reply. */
  readonly reply: Uint8Array;
  readonly transaction: Readonly<Record<string, unknown>>;
  readonly receipt: Readonly<Record<string, unknown>>;
  readonly block: Readonly<Record<string, unknown>>;
}

/** What to run. */
export interface RandomRun {
  readonly fork: RandomFork;
  readonly seed: number;
  readonly blocks: number;
  readonly transactionsPerBlock: number;
}

const CONTRACTS = Array.from(
  { length: 8 },
  (_, nth) => `0x${"c0de".repeat(9)}${(nth + 1).toString(16).padStart(4, "0")}`,
);
/**
 * Keys of the chain's first accounts, which the whole world knows. An authorisation that holds raises the nonce of its
 * authority, so that a transaction of the same account that waits behind it could not be mined: the first only sends,
 * the second authorises itself once a block, the others authorise and never send.
 */
const KEYS = [
  "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
  "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
  "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
] as const;
const GWEI = 1_000_000_000n;

/** Every transaction of a run, in order. */
export async function* randomCases(run: RandomRun): AsyncGenerator<RandomCase, void, void> {
  await using chain = await openChain({ hardfork: run.fork });
  const world = new World(run, chain.httpUrl);
  for (let nth = 0; nth < run.blocks; nth++) {
    await world.furnish();
    yield* world.block();
  }
}

class World {
  readonly #run: RandomRun;
  readonly #random: Random;
  readonly #url: string;
  readonly #signers = KEYS.map((key) => privateKeyToAccount(key));
  #surroundings: Surroundings;
  /** In the block that is being made. */
  #selfSponsored = false;

  constructor(run: RandomRun, url: string) {
    this.#run = run;
    this.#random = randomFrom(run.seed);
    this.#url = url;
    this.#surroundings = { fork: run.fork, contracts: CONTRACTS, people: [] };
  }

  /** Puts new code, and ether, where programs look for them. */
  async furnish(): Promise<void> {
    const accounts = await this.#ask<string[]>("eth_accounts");
    this.#surroundings = { ...this.#surroundings, people: accounts };
    for (const address of CONTRACTS) {
      await this.#ask("anvil_setCode", address, randomCode(this.#random, this.#surroundings));
      await this.#ask("anvil_setBalance", address, "0x3e8");
    }
  }

  async *block(): AsyncGenerator<RandomCase, void, void> {
    this.#selfSponsored = false;
    const hashes: string[] = [];
    for (let nth = 0; nth < this.#run.transactionsPerBlock; nth++) hashes.push(await this.#send());
    await this.#ask("evm_mine");
    const block = await this.#ask<{ transactions: string[] }>("eth_getBlockByNumber", "latest", false);
    if (block.transactions.join() !== hashes.join()) throw new Error("the chain left transactions out of the block");
    for (const hash of hashes) {
      const [reply, transaction, receipt] = await Promise.all([
        this.#trace(hash),
        this.#ask<RandomCase["transaction"]>("eth_getTransactionByHash", hash),
        this.#ask<RandomCase["receipt"]>("eth_getTransactionReceipt", hash),
      ]);
      yield { reply, transaction, receipt, block: { ...block } };
    }
  }

  async #send(): Promise<string> {
    const random = this.#random;
    const prague = this.#run.fork === "prague" || this.#run.fork === "osaka";
    if (prague && random(5) === 0) return await this.#delegate();
    const gas = 100_000 + random(500_000);
    const fees = random(2) === 0
      ? { gasPrice: quantity(100n * GWEI) }
      : { maxFeePerGas: quantity(100n * GWEI), maxPriorityFeePerGas: quantity(GWEI) };
    return await this.#ask("eth_sendTransaction", {
      from: pick(random, this.#surroundings.people.slice(KEYS.length)),
      gas: quantity(BigInt(gas)),
      value: quantity(BigInt(random(3) === 0 ? random(1_000) : 0)),
      ...fees,
      ...this.#target(),
      ...(random(4) === 0 && {
        accessList: Array.from({ length: random(4) }, () => randomAccess(random, this.#surroundings)),
      }),
    });
  }

  #target(): { readonly to?: string; readonly input: string } {
    const random = this.#random;
    switch (random(12)) {
      case 0:
      case 1:
        return { input: random(8) === 0 ? "0x" : randomInitCode(random, this.#surroundings) };
      case 2:
        return { to: precompileAddress(random), input: randomData(random) };
      case 3:
        return { to: pick(random, this.#surroundings.people), input: randomData(random) };
      default:
        return { to: pick(random, CONTRACTS), input: randomData(random) };
    }
  }

  /** A transaction of type 4: authorisations that hold and some that do not, and a call of whom they may delegate. */
  async #delegate(): Promise<string> {
    const random = this.#random;
    const alone = !this.#selfSponsored && random(3) === 0;
    this.#selfSponsored ||= alone;
    const [sponsor, self, ...others] = this.#signers;
    const sender = alone ? self! : sponsor!;
    const count = async (address: string) =>
      Number(await this.#ask<string>("eth_getTransactionCount", address, "pending"));
    const authorizationList = [];
    for (let nth = 0; nth <= random(3); nth++) {
      const authority = alone ? self! : pick(random, others);
      const next = await count(authority.address) + (alone ? 1 + nth : 0);
      authorizationList.push(
        await authority.signAuthorization({
          contractAddress: pick(random, [
            ...CONTRACTS,
            `0x${"00".repeat(20)}`,
            precompileAddress(random),
          ]) as `0x${string}`,
          chainId: pick(random, [DEV_CHAIN_ID, DEV_CHAIN_ID, 0, 1]),
          nonce: random(5) === 0 ? next + 1 : next,
        }),
      );
    }
    const raw = await sender.signTransaction({
      type: "eip7702",
      chainId: DEV_CHAIN_ID,
      nonce: await count(sender.address),
      to: pick(random, [...this.#signers.map(({ address }) => address), ...CONTRACTS]) as `0x${string}`,
      data: randomData(random) as `0x${string}`,
      gas: BigInt(300_000 + random(300_000)),
      maxFeePerGas: 100n * GWEI,
      maxPriorityFeePerGas: GWEI,
      authorizationList,
    });
    return await this.#ask("eth_sendRawTransaction", raw);
  }

  #ask<Result>(method: string, ...params: readonly unknown[]): Promise<Result> {
    return nodeRequest(this.#url, method, params);
  }

  async #trace(hash: string): Promise<Uint8Array> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "debug_traceTransaction",
        params: [hash, { disableStorage: true, enableMemory: false }],
      }),
    });
    return await response.bytes();
  }
}

function quantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}
