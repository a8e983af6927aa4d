/** What the adapter puts on the wire, and what it makes of answers that no healthy server gives. */
import assert from "node:assert/strict";
import { PipelineError } from "../../../src/errors.ts";
import { ByteReader } from "../../../src/stages/encode/bytes.ts";
import { decodeBlocks } from "../../../src/stages/encode/native.ts";
import { type ClickHouseStorage, openClickHouse } from "../../../src/stages/sink/clickhouse.ts";
import { StorageRejectedError, StorageSetupError, StorageUnavailableError } from "../../../src/stages/sink/errors.ts";
import { attemptKey, structlogs } from "../../contracts/storage_contract.ts";

const SIGNAL = new AbortController().signal;
const PASSWORD = "not to be seen";
const BLOCK = structlogs(attemptKey(0, 7), 5);

/** One request as it came. */
interface Asked {
  readonly method: string;
  readonly params: URLSearchParams;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A server that answers as a test says, and the adapter on it. */
class Wire implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly storage: ClickHouseStorage;
  answer: (asked: Asked) => Response | Promise<Response> = () => new Response("");
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(requestTimeoutMs = 60_000) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
      const { searchParams: params } = new URL(request.url);
      const { method, headers } = request;
      const asked = { method, params, headers, body: new Uint8Array(await request.arrayBuffer()) };
      this.asked.push(asked);
      return await this.answer(asked);
    });
    this.storage = openClickHouse({
      url: `http://127.0.0.1:${this.#server.addr.port}`,
      database: "db",
      user: "writer",
      password: PASSWORD,
      requestTimeoutMs,
      settings: { async_insert: 0, some: true, other: "x" },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.storage.close();
    await this.#server.shutdown();
  }
}

/** The error of one insert. */
async function failure(wire: Wire): Promise<PipelineError> {
  try {
    await wire.storage.insert(BLOCK, SIGNAL);
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    assert.ok(!error.message.includes(PASSWORD) && !error.message.includes("query="), error.message);
    return error;
  }
  assert.fail("the insert was taken for done");
}

Deno.test("an insert is one Native block in one request, its length said first, with credentials and settings", async () => {
  await using wire = new Wire();
  await wire.storage.insert(BLOCK, SIGNAL);
  const [{ method, params, headers, body }, ...more] = wire.asked as [Asked, ...Asked[]];
  assert.deepEqual(more, []);
  assert.equal(method, "POST");
  const columns = BLOCK.columns.map((name) => `\`${name}\``).join(", ");
  assert.deepEqual(Object.fromEntries(params), {
    query: `INSERT INTO ${BLOCK.table} (${columns}) FORMAT Native`,
    database: "db",
    async_insert: "0",
    some: "1",
    other: "x",
  });
  assert.equal(headers.get("authorization"), `Basic ${btoa(`writer:${PASSWORD}`)}`);
  assert.equal(headers.get("content-length"), String(BLOCK.bytes.length));
  assert.equal(headers.get("transfer-encoding"), null);
  assert.deepEqual(body, BLOCK.bytes.slice());
  assert.deepEqual(decodeBlocks(new ByteReader(body)).map(({ rows }) => rows), [5]);
});

Deno.test("only an empty 200 is an insert that is done", async () => {
  await using wire = new Wire();
  const exception = (code: number, name: string) => `Code: ${code}. DB::Exception: words (${name}) (version 26.7)\n`;
  const header = (code: number) => ({ headers: { "X-ClickHouse-Exception-Code": String(code) } });
  const answers: readonly (readonly [Response, new (text: string) => PipelineError, RegExp])[] = [
    [new Response(exception(241, "MEMORY_LIMIT_EXCEEDED"), { status: 500 }), StorageUnavailableError, /code 241/],
    [new Response(exception(236, "ABORTED"), { status: 503 }), StorageUnavailableError, /code 236 \(ABORTED\)/],
    [new Response(exception(53, "TYPE_MISMATCH"), { status: 500 }), StorageRejectedError, /code 53 \(TYPE_MISMATCH\)/],
    [new Response(exception(60, "UNKNOWN_TABLE"), { status: 404 }), StorageSetupError, /code 60/],
    [new Response(exception(252, "TOO_MANY_PARTS")), StorageUnavailableError, /code 252/],
    [new Response("", header(159)), StorageUnavailableError, /code 159/],
    [new Response("words of an old server", { status: 500, ...header(53) }), StorageRejectedError, /code 53/],
    [new Response("<html>Bad Gateway</html>", { status: 502 }), StorageUnavailableError, /HTTP 502 without an answer/],
    [new Response("<html>Sign in</html>"), StorageUnavailableError, /HTTP 200 without an answer/],
  ];
  for (const [answer, kind, text] of answers) {
    wire.answer = () => answer;
    const error = await failure(wire);
    assert.ok(error instanceof kind, error.message);
    assert.match(error.message, text);
  }
});

Deno.test("a server that says nothing in time, breaks off, or is not there is an outage, and is named by its address", async () => {
  let storage: ClickHouseStorage;
  {
    await using wire = new Wire(50);
    storage = wire.storage;
    const silent = Promise.withResolvers<Response>();
    wire.answer = () => silent.promise;
    const error = await failure(wire);
    assert.ok(error instanceof StorageUnavailableError);
    assert.match(error.message, /ClickHouse at 127\.0\.0\.1:\d+: no answer within 50 ms$/);
    silent.resolve(new Response(""));
    const text = new TextEncoder().encode('{"a":');
    wire.answer = () => new Response(ReadableStream.from([text]), { headers: { "content-length": "100" } });
    await assert.rejects(storage.query("SELECT 1", {}), StorageUnavailableError);
    assert.ok(await failure(wire) instanceof StorageUnavailableError);
  }
  await assert.rejects(storage.ping(SIGNAL), StorageUnavailableError);
});

Deno.test("an abort is the caller's own reason, and what is aborted before is not sent", async () => {
  await using wire = new Wire();
  const reason = new Error("enough");
  await assert.rejects(wire.storage.insert(BLOCK, AbortSignal.abort(reason)), reason);
  await assert.rejects(wire.storage.query("SELECT 1", {}, AbortSignal.abort(reason)), reason);
  assert.deepEqual(wire.asked, []);
  const held = Promise.withResolvers<void>();
  for (
    const ask of [
      (signal: AbortSignal) => wire.storage.insert(BLOCK, signal),
      (signal: AbortSignal) => wire.storage.query("SELECT 1", {}, signal),
    ]
  ) {
    const abort = new AbortController();
    wire.answer = () => {
      abort.abort(reason);
      return held.promise.then(() => new Response(""));
    };
    await assert.rejects(ask(abort.signal), reason);
  }
  held.resolve();
});

Deno.test("many keys are several statements, whose parameters fit into a URL", async () => {
  await using wire = new Wire();
  const keys = Array.from({ length: 450 }, (_, i) => attemptKey(i, 2 ** 52));
  await wire.storage.records(keys, SIGNAL);
  await wire.storage.deleteAttempts("structlog", keys, SIGNAL);
  await wire.storage.orphaned(keys, SIGNAL);
  const counts = wire.asked.map(({ params }) => (params.get("param_keys") ?? "").match(/'/g)!.length / 2);
  assert.deepEqual(counts, [200, 200, 50, 200, 200, 50, 200, 200, 50]);
  for (const { params } of wire.asked) assert.ok(params.toString().length < 60_000, `${params.toString().length}`);
});
