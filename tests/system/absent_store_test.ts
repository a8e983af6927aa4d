import assert from "node:assert/strict";
import { absentStore } from "./absent_store.ts";

Deno.test("ClickHouse is away for 10 s under the running pipeline: nothing is lost, memory is bounded, the breaker opens and closes", async () => {
  const { structlogs, opened } = await absentStore(10_000, 12, 180_000);
  assert.ok(structlogs > 10_000 && opened > 0, `${structlogs} structlogs, ${opened} times open`);
});
