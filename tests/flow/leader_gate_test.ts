import { leaderGate } from "../../src/flow/leader_gate.ts";
import { marbles } from "./marbles.ts";

const terms = { f: { leading: false }, a: { leading: true, office: "a" }, b: { leading: true, office: "b" } };
type Term = { leading: boolean; office?: string };

function officeOf(term: Term): string | undefined {
  return term.office;
}

Deno.test("leaderGate() runs the work of a term, ends it with the term, and begins afresh with the next", () => {
  marbles(({ hot, cold, expectObservable, expectSubscriptions }) => {
    const leadership = hot<Term>("f--a-----f--b-----|", terms);
    const work = cold("              -x--y--z");
    const expected = "               ----x--y-----x--y--z";
    expectObservable(leadership.pipe(leaderGate(officeOf, () => work)), "--------------------!").toBe(expected);
    expectSubscriptions(work.subscriptions).toBe([
      "---^-----!",
      "------------^-------!",
    ]);
  });
});

Deno.test("leaderGate() gives the work its office", () => {
  marbles(({ hot, cold, expectObservable }) => {
    const leadership = hot<Term>("-a-b-|", terms);
    expectObservable(leadership.pipe(leaderGate(officeOf, (office) => cold("o|", { o: office })))).toBe("-a-b-|");
  });
});

Deno.test("leaderGate() of never, empty and of no term", () => {
  marbles(({ hot, cold, expectObservable }) => {
    expectObservable(hot<Term>("-").pipe(leaderGate(officeOf, () => cold("x")))).toBe("-");
    expectObservable(cold<Term>("-|").pipe(leaderGate(officeOf, () => cold("x")))).toBe("-|");
    expectObservable(cold<Term>("-f-|", terms).pipe(leaderGate(officeOf, () => cold("x")))).toBe("---|");
  });
});

Deno.test("leaderGate() passes errors of leadership and of the work", () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const work = cold("-x");
    expectObservable(cold<Term>("-a--#", terms).pipe(leaderGate(officeOf, () => work))).toBe("--x-#");
    expectSubscriptions(work.subscriptions).toBe("-^--!");
    expectObservable(cold<Term>("-a---", terms).pipe(leaderGate(officeOf, () => cold("--#")))).toBe("---#");
  });
});
