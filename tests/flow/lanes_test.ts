import assert from "node:assert/strict";
import { EMPTY, NEVER, type Observable, throwError, timer } from "rxjs";
import { lanes } from "../../src/flow/lanes.ts";
import { marbles } from "./marbles.ts";

Deno.test("lanes() claims again only after the turn is over", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const turn = cold("  --a-b|");
    const expected = "   --a-b--a-b--a-";
    const unsub = "      -------------!";
    expectObservable(lanes(1, () => turn, new AbortController().signal), unsub).toBe(expected);
    expectSubscriptions(turn.subscriptions).toBe([
      "                  ^----!",
      "                  -----^----!",
      "                  ----------^--!",
    ]);
  });
});

Deno.test("lanes() runs no more than its count at a time", () => {
  marbles(({ cold, expectObservable }) => {
    const turns = [cold("---a|"), cold("-b|"), cold("-c----|"), cold("---d|")];
    const drain = new AbortController();
    function claim(): Observable<string> {
      const turn = turns.shift();
      if (turn !== undefined) return turn;
      drain.abort();
      return EMPTY;
    }
    // one lane: a until 4, then d until 8; the other: b until 2, then c until 8
    expectObservable(lanes(2, claim, drain.signal)).toBe("-b-(ac)d|");
  });
});

Deno.test("lanes() stops claiming at drain, and completes when the last turn is over", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const drain = new AbortController();
    const turn = cold("  ---a--b|");
    const expected = "   ---a--b|";
    timer(5).subscribe(() => drain.abort());
    expectObservable(lanes(1, () => turn, drain.signal)).toBe(expected);
    expectSubscriptions(turn.subscriptions).toBe("^------!");
  });
});

Deno.test("lanes() claims nothing after drain, and nothing before it is subscribed", () => {
  marbles(({ expectObservable }) => {
    const drain = new AbortController();
    let claims = 0;
    const stream = lanes(3, () => {
      claims++;
      return NEVER;
    }, drain.signal);
    assert.equal(claims, 0);
    drain.abort();
    expectObservable(stream).toBe("|");
    assert.equal(claims, 0);
  });
});

Deno.test("lanes() of a count of 0 completes", () => {
  marbles(({ expectObservable }) => {
    expectObservable(lanes(0, () => NEVER, new AbortController().signal)).toBe("|");
  });
});

Deno.test("lanes() ends all with the error of one, also of a cycle that throws", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const good = cold("   -a---------|");
    const bad = cold("    ---#");
    const expected = "    -a-#";
    expectObservable(lanes(2, (lane) => lane === 0 ? good : bad, new AbortController().signal)).toBe(expected);
    expectSubscriptions(good.subscriptions).toBe("^--!");
    expectObservable(lanes(1, () => throwError(() => "error"), new AbortController().signal)).toBe("#");
    expectObservable(lanes(1, () => {
      throw "error";
    }, new AbortController().signal)).toBe("#");
  });
});

Deno.test("lanes() unsubscribed early unsubscribes its turns and claims no more", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const turn = cold("-a----------|");
    const unsub = "    ----!";
    expectObservable(lanes(2, () => turn, new AbortController().signal), unsub).toBe("-(aa)");
    expectSubscriptions(turn.subscriptions).toBe(["^---!", "^---!"]);
  });
});
