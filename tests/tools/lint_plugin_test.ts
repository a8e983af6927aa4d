/// <reference lib="deno.unstable" />
/** The house's lint rules find what they are for, and nothing else. */
import assert from "node:assert/strict";
import plugin, { importProblem } from "../../tools/lint/plugin.ts";

function found(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map(({ id }) => id);
}

Deno.test("importProblem() lets imports point one way only", () => {
  const cases: readonly (readonly [from: string, specifier: string, allowed: boolean])[] = [
    ["src/cli/start.ts", "../pipeline/process.ts", true],
    ["src/pipeline/work.ts", "../cli/start.ts", false],
    ["src/pipeline/work.ts", "../stages/queue/port.ts", true],
    ["src/stages/queue/port.ts", "../../pipeline/work.ts", false],
    ["src/stages/queue/port.ts", "../../errors.ts", true],
    ["src/rpc/pool.ts", "../stages/queue/port.ts", false],
    ["src/stages/queue/memory.ts", "../gate/ledger.ts", false],
    ["src/stages/encode/structlog.ts", "../decode/port.ts", true],
    ["src/stages/encode/structlog.ts", "../decode/json.ts", false],
    ["src/ethereum/forks.ts", "./hex.ts", true],
    ["src/ethereum/forks.ts", "../errors.ts", true],
    ["src/ethereum/forks.ts", "../flow/lanes.ts", false],
    ["src/embedded/demo.ts", "../pipeline/process.ts", true],
    ["src/stages/sink/sink.ts", "../../../tests/contracts/storage_contract.ts", false],
    ["tests/system/stack.ts", "../../src/pipeline/process.ts", true],
  ];
  for (const [from, specifier, allowed] of cases) {
    assert.equal(importProblem(from, specifier) === undefined, allowed, `${from} imports ${specifier}`);
  }
});

Deno.test("import-direction reports the import", () => {
  assert.deepEqual(found("src/rpc/pool.ts", `import { work } from "../pipeline/work.ts";`), ["house/import-direction"]);
});

Deno.test("guarded-operators lets only flow/ use operators that hoard", () => {
  const source = `import { map, mergeMap, Subject } from "rxjs";`;
  assert.deepEqual(found("src/pipeline/work.ts", source), ["house/guarded-operators", "house/guarded-operators"]);
  assert.deepEqual(found("src/flow/lanes.ts", source), []);
  assert.deepEqual(found("src/pipeline/work.ts", `import { concatMap } from "rxjs";`), []);
});

Deno.test("vendor-import keeps a vendor's package in its adapter", () => {
  assert.deepEqual(found("src/pipeline/work.ts", `import Redis from "ioredis";`), ["house/vendor-import"]);
  assert.deepEqual(found("src/stages/queue/redis_streams.ts", `import Redis from "ioredis";`), []);
  assert.deepEqual(found("src/stages/sink/sink.ts", `import { z } from "zod";`), ["house/vendor-import"]);
});

Deno.test("no-real-wait finds a test that sleeps", () => {
  const source = `await new Promise((resolve) => setTimeout(resolve, 50));`;
  assert.deepEqual(found("tests/flow/lanes_test.ts", source), ["house/no-real-wait"]);
  assert.deepEqual(found("tests/flow/lanes_test.ts", `setTimeout(() => {}, 0);`), []);
  assert.deepEqual(found("tests/system/demo_test.ts", source), []);
});
