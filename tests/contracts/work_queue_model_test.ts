import { modelRuns } from "./work_queue_model.ts";

Deno.test("memory and Redis agree on any interleaving of steps", () => modelRuns(60));
