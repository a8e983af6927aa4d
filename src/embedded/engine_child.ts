/**
 * The engine's process: loads the library, opens the directory, serves HTTP on loopback, and ends when its stdin does,
 * which is when its parent has ended, however it did. Started by `engine.ts`, never by hand.
 */
import { Chdb } from "./chdb.ts";
import type { EngineOrder, EngineReply } from "./engine_protocol.ts";
import { HttpInterface } from "./http_interface.ts";

/** Of the 32 threads that calls into the library may occupy, some stay free to end statements and to close. */
const MAX_RUNNING = 16;
const MAX_WAITING = 256;
const MAX_SESSIONS = 256;
const BODY_STALL_MS = 30_000;
/** From the end of stdin to the end of the process at the latest. */
const END_WITHIN_MS = 700;
/** Written and removed before the engine opens the directory: a full or read-only disk is then named as such. */
const PROBE_BYTES = 1024 * 1024;

// A Ctrl-C or a service's stop goes to the whole process group: the parent still has rows to store, and ends this process
// when it has.
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => {});

const order = JSON.parse(await firstLine()) as EngineOrder;
await serve(order).catch((error: unknown) => {
  fail({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
});

/** Reads no further than the parent has written: what follows is only an end. */
async function firstLine(): Promise<string> {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(64 * 1024);
  for (let text = "";;) {
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
    const length = await Deno.stdin.read(bytes);
    if (length === null) throw new Error("Cannot start as stdin ended before the order: start it by engine.ts");
    text += decoder.decode(bytes.subarray(0, length), { stream: true });
  }
}

async function serve(order: EngineOrder): Promise<void> {
  try {
    await probe(order.path);
  } catch (error) {
    return fail({ kind: "directory_failed", reason: error instanceof Error ? error.message : String(error) });
  }
  const holder = await statusFile(order.path);
  const chdb = Chdb.load(order.libraryPath);
  const ended = chdb.takeStdin();
  // Opening a large directory takes its time, and so may a client that does not read its answer.
  void ended.then(() => setTimeout(() => chdb.exit(0), END_WITHIN_MS));
  const connectArgs = [
    `--path=${order.path}`,
    `--tmp_path=${order.path}/tmp/`,
    `--user_files_path=${order.path}/user_files/`,
    `--max_server_memory_usage=${order.maxMemoryBytes}`,
    ...clusterArgs(order.clusters),
  ];
  const control = await chdb.connect(connectArgs);
  if (control === undefined) return fail({ kind: "connect_failed", holder });
  const http = await HttpInterface.open(chdb, control, {
    user: order.user,
    password: order.password,
    connectArgs,
    maxRunning: MAX_RUNNING,
    maxWaiting: MAX_WAITING,
    maxSessions: MAX_SESSIONS,
    bodyStallMs: BODY_STALL_MS,
  });
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: order.port,
    onListen: ({ port }) => reply({ kind: "ready", port, version: http.version }),
  }, (request) => http.handle(request));
  await ended;
  // Before the server's own end, which breaks bodies that are being read.
  await http.close();
  await server.shutdown();
  // Not Deno.exit: it would run the library's destructors beside statements that are still ending.
  chdb.exit(0);
}

async function probe(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true });
  const file = `${path}/.probe`;
  try {
    await Deno.writeFile(file, new Uint8Array(PROBE_BYTES));
  } finally {
    await Deno.remove(file).catch(() => {});
  }
}

function clusterArgs(clusters: EngineOrder["clusters"]): string[] {
  return Object.entries(clusters).flatMap(([name, shards]) =>
    shards.flatMap((shard, index) => {
      const { hostname, port } = new URL(`tcp://${shard}`);
      const key = `--remote_servers.${name}.shard[${index}].replica`;
      return [`${key}.host=${hostname}`, `${key}.port=${port}`];
    })
  );
}

/** What an engine wrote when it took the directory; it stays behind when it is killed. */
async function statusFile(path: string): Promise<string | undefined> {
  try {
    return (await Deno.readTextFile(`${path}/status`)).trim().replaceAll("\n", ", ");
  } catch {
    return undefined;
  }
}

function reply(message: EngineReply): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
}

function fail(message: EngineReply): never {
  reply(message);
  Deno.exit(1);
}
