import assert from "node:assert/strict";
import { type Batch, batch, type Batcher, type BatchOptions, type Written } from "../../src/flow/batch.ts";
import { type SchedulerLike, VirtualTimeScheduler } from "rxjs";
import { afterCollection } from "../garbage.ts";

const OPTIONS: BatchOptions = { rows: 10, bytes: 1000, lingerMs: 200, inFlight: 1, memoryBytes: 10_000 };

/** A writer whose writes end when the test says so, and virtual time. */
class Bench {
  readonly time = new VirtualTimeScheduler();
  readonly writes: { batch: Batch<string>; end: PromiseWithResolvers<string> }[] = [];
  readonly overflows: { batch: Batch<string>; taken: PromiseWithResolvers<void>; end: PromiseWithResolvers<string> }[] =
    [];
  readonly batcher: Batcher<string, string>;

  constructor(options: Partial<BatchOptions> = {}, overflow = false, prepare?: (batch: Batch<string>) => void) {
    const write = (batch: Batch<string>): Written<string> => {
      const end = Promise.withResolvers<string>();
      this.writes.push({ batch, end });
      const taken = end.promise.then(() => {});
      taken.catch(() => {});
      return { taken, durable: end.promise };
    };
    const take = (batch: Batch<string>): Written<string> => {
      const [taken, end] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
      this.overflows.push({ batch, taken, end });
      return { taken: taken.promise, durable: end.promise };
    };
    const scheduler: SchedulerLike = this.time;
    this.batcher = batch(
      { ...OPTIONS, ...options },
      { write, ...(overflow ? { overflow: take } : {}), ...(prepare === undefined ? {} : { prepare }) },
      scheduler,
    );
  }

  /** Lets everything happen that is due before `ms`. */
  async until(ms: number): Promise<void> {
    this.time.maxFrames = ms;
    this.time.flush();
    await settled();
    this.time.flush();
    this.time.frame = ms;
  }

  submit(item: string, rows = 1, bytes = 10, group = "g") {
    return this.batcher.submit(group, item, { rows, bytes });
  }

  get written(): string[] {
    return this.writes.map(({ batch }) => `${batch.group}:${batch.items.join("")}:${batch.reason}`);
  }
}

