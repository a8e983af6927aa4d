/** A contract whose transactions are as long as one wants, for blocks made up by a test. */
import { ask } from "./stack.ts";

/** Counts its argument down to 0, then adds one to a storage slot: 7 structlogs a step. Counting from 0 burns all gas. */
const RUNTIME = "6000355b600190038060035760005460010160005500";
const INIT = `0x601680600b6000396000f3${RUNTIME}`;
const GAS = "0x493e0";

/** The contract on one chain that mines by hand. */
export class Counter {
  #sent = 0;

  private constructor(readonly url: string, readonly address: string, readonly accounts: readonly string[]) {}

  /** Deploys it in a block of its own. */
  static async deploy(url: string): Promise<Counter> {
    const accounts = await ask<string[]>(url, "eth_accounts", []);
    const hash = await ask<string>(url, "eth_sendTransaction", [{ from: accounts[0], gas: GAS, data: INIT }]);
    await ask(url, "evm_mine", []);
    const receipt = await ask<{ contractAddress: string }>(url, "eth_getTransactionReceipt", [hash]);
    return new Counter(url, receipt.contractAddress, accounts);
  }

  /** A transaction that no other is like; accounts take turns. */
  request(steps: number): Readonly<Record<string, string>> {
    const from = this.accounts[this.#sent++ % this.accounts.length]!;
    const note = this.#sent.toString(16).padStart(8, "0");
    return { from, to: this.address, gas: GAS, data: `0x${steps.toString(16).padStart(64, "0")}${note}` };
  }

  /** Sends one transaction into the next block. @returns its hash. */
  async send(steps: number): Promise<string> {
    return await ask<string>(this.url, "eth_sendTransaction", [this.request(steps)]);
  }

  /** Mines `blocks` blocks of `transactions` transactions. */
  async mine(blocks: number, transactions: number): Promise<void> {
    for (let block = 0; block < blocks; block++) {
      for (let index = 0; index < transactions; index++) await this.send(5 + 7 * index);
      await ask(this.url, "evm_mine", []);
    }
  }
}

/** Number of the newest block. */
export async function headOf(url: string): Promise<number> {
  return Number(await ask<string>(url, "eth_blockNumber", []));
}

/** Hash of a block. */
export async function hashAt(url: string, number: number): Promise<string> {
  return (await ask<{ hash: string }>(url, "eth_getBlockByNumber", [`0x${number.toString(16)}`, false])).hash;
}
