import { map, of } from "rxjs";
import { conflateMap } from "../../src/flow/conflate_map.ts";
import { marbles } from "./marbles.ts";

Deno.test("conflateMap() works on the newest head and forgets those in between", () => {
  marbles(({ hot, cold, expectObservable, expectSubscriptions }) => {
    const heads = hot("   -a-b-c-----d---|");
    const import4 = cold(" ----x|");
    const headsSubs = "   ^--------------!";
    const expected = "    -----a----c----d|";
    expectObservable(heads.pipe(conflateMap((head) => import4.pipe(map(() => head))))).toBe(expected);
    expectSubscriptions(heads.subscriptions).toBe(headsSubs);
  });
});

Deno.test("conflateMap() of never, empty and one", () => {
  marbles(({ cold, expectObservable }) => {
    expectObservable(cold("-").pipe(conflateMap((value) => of(value)))).toBe("-");
    expectObservable(cold("--|").pipe(conflateMap((value) => of(value)))).toBe("--|");
    expectObservable(cold("-a|").pipe(conflateMap((value) => of(value)))).toBe("-a|");
  });
});

Deno.test("conflateMap() projects an undefined value like any other", () => {
  marbles(({ cold, expectObservable }) => {
    const source = cold("-a-b|", { a: undefined, b: undefined });
    const inner = cold("  ---x|");
    expectObservable(source.pipe(conflateMap(() => inner))).toBe("----x---x|");
  });
});

Deno.test("conflateMap() passes an error of the source and of a projection", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold("-a--#");
    const inner = cold(" -----x|");
    expectObservable(source.pipe(conflateMap(() => inner))).toBe("----#");
    expectSubscriptions(inner.subscriptions).toBe("-^--!");
    const bad = cold("   --#");
    const many = cold("  -a-b-c|");
    expectObservable(many.pipe(conflateMap(() => bad))).toBe("---#");
    expectSubscriptions(many.subscriptions).toBe("^--!");
  });
});

Deno.test("conflateMap() unsubscribed early unsubscribes source and projection, and two subscribers share nothing", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold("-a-b------|");
    const inner = cold(" ----x|");
    const stream = source.pipe(conflateMap((value) => inner.pipe(map(() => value))));
    expectObservable(stream, "---!").toBe("----");
    expectObservable(stream).toBe("-----a----b|");
    expectSubscriptions(source.subscriptions).toBe(["^--!", "^---------!"]);
  });
});
