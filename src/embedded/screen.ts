/** Text for people: a terminal or a file, in colour where that is wanted, tables and trees aligned. */
import { grouped } from "../telemetry/progress.ts";

/** Where text goes, and what it may look like there. */
export interface Screen {
  /** Lines may be written over: it is a terminal. */
  readonly terminal: boolean;
  readonly colour: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Ways to set text apart. */
export type Style = "bold" | "dim" | "good" | "bad" | "accent";

const CODES: Readonly<Record<Style, string>> = { bold: "1", dim: "2", good: "32", bad: "31;1", accent: "36" };

/** `text` in a style where the screen has colour, as it is elsewhere. */
export function styled(screen: Screen, style: Style, text: string): string {
  return screen.colour ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;
}

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly align: "left" | "right";
  /** A number is shown in groups of three digits. */
  readonly value: (row: Row) => string | number;
  /** Style of a cell. */
  readonly style?: (row: Row) => Style | undefined;
}

/** The lines of a table: titles, then a line a row, each column as wide as its widest cell. */
export function tableLines<Row>(screen: Screen, columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = columns.map(({ value }) => rows.map((row) => cellText(value(row))));
  const widths = columns.map(({ title }, nth) => Math.max(title.length, ...cells[nth]!.map((cell) => cell.length)));
  const pad = (text: string, nth: number) =>
    columns[nth]!.align === "left" ? text.padEnd(widths[nth]!) : text.padStart(widths[nth]!);
  const line = (parts: readonly string[]) => parts.join("  ").trimEnd();
  const titles = line(columns.map(({ title }, nth) => pad(title, nth)));
  return [
    styled(screen, "dim", titles),
    ...rows.map((row, at) =>
      line(columns.map(({ style }, nth) => {
        const text = pad(cells[nth]![at]!, nth);
        const wanted = style?.(row);
        return wanted === undefined ? text : styled(screen, wanted, text);
      }))
    ),
  ];
}

function cellText(value: string | number): string {
  return typeof value === "number" ? grouped(value) : value;
}

/** One node of a tree: where it is, as the indexes or ids from the root to it. */
export interface TreeNode {
  readonly path: readonly number[];
}

/**
 * The lines before each node that draw the tree: `├─ `, `└─ `, `│  `. Nodes come in depth-first order, the root first.
 */
export function treeBranches(nodes: readonly TreeNode[]): string[] {
  return nodes.map(({ path }, at) => {
    const more = (level: number) => hasSibling(nodes, at, level);
    const outer = path.slice(1, -1).map((_, level) => more(level + 2) ? "│  " : "   ").join("");
    return path.length === 1 ? "" : `${outer}${more(path.length) ? "├─ " : "└─ "}`;
  });
}

/** Whether, after `nodes[at]`, a node follows at `level` under the same parent as its ancestor there. */
function hasSibling(nodes: readonly TreeNode[], at: number, level: number): boolean {
  const parent = nodes[at]!.path.slice(0, level - 1);
  for (const { path } of nodes.slice(at + 1)) {
    if (path.length < level || !parent.every((id, nth) => path[nth] === id)) return false;
    if (path.length === level) return true;
  }
  return false;
}
