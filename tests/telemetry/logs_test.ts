import assert from "node:assert/strict";
import { logReader } from "../../src/telemetry/logs.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";

const failed: PipelineEvent = {
  kind: "discover_failed",
  network: "dev",
  direction: "forwards",
  code: "ledger_unavailable",
  message: "Cannot read as user hunter2",
};

function lines(event: PipelineEvent, level: "debug" | "info" | "warn" | "error", format: "json" | "pretty"): string[] {
  const written: string[] = [];
  logReader({ level, format, secrets: new Set(["hunter2"]), write: (line) => written.push(line) })(event);
  return written;
}

Deno.test("a log line holds level, event, message and facts, without secrets", () => {
  const [line] = lines(failed, "info", "json");
  const { time, ...rest } = JSON.parse(line!) as Record<string, unknown>;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
  assert.deepEqual(rest, {
    level: "warn",
    event: "discover_failed",
    network: "dev",
    direction: "forwards",
    code: "ledger_unavailable",
    message: "Cannot read as user [redacted]",
    msg: "cannot look for blocks now, trying again",
  });
});

Deno.test("the pretty form is one line with the facts behind the message", () => {
  assert.match(
    lines(failed, "info", "pretty")[0]!,
    /^\d\d:\d\d:\d\d\.\d+ WARN {2}cannot look for blocks now, trying again {2}network=dev .*message=Cannot read as user \[redacted\]\n$/,
  );
});

Deno.test("what lies below the level, and what no table logs, is not written", () => {
  assert.deepEqual(lines(failed, "error", "json"), []);
  assert.deepEqual(lines({ kind: "head_seen", network: "dev", blockNumber: 1 }, "debug", "json"), []);
});
