import assert from "node:assert/strict";
import { startEngine } from "../../src/embedded/engine.ts";
import {
  EngineDirectoryError,
  EngineDirectoryLockedError,
  EnginePlatformError,
} from "../../src/embedded/engine_errors.ts";
import { assertPlatform } from "../../src/embedded/engine_library.ts";
import { openClickHouse } from "../../src/stages/sink/clickhouse.ts";
import { StorageUnavailableError } from "../../src/stages/sink/errors.ts";
import { subscribe } from "../../src/telemetry/emit.ts";
import type { EmbeddedEvent } from "../../src/telemetry/events/embedded.ts";
import { isAlive } from "./process_status.ts";
import { freshEngine, sharedEngine, sharedPath, speaker } from "./shared_engine.ts";

const MAIN = new URL("../../src/embedded/engine_main.ts", import.meta.url).href;

/** The first line of a stream; the rest is left alone. */
async function firstLine(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const step = await reader.read();
    if (step.done) break;
    text += step.value;
  }
  await reader.cancel();
  return text.split("\n")[0]!;
}

Deno.test("an engine that is killed keeps every acknowledged row, and its port and password", async () => {
  await using fresh = await freshEngine();
  const { engine } = fresh;
  const [url, password] = [engine.url, engine.password];
  const db = speaker(engine, "default");
  await db.query(
    "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
  );
  let acknowledged = 0;
  for (let round = 1; round <= 3; round++) {
    const write = async () => {
      for (;;) {
        await db.query(`INSERT INTO t SELECT ${acknowledged} * 10 + number FROM numbers(10)`);
        acknowledged++;
        if (acknowledged === round * 20) Deno.kill(engine.pid, "SIGKILL");
      }
    };
    await assert.rejects(write(), "the killed engine answers no more");
    assert.deepEqual(await engine.exited, { code: undefined, signal: "SIGKILL", expected: false });
    await engine.restart();
    const [whole, rows] = (await db.query(
      `SELECT countIf(a < ${acknowledged * 10}), count() % 10 FROM t`,
    )).trim().split("\t").map(Number);
    assert.equal(whole, acknowledged * 10);
    assert.equal(rows, 0, "a batch is there whole or not at all");
    acknowledged = Number(await db.query("SELECT intDiv(max(a), 10) + 1 FROM t"));
  }
  assert.deepEqual([engine.url, engine.password], [url, password]);
});

Deno.test("a second engine on the same directory is refused, naming the directory and its holder", async () => {
  await assert.rejects(startEngine({ path: sharedPath, port: 0, maxMemoryBytes: 1e9 }), (error: unknown) => {
    assert.ok(error instanceof EngineDirectoryLockedError, String(error));
    assert.ok(error.message.includes(sharedPath));
    assert.match(error.message, new RegExp(`another process has it open \\(PID: ${sharedEngine.pid},`));
    return true;
  });
  assert.equal(await speaker(sharedEngine, "default").query("SELECT 1"), "1\n");
});

