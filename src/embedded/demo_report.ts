/** What the demo shows of ClickHouse: each page is a statement, as it was sent, and its answer. */
import type { SqlReader } from "../stages/sink/port.ts";
import { type Column, type Screen, styled, tableLines, treeBranches } from "./screen.ts";
import framesSql from "./sql/demo_frames.sql" with { type: "text" };
import ledgerSql from "./sql/demo_ledger.sql" with { type: "text" };
import opcodesSql from "./sql/demo_opcodes.sql" with { type: "text" };
import recordsSql from "./sql/demo_records.sql" with { type: "text" };
import rowsSql from "./sql/demo_rows.sql" with { type: "text" };
import type { Agreement, StoredTransaction } from "./demo_check.ts";

/** A block as the ledger has it. */
export interface LedgerBlock {
  readonly block: number;
  readonly hash: string;
  readonly state: string;
  readonly transactions: number;
  readonly structlogs: number;
  readonly frameRows: number;
  readonly milliseconds: number;
}

/** What the pages are about. */
export interface ReportSource {
  readonly screen: Screen;
  readonly database: SqlReader;
  readonly network: string;
  readonly signal: AbortSignal;
}

type Json = Readonly<Record<string, string | number | boolean | null | readonly number[]>>;

/** Writes a heading. */
export function heading(screen: Screen, text: string): void {
  screen.write(`\n${styled(screen, "bold", text)}\n\n`);
}

/** Writes a statement as it was sent, with those of its parameters filled in that are given. */
function showSql(screen: Screen, sql: string, params: Readonly<Record<string, string>>): void {
  const filled = sql.trimEnd().replace(
    /\{(\w+):\w+\}/g,
    (placeholder, name: string) => params[name] === undefined ? placeholder : `'${params[name]}'`,
  );
  for (const line of filled.split("\n")) screen.write(`${styled(screen, "dim", `  ${line}`)}\n`);
  screen.write("\n");
}

function showTable<Row>(screen: Screen, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  for (const line of tableLines(screen, columns, rows)) screen.write(`  ${line}\n`);
}

async function ask(source: ReportSource, sql: string, params: Readonly<Record<string, string>> = {}): Promise<Json[]> {
  const all = { network: source.network, ...params };
  showSql(source.screen, sql, all);
  return await source.database.query<Json>(sql, all, source.signal);
}

/** The ledger of blocks. */
export async function showLedger(source: ReportSource): Promise<readonly LedgerBlock[]> {
  heading(source.screen, "The ledger: which blocks are stored");
  const blocks = (await ask(source, ledgerSql)).map((row) => ({
    block: Number(row.block),
    hash: String(row.hash),
    state: String(row.state),
    transactions: Number(row.transactions),
    structlogs: Number(row.structlogs),
    frameRows: Number(row.frame_rows),
    milliseconds: Number(row.ms),
  }));
  showTable(source.screen, [
    { title: "block", align: "right", value: ({ block }) => block },
    { title: "hash", align: "left", value: ({ hash }) => `${hash}…`, style: () => "accent" },
    {
      title: "state",
      align: "left",
      value: ({ state }) => state,
      style: ({ state }) => state === "complete" ? "good" : "bad",
    },
    { title: "transactions", align: "right", value: ({ transactions }) => transactions },
    { title: "structlogs", align: "right", value: ({ structlogs }) => structlogs },
    { title: "frame rows", align: "right", value: ({ frameRows }) => frameRows },
    { title: "ms", align: "right", value: ({ milliseconds }) => milliseconds },
  ], blocks);
  return blocks;
}

/** The ten opcodes with the most gas. */
export async function showOpcodes(source: ReportSource): Promise<void> {
  heading(source.screen, "Where the gas goes: the ten most expensive opcodes, by gas_self");
  const rows = await ask(source, opcodesSql);
  const most = Number(rows[0]?.gas ?? 0);
  showTable(source.screen, [
    { title: "opcode", align: "left", value: ({ opcode }) => String(opcode), style: () => "accent" },
    { title: "executed", align: "right", value: ({ executed }) => Number(executed) },
    { title: "gas_self", align: "right", value: ({ gas }) => Number(gas) },
    { title: "share", align: "right", value: ({ share }) => `${Number(share).toFixed(1)} %` },
    { title: "", align: "left", value: ({ gas }) => "█".repeat(Math.round(24 * Number(gas) / most)) },
  ], rows);
}

