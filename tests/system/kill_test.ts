import { killRun } from "./kill_run.ts";

Deno.test("two minutes of kill -9 of leaders, workers, Redis and the engine lose nothing and double nothing", async () => {
  await killRun(120_000, 20_261_121);
});
