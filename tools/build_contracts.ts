/**
 * Compiles `src/embedded/contracts/workload.sol` to `workload.json` beside it:
 *
 *     deno run --allow-read=. --allow-write=src/embedded/contracts tools/build_contracts.ts
 *
 * The compiler is npm's `solc`, pinned in `deno.json`; the same source gives the same bytes on every machine.
 */
import solc from "solc";

/** What the workload needs to know of its contracts. */
export interface ContractBuild {
  readonly compiler: string;
  readonly settings: typeof SETTINGS;
  readonly contracts: Readonly<Record<string, CompiledContract>>;
}

/** One contract. */
export interface CompiledContract {
  /** Init code without constructor arguments, hex with 0x. */
  readonly bytecode: string;
  /** Selectors by signature: `{ "spin(uint256)": "0xa5b6ea8f" }`. */
  readonly methods: Readonly<Record<string, string>>;
}

/** London: the code runs on every hard fork that the dev chain executes rightly. No metadata: bytes follow from code alone. */
const SETTINGS = {
  evmVersion: "london",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
} as const;

interface CompilerOutput {
  readonly errors?: readonly { readonly formattedMessage: string }[];
  readonly contracts: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly evm: {
              readonly bytecode: { readonly object: string };
              readonly methodIdentifiers: Readonly<Record<string, string>>;
            };
          }
        >
      >
    >
  >;
}

/** Compiles one source; a warning is an error. */
export function compileContracts(source: string): ContractBuild {
  const file = "workload.sol";
  const input = {
    language: "Solidity",
    sources: { [file]: { content: source } },
    settings: { ...SETTINGS, outputSelection: { "*": { "*": ["evm.bytecode.object", "evm.methodIdentifiers"] } } },
  };
  const output: CompilerOutput = JSON.parse(solc.compile(JSON.stringify(input)));
  if (output.errors !== undefined && output.errors.length > 0) {
    throw new Error(`Cannot compile ${file}:\n${output.errors.map((error) => error.formattedMessage).join("\n")}`);
  }
  const contracts = Object.entries(output.contracts[file]!).map(([name, { evm }]) =>
    [name, {
      bytecode: `0x${evm.bytecode.object}`,
      methods: Object.fromEntries(
        Object.entries(evm.methodIdentifiers).map(([signature, selector]) => [signature, `0x${selector}`]),
      ),
    }] as const
  );
  return { compiler: solc.version(), settings: SETTINGS, contracts: Object.fromEntries(contracts) };
}

if (import.meta.main) {
  const folder = new URL("../src/embedded/contracts/", import.meta.url);
  const build = compileContracts(await Deno.readTextFile(new URL("workload.sol", folder)));
  await Deno.writeTextFile(new URL("workload.json", folder), `${JSON.stringify(build, undefined, 2)}\n`);
}
