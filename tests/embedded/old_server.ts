/**
 * Debian's own ClickHouse server, 18.16: a second implementation, eight years older, that the HTTP contract is checked
 * against. Importing this file starts one for the importing test file and ends it when the file is done.
 */
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

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function start(): Promise<{ server: Server; process: Deno.ChildProcess; path: string }> {
  const path = await Deno.makeTempDir({ prefix: "old-server-" });
  const [httpPort, password] = [freePort(), crypto.randomUUID()];
  await Deno.writeTextFile(`${path}/config.xml`, configuration(path, httpPort, freePort()));
  await Deno.writeTextFile(`${path}/users.xml`, users(password));
  const process = run(path);
  const url = `http://127.0.0.1:${httpPort}`;
  const startedAt = performance.now();
  while (!await answers(url)) {
    if (performance.now() - startedAt > READY_WITHIN_MS) {
      process.kill("SIGKILL");
      throw new Error(`Cannot test against ${PROGRAM}: it did not answer on ${url} within ${READY_WITHIN_MS} ms`);
    }
  }
  return { server: { url, user: "default", password }, process, path };
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

async function answers(url: string): Promise<boolean> {
  try {
    return (await (await fetch(`${url}/ping`)).text()) === "Ok.\n";
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
