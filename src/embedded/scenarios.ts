/**
 * The transactions of the workload: each scenario is one request to the dev chain that shows one thing in its trace.
 * Pure: what a block holds follows from its number, the seed and the addresses of the contracts deployed before.
 */
import build from "./contracts/workload.json" with { type: "json" };

/** Contracts of `contracts/workload.sol`. */
export type ContractName = keyof typeof build.contracts;

/** What a transaction was made to show. */
export type Scenario =
  | "plain transfer"
  | "transfer with calldata"
  | "contract creation"
  | "factory CREATE"
  | "factory CREATE2"
  | "CREATE that reverts"
  | "delegatecall proxy"
  | "storage filled"
  | "storage cleared"
  | "failures survived"
  | "revert at the root"
  | "out of gas at the root"
  | "invalid opcode at the root"
  | "precompiles"
  | "precompile refuses"
  | "call of a precompile"
  | "access list"
  | "nested calls"
  | "long loop";

/** Scenarios whose transaction fails as a whole. */
export const FAILING_SCENARIOS: ReadonlySet<Scenario> = new Set<Scenario>([
  "revert at the root",
  "out of gas at the root",
  "invalid opcode at the root",
]);

/** A transaction that has no sender yet. */
export interface ScenarioRequest {
  readonly scenario: Scenario;
  /** Absent: the transaction creates a contract. */
  readonly to?: string;
  /** Hex with 0x. */
  readonly input: string;
  /** Wei. */
  readonly value: bigint;
  readonly gasLimit: number;
  /** EIP-2930; the transaction is of type 1 then. */
  readonly accessList?: readonly { readonly address: string; readonly storageKeys: readonly string[] }[];
  /** A transaction of type 0 instead of type 2. */
  readonly legacy?: true;
  /** Name of the contract that later blocks know by this transaction's created address. */
  readonly deploys?: ContractName;
}

/** What a block is planned from. */
export interface BlockPlan {
  readonly number: number;
  readonly seed: number;
  /** Unlocked accounts of the chain. */
  readonly accounts: readonly string[];
  /** Of all contracts deployed in earlier blocks. */
  readonly addresses: ReadonlyMap<ContractName, string>;
}

/** Contracts deployed in block 1, 2, …; those of a block know the addresses of the blocks before. */
const DEPLOYMENTS: readonly (readonly { readonly name: ContractName; readonly links?: readonly ContractName[] }[])[] = [
  [{ name: "Vault" }, { name: "Factory" }, { name: "Counter" }],
  [{ name: "Proxy", links: ["Counter"] }, { name: "Faulty" }, { name: "Precompiles" }, { name: "Loop" }],
  [{ name: "Tour", links: ["Vault", "Factory", "Proxy", "Faulty", "Precompiles"] }],
];

/** Scenarios of a block beside its transfers: after four blocks each one was seen. */
const SCENARIOS_PER_BLOCK = 4;
/** Every so many blocks, the one in the middle has a long loop. */
const LOOP_EVERY_BLOCKS = 18;
/** One round is 19 opcodes. */
const LOOP_ROUNDS = 6_000;
/** How often each block's number goes into its storage keys. */
const SLOTS_PER_BLOCK = 16;

/** The transactions of one block, in order. */
export function planBlock(plan: BlockPlan): readonly ScenarioRequest[] {
  const { number } = plan;
  const draw = new Draw(plan);
  const requests = (DEPLOYMENTS[number - 1] ?? []).map(({ name, links }) => draw.deployment(name, links ?? []));
  const first = number - DEPLOYMENTS.length - 1; // 0 in the first block that finds all contracts
  if (first >= 0) {
    for (let nth = 0; nth < SCENARIOS_PER_BLOCK; nth++) {
      const scenario = ROTATION[(first * SCENARIOS_PER_BLOCK + nth) % ROTATION.length]!;
      requests.push(scenario(draw));
    }
  }
  if (number % LOOP_EVERY_BLOCKS === LOOP_EVERY_BLOCKS / 2) requests.push(draw.loop());
  requests.push(draw.transfer());
  if (number % 2 === 1) requests.push(draw.transferWithCalldata());
  return requests;
}

/** Makes the requests of one block, with numbers drawn from the seed. */
class Draw {
  readonly #plan: BlockPlan;
  readonly #random: (below: number) => number;

  constructor(plan: BlockPlan) {
    this.#plan = plan;
    this.#random = randomNumbers(plan.seed ^ Math.imul(plan.number, 0x9e3779b9));
  }

