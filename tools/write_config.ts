/** Writes `config.yaml` from the schema: `deno task config`. */
import { referenceConfig } from "../src/config/reference.ts";

await Deno.writeTextFile(new URL("../config.yaml", import.meta.url), referenceConfig());
