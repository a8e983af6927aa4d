/** What holds for the rows of every trace, whatever was executed (TRACE.md, end of 2.4 and of 9). */

type Row = Readonly<Record<string, unknown>>;

const SUMMED = ["opcode_count", "gas", "gas_cumulative", "memory_expansion_gas", "cold_access_count"] as const;

/** The invariants that the rows of one transaction break, as text; none is as it should be. */
export function brokenInvariants(structlogs: readonly Row[], aggregates: readonly Row[]): string[] {
  const broken: string[] = [];
  const equal = (what: string, left: bigint, right: bigint) => {
    if (left !== right) broken.push(`${what}: ${left} is not ${right}`);
  };
  const summaries = aggregates.filter(({ operation }) => operation === "");
  const [root] = summaries.filter((row) => row.call_frame_id === 0);
  if (root === undefined) return ["there is no root frame"];
  equal("sum of gas_self", sum(structlogs, "gas_self"), big(root.gas_cumulative));
  equal(
    "gas_used of depth 1",
    sum(structlogs.filter((row) => Number(row.depth) === 1), "gas_used"),
    big(root.gas_cumulative),
  );
  equal("gas of all frames", sum(summaries, "gas"), big(root.gas_cumulative));
  equal("opcodes of all frames", sum(summaries, "opcode_count"), BigInt(structlogs.length));
  const indexes = structlogs.map((row) => Number(row.index)).sort((a, b) => a - b);
  if (!indexes.every((index, nth) => index === nth)) broken.push("indexes are not 0, 1, 2, …");
  for (const frame of summaries) {
    const path = frame.call_frame_path as readonly number[];
    const id = frame.call_frame_id as number;
    const opcodes = aggregates.filter((row) => row.call_frame_id === id && row.operation !== "");
    const children = summaries.filter((row) => row.parent_call_frame_id === id);
    if (path.at(-1) !== id) broken.push(`frame ${id}: its path ends in ${path.at(-1)}`);
    equal(`depth of frame ${id}`, big(frame.depth), BigInt(path.length - 1));
    equal(
      `gas of frame ${id} without its children`,
      big(frame.gas_cumulative) - sum(children, "gas_cumulative"),
      big(frame.gas),
    );
    if (opcodes.length === 0) continue;
    for (const column of SUMMED) equal(`${column} of frame ${id}`, sum(opcodes, column), big(frame[column]));
  }
  return broken;
}

function big(value: unknown): bigint {
  return BigInt(value as string | number);
}

function sum(rows: readonly Row[], column: string): bigint {
  return rows.reduce((total, row) => total + big(row[column]), 0n);
}
