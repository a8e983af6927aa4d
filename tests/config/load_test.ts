import assert from "node:assert/strict";
import { ConfigError, parseConfig } from "../../src/config/load.ts";
import { redactConfig } from "../../src/config/redact.ts";
import { referenceConfig } from "../../src/config/reference.ts";

const MINIMAL = `networks:
  - name: dev
    chainId: 1
    nodes:
      - name: local
        url: http://127.0.0.1:8545
        ws: ws://127.0.0.1:8546
`;
const none = () => undefined;

function problems(text: string, env: (name: string) => string | undefined = none): readonly string[] {
  try {
    parseConfig(text, "config.yaml", env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

Deno.test("parseConfig() fills defaults in and turns units into numbers", () => {
  const { config, warnings } = parseConfig(`${MINIMAL}sink:\n  linger: 1s\n  bytes: 1MiB\n`, "config.yaml", none);
  assert.equal(config.sink.linger, 1_000);
  assert.equal(config.sink.bytes, 1_048_576);
  assert.equal(config.queue.lease, 30_000);
  assert.equal(config.networks[0]!.rpc.breaker.failures, 5);
  assert.deepEqual(config.roles, ["discover", "work", "api"]);
  assert.deepEqual(warnings, ["config.yaml:4: one node only: its outage stops the network"]);
  assert.ok(Object.isFrozen(config.networks[0]!.nodes[0]));
});

Deno.test("an unknown key names file, line and the nearest known key", () => {
  assert.deepEqual(problems(MINIMAL.replace("chainId: 1", "chainId: 1\n    confimations: 2")), [
    "config.yaml:4: Cannot take the unknown key networks[0].confimations: did you mean confirmations?",
  ]);
  assert.deepEqual(problems(`${MINIMAL}sinc: {}\n`), [
    "config.yaml:8: Cannot take the unknown key sinc: did you mean sink?",
  ]);
});

Deno.test("a value of the wrong kind names its line and what was expected", () => {
  const [text] = problems(`${MINIMAL}sink:\n  linger: 5\n`);
  assert.match(text!, /^config\.yaml:9: Cannot take sink\.linger: expected a duration with its unit/);
  assert.match(
    problems(`${MINIMAL}sink:\n  bytes: 5 apples\n`)[0]!,
    /^config\.yaml:9: .*expected a size with its unit/,
  );
  assert.match(
    problems(MINIMAL.replace("http://", "ftp://"))[0]!,
    /^config\.yaml:6: .*expected a URL beginning with http:\/\//,
  );
  assert.match(problems("networks: []\n")[0]!, /^config\.yaml:1: Cannot take networks/);
  assert.match(problems("a: [\n")[0]!, /^config\.yaml:\d+: Cannot read as YAML/);
});

Deno.test("every mistake is told, not only the first", () => {
  assert.equal(problems(`${MINIMAL}sink:\n  linger: 5\n  rows: 0\nqueue:\n  url: http://x\n`).length, 3);
});

Deno.test("${NAME} comes from the environment; a missing one is an error with its line", () => {
  const text = `${MINIMAL}clickhouse:\n  password: \${CLICKHOUSE_PASSWORD}\n`;
  assert.deepEqual(problems(text), [
    "config.yaml:9: Cannot fill ${CLICKHOUSE_PASSWORD}: the environment variable CLICKHOUSE_PASSWORD is not set",
  ]);
  const { config, secrets } = parseConfig(
    text,
    "config.yaml",
    (name) => name === "CLICKHOUSE_PASSWORD" ? "hunter2" : undefined,
  );
  assert.equal(config.clickhouse.password, "hunter2");
  assert.deepEqual([...secrets], ["hunter2"]);
});

Deno.test("relations between keys are checked", () => {
  assert.match(
    problems(`${MINIMAL}queue:\n  heartbeat: 20s\n`)[0]!,
    /queue\.heartbeat: it must be at most a third of queue\.lease/,
  );
  assert.match(
    problems(`${MINIMAL}sink:\n  holdBytes: 1GiB\n`)[0]!,
    /sink\.holdBytes: it must not exceed sink\.memoryBytes/,
  );
  assert.match(problems(`${MINIMAL}api:\n  address: 0.0.0.0:80\n`)[0]!, /api\.token: a token is required/);
  assert.deepEqual(problems(`${MINIMAL}api:\n  address: 127.0.0.1:80\n`), []);
  assert.match(problems(`${MINIMAL}roles: [work]\n`)[0]!, /queue\.url: memory: joins nothing between processes/);
  const limits = "        limits: { read: { min: 5, max: 4, start: 4 } }\n";
  assert.match(problems(MINIMAL + limits)[0]!, /limits\.read\.min: it exceeds max \(4\)/);
  const twice = `${MINIMAL}      - name: local\n        url: http://127.0.0.1:1\n`;
  assert.match(problems(twice)[0]!, /nodes\[1\]\.name: another node is called local too/);
});

Deno.test("nodes that cannot work are refused with their line and what to do", () => {
  assert.deepEqual(problems(MINIMAL.replace("8545", "6000")), [
    "config.yaml:6: Cannot take networks[0].nodes[0].url: fetch refuses port 6000: let the node listen on another one",
  ]);
  assert.deepEqual(problems(`${MINIMAL}        methods: { deny: [debug_traceTransaction] }\n`), [
    "config.yaml:8: Cannot take networks[0].nodes[0].methods: no node may be asked debug_traceTransaction, which a processor needs: allow it for one",
  ]);
  const simple = "        methods: { deny: [debug_traceTransaction] }\n    processors: [transaction_simple]\n";
  assert.deepEqual(problems(MINIMAL + simple), []);
  const two = "      - { name: other, url: 'http://127.0.0.1:1234', methods: { deny: [debug_traceTransaction] } }\n";
  assert.deepEqual(problems(MINIMAL + two), []);
  const neither = two.replace("deny: [debug_traceTransaction]", "allow: [eth_getBlockByNumber, eth_getBlockByHash]");
  const denied = `${MINIMAL}        methods: { deny: [debug_traceTransaction] }\n`;
  assert.equal(problems(denied + neither).length, 2, "one denies it, the other allows something else only");
  assert.match(problems(`${MINIMAL}        enabled: false\n`)[0]!, /nodes: no node is enabled/);
  assert.match(problems(`${MINIMAL}        family: parity\n`)[0]!, /nodes\[0\]\.family/);
  assert.match(problems(`${MINIMAL}    rpc: { shares: { verify: 2 } }\n`)[0]!, /rpc\.shares\.verify/);
  assert.match(problems(`${MINIMAL}        limits: { batchItems: 0 }\n`)[0]!, /limits\.batchItems/);
});

Deno.test("nodes that will work badly are warned of", () => {
  const warningsOf = (text: string) => parseConfig(text, "config.yaml", none).warnings.join("\n");
  assert.match(warningsOf(MINIMAL.replace("http://", "http://user:pw@")), /:6: credentials in a URL/);
  assert.doesNotMatch(warningsOf(MINIMAL.replace("http://", "http://user:pw@")), /pw@/);
  assert.match(warningsOf(MINIMAL.replace(/ {8}ws.*\n/, "")), /local has no ws: heads are polled/);
  assert.match(warningsOf(`${MINIMAL}        tier: fallback\n`), /every node is a fallback, none is primary/);
  assert.match(
    warningsOf(`${MINIMAL}        limits: { read: { max: 2, start: 2 } }\n`),
    /limits\.read\.max is below work\.lanes/,
  );
});

Deno.test("redactConfig() shows neither passwords, headers, URL credentials nor what came from the environment", () => {
  const text = MINIMAL.replace("http://127.0.0.1:8545", "http://user:pw1@127.0.0.1:8545/?key=pw2") +
    "        headers: { authorization: Bearer pw3 }\nclickhouse:\n  password: pw4\nqueue:\n  url: redis://u:pw5@h:1/0\ntelemetry:\n  address: ${SECRET}\n";
  const { config, secrets } = parseConfig(text, "config.yaml", () => "pw6");
  const shown = JSON.stringify(redactConfig(config, secrets));
  assert.doesNotMatch(shown, /pw[1-6]/);
  assert.match(shown, /"authorization":"\[redacted\]"/);
});

Deno.test("config.yaml is what the schema says, and can be used as it is", async () => {
  const written = await Deno.readTextFile(new URL("../../config.yaml", import.meta.url));
  assert.equal(written, referenceConfig(), "run `deno task config`");
  const { config } = parseConfig(written, "config.yaml", none);
  assert.equal(config.networks[0]!.name, "mainnet");
});

Deno.test("a variable that this process may not read is an error with its line and the flag", () => {
  const refuse = () => {
    throw new Deno.errors.NotCapable("Requires env access");
  };
  assert.throws(() => parseConfig("clickhouse:\n  password: ${OTHER}\n", "c.yaml", refuse), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.message, /c\.yaml:2: Cannot fill \$\{OTHER\}: .* run it with --allow-env=OTHER/);
    return true;
  });
});

Deno.test("verification must give up before the queue does, and an audit needs another node", () => {
  assert.deepEqual(problems(`${MINIMAL}    verify: { rounds: 8 }\n`), [
    "config.yaml:8: Cannot take networks[0].verify.rounds: it must be below queue.attempts (8)",
  ]);
  const audited = (more: string) =>
    parseConfig(`${MINIMAL}${more}    verify: { auditShare: 0.1 }\n`, "config.yaml", none).warnings
      .filter((warning) => warning.includes("audited"));
  assert.deepEqual(audited(""), ["config.yaml:8: nothing is audited: dev has only one node"]);
  assert.deepEqual(audited("      - { name: other, url: http://127.0.0.1:8547, ws: ws://127.0.0.1:8548 }\n"), []);
});
