/** A process with one worker that gets one job: `spins` or `hoards`. */
import { subscribe } from "../../src/telemetry/emit.ts";
import { logReader } from "../../src/telemetry/logs.ts";
import { deaf, jobOf, MADE_UP, openWorkers } from "./worker_job.ts";

const STALL_MS = 500;

subscribe(logReader({
  level: "info",
  format: "pretty",
  secrets: new Set(),
  write: (line) => void Deno.stderr.writeSync(new TextEncoder().encode(line)),
}));
const workers = await openWorkers(MADE_UP, 1, Deno.args[0] === "spins" ? STALL_MS : 600_000, () => Deno.exit(70));
await workers.run(jobOf(Deno.args[0]!), new AbortController().signal, deaf()).results;
