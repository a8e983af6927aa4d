/**
 * The semantics of one module instance, on the side of TypeScript: writes what is known of a transaction into the module's
 * memory, takes the full blocks out of it, and makes the proof record at the end.
 */
import * as F from "../../../wasm/facts.ts";
import { FACTS, MAX_OPERATIONS, OPCODES, SCRATCH, SCRATCH_BYTES } from "../../../wasm/layout.ts";
import { OPERATION_NAMES } from "../../../wasm/kinds.ts";
import type { ClientFlags } from "../../ethereum/clients.ts";
import type { Fork } from "../../ethereum/forks.ts";
import { ColumnViews } from "./columns.ts";
import { hasRules, rulesFor, type TransactionFacts, transactionFacts } from "./facts.ts";
import type { ResultFacts, TraceMeaning } from "./meaning.ts";
import { OversizedTraceError } from "./oversized.ts";
import type { ReplyContext, TraceSink } from "./port.ts";
import { type ForkTables, forkTables, OPERATIONS } from "./tables.ts";
import { proofRecord } from "./verdict.ts";

/** What the module exports for this file. */
interface MeaningExports extends WebAssembly.Exports {
  readonly memory: WebAssembly.Memory;
  beginTransaction(): void;
  endTransaction(): void;
  hashOperation(operation: number, length: number): void;
  warmAccounts(count: number): void;
  warmSlots(count: number): void;
}

const REFUND = { nonzero: F.REFUND_NONZERO, always: F.REFUND_ALWAYS, never: F.REFUND_NEVER } as const;
const SCOPE = { transaction: F.SCOPE_TRANSACTION, frame: F.SCOPE_FRAME } as const;
const POINT = { after: F.POINT_AFTER, sstore: F.POINT_SSTORE, before: F.POINT_BEFORE } as const;
const MADE_UP = { none: F.MADE_UP_NONE, creates: F.MADE_UP_CREATES, calls: F.MADE_UP_CALLS } as const;

/** Where lists of words lie in SCRATCH, and how many items of 64 bytes fit there. */
const LIST = SCRATCH + 64;
const LIST_ITEMS = SCRATCH_BYTES / 64 - 1;

