import assert from "node:assert/strict";
import { readReply } from "../../../src/stages/trace/read.ts";

function bytesOf(
  chunks: readonly string[],
  failure?: Error,
): { body: ReadableStream<Uint8Array>; cancelled: unknown[] } {
  const left = chunks.map((text) => new TextEncoder().encode(text));
  const cancelled: unknown[] = [];
  const body = new ReadableStream({
    type: "bytes",
    pull(controller) {
      const chunk = left.shift();
      if (chunk !== undefined) return controller.enqueue(chunk);
      if (failure !== undefined) return controller.error(failure);
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel(reason) {
      cancelled.push(reason);
    },
  });
  return { body, cancelled };
}

Deno.test("readReply() hands every byte over, in order, and counts them", async () => {
  const pieces: string[] = [];
  const { body } = bytesOf(["abc", "d", "efgh"]);
  const total = await readReply(body, new AbortController().signal, (piece) => {
    pieces.push(new TextDecoder().decode(piece));
    return undefined;
  });
  assert.equal(pieces.join(""), "abcdefgh");
  assert.equal(total, 8);
});

Deno.test("readReply() waits for what take returns before it reads on", async () => {
  const { body } = bytesOf(["abc", "def"]);
  const waits: PromiseWithResolvers<void>[] = [];
  const seen: number[] = [];
  const reading = readReply(body, new AbortController().signal, (_piece, total) => {
    seen.push(total);
    const wait = Promise.withResolvers<void>();
    waits.push(wait);
    return wait.promise;
  });
  while (waits.length === 0) await Promise.resolve();
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  assert.deepEqual(seen, [3]);
  waits[0]!.resolve();
  while (waits.length === 1) await new Promise((resolve) => setTimeout(resolve, 0));
  waits[1]!.resolve();
  assert.equal(await reading, 6);
});

Deno.test("readReply() cancels the body when take throws or the signal aborts", async () => {
  const thrown = new Error("not a trace");
  const first = bytesOf(["abc", "def"]);
  await assert.rejects(
    readReply(first.body, new AbortController().signal, () => {
      throw thrown;
    }),
    thrown,
  );
  assert.deepEqual(first.cancelled, [thrown]);
  const second = bytesOf(["abc", "def"]);
  await assert.rejects(readReply(second.body, AbortSignal.abort(new Error("lost")), () => undefined), /lost/);
  assert.equal(second.cancelled.length, 1);
});
