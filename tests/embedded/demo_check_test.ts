import assert from "node:assert/strict";
import { type CheckSides, checkTransaction, type StoredTransaction } from "../../src/embedded/demo_check.ts";

const HASH = `0x${"ab".repeat(32)}`;

const RECORD: StoredTransaction = {
  block: 7,
  position: 1,
  hash: HASH,
  verdict: "proved",
  gasUsed: 21_006,
  success: true,
  gasBeforeRefund: 21_006,
};

const STEPS = [
  { pc: 0, op: "PUSH1", gas: 100, gasCost: 3, depth: 1, stack: [] },
  { pc: 2, op: "PUSH1", gas: 97, gasCost: 3, depth: 1, stack: ["0x1"] },
  { pc: 4, op: "STOP", gas: 94, gasCost: 0, depth: 1, stack: ["0x1", "0x1"] },
];
const ROWS = STEPS.map(({ pc, op, gas, depth }) => ({
  program_counter: pc,
  operation: op,
  gas: `${gas}`,
  depth: `${depth}`,
  transaction_gas: "21006",
  transaction_failed: false,
}));
const TRACE = { gas: 50_000, failed: false, returnValue: "0x", structLogs: STEPS };
const RECEIPT = { gasUsed: "0x520e", cumulativeGasUsed: "0xc350", status: "0x1" };

/** Compares with what a node and a database answer here. */
async function check(
  answers: {
    readonly record?: object;
    readonly rows?: readonly object[];
    readonly trace?: object;
    readonly receipt?: object;
  },
) {
  const asked: string[] = [];
  await using node = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { id, method, params } = await request.json();
    asked.push(`${method} ${params[0]}`);
    const result = method === "debug_traceTransaction"
      ? { ...TRACE, ...answers.trace }
      : { ...RECEIPT, ...answers.receipt };
    return Response.json({ jsonrpc: "2.0", id, result });
  });
  const sides: CheckSides = {
    chainUrl: `http://127.0.0.1:${node.addr.port}`,
    network: "devnet",
    database: {
      query: <Row>(_: string, params: Readonly<Record<string, unknown>>) => {
        asked.push(`rows of ${params.network} ${params.block} ${params.hash}`);
        return Promise.resolve((answers.rows ?? ROWS) as Row[]);
      },
    },
    signal: new AbortController().signal,
  };
  return { asked, ...await checkTransaction({ ...RECORD, ...answers.record }, sides) };
}

Deno.test("checkTransaction() finds nothing where both sides agree, and asks each of them", async () => {
  const { asked, ...agreement } = await check({});
  assert.deepEqual(agreement, { storedRows: 3, tracedRows: 3, receiptGas: 21_006, differences: [] });
  assert.deepEqual(asked.sort(), [
    `debug_traceTransaction ${HASH}`,
    `eth_getTransactionReceipt ${HASH}`,
    `rows of devnet 7 ${HASH}`,
  ]);
});

const DAMAGE: readonly {
  readonly name: string;
  readonly answers: Parameters<typeof check>[0];
  readonly found: RegExp;
}[] = [
  { name: "a row that is missing", answers: { rows: ROWS.slice(0, 2) }, found: /^rows: 2 stored, 3 expected$/ },
  { name: "a row too many", answers: { rows: [...ROWS, ROWS[2]!] }, found: /^rows: 4 stored, 3 expected$/ },
  {
    name: "another opcode",
    answers: { rows: ROWS.with(1, { ...ROWS[1]!, operation: "DUP1" }) },
    found: /^row 1 \(pc, opcode, gas, depth\): 2 DUP1 97 1 stored, 2 PUSH1 97 1 expected$/,
  },
  { name: "other gas", answers: { rows: ROWS.with(0, { ...ROWS[0]!, gas: "101" }) }, found: /^row 0 \(pc/ },
  { name: "another depth", answers: { rows: ROWS.with(2, { ...ROWS[2]!, depth: "2" }) }, found: /^row 2 \(pc/ },
  {
    name: "a row with another transaction's gas",
    answers: { rows: ROWS.with(2, { ...ROWS[2]!, transaction_gas: "21007" }) },
    found: /^row 2: gas or failure/,
  },
  { name: "gas that is not the receipt's", answers: { record: { gasUsed: 21_005 } }, found: /^gas used: 21005 stored/ },
  { name: "a success that failed", answers: { receipt: { status: "0x0" } }, found: /^success: true stored, false/ },
  { name: "a second trace that failed", answers: { trace: { failed: true } }, found: /^failure in the second trace/ },
  {
    name: "a second trace of other gas",
    answers: { trace: { gas: 21_007 } },
    found: /^gas of the second trace: 21007/,
  },
  { name: "a verdict that proves nothing", answers: { record: { verdict: "unproved" } }, found: /^verdict: unproved$/ },
  {
    name: "gas of rows that is less than the receipt's",
    answers: { record: { gasBeforeRefund: 21_000 } },
    found: /^gas before refund: 21000 stored, at least 21006 expected$/,
  },
];

for (const { name, answers, found } of DAMAGE) {
  Deno.test(`checkTransaction() finds ${name}`, async () => {
    const { differences } = await check(answers);
    assert.ok(differences.some((difference) => found.test(difference)), differences.join("; "));
  });
}
