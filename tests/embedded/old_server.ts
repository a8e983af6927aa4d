/**
 * Debian's own ClickHouse server, 18.16: a second implementation, eight years older, that the HTTP contract is checked
 * against. Importing this file starts one for the importing test file and ends it when the file is done.
 */
import { anyPort, PORT_TRIES } from "../ports.ts";
import type { Server } from "./http_contract.ts";

const PROGRAM = "clickhouse-server";
const READY_WITHIN_MS = 60_000;

function configuration(path: string, httpPort: number, tcpPort: number): string {
  return `<yandex>
  <logger><level>fatal</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>${httpPort}</http_port>
  <tcp_port>${tcpPort}</tcp_port>
  <path>${path}/</path>
  <tmp_path>${path}/tmp/</tmp_path>
  <users_config>${path}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
</yandex>
`;
}

function users(password: string): string {
  return `<yandex>
  <profiles><default></default></profiles>
  <users><default>
    <password>${password}</password>
    <networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</yandex>
`;
}

async function start(): Promise<{ server: Server; process: Deno.ChildProcess; path: string }> {
  const path = await Deno.makeTempDir({ prefix: "old-server-" });
  const password = crypto.randomUUID();
  await Deno.writeTextFile(`${path}/users.xml`, users(password));
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const httpPort = anyPort("oldClickHouse");
    await Deno.writeTextFile(`${path}/config.xml`, configuration(path, httpPort, anyPort("oldClickHouse")));
    const server = { url: `http://127.0.0.1:${httpPort}`, user: "default", password };
    const process = run(path);
    if (await serves(server, process)) return { server, process, path };
  }
  throw new Error(`Cannot test against ${PROGRAM}: it ends at once on each of ${PORT_TRIES} ports`);
}

/** Waits until the process serves. @returns false where it ends, as it does on a port that another process has. */
async function serves(server: Server, process: Deno.ChildProcess): Promise<boolean> {
  const ended = new AbortController();
  void process.status.then(() => ended.abort());
  const startedAt = performance.now();
  while (!await answers(server, ended.signal)) {
    if (ended.signal.aborted) return false;
    if (performance.now() - startedAt > READY_WITHIN_MS) {
      process.kill("SIGKILL");
      throw new Error(
        `Cannot test against ${PROGRAM}: it did not answer on ${server.url} within ${READY_WITHIN_MS} ms`,
      );
    }
  }
  return true;
}

function run(path: string): Deno.ChildProcess {
  try {
    return new Deno.Command(PROGRAM, {
      args: [`--config-file=${path}/config.xml`],
      cwd: path,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch (error) {
    throw new Error(`Cannot start ${PROGRAM}. Install it: apt-get install -y ${PROGRAM}`, { cause: error });
  }
}

/** Whether a server takes this password: another process on its port does not. */
async function answers({ url, user, password }: Server, signal: AbortSignal): Promise<boolean> {
  try {
    const headers = { "X-ClickHouse-User": user, "X-ClickHouse-Key": password };
    return (await (await fetch(`${url}/?query=SELECT+1`, { headers, signal })).text()) === "1\n";
  } catch {
    return false;
  }
}

const { server, process, path } = await start();

/** The server of the importing test file. */
export const oldServer: Server = { ...server, abandonedMs: 3_000 };

globalThis.addEventListener("unload", () => {
  process.kill("SIGKILL");
  Deno.removeSync(path, { recursive: true });
});
