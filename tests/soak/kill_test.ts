import { killRun } from "../system/kill_run.ts";

Deno.test("twenty minutes of kill -9 of leaders, workers, Redis and the engine lose nothing and double nothing", async () => {
  await killRun(20 * 60_000, Date.now());
});
