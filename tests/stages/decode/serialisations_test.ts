import { equalInAnySerialisation } from "./serialisations.ts";

Deno.test("TraceDecoder gives the same rows and verdict of a real trace however its JSON is written", async () => {
  await equalInAnySerialisation(600, 5);
});
