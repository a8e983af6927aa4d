import assert from "node:assert/strict";
import fc from "fast-check";
import { type Screen, styled, tableLines, treeBranches, type TreeNode } from "../../src/embedded/screen.ts";

const PLAIN: Screen = { terminal: false, colour: false, columns: 80, write: () => {} };
const COLOURED: Screen = { ...PLAIN, colour: true };

Deno.test("tableLines() aligns columns and groups digits", () => {
  const rows = [{ name: "ADD", gas: 3 }, { name: "SSTORE", gas: 1_234_567 }];
  const lines = tableLines(PLAIN, [
    { title: "opcode", align: "left", value: ({ name }) => name },
    { title: "gas", align: "right", value: ({ gas }) => gas },
  ], rows);
  assert.deepEqual(lines, [
    "opcode        gas",
    "ADD             3",
    "SSTORE  1,234,567",
  ]);
});

Deno.test("tableLines() of no rows is its titles", () => {
  assert.deepEqual(tableLines<string>(PLAIN, [{ title: "a", align: "left", value: (row) => row }], []), ["a"]);
});

Deno.test("colour changes no column: without its codes, a coloured table is the plain one", () => {
  const rows = [{ text: "short", good: true }, { text: "much longer", good: false }];
  const table = (screen: Screen) =>
    tableLines<typeof rows[number]>(screen, [
      { title: "text", align: "left", value: ({ text }) => text, style: ({ good }) => good ? "good" : "bad" },
      { title: "n", align: "right", value: ({ text }) => text.length },
    ], rows);
  // deno-lint-ignore no-control-regex -- the escape character is what is looked for
  const bare = (line: string) => line.replace(/\x1b\[[\d;]*m/g, "");
  assert.deepEqual(table(COLOURED).map(bare), table(PLAIN));
  assert.notDeepEqual(table(COLOURED), table(PLAIN));
});

Deno.test("styled() writes nothing but text where there is no colour", () => {
  assert.equal(styled(PLAIN, "bad", "text"), "text");
  assert.equal(styled(COLOURED, "bad", "text"), "\x1b[31;1mtext\x1b[0m");
});

Deno.test("treeBranches() draws a tree of paths", () => {
  const nodes = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [0, 5], [0, 5, 6]].map((path) => ({ path }));
  assert.deepEqual(nodes.map(({ path }, nth) => `${treeBranches(nodes)[nth]}${path.at(-1)}`), [
    "0",
    "├─ 1",
    "│  ├─ 2",
    "│  │  └─ 3",
    "│  └─ 4",
    "└─ 5",
    "   └─ 6",
  ]);
});

Deno.test("treeBranches() gives every node three columns a level, and each family one last child", () => {
  // Paths of a random tree in depth-first order, ids in the order of visit as call frames have them.
  const trees = fc.array(fc.nat(6), { maxLength: 40 }).map((depths) => {
    const nodes: TreeNode[] = [{ path: [0] }];
    for (const [nth, depth] of depths.entries()) {
      const before = nodes.at(-1)!.path;
      nodes.push({ path: [...before.slice(0, Math.min(depth, before.length - 1) + 1), nth + 1] });
    }
    return nodes;
  });
  fc.assert(fc.property(trees, (nodes) => {
    const branches = treeBranches(nodes);
    const lastChildren = new Map<string, number>();
    for (const [nth, { path }] of nodes.entries()) {
      assert.equal(branches[nth]!.length, 3 * (path.length - 1));
      if (!branches[nth]!.endsWith("└─ ")) continue;
      const family = path.slice(0, -1).join();
      lastChildren.set(family, (lastChildren.get(family) ?? 0) + 1);
    }
    const families = new Set(nodes.filter(({ path }) => path.length > 1).map(({ path }) => path.slice(0, -1).join()));
    assert.deepEqual([...lastChildren.keys()].sort(), [...families].sort());
    assert.ok([...lastChildren.values()].every((count) => count === 1));
  }));
});
