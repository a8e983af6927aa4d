import assert from "node:assert/strict";
import { duration, grouped, textTable, wrapped } from "../../src/cli/text_table.ts";

Deno.test("textTable() aligns columns, numbers to the right, without blanks at the end", () => {
  assert.deepEqual(textTable([["a", "1", "x"], ["long", "100", ""]], [1]), ["a       1  x", "long  100"]);
});

Deno.test("wrapped() breaks at blanks within 80 columns and indents what follows", () => {
  assert.deepEqual(wrapped("short"), ["short"]);
  assert.deepEqual(wrapped(""), [""]);
  const words = Array.from({ length: 40 }, (_, at) => `word${at}`).join(" ");
  const lines = wrapped(`  ${words}`);
  assert.ok(lines.length > 1);
  for (const line of lines) assert.ok(line.length <= 80, line);
  for (const line of lines.slice(1)) assert.match(line, /^ {4}word/);
  assert.equal(lines.map((line) => line.trim()).join(" "), words);
});

Deno.test("wrapped() keeps a word that is longer than a line", () => {
  const word = "x".repeat(100);
  assert.deepEqual(wrapped(word), [word]);
  assert.deepEqual(wrapped(`about ${word} it`), ["about", `  ${word}`, "  it"]);
});

Deno.test("grouped() and duration() read well", () => {
  assert.equal(grouped(1_234_567.8), "1,234,568");
  assert.deepEqual([250, 12_000, 180_000, 10_800_000].map(duration), ["250 ms", "12 s", "3 min", "3 h"]);
});