/** The tree of call frames of one transaction. `names` are those of contracts, by address. */
export async function showFrames(
  source: ReportSource,
  hash: string,
  names: ReadonlyMap<string, string>,
): Promise<number> {
  heading(source.screen, "Inside one transaction: its tree of call frames");
  const frames = (await ask(source, framesSql, { hash })).map((row) => ({
    path: row.path as readonly number[],
    kind: String(row.kind),
    target: String(row.target ?? "-"),
    opcodes: Number(row.opcodes),
    gas: Number(row.gas),
    cumulative: Number(row.gas_cumulative),
    errors: Number(row.errors),
  }));
  const branches = treeBranches(frames);
  const rows = frames.map((frame, nth) => ({
    ...frame,
    call: `${branches[nth]}${frame.kind === "" ? "transaction" : frame.kind}`,
  }));
  showTable(source.screen, [
    { title: "frame", align: "left", value: ({ call }) => call },
    {
      title: "code",
      align: "left",
      value: ({ target }) => names.get(target) ?? PRECOMPILES.get(target) ?? `${target.slice(0, 10)}…`,
      style: () => "accent",
    },
    { title: "opcodes", align: "right", value: ({ opcodes }) => opcodes },
    { title: "gas", align: "right", value: ({ gas }) => gas },
    { title: "with children", align: "right", value: ({ cumulative }) => cumulative },
    { title: "", align: "left", value: ({ errors }) => errors > 0 ? "halted" : "", style: () => "bad" },
  ], rows);
  return frames.length;
}

const PRECOMPILES: ReadonlyMap<string, string> = new Map(
  ["ecrecover", "sha256", "ripemd160", "identity", "modexp", "bn254 add", "bn254 mul", "bn254 pairing", "blake2f"]
    .map((name, nth) => [`0x${(nth + 1).toString(16).padStart(40, "0")}`, name]),
);

/** The records of all transactions; shows the statement. */
export async function readRecords(source: ReportSource): Promise<StoredTransaction[]> {
  return (await ask(source, recordsSql)).map((row) => ({
    block: Number(row.block),
    position: Number(row.position),
    hash: String(row.hash),
    verdict: String(row.verdict),
    gasUsed: Number(row.gas_used),
    success: Boolean(row.success),
    gasBeforeRefund: Number(row.gas_before_refund),
  }));
}

/** A transaction, what it was made to show, and whether both sides agree on it. */
export interface CheckedTransaction extends StoredTransaction, Agreement {
  readonly scenario: string;
}

/** The statement that every transaction's rows were read with, and one line a transaction. */
export function showAgreement(
  { screen, network }: ReportSource,
  transactions: readonly CheckedTransaction[],
): void {
  screen.write("  and for each transaction\n\n");
  showSql(screen, rowsSql, { network });
  showTable(screen, [
    { title: "block", align: "right", value: ({ block }) => block },
    { title: "tx", align: "right", value: ({ position }) => position },
    { title: "hash", align: "left", value: ({ hash }) => `${hash.slice(0, 10)}…`, style: () => "accent" },
    { title: "scenario", align: "left", value: ({ scenario }) => scenario },
    { title: "stored", align: "right", value: ({ storedRows }) => storedRows },
    { title: "traced", align: "right", value: ({ tracedRows }) => tracedRows },
    { title: "gas stored", align: "right", value: ({ gasUsed }) => gasUsed },
    { title: "receipt", align: "right", value: ({ receiptGas }) => receiptGas },
    {
      title: "",
      align: "left",
      value: ({ differences }) => differences.length === 0 ? "✓" : "✗",
      style: ({ differences }) => differences.length === 0 ? "good" : "bad",
    },
  ], transactions);
}
