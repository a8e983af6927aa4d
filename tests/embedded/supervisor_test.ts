import assert from "node:assert/strict";
import { chainProgram } from "../../src/embedded/chain.ts";
import { SupervisorError } from "../../src/embedded/errors.ts";
import { nodeRequest } from "../../src/embedded/node_request.ts";
import { startSupervisor, type Supervisor } from "../../src/embedded/supervisor.ts";
import { isAlive } from "./process_status.ts";

const CHAIN = {
  port: 0,
  hardfork: "osaka",
  mining: "manual",
  stepsTracing: true,
  genesisTime: 1_700_000_000,
  blockGasLimit: 30_000_000,
} as const;

/** A directory for an engine, removed after `body`. */
async function withDirectory(body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "supervisor-" });
  try {
    await body(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

function open(path: string, signal?: AbortSignal): Promise<Supervisor> {
  const engine = { path, port: 0, maxMemoryBytes: 1e9 };
  return startSupervisor({ chain: CHAIN, engine, onDownload: () => {}, ...(signal && { signal }) });
}

/** Those of `pids` that are processes still. */
async function alive(pids: readonly number[]): Promise<number[]> {
  const found = await Promise.all(pids.map(isAlive));
  return pids.filter((_, nth) => found[nth]);
}

async function ask({ engine }: Supervisor, sql: string): Promise<string> {
  const headers = { "X-ClickHouse-User": engine.user, "X-ClickHouse-Key": engine.password };
  const response = await fetch(engine.url, { method: "POST", headers, body: sql });
  return await response.text();
}

Deno.test("startSupervisor() runs a chain and an engine, and stop() leaves nothing", () =>
  withDirectory(async (path) => {
    const supervisor = await open(path);
    const pids = [supervisor.pid, supervisor.chain.pid, supervisor.engine.pid];
    assert.equal(await nodeRequest(supervisor.chain.httpUrl, "eth_blockNumber", []), "0x0");
    assert.equal(await ask(supervisor, "SELECT 1 + 1"), "2\n");
    assert.deepEqual(await alive(pids), pids);
    await supervisor.stop();
    await supervisor.stop();
    assert.deepEqual(await alive(pids), []);
  }));

Deno.test("kill -9 of the owner leaves neither chain nor engine nor program", () =>
  withDirectory(async (path) => {
    const owner = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--allow-run", new URL("supervisor_owner.ts", import.meta.url).href, path],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const pids: number[] = await owner.stdout.pipeThrough(new TextDecoderStream()).values().next()
      .then(({ value }) => JSON.parse(value!));
    assert.deepEqual(await alive(pids), pids);
    owner.kill("SIGKILL");
    const [{ signal }, said] = await Promise.all([owner.status, new Response(owner.stderr).text()]);
    // The supervisor shares its owner's stderr: its end is the end of the supervisor.
    assert.equal(signal, "SIGKILL");
    assert.equal(said, "");
    assert.deepEqual(await alive(pids), []);
  }));

Deno.test("run() passes on what a program prints and how it ended", () =>
  withDirectory(async (path) => {
    await using supervisor = await open(path);
    const lines: string[] = [];
    const program = `console.log("to stdout"); console.error("to stderr"); Deno.exit(7);`;
    const run = await supervisor.run({ args: ["eval", program] }, (line) => lines.push(line));
    assert.deepEqual(await run.exited, { code: 7 });
    assert.deepEqual(lines.sort(), ["to stderr", "to stdout"]);
  }));

Deno.test("signal() reaches a program; one that has ended is left alone", () =>
  withDirectory(async (path) => {
    await using supervisor = await open(path);
    const run = await supervisor.run({ args: ["eval", "setInterval(() => {}, 60_000)"] }, () => {});
    run.signal("SIGKILL");
    assert.deepEqual(await run.exited, { signal: "SIGKILL" });
    run.signal("SIGKILL");
    assert.equal(await ask(supervisor, "SELECT 1"), "1\n");
  }));

Deno.test("stop() ends programs with SIGTERM before it ends what they use", () =>
  withDirectory(async (path) => {
    const supervisor = await open(path);
    const program = `
      const ask = async () => {
        const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] });
        const headers = { "content-type": "application/json" };
        const response = await fetch("${supervisor.chain.httpUrl}", { method: "POST", headers, body });
        return (await response.json()).result;
      };
      await ask(); // The first one takes longest, and an end has its time.
      Deno.addSignalListener("SIGTERM", async () => Deno.exit(await ask() === "0x7a69" ? 42 : 1));
      console.log("listening");
      setInterval(() => {}, 60_000);`;
    const listening = Promise.withResolvers<void>();
    const run = await supervisor.run({ args: ["eval", program] }, () => listening.resolve());
    await listening.promise;
    await supervisor.stop();
    assert.deepEqual(await run.exited, { code: 42 });
  }));

Deno.test("a part that ends on its own is reported, and takes the others with it", () =>
  withDirectory(async (path) => {
    const supervisor = await open(path);
    const pids = [supervisor.pid, supervisor.chain.pid, supervisor.engine.pid];
    Deno.kill(supervisor.chain.pid, "SIGKILL");
    const lost = await supervisor.lost;
    assert.ok(lost instanceof SupervisorError);
    assert.match(lost.message, /^Cannot go on: the dev chain ended/);
    await supervisor.stop();
    assert.deepEqual(await alive(pids), []);
  }));

Deno.test("a part that does not start fails the start with its reason and leaves nothing", async () => {
  const abort = new AbortController();
  await assert.rejects(open("/proc/no-such-directory", abort.signal), (error) => {
    assert.ok(error instanceof SupervisorError);
    assert.match(error.message, /^Cannot open the engine's directory as \/proc\/no-such-directory/);
    return true;
  });
});

Deno.test("an abort while the parts start ends them", () =>
  withDirectory(async (path) => {
    const abort = new AbortController();
    const starting = open(path, abort.signal);
    for (let lookups = 0; lookups < 2; lookups++) await chainProgram(() => {}); // the first of which `starting` makes too
    abort.abort(new Error("changed my mind"));
    await assert.rejects(starting, /changed my mind/);
    await using again = await open(path); // refused while another engine has the directory
    assert.equal(await ask(again, "SELECT 1"), "1\n");
  }));