/** Every reaction that is already due has run. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

Deno.test("batch() writes a batch that has its rows at once", async () => {
  const bench = new Bench({ rows: 3 });
  using _lane = bench.batcher.expect();
  for (const item of ["a", "b", "c", "d"]) bench.submit(item);
  await bench.until(0);
  assert.deepEqual(bench.written, ["g:abc:rows"]);
});

Deno.test("batch() writes a batch that has its bytes, and puts what would exceed them into the next one", async () => {
  const bench = new Bench({ bytes: 100, inFlight: 3 });
  using _lane = bench.batcher.expect();
  bench.submit("a", 1, 60);
  bench.submit("b", 1, 60);
  bench.submit("c", 1, 40);
  await bench.until(0);
  assert.deepEqual(bench.written, ["g:a:bytes", "g:bc:bytes"]);
});

Deno.test("batch() writes what is there when its first item has lingered, no earlier", async () => {
  const bench = new Bench();
  using _lane = bench.batcher.expect();
  bench.submit("a");
  await bench.until(150);
  bench.submit("b");
  await bench.until(199);
  assert.deepEqual(bench.written, []);
  await bench.until(200);
  assert.deepEqual(bench.written, ["g:ab:linger"]);
});

Deno.test("batch() lingers on for a rest in proportion to the last write, and never long", async () => {
  const bench = new Bench({ rest: 4 });
  using _lane = bench.batcher.expect();
  bench.submit("a");
  await bench.until(201);
  bench.submit("b");
  await bench.until(250);
  bench.writes[0]!.end.resolve("took 50 ms");
  await bench.until(250);
  await bench.until(449);
  assert.deepEqual(bench.written, ["g:a:linger"]);
  await bench.until(450);
  assert.deepEqual(bench.written, ["g:a:linger", "g:b:linger"]);
  bench.submit("c");
  await bench.until(1450);
  bench.writes[1]!.end.resolve("took a second, five times the linger");
  await bench.until(1450);
  await bench.until(2249);
  assert.equal(bench.writes.length, 2);
  await bench.until(2250);
  assert.deepEqual(bench.written.slice(2), ["g:c:linger"]);
});

Deno.test("batch() does not rest from a full batch, nor when nobody is expected to bring more", async () => {
  const bench = new Bench({ rest: 4, rows: 2 });
  const lane = bench.batcher.expect();
  bench.submit("a");
  await bench.until(300);
  bench.writes[0]!.end.resolve("took 100 ms");
  await bench.until(300);
  bench.submit("b");
  bench.submit("c");
  await bench.until(302);
  assert.deepEqual(bench.written.slice(1), ["g:bc:rows"]);
  bench.writes[1]!.end.resolve("");
  await bench.until(303);
  bench.submit("d");
  lane[Symbol.dispose]();
  await bench.until(304);
  assert.deepEqual(bench.written.slice(2), ["g:d:idle"]);
});

Deno.test("batch() writes in the next turn when nobody is expected to bring more", async () => {
  const bench = new Bench();
  const lane = bench.batcher.expect();
  bench.submit("a");
  await bench.until(10);
  assert.deepEqual(bench.written, []);
  lane[Symbol.dispose]();
  lane[Symbol.dispose]();
  await bench.until(11);
  assert.deepEqual(bench.written, ["g:a:idle"]);
});

Deno.test("batch() keeps groups apart", async () => {
  const bench = new Bench({ inFlight: 2 });
  bench.submit("a", 1, 10, "x");
  bench.submit("b", 1, 10, "y");
  bench.submit("c", 1, 10, "x");
  await bench.until(1);
  assert.deepEqual(bench.written, ["x:ac:idle", "y:b:idle"]);
});

Deno.test("batch() goes on gathering while every write is busy, and never has more in flight than allowed", async () => {
  const bench = new Bench();
  bench.submit("a");
  await bench.until(1);
  for (const item of ["b", "c", "d"]) bench.submit(item);
  await bench.until(1000);
  assert.equal(bench.batcher.inFlight, 1);
  assert.deepEqual(bench.written, ["g:a:idle"]);
  bench.writes[0]!.end.resolve("ok");
  await settled();
  await bench.until(1001);
  assert.deepEqual(bench.written.slice(1), ["g:bcd:idle"]);
});

Deno.test("batch() prepares each full batch that has to wait, once, and writes the same items", async () => {
  const prepared: (readonly string[])[] = [];
  const bench = new Bench({ rows: 2 }, false, (batch) => void prepared.push(batch.items));
  for (const item of ["a", "b", "c", "d", "e", "f", "g"]) bench.submit(item);
  await bench.until(1);
  assert.deepEqual(prepared, [["c", "d"], ["e", "f"]]);
  for (let write = 0; write < 3; write++) {
    bench.writes[write]!.end.resolve("");
    await bench.until(2 + write);
  }
  assert.equal(bench.writes[1]!.batch.items, prepared[0]);
  assert.equal(bench.writes[2]!.batch.items, prepared[1]);
  assert.deepEqual(bench.written, ["g:ab:rows", "g:cd:rows", "g:ef:rows", "g:g:idle"]);
  assert.equal(prepared.length, 2);
});

Deno.test("batch() tells an item that it is durable when its write is, and only then", async () => {
  const bench = new Bench();
  const { durable } = bench.submit("a");
  let result: string | undefined;
  durable.then((value) => result = value);
  await bench.until(1);
  assert.equal(result, undefined);
  bench.writes[0]!.end.resolve("stored");
  await settled();
  assert.equal(result, "stored");
  assert.equal(bench.batcher.pendingBytes, 0);
});

Deno.test("batch() rejects the items of a failed write alone, and goes on", async () => {
  const bench = new Bench();
  const failed = bench.submit("a");
  await bench.until(1);
  const next = bench.submit("b");
  bench.writes[0]!.end.reject(new Error("refused"));
  await assert.rejects(failed.durable, /refused/);
  await bench.until(2);
  bench.writes[1]!.end.resolve("ok");
  assert.equal(await next.durable, "ok");
});

Deno.test("batch() accepts within its memory at once, and beyond it when there is room again", async () => {
  const bench = new Bench({ memoryBytes: 100 });
  const first = bench.submit("a", 1, 80);
  await first.accepted;
  const second = bench.submit("b", 1, 80);
  let accepted = false;
  second.accepted.then(() => accepted = true);
  await bench.until(1);
  assert.equal(accepted, false);
  assert.notEqual(bench.batcher.room(), undefined);
  bench.writes[0]!.end.resolve("ok");
  await settled();
  await bench.until(2);
  assert.equal(accepted, true);
  assert.equal(bench.batcher.room(), undefined);
});

Deno.test("batch() overflows what exceeds its memory, and frees memory when it is taken, not when it is durable", async () => {
  const bench = new Bench({ memoryBytes: 100, bytes: 60 }, true);
  using _lane = bench.batcher.expect();
  const items = ["a", "b", "c"].map((item) => bench.submit(item, 1, 60));
  await bench.until(1);
  assert.deepEqual(bench.written, ["g:a:bytes"]);
  assert.deepEqual(
    bench.overflows.map(({ batch }) => batch.items.join("")),
    ["b", "c"].slice(0, bench.overflows.length),
  );
  for (const { taken } of bench.overflows) taken.resolve();
  await settled();
  assert.ok(bench.batcher.pendingBytes <= 100, `${bench.batcher.pendingBytes}`);
  let durable = 0;
  for (const item of items) item.durable.then(() => durable++);
  await settled();
  assert.equal(durable, 0);
  for (const { end } of bench.overflows) end.resolve("later");
  await settled();
  assert.equal(durable, bench.overflows.length);
});

Deno.test("batch() does not hold what has left memory until it is durable", async () => {
  const left: WeakRef<object>[] = [];
  const durable = Promise.withResolvers<string>();
  const take = ({ items }: Batch<object>): Written<string> => {
    for (const item of items) left.push(new WeakRef(item));
    return { taken: Promise.resolve(), durable: durable.promise };
  };
  const batcher = batch<object, string>({ ...OPTIONS, memoryBytes: 10, bytes: 60 }, { write: take, overflow: take });
  const submitted = ["a", "b", "c"].map((name) => batcher.submit("g", { name }, { rows: 1, bytes: 60 }));
  await Promise.all(submitted.map(({ accepted }) => accepted));
  assert.ok(await afterCollection(() => left.length === 3 && left.every((item) => item.deref() === undefined)));
  durable.resolve("later");
  assert.deepEqual(await Promise.all(submitted.map((item) => item.durable)), ["later", "later", "later"]);
});

Deno.test("batch() rejects items whose overflow failed", async () => {
  const bench = new Bench({ memoryBytes: 10, bytes: 60 }, true);
  const { durable } = bench.submit("a", 1, 60);
  const [overflow] = bench.overflows;
  overflow!.end.promise.catch(() => {});
  overflow!.taken.reject(new Error("disk full"));
  await assert.rejects(durable, /disk full/);
});

Deno.test("batch() drains: nothing lingers any more, and it resolves when nothing is left", async () => {
  const bench = new Bench({ inFlight: 2 });
  using _lane = bench.batcher.expect();
  bench.submit("a");
  const drained = bench.batcher.drain();
  let done = false;
  drained.then(() => done = true);
  bench.submit("b", 1, 10, "late");
  await bench.until(1);
  assert.deepEqual(bench.written, ["g:a:drain", "late:b:drain"]);
  for (const { end } of bench.writes) end.resolve("ok");
  await settled();
  assert.equal(done, true);
});

Deno.test("batch() drains at once when nothing is there", async () => {
  const bench = new Bench();
  await bench.batcher.drain();
  assert.deepEqual(bench.written, []);
});

Deno.test("batch() sees each item exactly once, for any sizes and limits", async () => {
  const { default: fc } = await import("fast-check");
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 200 }), group: fc.constantFrom("x", "y", "z") }), {
        maxLength: 60,
      }),
      fc.record({
        rows: fc.integer({ min: 1, max: 12 }),
        bytes: fc.integer({ min: 1, max: 400 }),
        inFlight: fc.integer({ min: 1, max: 3 }),
        memoryBytes: fc.integer({ min: 1, max: 600 }),
      }),
      fc.boolean(),
      async (items, limits, overflow) => {
        const bench = new Bench(limits, overflow);
        const all = items.map((item, i) => bench.submit(String.fromCharCode(33 + i), 1, item.bytes, item.group));
        const drained = bench.batcher.drain();
        for (let turn = 0; bench.batcher.pendingBytes > 0 && turn < 500; turn++) {
          await bench.until(turn);
          assert.ok(bench.batcher.inFlight <= limits.inFlight);
          for (const { end } of bench.writes) end.resolve("ok");
          for (const { taken, end } of bench.overflows) {
            taken.resolve();
            end.resolve("ok");
          }
          await settled();
        }
        await drained;
        await Promise.all(all.map(({ durable }) => durable));
        const seen = [...bench.writes, ...bench.overflows].flatMap(({ batch }) => batch.items);
        assert.deepEqual([...seen].sort(), items.map((_, i) => String.fromCharCode(33 + i)).sort());
        for (const { batch } of bench.writes) assert.ok(batch.rows <= limits.rows, "rows");
      },
    ),
    { numRuns: 100 },
  );
});
