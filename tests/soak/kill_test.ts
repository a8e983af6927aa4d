/** KILL_SEED repeats a run. */
import { killRun } from "../system/kill_run.ts";

const SEED = Number(Deno.env.get("KILL_SEED") ?? Date.now());

Deno.test(`twenty minutes of kill -9 of leaders, workers, Redis and the engine lose nothing and double nothing (seed ${SEED})`, async () => {
  await killRun(20 * 60_000, SEED);
});