/** The semantics: one per module instance. */
export class Meaning implements TraceMeaning {
  readonly imports: WebAssembly.Imports = {
    host: {
      structlogBlock: (
        rows: number,
        pathValues: number,
        returnBytes: number,
        errorBytes: number,
        callToBytes: number,
      ) =>
        this.#sink!.structlogs(
          this.#position,
          this.#views!.structlogs({ rows, pathValues, returnBytes, errorBytes, callToBytes }),
          this.#operations,
        ),
      frameBlock: (rows: number, pathValues: number, targetBytes: number) =>
        this.#sink!.frames(this.#position, this.#views!.frames({ rows, pathValues, targetBytes }), this.#operations),
      internOperation: (address: number, length: number) => this.#intern(address >>> 0, length),
      tooLong: (bytes: number, room: number) => {
        throw new OversizedTraceError("text of a structlog", bytes >>> 0, room >>> 0);
      },
    },
  };

  #exports: MeaningExports | undefined;
  #bytes: Uint8Array = new Uint8Array(0);
  #memory: DataView = new DataView(this.#bytes.buffer);
  #views: ColumnViews | undefined;
  #context: ReplyContext | undefined;
  #sink: TraceSink | undefined;
  #tables: ForkTables | undefined;
  #position = 0;
  #facts: TransactionFacts | undefined;
  #operations: readonly string[] = OPERATIONS;
  /** Positions of the names of undefined opcodes. */
  readonly #names = new Map<string, number>();

  attach(exports: WebAssembly.Exports): void {
    this.#exports = exports as MeaningExports;
    const { buffer } = this.#exports.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#memory = new DataView(buffer);
    this.#views = new ColumnViews(buffer);
    OPERATIONS.forEach((name, operation) => this.#hash(name, operation));
  }

  begin(context: ReplyContext, sink: TraceSink): void {
    this.#context = context;
    this.#sink = sink;
    const tables = forkTables(rulesFor(context.fork));
    if (tables !== this.#tables) this.#writeTables(tables);
    this.#writeFlags(context.flags);
  }

  beginTransaction(position: number): void {
    const context = this.#context!;
    this.#position = position;
    if (this.#names.size > 0) {
      this.#names.clear();
      this.#operations = OPERATIONS;
    }
    this.#facts = transactionFacts(context, position);
    this.#writeFacts(this.#facts, context.fork);
    this.#exports!.beginTransaction();
    this.#warm(this.#facts);
  }

  returnValue(hex: string | undefined): void {
    this.#sink!.returnValue(this.#position, hex);
  }

  /** Nothing leaves before the end that needs it: the record has it. */
  failed(): void {}

  endTransaction(result: ResultFacts): void {
    this.#u32(
      F.TOP_FLAGS,
      (result.failed === undefined ? 0 : F.TOP_HAS_FAILED) | (result.failed === true ? F.TOP_FAILED : 0) |
        (result.gas === undefined ? 0 : F.TOP_HAS_GAS) | (result.structLogs ? F.TOP_HAS_STRUCTLOGS : 0) |
        (result.error === undefined && result.errorCode === undefined ? 0 : F.TOP_HAS_ERROR),
    );
    this.#u64(F.TOP_GAS, this.#topGas(result.gas ?? 0n));
    this.#exports!.endTransaction();
    this.#sink!.finished(this.#position, proofRecord(this.#memory, this.#facts!, result, this.#operations));
  }

  /** The printed gas as that of the transaction: a cumulative one counts where it is that of the receipt. */
  #topGas(printed: bigint): bigint {
    const { gasUsed, cumulativeGasUsed } = this.#facts!;
    return this.#context!.flags.topGas === "cumulative" && printed === cumulativeGasUsed ? gasUsed : printed;
  }

  #u32(fact: number, value: number): void {
    this.#memory.setUint32(FACTS + fact, value, true);
  }

  #u64(fact: number, value: bigint): void {
    this.#memory.setBigUint64(FACTS + fact, value, true);
  }

  #word(address: number, value: bigint): void {
    let rest = value;
    for (let limb = 0; limb < 32; limb += 8) {
      this.#memory.setBigUint64(address + limb, rest, true);
      if (rest !== 0n) rest >>= 64n;
    }
  }

  #writeTables(tables: ForkTables): void {
    this.#tables = tables;
    const { schedule } = tables;
    this.#bytes.set(tables.opcodes, OPCODES);
    this.#bytes.set(tables.precompiles, FACTS + F.FACT_PRECOMPILES);
    this.#u32(F.FACT_COLD_SLOT, schedule.coldSlot);
    this.#u32(F.FACT_COLD_ACCOUNT, schedule.coldAccount);
    this.#u32(F.FACT_SSTORE_NOOP, schedule.sstoreNoop);
    this.#u32(F.FACT_SSTORE_RESET, schedule.sstoreReset);
    this.#u32(F.FACT_REFUND_CLEAR, schedule.refundClear);
    this.#u32(F.FACT_RESTORE_NONZERO, schedule.refundRestoreNonZero);
    this.#u32(F.FACT_RESTORE_ZERO, schedule.refundRestoreZero);
    this.#u32(F.FACT_REFUND_SELFDESTRUCT, schedule.refundSelfdestruct);
    this.#u32(F.FACT_REFUND_QUOTIENT, schedule.refundQuotient);
    this.#u32(F.FACT_INIT_CODE_WORD, schedule.initCodeWord);
    this.#u32(F.FACT_CALL_ACCESS, schedule.access.CALL);
  }

  #writeFlags(flags: ClientFlags): void {
    this.#u32(F.FACT_REFUND, REFUND[flags.refund]);
    this.#u32(F.FACT_REFUND_SCOPE, SCOPE[flags.refundScope]);
    this.#u32(F.FACT_REFUND_POINT, POINT[flags.refundPoint]);
    this.#u32(F.FACT_REFUND_AUTHORISATIONS, flags.refundHoldsAuthorisations ? 1 : 0);
    this.#u32(F.FACT_STOP_ROW, flags.stopRow ? 1 : 0);
    this.#u32(F.FACT_MADE_UP_STOP, MADE_UP[flags.madeUpStop]);
    this.#u32(F.FACT_TOP_GAS_TRUSTED, flags.topGas === "untrusted" ? 0 : 1);
  }

  #writeFacts(facts: TransactionFacts, fork: Fork | undefined): void {
    const { flags } = this.#tables!;
    const flag = (condition: boolean, bit: number) => condition ? bit : 0;
    this.#u32(
      F.FACT_FLAGS,
      flag(facts.hasTransaction, F.KNOWN_TRANSACTION) | flag(facts.hasReceipt, F.KNOWN_RECEIPT) |
        flag(facts.succeeded !== undefined, F.KNOWN_STATUS) | flag(facts.succeeded === true, F.STATUS_SUCCESS) |
        flag(facts.isCreation, F.IS_CREATION) | flag(facts.isInputEmpty, F.IS_INPUT_EMPTY) |
        flag(hasRules(fork), F.KNOWN_RULES) | flag(facts.isWarmComplete, F.KNOWN_WARM) |
        flags | flag(facts.directPrice !== undefined, F.IS_TO_PRECOMPILE) |
        flag(facts.to !== undefined, F.KNOWN_TO) | flag(facts.target !== undefined, F.KNOWN_TARGET),
    );
    this.#u32(F.FACT_AUTHORISATIONS, facts.authorisations);
    this.#u32(F.FACT_CREDITS, (flags & F.IS_PRAGUE) !== 0 && facts.to !== undefined ? 1 : 0);
    this.#u32(F.FACT_SLOT_CREDITS, facts.storageKeys);
    this.#u64(F.FACT_GAS_LIMIT, facts.gasLimit);
    this.#u64(F.FACT_INTRINSIC, BigInt(facts.intrinsicGas));
    this.#u64(F.FACT_FLOOR, BigInt(facts.floorGas));
    this.#u64(F.FACT_RECEIPT_GAS, facts.gasUsed);
    this.#u64(F.FACT_DIRECT_PRICE, facts.directPrice ?? 0n);
    this.#word(FACTS + F.FACT_TARGET, facts.target ?? 0n);
  }

  #warm(facts: TransactionFacts): void {
    const { precompileWords } = this.#tables!;
    this.#bytes.set(precompileWords, LIST);
    this.#exports!.warmAccounts(precompileWords.length / 32);
    for (let from = 0; from < facts.warmAccounts.length; from += LIST_ITEMS) {
      const part = facts.warmAccounts.slice(from, from + LIST_ITEMS);
      part.forEach((account, at) => this.#word(LIST + 32 * at, account));
      this.#exports!.warmAccounts(part.length);
    }
    for (let from = 0; from < facts.warmSlots.length; from += LIST_ITEMS) {
      const part = facts.warmSlots.slice(from, from + LIST_ITEMS);
      part.forEach(([account, slot], at) => {
        this.#word(LIST + 64 * at, account);
        this.#word(LIST + 64 * at + 32, slot);
      });
      this.#exports!.warmSlots(part.length);
    }
  }

  #intern(address: number, length: number): number {
    const name = new TextDecoder().decode(this.#bytes.subarray(address, address + length));
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const operation = OPERATION_NAMES + this.#names.size;
    if (operation >= MAX_OPERATIONS) {
      throw new OversizedTraceError("set of opcode names", operation + 1, MAX_OPERATIONS);
    }
    this.#names.set(name, operation);
    this.#operations = [...this.#operations, name];
    this.#hash(name, operation);
    return operation;
  }

  #hash(name: string, operation: number): void {
    const { written } = new TextEncoder().encodeInto(name, this.#bytes.subarray(SCRATCH, SCRATCH + SCRATCH_BYTES));
    this.#exports!.hashOperation(operation, written);
  }
}
