/**
 * What a ClickHouse server promises over HTTP, one function a promise: asked of the embedded engine, and of a second real
 * server so that the contract itself is checked.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import { freshDatabase, speaker, type TestDatabase } from "./test_database.ts";

/** What the contract is asked of: a ClickHouse server, or what claims to be one. */
export interface Server {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** How long a statement may take to appear, and to end when its client has gone; absent: as long as a slow machine may need. */
  readonly abandonedMs?: number;
}

/** One promise of ClickHouse's HTTP interface. */
export interface Promised {
  readonly name: string;
  readonly run: (server: Server) => Promise<void>;
}

const promises: Promised[] = [];

function contract(name: string, run: (server: Server) => Promise<void>): void {
  promises.push({ name, run });
}

/** Ways to speak to a server, from `fetch` down to bytes on a socket. */
function speak(server: Server) {
  const keys = { "X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password };
  return {
    keys,
    post: (params: Record<string, string>, body: BodyInit, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${server.url}/?${new URLSearchParams(params)}`, {
        method: "POST",
        headers: { ...keys, ...headers },
        body,
      }),
    get: (params: Record<string, string>, headers: Record<string, string> = keys): Promise<Response> =>
      fetch(`${server.url}/?${new URLSearchParams(params)}`, { headers }),
    /** Speaks HTTP by hand over one connection, so that it can be cut at any byte. */
    rawRequest: async (head: string, body: Uint8Array): Promise<Deno.TcpConn> => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(server.url).port) });
      const basic = btoa(`${server.user}:${server.password}`);
      const bytes = new TextEncoder().encode(`${head}\r\nHost: x\r\nAuthorization: Basic ${basic}\r\n`);
      for (const part of [bytes, body]) {
        for (let at = 0; at < part.length;) at += await connection.write(part.subarray(at));
      }
      return connection;
    },
  };
}

/** Status, exception code and text of an answer. */
async function refusal(answer: Promise<Response>): Promise<[status: number, code: string | undefined, text: string]> {
  const response = await answer;
  const text = await response.text();
  return [response.status, /^Code: (\d+)[.,] .*DB::Exception: /.exec(text)?.[1], text];
}

/** Native bytes of a one-column block of strings. */
function nativeStrings(column: string, values: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const varint = (value: number) => {
    const bytes = [];
    for (; value > 127; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
    return [...bytes, value];
  };
  const text = (bytes: Uint8Array) => [...varint(bytes.length), ...bytes];
  const encoder = new TextEncoder();
  return new Uint8Array([
    ...varint(1),
    ...varint(values.length),
    ...text(encoder.encode(column)),
    ...text(encoder.encode("String")),
    ...values.flatMap(text),
  ]);
}

/** Of a slow machine. */
const WITHIN_MS = 60_000;

/** Asks until the answer is what it should be. */
async function until(
  db: Pick<TestDatabase, "query">,
  sql: string,
  answer: string,
  withinMs = WITHIN_MS,
): Promise<void> {
  const startedAt = performance.now();
  while (await db.query(sql) !== answer) {
    assert.ok(performance.now() - startedAt < withinMs, `${sql} is ${answer} in time`);
  }
}

contract("GET / and /ping need no credentials, other paths are not there", async (server) => {
  assert.equal(await (await fetch(`${server.url}/`)).text(), "Ok.\n");
  assert.equal(await (await fetch(`${server.url}/ping`)).text(), "Ok.\n");
  const missing = await fetch(`${server.url}/missing`);
  assert.equal(missing.status, 404);
  await missing.text();
});

contract("GET reads and refuses to write", async (server) => {
  const { get } = speak(server);
  await using db = await freshDatabase(server);
  assert.equal(await (await get({ query: "SELECT 1 + 1" })).text(), "2\n");
  for (const query of ["CREATE TABLE t (a Int8) ENGINE = Memory", "INSERT INTO t VALUES (1)"]) {
    const [status, code] = await refusal(get({ query, database: db.database }));
    assert.deepEqual([status, code], [500, "164"], query);
  }
  assert.equal(await db.query("SHOW TABLES"), "");
});

contract("credentials come as headers, as Basic or in the URL", async (server) => {
  const { get } = speak(server);
  const { user, password } = server;
  const basic = (name: string, key: string) => ({ Authorization: `Basic ${btoa(`${name}:${key}`)}` });
  for (
    const answer of [
      get({ query: "SELECT 1" }),
      get({ query: "SELECT 1" }, basic(user, password)),
      get({ query: "SELECT 1", user, password }, {}),
    ]
  ) assert.equal(await (await answer).text(), "1\n");
});

contract("wrong credentials are 403 with code 516, and the password is not in the text", async (server) => {
  const { get } = speak(server);
  const { user, password } = server;
  const basic = (name: string, key: string) => ({ Authorization: `Basic ${btoa(`${name}:${key}`)}` });
  for (
    const answer of [
      get({ query: "SELECT 1" }, {}),
      get({ query: "SELECT 1" }, basic(user, "wrong")),
      get({ query: "SELECT 1" }, basic("someone", password)),
      get({ query: "SELECT 1" }, { Authorization: "Basic %%%" }),
      get({ query: "SELECT 1", user, password: "" }, {}),
      get({ query: "SELECT 1" }, { "X-ClickHouse-User": user, "X-ClickHouse-Key": "wrong" }),
    ]
  ) {
    const [status, code, text] = await refusal(answer);
    assert.deepEqual([status, code], [403, "516"]);
    assert.match(text, /Authentication failed/);
    assert.ok(!text.includes(password));
  }
});

contract("an exception says code, text and name, and its code in a header", async (server) => {
  const { post } = speak(server);
  const response = await post({}, "SELECT * FROM missing");
  assert.equal(response.status, 404);
  assert.equal(response.headers.get("X-ClickHouse-Exception-Code"), "60");
  assert.match(await response.text(), /^Code: 60\. DB::Exception: .*missing.*\(UNKNOWN_TABLE\).*\n$/);
});

contract("an exception has the status of its kind", async (server) => {
  const { post } = speak(server);
  const cases: readonly [sql: string, status: number, code: string][] = [
    ["SELECT * FROM missing", 404, "60"],
    ["SELECT missing()", 404, "46"],
    ["SELECT missing", 404, "47"],
    ["SELECT (", 400, "62"],
    ["SELECT 1; SELECT 2", 400, "62"],
    ["SELECT 1 FORMAT Missing", 404, "73"],
    ["SELECT throwIf(1)", 500, "395"],
  ];
  for (const [sql, ...expected] of cases) assert.deepEqual((await refusal(post({}, sql))).slice(0, 2), expected, sql);
});

contract("a statement may be split between URL and body, and its rows may follow in either", async (server) => {
  const { post } = speak(server);
  await using db = await freshDatabase(server);
  const { database } = db;
  await db.query("CREATE TABLE t (a UInt8, s String) ENGINE = MergeTree ORDER BY a");
  assert.equal(await (await post({ database, query: "SELECT 1 +" }, "2")).text(), "3\n");
  await post({ database, query: "INSERT INTO t FORMAT CSV" }, "1,a\n2,b\n").then((r) => r.text());
  await post({ database }, "INSERT INTO t FORMAT CSV\n3,c\n4,d\n").then((r) => r.text());
  await post({ database }, "INSERT INTO t (s, a) VALUES ('e', 5)").then((r) => r.text());
  await post({ database, query: "INSERT INTO t VALUES" }, "(6, 'f')").then((r) => r.text());
  await post({ database, query: "INSERT INTO t" }, "SELECT 7, 'g'").then((r) => r.text());
  assert.equal(
    await db.query(
      "SELECT arrayStringConcat(groupArray(concat(toString(a), s)), ',') FROM (SELECT * FROM t ORDER BY a)",
    ),
    "1a,2b,3c,4d,5e,6f,7g\n",
  );
});

contract("rows that hold blank lines, semicolons and SQL stay rows, in the URL form and inline", async (server) => {
  const { post } = speak(server);
  await using db = await freshDatabase(server);
  const { database } = db;
  await db.query("CREATE TABLE victim (a UInt8) ENGINE = Memory");
  await db.query("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s");
  const encoder = new TextEncoder();
  const nasty = ["\n\nDROP TABLE victim", "a\n\n;b", ";\n\n", "\0\n\n;", "FORMAT CSV\n\n"].map((s) =>
    encoder.encode(s)
  );
  const binary = new Uint8Array([0xff, 0xfe, 0x0a, 0x0a, 0x3b, 0x00, 0xc3]);
  const native = nativeStrings("s", [...nasty, binary]);
  const rowBinary = new Uint8Array([...nasty, binary].flatMap((bytes) => [bytes.length, ...bytes]));
  for (const [format, rows] of [["Native", native], ["RowBinary", rowBinary]] as const) {
    await db.query("TRUNCATE TABLE t");
    await db.insert(`INSERT INTO t FORMAT ${format}`, rows);
    const inline = new Uint8Array([...encoder.encode(`INSERT INTO t FORMAT ${format}\n`), ...rows]);
    await post({ database }, inline).then((r) => r.text());
    const hashes = [...nasty, binary].map((bytes) => `'${Buffer.from(bytes).toString("hex").toUpperCase()}'`).join(",");
    assert.equal(await db.query(`SELECT count(), countIf(hex(s) IN (${hashes})), uniqExact(s) FROM t`), "12\t12\t6\n");
  }
  await post({ database }, "INSERT INTO t FORMAT TSV\nx\n\nDROP TABLE victim\n").then((r) => r.text());
  assert.equal(await db.query("EXISTS TABLE victim"), "1\n");
  assert.equal(await db.query("SELECT count() FROM t WHERE s IN ('x', '', 'DROP TABLE victim')"), "3\n");
});

contract("settings and database of the URL hold for the request alone", async (server) => {
  const { get } = speak(server);
  await using db = await freshDatabase(server);
  const threads = "SELECT value, currentDatabase() FROM system.settings WHERE name = 'max_threads'";
  assert.equal(
    await (await get({ query: threads, max_threads: "3", database: db.database })).text(),
    `3\t${db.database}\n`,
  );
  assert.notEqual((await (await get({ query: threads })).text()).split("\t")[0], "3");
});

contract("unknown settings and databases are refused", async (server) => {
  const { get } = speak(server);
  for (const name of ["no_such_setting", "a'b", "a b"]) {
    assert.deepEqual((await refusal(get({ query: "SELECT 1", [name]: "1" }))).slice(0, 2), [404, "115"], name);
  }
  assert.deepEqual((await refusal(get({ query: "SELECT 1", database: "a`b" }))).slice(0, 2), [404, "81"]);
});

contract("a value that is not of the setting's type is refused", async (server) => {
  const { get } = speak(server);
  const [status, code] = await refusal(get({ query: "SELECT 1", max_threads: "many" }));
  assert.deepEqual([status, code], [400, "27"]);
});

contract("a role that is not there is refused", async (server) => {
  const { get } = speak(server);
  assert.deepEqual((await refusal(get({ query: "SELECT 1", role: "admin" }))).slice(0, 2), [404, "511"]);
});

contract("the format is that of the statement, then of default_format, then TSV", async (server) => {
  const { post } = speak(server);
  const cases: readonly [sql: string, params: Record<string, string>, body: string][] = [
    ["SELECT 1 AS a", {}, "1\n"],
    ["SELECT 1 AS a", { default_format: "JSONEachRow" }, '{"a":1}\n'],
    ["SELECT 1 AS a FORMAT CSV", { default_format: "JSONEachRow" }, "1\n"],
    ["SELECT 1 AS a FORMAT Values", {}, "(1)"],
  ];
  for (const [sql, params, body] of cases) assert.equal(await (await post(params, sql)).text(), body, sql);
});

contract("a long result is one document in every format", async (server) => {
  const { post } = speak(server);
  const body = async (format: string) =>
    await (await post({}, `SELECT number FROM numbers(200000) FORMAT ${format}`)).text();
  assert.equal(JSON.parse(await body("JSON")).rows, 200000);
  assert.equal((await body("TSVWithNames")).split("number").length, 2);
  assert.equal((await body("JSONEachRow")).split("\n").length, 200001);
  assert.equal((await body("Values")).split("),(").length, 200000);
});

contract("the answer says its format, and the request may ask for one in a header", async (server) => {
  const { post } = speak(server);
  const cases: readonly [format: string, type: string][] = [
    ["TabSeparated", "text/tab-separated-values; charset=UTF-8"],
    ["JSONEachRow", "application/x-ndjson; charset=UTF-8"],
    ["JSON", "application/json; charset=UTF-8"],
    ["CSV", "text/csv; charset=UTF-8; header=absent"],
    ["Native", "application/octet-stream"],
    ["Values", "text/plain; charset=UTF-8"],
  ];
  for (const [format, type] of cases) {
    const response = await post({}, "SELECT 1", { "X-ClickHouse-Format": format });
    await response.body?.cancel();
    assert.deepEqual([response.headers.get("X-ClickHouse-Format"), response.headers.get("Content-Type")], [
      format,
      type,
    ]);
  }
});

contract("query parameters are typed values", async (server) => {
  const { get } = speak(server);
  const query =
    "SELECT {n:UInt64} + 1, {s:String}, {a:Array(String)}, {t:Identifier}.one.dummy FROM {t:Identifier}.one";
  const response = await get({ query, param_n: "7", param_s: "tab\\tquote'", param_a: "['x','y']", param_t: "system" });
  assert.equal(await response.text(), "8\ttab\\tquote\\'\t['x','y']\t0\n");
});

contract("the answer names the query and sums up what was read and written", async (server) => {
  const { post } = speak(server);
  await using db = await freshDatabase(server);
  await db.query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
  const summaryOf = async (answer: Promise<Response>) => {
    const response = await answer;
    await response.body?.cancel();
    assert.equal(response.status, 200);
    return JSON.parse(response.headers.get("X-ClickHouse-Summary")!);
  };
  const { database } = db;
  const written = await summaryOf(post({ database, query: "INSERT INTO t FORMAT CSV" }, "1\n2\n3\n"));
  assert.deepEqual([written.written_rows, written.read_rows], ["3", "3"]);
  const copied = await summaryOf(post({ database }, "INSERT INTO t SELECT number FROM numbers(10)"));
  assert.equal(copied.written_rows, "10");
  const read = await summaryOf(post({ database, wait_end_of_query: "1" }, "SELECT * FROM t WHERE a > 1"));
  assert.deepEqual([read.read_rows, read.written_rows], ["13", "0"]);
  const named = await post({ query_id: "mine" }, "SELECT 1");
  assert.equal(named.headers.get("X-ClickHouse-Query-Id"), "mine");
  await named.text();
});

/** What `other` is refused with while `slow` runs, and what `slow` answers. */
async function refusedMeanwhile(
  slow: () => Promise<Response>,
  other: () => Promise<Response>,
): Promise<{ refusals: (readonly [status: number, code: string | undefined, text: string])[]; text: string }> {
  for (let tries = 1;; tries++) {
    let runs = true;
    const first = slow()
      .then(async (response) => ({ status: response.status, text: await response.text() }))
      .finally(() => runs = false);
    const answers = [];
    while (runs) answers.push(await refusal(other()));
    const { status, text } = await first;
    const refusals = answers.filter(([status]) => status !== 200);
    // Whoever comes first is served: it may be the short one, and the long one is refused.
    if (status === 200 && refusals.length > 0 || tries === 100) return { refusals, text };
  }
}

contract("a query id is refused while it runs", async (server) => {
  const { post } = speak(server);
  const { refusals, text } = await refusedMeanwhile(
    () => post({ query_id: "twice", max_block_size: "1" }, "SELECT sleepEachRow(0.2) FROM numbers(3)"),
    () => post({ query_id: "twice" }, "SELECT 1"),
  );
  assert.deepEqual([...new Set(refusals.map(([, code]) => code))], ["216"]);
  assert.equal(text, "0\n0\n0\n");
});

contract("sessions keep settings, database and temporary tables, and one request at a time", async (server) => {
  const { post } = speak(server);
  await using db = await freshDatabase(server);
  const session_id = crypto.randomUUID();
  const say = (sql: string, more: Record<string, string> = {}) => post({ session_id, ...more }, sql);
  const [, gone] = await refusal(say("SELECT 1", { session_check: "1" }));
  assert.equal(gone, "372");
  await (await say(`USE ${db.database}`)).text();
  await (await say("CREATE TEMPORARY TABLE kept (a UInt8)")).text();
  await (await say("INSERT INTO kept VALUES (7)")).text();
  await (await say("SET max_threads = 3, max_block_size = 1000")).text();
  const state =
    "SELECT (SELECT a FROM kept), currentDatabase(), arraySort(groupArray(value)) FROM system.settings WHERE name IN ('max_threads', 'max_block_size')";
  assert.equal(await (await say(state, { session_check: "1" })).text(), `7\t${db.database}\t['1000','3']\n`);
  assert.equal(
    await (await say(state, { max_threads: "5", database: "default" })).text(),
    "7\tdefault\t['1000','5']\n",
  );
  assert.equal(await (await say(state)).text(), `7\t${db.database}\t['1000','3']\n`);

  const { refusals, text } = await refusedMeanwhile(
    () => say("SELECT sleepEachRow(0.2) FROM numbers(3)", { max_block_size: "1", query_id: session_id }),
    () => say("SELECT 1"),
  );
  assert.notEqual(refusals.length, 0);
  for (const [status, code, said] of refusals) {
    assert.deepEqual([status, code], [500, "373"]);
    assert.match(said, /is locked by a concurrent client/);
  }
  assert.equal(text, "0\n0\n0\n");
  assert.equal(await (await say(state)).text(), `7\t${db.database}\t['1000','3']\n`);
  const [, tooLong] = await refusal(say("SELECT 1", { session_timeout: "3601" }));
  assert.equal(tooLong, "374");
  await (await say("SELECT 1", { session_timeout: "0" })).text();
});

contract("gzip works both ways", async (server) => {
  const { post, rawRequest } = speak(server);
  await using db = await freshDatabase(server);
  await db.query("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a");
  const rows = Array.from({ length: 5000 }, (_, row) => `${row}\n`).join("");
  const sent = await post(
    { database: db.database, query: "INSERT INTO t FORMAT TSV" },
    new Uint8Array(gzipSync(rows)),
    {
      "Content-Encoding": "gzip",
    },
  );
  assert.equal(sent.status, 200, await sent.text());
  assert.equal(await db.query("SELECT count(), sum(a) FROM t"), "5000\t12497500\n");
  const head = "GET /?enable_http_compression=1&query=SELECT+number+FROM+system.numbers+LIMIT+400000 HTTP/1.1";
  const connection = await rawRequest(
    head,
    new TextEncoder().encode("Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"),
  );
  const bytes = Buffer.from(await new Response(connection.readable).arrayBuffer());
  const bodyAt = bytes.indexOf("\r\n\r\n") + 4;
  assert.match(bytes.subarray(0, bodyAt).toString().toLowerCase(), /content-encoding: gzip/);
  assert.equal(gunzipSync(unchunk(bytes.subarray(bodyAt))).toString().split("\n").length, 400001);
  const [status, code] = await refusal(post({}, "SELECT 1", { "Content-Encoding": "br" }));
  assert.deepEqual([status, code], [500, "89"]);
  const broken = new Uint8Array(gzipSync(rows)).subarray(0, 500);
  const [cut] = await refusal(
    post({ database: db.database, query: "INSERT INTO t FORMAT TSV" }, broken, { "Content-Encoding": "gzip" }),
  );
  assert.equal(cut, 500);
  assert.equal(await db.query("SELECT count() FROM t"), "5000\n");
});

/** The data of a chunked body. */
function unchunk(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const lineEnd = body.indexOf("\r\n", at);
    const length = parseInt(body.subarray(at, lineEnd).toString(), 16);
    parts.push(body.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return Buffer.concat(parts);
}

contract(
  "an exception after the first rows follows them, and the body breaks; wait_end_of_query makes it an error",
  async (server) => {
    const { post, rawRequest } = speak(server);
    const sql = "SELECT number, throwIf(number = 2900000) FROM numbers(3000000)";
    const settings = { max_block_size: "65536", max_threads: "1" };
    for (const gzip of [false, true]) {
      const params = new URLSearchParams({
        query: sql,
        ...settings,
        ...(gzip ? { enable_http_compression: "1" } : {}),
      });
      const headers = `${gzip ? "Accept-Encoding: gzip\r\n" : ""}Connection: close\r\n\r\n`;
      const connection = await rawRequest(`GET /?${params} HTTP/1.1`, new TextEncoder().encode(headers));
      const bytes = Buffer.from(await new Response(connection.readable).arrayBuffer());
      const bodyAt = bytes.indexOf("\r\n\r\n") + 4;
      const head = bytes.subarray(0, bodyAt).toString();
      assert.match(head, /^HTTP\/1\.1 200 /);
      const tag = /x-clickhouse-exception-tag: (\w+)/i.exec(head)?.[1];
      assert.ok(tag);
      assert.ok(!bytes.subarray(-5).equals(Buffer.from("0\r\n\r\n")), "the last chunk is not sent");
      const plain = gzip ? gunzipSync(unchunk(bytes.subarray(bodyAt))) : unchunk(bytes.subarray(bodyAt));
      const text = plain.subarray(-1000).toString();
      const found = new RegExp(
        `\\r\\n__exception__\\r\\n${tag}\\r\\n(.*\\n)(\\d+) ${tag}\\r\\n__exception__\\r\\n$`,
        "s",
      )
        .exec(text);
      assert.ok(found, text);
      assert.match(found[1]!, /^Code: 395\. DB::Exception: Value passed to 'throwIf' function is non-zero/);
      assert.equal(Number(found[2]), Buffer.byteLength(found[1]!));
    }
    const [status, code] = await refusal(post({ ...settings, wait_end_of_query: "1" }, sql));
    assert.deepEqual([status, code], [500, "395"]);
  },
);

/** Sends every proper prefix of `body` as if it were the whole, and counts what was stored. */
async function storedOfCuts(server: Server, format: string, body: Uint8Array): Promise<string> {
  await using db = await freshDatabase(server);
  await db.query("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s");
  const query = new URLSearchParams({ database: db.database, query: `INSERT INTO t FORMAT ${format}` });
  const head = new TextEncoder().encode(`Content-Length: ${body.length}\r\n\r\n`);
  for (let cut = 0; cut < body.length; cut++) {
    const sent = new Uint8Array([...head, ...body.subarray(0, cut)]);
    const connection = await speak(server).rawRequest(`POST /?${query} HTTP/1.1`, sent);
    await connection.closeWrite();
    // The server hangs up, or says why.
    await new Response(connection.readable).text();
  }
  return await db.query("SELECT count() FROM t");
}

contract("a Native block that ends short at any byte stores nothing", async (server) => {
  const rows = ["one", "two"].map((text) => new TextEncoder().encode(text));
  assert.equal(await storedOfCuts(server, "Native", nativeStrings("s", rows)), "0\n");
});

contract("a body that ends short at any byte stores nothing, whatever its format", async (server) => {
  const encoder = new TextEncoder();
  assert.equal(await storedOfCuts(server, "TSV", encoder.encode("one\ntwo\nthree\n")), "0\n");
  assert.equal(await storedOfCuts(server, "JSONEachRow", encoder.encode('{"s":"one"}\n{"s":"two"}\n')), "0\n");
  assert.equal(await storedOfCuts(server, "RowBinary", new Uint8Array([1, 65, 1, 66, 1, 67])), "0\n");
});

/** Starts a statement, goes away, and waits until the server runs it no more. */
async function goAway(server: Server, sql: string): Promise<void> {
  await using db = await freshDatabase(server);
  const mark = `marked_${db.database}`;
  const running = `SELECT count() FROM system.processes WHERE query LIKE '%${mark}%' AND query NOT LIKE '%processes%'`;
  const params = new URLSearchParams({ query: `${sql} -- ${mark}`, cancel_http_readonly_queries_on_client_close: "1" });
  const abort = new AbortController();
  const answer = fetch(`${server.url}/?${params}`, { headers: speak(server).keys, signal: abort.signal });
  await until(db, running, "1\n", server.abandonedMs);
  abort.abort();
  await assert.rejects(async () => await (await answer).text());
  await until(db, running, "0\n", server.abandonedMs);
}

contract("a statement ends when its client goes, before there is a row and while rows come", async (server) => {
  await goAway(server, "SELECT count() FROM numbers(10000000000000) WHERE sin(number) > 2");
  await goAway(server, "SELECT number FROM numbers(10000000000000)");
});

contract("more statements than run at once wait for their turn", async (server) => {
  const { post } = speak(server);
  const answers = await Promise.all(
    Array.from({ length: 60 }, async (_, at) => await (await post({}, `SELECT ${at}, sleep(0.01)`)).text()),
  );
  assert.deepEqual(answers, Array.from({ length: 60 }, (_, at) => `${at}\t0\n`));
});

contract("no space for an insert is an error in the server's words, and the engine goes on", async (server) => {
  const { post } = speak(server);
  await using db = await freshDatabase(server);
  await db.query(
    "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS min_free_disk_bytes_to_perform_insert = 1000000000000000",
  );
  const [status, code, text] = await refusal(post({ database: db.database }, "INSERT INTO t VALUES (1)"));
  assert.deepEqual([status, code], [500, "243"]);
  assert.match(text, /NOT_ENOUGH_SPACE/);
  assert.equal(await db.query("SELECT count() FROM t"), "0\n");
});

contract("a million rows go in and come out with the same hash", async (server) => {
  const { post } = speak(server);
  await using db = await freshDatabase(server);
  await db.query("CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a");
  const block = await (await post(
    { max_block_size: "1000000", preferred_block_size_bytes: "0" },
    "SELECT number AS a, toString(number) AS s FROM numbers(1000000) FORMAT Native",
  )).arrayBuffer();
  await db.insert("INSERT INTO t FORMAT Native", new Uint8Array(block));
  const hash = "SELECT count(), sum(cityHash64(a, s))";
  assert.equal(
    await db.query(`${hash} FROM t`),
    await speaker(server, "default").query(
      `${hash} FROM (SELECT number AS a, toString(number) AS s FROM numbers(1000000))`,
    ),
  );
});

/** Everything that is promised. */
export const httpContract: readonly Promised[] = promises;