Deno.test("a directory that cannot be made is refused with the reason", async () => {
  const file = await Deno.makeTempFile();
  try {
    for (const path of [`${file}/below`, "relative", "/tmp/a,b"]) {
      await assert.rejects(startEngine({ path, port: 0, maxMemoryBytes: 1e9 }), (error: unknown) => {
        assert.ok(error instanceof EngineDirectoryError, String(error));
        assert.ok(error.message.includes(path));
        return true;
      });
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("assertPlatform() names what is supported", () => {
  assertPlatform("x86_64-unknown-linux-gnu");
  assert.throws(() => assertPlatform("x86_64-unknown-linux-musl"), (error: unknown) => {
    assert.ok(error instanceof EnginePlatformError);
    assert.match(error.message, /x86_64-unknown-linux-musl.*x86_64-unknown-linux-gnu/);
    return true;
  });
});

Deno.test("startEngine() is ended by its signal", async () => {
  const path = await Deno.makeTempDir();
  try {
    const abort = new AbortController();
    const starting = startEngine({ path, port: 0, maxMemoryBytes: 1e9, signal: abort.signal });
    abort.abort(new Error("changed my mind"));
    await assert.rejects(starting, /changed my mind/);
    await assert.rejects(
      startEngine({ path, port: 0, maxMemoryBytes: 1e9, signal: abort.signal }),
      /changed my mind/,
    );
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("stop() ends what runs, frees the directory, and tells the readers of events", async () => {
  const events: EmbeddedEvent[] = [];
  const mine = (event: { readonly kind: string }) => event.kind.startsWith("engine_");
  using _ = subscribe((event) => mine(event) && events.push(event as EmbeddedEvent));
  const path = await Deno.makeTempDir();
  try {
    const engine = await startEngine({ path, port: 0, maxMemoryBytes: 1e9 });
    const [pid, db] = [engine.pid, speaker(engine, "default")];
    const long = db.query("SELECT count() FROM numbers(1e13) WHERE sin(number) > 2");
    long.catch(() => {});
    while (
      await db.query(
        "SELECT count() FROM system.processes WHERE query LIKE '%1e13%' AND query NOT LIKE '%processes%'",
      ) !== "1\n"
    );
    await engine.stop();
    await assert.rejects(long);
    assert.equal((await engine.exited).expected, true);
    await engine.stop();
    await using again = await startEngine({ path, port: 0, maxMemoryBytes: 1e9 });
    assert.notEqual(again.pid, pid);
    assert.deepEqual(events.map((event) => [event.kind, event.pid]), [
      ["engine_started", pid],
      ["engine_exited", pid],
      ["engine_started", again.pid],
    ]);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("an engine that ends is an outage to whoever asks: what runs, what waits, what comes", async () => {
  await using fresh = await freshEngine();
  const { url, user, password, database } = fresh.engine;
  const storage = openClickHouse({ url, user, password, database, requestTimeoutMs: 60_000, settings: {} });
  const answers: unknown[] = [];
  const ask = (sql: string) => storage.query(sql, {}).catch((error) => void answers.push(error));
  const long = "SELECT sleepEachRow(0.02) FROM numbers(5000) SETTINGS max_block_size = 1";
  const asked = Array.from({ length: 12 }, () => ask(long));
  const db = speaker(fresh.engine, database);
  while (await db.query("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'") !== "12\n");
  for (let more = 0; more < 8; more++) asked.push(ask(long)); // More than run at once.
  let stopped = false;
  const stopping = fresh.engine.stop().then(() => stopped = true);
  while (!stopped) await ask("SELECT 1");
  await Promise.all([...asked, stopping]);
  for (const error of answers) {
    assert.ok(error instanceof StorageUnavailableError, String(error));
    assert.ok(error.serverCode === undefined || error.serverCode === 236, error.message);
  }
  assert.ok(answers.length >= asked.length);
  await storage.close();
});

Deno.test("an engine does not do as a client: no files, no stdin, no signals meant for its parent", async () => {
  await using fresh = await freshEngine();
  const db = speaker(fresh.engine, "default");
  await db.query("CREATE TABLE t (a UInt8) ENGINE = Memory");
  const file = `${fresh.path}/out.csv`;
  await assert.rejects(db.query(`SELECT 1 INTO OUTFILE '${file}' FORMAT CSV`), /Code: 358/);
  await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
  await assert.rejects(db.query(`INSERT INTO t FROM INFILE '${file}' FORMAT CSV`), /Code: 78/);
  await assert.rejects(db.query("INSERT INTO t SELECT * FROM input('a UInt8') FORMAT CSV\n1\n"), /Code: 48/);
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.kill(fresh.engine.pid, signal);
  assert.equal(await db.query("SELECT count() FROM t"), "0\n");
});

Deno.test("an engine never outlives its parent: stdin that ends, SIGKILL; the parent may run Deno and nothing else", async () => {
  const path = await Deno.makeTempDir();
  try {
    for (const end of ["stdin", "SIGKILL"] as const) {
      await using parent = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", `--allow-run=${Deno.execPath()}`, MAIN, path],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const line = await firstLine(parent.stdout);
      const said = new Response(parent.stderr).text();
      assert.notEqual(line, "", `the parent says where its engine is; stderr: ${line === "" ? await said : ""}`);
      const { url, pid } = JSON.parse(line);
      assert.equal(await (await fetch(`${url}/ping`)).text(), "Ok.\n");
      assert.ok(await isAlive(pid));
      const startedAt = performance.now();
      if (end === "stdin") await parent.stdin.close();
      else {
        parent.kill("SIGKILL");
        await parent.stdin.abort().catch(() => {});
      }
      const status = await parent.status;
      await said;
      if (end === "stdin") assert.equal(status.code, 0);
      while (await isAlive(pid)) assert.ok(performance.now() - startedAt < 30_000, `${end}: the engine lives on`);
    }
  } finally {
    await Deno.remove(path, { recursive: true });
  }
});
