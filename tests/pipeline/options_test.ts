import assert from "node:assert/strict";
import { parseConfig } from "../../src/config/load.ts";
import { sinkOptions } from "../../src/pipeline/options.ts";

const { config } = parseConfig(
  JSON.stringify({
    networks: [{ name: "devnet", chainId: 31337, nodes: [{ name: "anvil", url: "http://127.0.0.1:8545" }] }],
    sink: { bytes: "32MiB", memoryBytes: "256MiB", inFlight: 2 },
  }),
  "config.yaml",
  () => undefined,
);

Deno.test("sinkOptions() shares the memory, and makes batches that fit into a share however many there are", () => {
  const MIB = 2 ** 20;
  assert.deepEqual([1, 2, 17].map((isolates) => sinkOptions(config, isolates).bytes), [
    32 * MIB,
    32 * MIB,
    Math.floor(Math.floor(256 * MIB / 17) / 4),
  ]);
  for (const isolates of [1, 3, 17, 65]) {
    const { bytes, memoryBytes, inFlight } = sinkOptions(config, isolates);
    assert.ok(isolates * memoryBytes <= 256 * MIB);
    assert.ok((inFlight + 2) * bytes <= memoryBytes, `${isolates}`);
  }
});
