import { agreeOnDamaged, agreeOnWritten } from "./agree_readers.ts";

const DOCUMENTS = 6_000;
const SEED = 20_261_121;

Deno.test("the scanner, the general reader and JSON.parse agree on every way to write a trace", async () => {
  await agreeOnWritten(DOCUMENTS, SEED);
});

Deno.test("the scanner and the general reader agree on damaged replies, and take none that JSON.parse refuses", async () => {
  await agreeOnDamaged(DOCUMENTS, SEED);
});
