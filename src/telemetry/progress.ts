/** Live progress of a process: a bar on a terminal, a line a minute (or faster for a demo) otherwise. */
import type { PipelineEvent } from "./events.ts";

/** Totals since the start, and rates over the last seconds. */
export interface ProgressFigures {
  readonly blocks: number;
  readonly blocksAccepted: number;
  readonly transactions: number;
  readonly structlogs: number;
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** Seconds until the accepted blocks and the distance to the head are done at the present rate. */
  readonly etaSeconds: number | undefined;
}

const WINDOW_MS = 10_000;

/** Adds up events. */
export class Progress {
  #blocks = 0;
  #accepted = 0;
  #transactions = 0;
  #structlogs = 0;
  #rows = 0;
  readonly #remaining = new Map<string, number>();
  /** Moments of the last seconds: [time, rows, blocks]. */
  readonly #moments: [number, number, number][] = [];

  constructor(readonly now: () => number) {}

  /** A reader for `subscribe`. */
  readonly read = (event: PipelineEvent): void => {
    switch (event.kind) {
      case "block_accepted":
        this.#accepted++;
        break;
      case "block_finished":
        this.#blocks++;
        break;
      case "checkpoint":
        this.#remaining.set(`${event.network} ${event.direction}`, event.distance);
        break;
      case "transaction_stored":
        this.#transactions++;
        this.#structlogs += event.structlogs;
        this.#rows += event.structlogRows + event.aggregateRows;
        break;
    }
  };

  /** The figures now; call it regularly, rates are over the last calls. */
  figures(): ProgressFigures {
    const now = this.now();
    this.#moments.push([now, this.#rows, this.#blocks]);
    while (this.#moments.length > 2 && this.#moments[0]![0] < now - WINDOW_MS) this.#moments.shift();
    const [since, rows, blocks] = this.#moments[0]!;
    const seconds = Math.max((now - since) / 1000, 0.001);
    const blockRate = (this.#blocks - blocks) / seconds;
    const left = Math.max(this.#accepted - this.#blocks, 0) +
      [...this.#remaining.values()].reduce((sum, n) => sum + n, 0);
    return {
      blocks: this.#blocks,
      blocksAccepted: this.#accepted,
      transactions: this.#transactions,
      structlogs: this.#structlogs,
      rows: this.#rows,
      rowsPerSecond: (this.#rows - rows) / seconds,
      etaSeconds: left === 0 ? 0 : blockRate > 0 ? left / blockRate : undefined,
    };
  }
}

/** `1234567` as `1,234,567`. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** One line: blocks, transactions, structlogs, rows/s, ETA. */
export function progressLine(figures: ProgressFigures): string {
  const eta = figures.etaSeconds === undefined ? "-" : `${Math.ceil(figures.etaSeconds)} s`;
  return `blocks ${grouped(figures.blocks)}/${grouped(figures.blocksAccepted)}  tx ${grouped(figures.transactions)}` +
    `  structlogs ${grouped(figures.structlogs)}  rows/s ${grouped(figures.rowsPerSecond)}  ETA ${eta}`;
}

/** The line with a bar before it, at most `columns` wide. */
export function progressBar(figures: ProgressFigures, columns: number): string {
  const line = progressLine(figures);
  const width = Math.min(24, columns - line.length - 4);
  const share = figures.blocksAccepted === 0 ? 0 : Math.min(1, figures.blocks / figures.blocksAccepted);
  if (width < 6) return line.slice(0, columns);
  const full = Math.round(share * width);
  return `[${"█".repeat(full)}${"░".repeat(width - full)}] ${line}`;
}

/** Where progress is written. */
export interface ProgressOutput {
  readonly terminal: boolean;
  readonly columns: number;
  write(text: string): void;
}

/** Writes progress until disposed of: every 250 ms over the same line of a terminal, otherwise a line every `lineMs`. */
export function showProgress(progress: Progress, output: ProgressOutput, lineMs: number): Disposable {
  const show = () => {
    const figures = progress.figures();
    output.write(output.terminal ? `\r\x1b[2K${progressBar(figures, output.columns)}` : `${progressLine(figures)}\n`);
  };
  const timer = setInterval(show, output.terminal ? 250 : lineMs);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      show();
      if (output.terminal) output.write("\n");
    },
  };
}
