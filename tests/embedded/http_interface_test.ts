import { httpContract } from "./http_contract.ts";
import { sharedEngine } from "./shared_engine.ts";

for (const { name, run } of httpContract) Deno.test(`embedded engine: ${name}`, () => run(sharedEngine));
