/**
 * The demo as a stranger runs it: `deno task demo`, its output, and what it leaves behind when it is ended in any way.
 */
import assert from "node:assert/strict";
import { readLines } from "../../src/embedded/lines.ts";
import { nodeRequest } from "../../src/embedded/node_request.ts";

const ROOT = new URL("../../", import.meta.url);

/** A running `deno task demo`. */
class DemoRun {
  readonly process: Deno.ChildProcess;
  /** Lines of stdout so far. */
  readonly lines: string[] = [];
  readonly errors: Promise<string>;
  readonly #output: Promise<void>;
  #arrived = Promise.withResolvers<void>();

  constructor(...args: string[]) {
    this.process = new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "demo", ...args],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.errors = new Response(this.process.stderr).text();
    this.#output = this.#read();
  }

  async #read(): Promise<void> {
    for await (const line of readLines(this.process.stdout)) {
      this.lines.push(line);
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    }
    this.#arrived.resolve();
  }

  /** The first group of the first line that matches; waits for it. */
  async find(pattern: RegExp): Promise<string> {
    let ended = false;
    void this.#output.then(() => ended = true);
    for (let nth = 0;; nth++) {
      while (nth >= this.lines.length && !ended) await this.#arrived.promise;
      const line = this.lines[nth];
      if (line === undefined) assert.fail(`no line like ${pattern}:\n${this.lines.join("\n")}\n${await this.errors}`);
      const found = pattern.exec(line);
      if (found !== null) return found[1] ?? found[0];
    }
  }

  /** Exit code, once all output is read. */
  async ended(): Promise<number> {
    const [{ code }] = await Promise.all([this.process.status, this.#output, this.errors]);
    return code;
  }

  /** Addresses of chain and database, and its directory, once it has named them. */
  async parts(): Promise<{ readonly urls: readonly string[]; readonly directory: URL }> {
    const urls = [await this.find(/chain .* at (http:\S+)/), await this.find(/database .* at (http:[^,]+),/)];
    return { urls, directory: new URL(await this.find(/--config (\.demo\/\w+\/)/), ROOT) };
  }
}

/** Resolves when nothing listens at `url` any more. */
async function gone(url: string): Promise<void> {
  for (;;) {
    try {
      await (await fetch(url, { signal: AbortSignal.timeout(1_000) })).body?.cancel();
    } catch (error) {
      if (error instanceof TypeError) return; // refused
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function exists(path: URL): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

Deno.test("deno task demo --keep shows a checked result, serves SQL, and ends with a Ctrl-C", async () => {
  const demo = new DemoRun("--keep");
  const sql = await demo.find(/SQL +(http:\S+)/);
  const { urls, directory } = await demo.parts();
  const shown = demo.lines.join("\n");
  for (const heading of ["The ledger", "Where the gas goes", "Inside one transaction", "Is it true?", "Result"]) {
    assert.ok(shown.includes(`\n${heading}`), heading);
  }
  assert.match(shown, /blocks 36\/36 {2}tx 196 {2}structlogs 4\d\d,\d{3} {2}rows\/s [\d,]+ {2}ETA 0 s/);
  assert.match(shown, / 36 {2}0x[0-9a-f]{10}… {2}complete /);
  assert.match(shown, /SSTORE +[\d,]+ +[\d,]+ +\d+\.\d %/);
  assert.match(shown, /│ {2}├─ .*CREATE2|└─ CREATE2/);
  assert.equal(shown.match(/✓$/gm)?.length, 196);
  assert.ok(!shown.includes("✗"));
  assert.equal(shown.match(/FROM \w+/g)?.length! >= 5, true);
  const compared = await demo.find(/compared +([\d,]+) rows of 196 transactions in 36 blocks/);

  const { username, password, origin, searchParams } = new URL(sql);
  const response = await fetch(`${origin}/?database=${searchParams.get("database")}`, {
    method: "POST",
    headers: { "X-ClickHouse-User": username, "X-ClickHouse-Key": password },
    body: "SELECT count() FROM canonical_execution_transaction_structlog FINAL",
  });
  assert.equal(await response.text(), `${compared.replaceAll(",", "")}\n`);

  demo.process.kill("SIGINT");
  assert.equal(await demo.ended(), 0, await demo.errors);
  await Promise.all(urls.map(gone));
  assert.equal(await exists(directory), false);
});

Deno.test("deno task demo interrupted at work leaves nothing", async () => {
  const demo = new DemoRun();
  const { urls, directory } = await demo.parts();
  await demo.find(/^blocks \d+\/36/);
  demo.process.kill("SIGINT");
  assert.equal(await demo.ended(), 130);
  assert.match(await demo.errors, /Interrupted; nothing is left running/);
  await Promise.all(urls.map(gone));
  assert.equal(await exists(directory), false);
});

Deno.test("deno task demo killed at work leaves no process", async () => {
  const demo = new DemoRun();
  const { urls, directory } = await demo.parts();
  await demo.find(/^blocks \d+\/36/);
  demo.process.kill("SIGKILL"); // `deno task`: the demo itself lives on and must notice
  await demo.ended();
  await Promise.all(urls.map(gone));
  assert.equal(await exists(directory), false);
});

Deno.test("deno task demo fails and says why when the chain is not what it made", async () => {
  const demo = new DemoRun();
  const { urls, directory } = await demo.parts();
  await nodeRequest(urls[0]!, "evm_mine", []);
  assert.equal(await demo.ended(), 1);
  assert.match(await demo.errors, /^Cannot use block \d+: expected the \d+ transactions in the order/m);
  await Promise.all(urls.map(gone));
  assert.equal(await exists(directory), false);
});

Deno.test("deno task demo refuses arguments that it does not know", async () => {
  const demo = new DemoRun("--kep");
  assert.equal(await demo.ended(), 2);
  assert.match(await demo.errors, /^Cannot take the argument "--kep": expected --keep or --help$/m);
});
