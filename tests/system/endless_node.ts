/**
 * A node of one block with one transaction whose trace is as long as a test wants: a loop of `JUMPDEST PUSH2 JUMP` over
 * a stack of some words, then a STOP. Every structlog and the receipt are right, so the proof closes.
 */

/** Words below the loop's own, unless a test says otherwise. */
const WORDS = 13;
const GAS_LIMIT = 2 ** 45;
const INTRINSIC = 21_000;
const HASH = (digit: string) => `0x${digit.repeat(64)}`;
const ADDRESS = `0x${"77".repeat(20)}`;
/** Turns of the loop in one written piece. */
const TURNS_PER_PIECE = 200;

/** How the node does it. */
export interface EndlessNodeOptions {
  /** Words on the stack in the loop, at least one. */
  readonly words?: number;
  /** A reply that is not read to its end within this time of its request is cut, as geth does. */
  readonly cutAfterMs?: number;
}

/** A running node. */
export interface EndlessNode extends AsyncDisposable {
  readonly url: string;
  /** Structlogs of its trace. */
  readonly structlogs: number;
  /** Bytes of traces that were sent. */
  sentBytes(): number;
  /** Replies of traces, in their order. */
  readonly replies: readonly EndlessReply[];
}

/** One reply of a trace. */
export interface EndlessReply {
  readonly startedMs: number;
  /** Structlogs that were sent so far. */
  structlogs: number;
  /** When its last byte was sent. */
  endedMs: number | undefined;
  /** By the node, as it took too long, or by its reader. */
  cut: boolean;
}

function row(pc: number, op: string, gas: number, cost: number, stack: string): string {
  return `{"pc":${pc},"op":"${op}","gas":${gas},"gasCost":${cost},"depth":1,"stack":[${stack}]}`;
}

/** Pushes `words` words, then loops: PUSH32 as often, JUMPDEST, PUSH2, JUMP. Pieces of the result, with their structlogs. */
function* pieces(turns: number, words: number): Generator<{ text: string; structlogs: number }> {
  const stack = Array.from(
    { length: words },
    (_, word) => `"0x${(word + 1).toString(16).padStart(2, "0").repeat(32)}"`,
  );
  const full = stack.join(",");
  const loopPc = 33 * words;
  let gas = GAS_LIMIT - INTRINSIC;
  const head: string[] = [];
  for (let pushed = 0; pushed < words; pushed++) {
    head.push(row(33 * pushed, "PUSH32", gas, 3, stack.slice(0, pushed).join(",")));
    gas -= 3;
  }
  const used = INTRINSIC + 3 * words + 12 * turns;
  const start = `{"jsonrpc":"2.0","id":1,"result":{"gas":${used},"failed":false,"returnValue":"0x","structLogs":[`;
  yield { text: start + head.join(","), structlogs: words };
  for (let turn = 0; turn < turns;) {
    const first = turn;
    let text = "";
    for (const end = Math.min(turns, turn + TURNS_PER_PIECE); turn < end; turn++) {
      text += "," + row(loopPc, "JUMPDEST", gas, 1, full) + "," + row(loopPc + 1, "PUSH2", gas - 1, 3, full) + "," +
        row(loopPc + 4, "JUMP", gas - 4, 8, `${full},"0x${loopPc.toString(16)}"`);
      gas -= 12;
    }
    yield { text, structlogs: 3 * (turn - first) };
  }
  yield { text: `,${row(loopPc, "STOP", gas, 0, full)}]}}\n`, structlogs: 1 };
}

