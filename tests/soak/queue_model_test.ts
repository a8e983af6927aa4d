import { modelRuns } from "../contracts/work_queue_model.ts";

Deno.test("memory and Redis agree on any interleaving of steps, at length", () => modelRuns(3_000));
