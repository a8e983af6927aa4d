/**
 * A Redis of the test's own: a private `redis-server` on a port of the loopback, gone with the test. Deno's sanitizers
 * do not see a leaked Redis connection, so the server's list of clients is looked at in the end.
 */
import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { disconnected } from "../../../src/stages/queue/redis_connection.ts";
import { anyPort, PORT_TRIES } from "../../ports.ts";

const START_TRIES = 6_000;
const START_STEP_MS = 10;

/** The server, and a connection to look into it. */
export class RedisServer {
  readonly port: number;
  readonly #directory: string;
  readonly #settings: readonly string[];
  #process: Deno.ChildProcess | undefined;
  #inspector: Redis | undefined;

  private constructor(port: number, directory: string, settings: readonly string[]) {
    this.port = port;
    this.#directory = directory;
    this.#settings = settings;
  }

  /** @param settings Options of `redis-server`, e.g. `["--appendonly", "yes"]`. */
  static async start(settings: readonly string[]): Promise<RedisServer> {
    const directory = await Deno.makeTempDir({ prefix: "queue-redis-" });
    for (let tries = 0; tries < PORT_TRIES; tries++) {
      const server = new RedisServer(anyPort("redis"), directory, settings);
      if (await server.#serves()) return server;
    }
    throw new Error(`Cannot use redis-server ${settings.join(" ")}: it ends at once on each of ${PORT_TRIES} ports`);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get directory(): string {
    return this.#directory;
  }

  /** The looking glass; the only client that a test may leave. */
  get inspect(): Redis {
    return this.#inspector ??= this.#connect();
  }

  /** Starts the server where it was. */
  async up(): Promise<void> {
    if (!await this.#serves()) throw new Error(`Cannot use redis-server on port ${this.port}: it ends at once`);
  }

  /** Starts the server. @returns false where it ends, as it does on a port that another process has. */
  async #serves(): Promise<boolean> {
    const process = this.#process = spawn([
      ...["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.#directory],
      ...["--save", "", "--maxmemory-policy", "noeviction", "--stream-node-max-bytes", "1024"],
      ...this.#settings,
    ]);
    void process.status.then(() => {
      if (this.#process === process) this.#process = undefined;
    });
    for (let tries = 0; tries < START_TRIES; tries++) {
      if (await answers(this.port, process.pid)) return true;
      if (this.#process === undefined) return false;
      await new Promise((resolve) => setTimeout(resolve, START_STEP_MS));
    }
    throw new Error(`Cannot use redis-server on port ${this.port}: it does not answer`);
  }

  /** kill -9. */
  async down(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  signal(signal: Deno.Signal): void {
    this.#process?.kill(signal);
  }

  /** Connections but the inspector's. */
  async clients(): Promise<string[]> {
    const list = await this.inspect.client("LIST") as string;
    const own = String(await this.inspect.client("ID"));
    return list.trim().split("\n").filter((line) => !line.startsWith(`id=${own} `));
  }

  async stop(): Promise<void> {
    if (this.#inspector !== undefined) await disconnected(this.#inspector);
    await this.down();
    await Deno.remove(this.#directory, { recursive: true });
  }

  #connect(): Redis {
    const client = new Redis({
      host: "127.0.0.1",
      port: this.port,
      protocol: 2,
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
    });
    client.on("error", () => {});
    return client;
  }
}

/** Runs `test` against a server of its own, and counts the connections that it leaves behind. */
export async function withRedis(
  test: (server: RedisServer) => Promise<void>,
  settings: readonly string[] = ["--appendonly", "no"],
): Promise<void> {
  const server = await RedisServer.start(settings);
  try {
    await test(server);
    const left = await settledClients(server);
    assert.deepEqual(left, [], "connections left behind");
  } finally {
    await server.stop();
  }
}

/** The server notices a closed socket a moment later. */
async function settledClients(server: RedisServer): Promise<string[]> {
  let left = await server.clients();
  for (let tries = 0; left.length > 0 && tries < START_TRIES; tries++) {
    await new Promise((resolve) => setTimeout(resolve, START_STEP_MS));
    left = await server.clients();
  }
  return left;
}

function spawn(args: readonly string[]): Deno.ChildProcess {
  try {
    return new Deno.Command("redis-server", { args: [...args], stdin: "null", stdout: "null", stderr: "null" }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error("Cannot find redis-server. Install it: apt-get install -y redis-server", { cause: error });
  }
}

/** Whether the process `pid` serves on `port`. */
async function answers(port: number, pid: number): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode("PING\r\nINFO server\r\n"));
    const answer = new Uint8Array(4096);
    const read = await connection.read(answer);
    const text = new TextDecoder().decode(answer.subarray(0, read ?? 0));
    return text.startsWith("+PONG") && text.includes(`\nprocess_id:${pid}\r`);
  } catch {
    return false;
  }
}