/** Serves a trace of about `bytes`. */
export function endlessNode(bytes: number, { words = WORDS, cutAfterMs }: EndlessNodeOptions = {}): EndlessNode {
  const perTurn = [...pieces(1, words)][1]!.text.length;
  const turns = Math.ceil(bytes / perTurn);
  const gasUsed = INTRINSIC + 3 * words + 12 * turns;
  const hex = (value: number) => `0x${value.toString(16)}`;
  const block = {
    number: "0x1",
    hash: HASH("b"),
    parentHash: HASH("a"),
    timestamp: hex(1_767_225_600),
    gasUsed: hex(gasUsed),
    gasLimit: hex(GAS_LIMIT),
    miner: `0x${"99".repeat(20)}`,
    baseFeePerGas: "0x1",
  };
  const genesis = { ...block, number: "0x0", hash: HASH("a"), parentHash: HASH("0"), gasUsed: "0x0" };
  const transaction = {
    hash: HASH("c"),
    type: "0x0",
    from: `0x${"11".repeat(20)}`,
    to: ADDRESS,
    gas: hex(GAS_LIMIT),
    gasPrice: "0x1",
    nonce: "0x0",
    value: "0x0",
    input: "0x",
    blockHash: block.hash,
    blockNumber: "0x1",
    transactionIndex: "0x0",
    v: "0x1b",
    r: "0x1",
    s: "0x1",
  };
  const receipt = {
    transactionHash: transaction.hash,
    blockHash: block.hash,
    blockNumber: "0x1",
    transactionIndex: "0x0",
    gasUsed: block.gasUsed,
    cumulativeGasUsed: block.gasUsed,
    effectiveGasPrice: "0x1",
    status: "0x1",
    contractAddress: null,
    logs: [],
  };
  let sent = 0;
  const encoder = new TextEncoder();
  const replies: EndlessReply[] = [];
  const trace = () => {
    const source = pieces(turns, words);
    const reply: EndlessReply = { startedMs: performance.now(), structlogs: 0, endedMs: undefined, cut: false };
    replies.push(reply);
    let timer: ReturnType<typeof setTimeout> | undefined;
    return new ReadableStream<Uint8Array>({
      start(controller) {
        if (cutAfterMs === undefined) return;
        timer = setTimeout(() => {
          reply.cut = true;
          controller.error(new Error("write timeout"));
        }, cutAfterMs);
      },
      pull(controller) {
        if (reply.cut) return;
        const { value, done } = source.next();
        if (done) {
          clearTimeout(timer);
          reply.endedMs = performance.now();
          return controller.close();
        }
        const chunk = encoder.encode(value.text);
        sent += chunk.length;
        reply.structlogs += value.structlogs;
        controller.enqueue(chunk);
      },
      cancel() {
        clearTimeout(timer);
        reply.cut = true;
      },
    }, { highWaterMark: 1 });
  };
  const answer = (method: string, params: readonly unknown[]): unknown => {
    const withTransactions = (of: typeof block, full: boolean) => ({
      ...of,
      transactions: of === block ? full ? [transaction] : [transaction.hash] : [],
    });
    switch (method) {
      case "web3_clientVersion":
        return "Geth/v1.17.8-stable/linux-amd64/go1.26";
      case "eth_chainId":
        return "0x7a69";
      case "eth_blockNumber":
        return "0x1";
      case "eth_syncing":
        return false;
      case "eth_getBlockByNumber":
        return params[0] === "0x0" ? withTransactions(genesis, false) : withTransactions(block, params[1] === true);
      case "eth_getBlockByHash":
        return params[0] === block.hash ? withTransactions(block, params[1] === true) : null;
      case "eth_getBlockReceipts":
        return [receipt];
      case "eth_getTransactionReceipt":
        return receipt;
      default:
        return undefined;
    }
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const call = await request.json() as { id: unknown; method: string; params: readonly unknown[] };
    if (call.method === "debug_traceTransaction") {
      return new Response(trace(), { headers: { "content-type": "application/json" } });
    }
    const result = answer(call.method, call.params);
    return Response.json(
      result === undefined
        ? {
          jsonrpc: "2.0",
          id: call.id,
          error: { code: -32601, message: `the method ${call.method} does not exist/is not available` },
        }
        : { jsonrpc: "2.0", id: call.id, result },
    );
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    structlogs: words + 3 * turns + 1,
    sentBytes: () => sent,
    replies,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