  /** Creation of a contract that later blocks call, with `links` as its constructor's arguments. */
  deployment(name: ContractName, links: readonly ContractName[]): ScenarioRequest {
    return {
      ...create(name, links.map((link) => BigInt(this.#address(link))), 2_000_000),
      deploys: name,
      ...(name === "Tour" && { value: 1_000n }), // it passes on one wei a visit
    };
  }

  transfer(): ScenarioRequest {
    return { ...this.#send("plain transfer"), gasLimit: 21_000, legacy: true };
  }

  transferWithCalldata(): ScenarioRequest {
    const input = `0x${Array.from({ length: 24 + this.#random(40) }, () => hexByte(this.#random(256))).join("")}`;
    return { ...this.#send("transfer with calldata"), input, gasLimit: 40_000 };
  }

  creation(): ScenarioRequest {
    return create("Child", [this.#word()], 500_000);
  }

  make(): ScenarioRequest {
    return { ...this.#call("factory CREATE", "Factory", "make(uint256)", [this.#word()], 400_000), value: 5n };
  }

  makeAt(): ScenarioRequest {
    const salt = BigInt(this.#plan.number);
    return this.#call("factory CREATE2", "Factory", "makeAt(bytes32,uint256)", [salt, this.#word()], 400_000);
  }

  makeNone(): ScenarioRequest {
    return this.#call("CREATE that reverts", "Factory", "makeNone()", [], 200_000);
  }

  bump(): ScenarioRequest {
    const request = this.#call("delegatecall proxy", "Counter", "bump(uint256)", [this.#word()], 120_000);
    return { ...request, to: this.#address("Proxy") };
  }

  fill(): ScenarioRequest {
    const args = [this.#slot(this.#plan.number), this.#count(), this.#word()];
    return this.#call("storage filled", "Vault", "fill(uint256,uint256,uint256)", args, 800_000);
  }

  /** Clears what {@linkcode fill} wrote in the block before. */
  clear(): ScenarioRequest {
    const args = [this.#slot(this.#plan.number - 1), BigInt(SLOTS_PER_BLOCK)];
    return this.#call("storage cleared", "Vault", "clear(uint256,uint256)", args, 400_000);
  }

  survive(): ScenarioRequest {
    return this.#call("failures survived", "Faulty", "survive(uint256)", [this.#word()], 300_000);
  }

  refuse(): ScenarioRequest {
    return this.#call("revert at the root", "Faulty", "refuse(uint256)", [this.#word()], 100_000);
  }

  burn(): ScenarioRequest {
    return this.#call("out of gas at the root", "Faulty", "burn()", [], 90_000);
  }

  halt(): ScenarioRequest {
    return this.#call("invalid opcode at the root", "Faulty", "halt()", [], 50_000);
  }

  precompiles(): ScenarioRequest {
    return this.#call("precompiles", "Precompiles", "all(bytes32)", [this.#word()], 300_000);
  }

  precompileRefuses(): ScenarioRequest {
    return this.#call("precompile refuses", "Precompiles", "refused()", [], 100_000);
  }

  precompileCall(): ScenarioRequest {
    const identity = `0x${"4".padStart(40, "0")}`;
    return {
      scenario: "call of a precompile",
      to: identity,
      input: `0x${words([this.#word()])}`,
      value: 0n,
      gasLimit: 50_000,
    };
  }

  accessList(): ScenarioRequest {
    const request = this.#call("access list", "Vault", "slots(uint256)", [this.#slot(this.#plan.number)], 80_000);
    const accessList = [{ address: this.#address("Vault"), storageKeys: [`0x${words([0n])}`, `0x${words([1n])}`] }];
    return { ...request, accessList };
  }

  visit(): ScenarioRequest {
    const args = [2n, BigInt(this.#plan.number * 1_000_000 + this.#random(1_000_000))];
    return this.#call("nested calls", "Tour", "visit(uint256,uint256)", args, 1_500_000);
  }

  loop(): ScenarioRequest {
    const rounds = BigInt(LOOP_ROUNDS + this.#random(100));
    return this.#call("long loop", "Loop", "spin(uint256)", [rounds], 2_000_000);
  }

  #send(scenario: Scenario): ScenarioRequest {
    const { accounts } = this.#plan;
    return {
      scenario,
      to: accounts[this.#random(accounts.length)]!,
      input: "0x",
      value: BigInt(1 + this.#random(1_000_000)),
      gasLimit: 0,
    };
  }

  #call<Name extends ContractName>(
    scenario: Scenario,
    contract: Name,
    method: keyof (typeof build.contracts)[Name]["methods"] & string,
    args: readonly bigint[],
    gasLimit: number,
  ): ScenarioRequest {
    const methods: Readonly<Record<string, string>> = build.contracts[contract].methods;
    return { scenario, to: this.#address(contract), input: `${methods[method]}${words(args)}`, value: 0n, gasLimit };
  }

  #address(name: ContractName): string {
    return this.#plan.addresses.get(name)!;
  }

  #word(): bigint {
    return BigInt(1 + this.#random(2 ** 31));
  }

  #count(): bigint {
    return BigInt(4 + this.#random(SLOTS_PER_BLOCK - 4));
  }

  #slot(block: number): bigint {
    return BigInt(block * SLOTS_PER_BLOCK);
  }
}

/** One scenario after the other; `clear` comes a block after `fill`. */
const ROTATION: readonly ((draw: Draw) => ScenarioRequest)[] = [
  (draw) => draw.fill(),
  (draw) => draw.make(),
  (draw) => draw.survive(),
  (draw) => draw.visit(),
  (draw) => draw.clear(),
  (draw) => draw.makeAt(),
  (draw) => draw.refuse(),
  (draw) => draw.precompiles(),
  (draw) => draw.creation(),
  (draw) => draw.bump(),
  (draw) => draw.burn(),
  (draw) => draw.accessList(),
  (draw) => draw.makeNone(),
  (draw) => draw.precompileRefuses(),
  (draw) => draw.halt(),
  (draw) => draw.precompileCall(),
];

function create(name: ContractName, args: readonly bigint[], gasLimit: number): ScenarioRequest {
  const input = `${build.contracts[name].bytecode}${words(args)}`;
  return { scenario: "contract creation", input, value: 0n, gasLimit };
}

/** ABI encoding of values that take one word each. */
function words(values: readonly bigint[]): string {
  return values.map((value) => value.toString(16).padStart(64, "0")).join("");
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** Whole numbers from 0 to below `below`, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}
