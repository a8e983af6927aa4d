import fc from "fast-check";
import assert from "node:assert/strict";
import { clientFeature, isConcatenable, readHead, readShape } from "../../src/embedded/statement.ts";

/** `[statement, format, rows]` of an INSERT, or the kind. */
function split(bytes: string, whole = true): string | [string, string | undefined, string] {
  const found = readHead(bytes, whole);
  if (found.kind !== "insert") return found.kind;
  const { statementEnd, format, rowsAt } = found.head;
  return [bytes.slice(0, statementEnd), format, bytes.slice(rowsAt)];
}

Deno.test("readHead() finds the rows behind FORMAT and VALUES", () => {
  const cases: readonly [bytes: string, statement: string, format: string | undefined, rows: string][] = [
    ["INSERT INTO t FORMAT Native\n\0\n", "INSERT INTO t ", "Native", "\0\n"],
    ["insert into t format CSV 1,2", "insert into t ", "CSV", "1,2"],
    ["INSERT INTO t FORMAT TSV\r\n\n1", "INSERT INTO t ", "TSV", "\n1"],
    ["INSERT INTO t FORMAT TSV;\n1", "INSERT INTO t ", "TSV", "1"],
    ["INSERT INTO t VALUES (1), (2)", "INSERT INTO t ", "Values", "(1), (2)"],
    ["INSERT INTO t (a, format, values) VALUES (1)", "INSERT INTO t (a, format, values) ", "Values", "(1)"],
    ["INSERT INTO format VALUES (1)", "INSERT INTO format ", "Values", "(1)"],
    ["INSERT INTO values FORMAT CSV\n1", "INSERT INTO values ", "CSV", "1"],
    ["INSERT INTO d.values FORMAT CSV\n1", "INSERT INTO d.values ", "CSV", "1"],
    ["INSERT INTO TABLE t FORMAT CSV\n1", "INSERT INTO TABLE t ", "CSV", "1"],
    ["INSERT INTO table FORMAT CSV\n1", "INSERT INTO table ", "CSV", "1"],
    ["INSERT INTO FUNCTION remote('h', d.t) VALUES (1)", "INSERT INTO FUNCTION remote('h', d.t) ", "Values", "(1)"],
    ["INSERT INTO `a VALUES b` FORMAT CSV\n1", "INSERT INTO `a VALUES b` ", "CSV", "1"],
    ["INSERT t VALUES (1)", "INSERT t ", "Values", "(1)"],
    [
      "-- VALUES\n/* FORMAT x */ INSERT INTO t -- c\n VALUES (1)",
      "-- VALUES\n/* FORMAT x */ INSERT INTO t -- c\n ",
      "Values",
      "(1)",
    ],
    [
      "INSERT INTO t SETTINGS a = 'VALUES', b = 1 FORMAT CSV\n1",
      "INSERT INTO t SETTINGS a = 'VALUES', b = 1 ",
      "CSV",
      "1",
    ],
    ["INSERT INTO {t:Identifier} FORMAT CSV\n1", "INSERT INTO {t:Identifier} ", "CSV", "1"],
    ["INSERT INTO t", "INSERT INTO t", undefined, ""],
    ["INSERT INTO t (a)", "INSERT INTO t (a)", undefined, ""],
  ];
  for (const [bytes, ...expected] of cases) assert.deepEqual(split(bytes), expected, bytes);
});

Deno.test("readHead() leaves everything else to the engine", () => {
  for (
    const bytes of [
      "",
      "SELECT 1",
      "INSERT INTO t SELECT 1 FORMAT CSV",
      "INSERT INTO t (a) WITH 1 AS x SELECT x",
      "INSERT INTO t (SELECT 1)",
      "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
      "INSERTED",
      "'unfinished",
      "/* INSERT INTO t VALUES",
      "CREATE TABLE t (s String) -- INSERT INTO t VALUES (1)",
    ]
  ) assert.equal(split(bytes), "statement", bytes);
});

Deno.test("readHead() asks for more until it is sure, and then says what it says of the whole", () => {
  const rows = fc.string({ unit: "binary-ascii" });
  const heads = fc.constantFrom(
    "INSERT INTO t FORMAT Native\n",
    "INSERT INTO t (a, `b c`) /* VALUES */ SETTINGS x = 'a''b\\'' FORMAT CSV \n",
    "INSERT INTO format VALUES ",
    "insert into d.t values",
    "SELECT 1, '",
  );
  fc.assert(fc.property(heads, rows, fc.nat(), (head, rest, at) => {
    const bytes = head + rest;
    const whole = readHead(bytes, true);
    const part = readHead(bytes.slice(0, at % (bytes.length + 1)), false);
    // Blanks behind VALUES belong to the rows either way.
    if (part.kind === "insert" && whole.kind === "insert" && whole.head.format === "Values") {
      assert.equal(part.head.statementEnd, whole.head.statementEnd);
    } else if (part.kind !== "unfinished") assert.deepEqual(part, whole);
  }));
});

Deno.test("readShape() finds the format of a result", () => {
  const cases: readonly [sql: string, format: string | undefined, select: boolean][] = [
    ["SELECT 1", undefined, true],
    ["SELECT 1 FORMAT JSON", "JSON", true],
    ["select 1\nformat TSV;", "TSV", true],
    ["(SELECT 1) FORMAT CSV SETTINGS max_threads = 1", "CSV", true],
    ["WITH 1 AS x SELECT x, 'FORMAT XML'", undefined, true],
    ["SELECT (SELECT format FROM t)", undefined, true],
    ["SHOW TABLES FORMAT JSONEachRow", "JSONEachRow", false],
    ["-- SELECT\nDESCRIBE t", undefined, false],
  ];
  for (const [sql, format, select] of cases) assert.deepEqual(readShape(sql), { format, select, totals: false }, sql);
  assert.equal(readShape("SELECT a, count() FROM t GROUP BY a WITH TOTALS").totals, true);
  assert.deepEqual(["native", "JSON", "TSVWithNames"].map(isConcatenable), [true, false, false]);
});

Deno.test("clientFeature() finds what no server does for a client", () => {
  const cases: readonly [sql: string, feature: string | undefined][] = [
    ["SELECT 1 INTO OUTFILE '/tmp/x' FORMAT CSV", "outfile"],
    ["INSERT INTO t FROM INFILE '/tmp/x' FORMAT CSV", "infile"],
    ["INSERT INTO t SELECT * FROM input('a UInt8') FORMAT CSV\n1", "input"],
    ["insert into t select a from (select * from Input ('a UInt8'))", "input"],
    ["INSERT INTO outfile SELECT 1", undefined],
    ["SELECT input, 'INTO OUTFILE' FROM t -- INTO OUTFILE", undefined],
    ["SELECT 1", undefined],
  ];
  for (const [sql, feature] of cases) assert.equal(clientFeature(sql), feature, sql);
});
