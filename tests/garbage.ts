/** Collects garbage when a test says so: what nobody holds any more must go, and a test of memory must not wait for it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** What is swept beside the running program takes its turns. */
const TURNS = 100;

/** Collects until `holds` does. @returns whether it did. */
export async function afterCollection(holds: () => boolean): Promise<boolean> {
  for (let turn = 0; turn < TURNS; turn++) {
    collect();
    if (holds()) return true;
    await new Promise((resolve) => setTimeout(resolve));
  }
  return false;
}
