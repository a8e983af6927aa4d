/**
 * Reads as much of a ClickHouse statement as the HTTP interface has to know before the engine sees it: where the rows of
 * an INSERT begin, and in which format a result is to be written. Everything else is left to the engine's parser.
 *
 * Works on text in which each character is one byte (Latin-1), since the rows that follow a statement are not text.
 */

/** The head of an INSERT that carries rows. */
export interface InsertHead {
  /** Where the statement ends, `FORMAT` or `VALUES` left out. */
  readonly statementEnd: number;
  /** The format of the rows, e.g. `Native`; absent when the statement names none. */
  readonly format: string | undefined;
  /** Offset of the first byte of the rows. */
  readonly rowsAt: number;
}

/** What the beginning of a request's bytes is. */
export type Head =
  | { readonly kind: "insert"; readonly head: InsertHead }
  /** A statement without rows of its own, to be read whole. */
  | { readonly kind: "statement" }
  /** Too little to tell. */
  | { readonly kind: "unfinished" };

interface Token {
  /** Upper case for a word, otherwise the character itself. */
  readonly word: string;
  readonly start: number;
  readonly end: number;
  readonly depth: number;
}

const SPACE = /[ \t\r\n\f\v\0]/;
const WORD_START = /[A-Za-z_]/;
const WORD = /[A-Za-z0-9_$]/;

/**
 * Tokens of `sql` from `offset`; quoted names and literals are one token whose word is its quote. Ends early at an
 * unfinished comment or literal, with a token `…`.
 */
function* tokens(sql: string, offset = 0): Generator<Token> {
  let at = offset;
  let depth = 0;
  const unfinished = (): Token => ({ word: "…", start: at, end: sql.length, depth });
  while (at < sql.length) {
    const char = sql[at]!;
    const next = sql[at + 1];
    if (SPACE.test(char)) {
      at++;
    } else if ((char === "-" && next === "-") || (char === "#" && (next === " " || next === "!"))) {
      const end = sql.indexOf("\n", at);
      if (end < 0) return yield unfinished();
      at = end + 1;
    } else if (char === "/" && next === "*") {
      const end = sql.indexOf("*/", at + 2);
      if (end < 0) return yield unfinished();
      at = end + 2;
    } else if (char === "'" || char === '"' || char === "`") {
      const end = endOfQuoted(sql, at);
      if (end === undefined) return yield unfinished();
      yield { word: char, start: at, end, depth };
      at = end;
    } else if (WORD_START.test(char)) {
      let end = at + 1;
      while (end < sql.length && WORD.test(sql[end]!)) end++;
      yield { word: sql.slice(at, end).toUpperCase(), start: at, end, depth };
      at = end;
    } else if (char === "$") {
      const tag = /^\$[A-Za-z0-9_]*\$/.exec(sql.slice(at, at + 66))?.[0];
      const end = tag === undefined ? at + 1 : sql.indexOf(tag, at + tag.length);
      if (end < 0) return yield unfinished();
      const after = tag === undefined ? end : end + tag.length;
      yield { word: "$", start: at, end: after, depth };
      at = after;
    } else {
      if (char === ")" || char === "]" || char === "}") depth--;
      yield { word: char, start: at, end: at + 1, depth };
      if (char === "(" || char === "[" || char === "{") depth++;
      at++;
    }
  }
}

/** End of the quoted text that begins at `start`: a backslash escapes, a doubled quote is one quote. */
function endOfQuoted(sql: string, start: number): number | undefined {
  const quote = sql[start]!;
  for (let at = start + 1; at < sql.length; at++) {
    if (sql[at] === "\\") at++;
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  return undefined;
}

/** Words after which an INSERT carries no rows: its rows come from a query, or from a file that the statement names. */
const ROWLESS = new Set(["SELECT", "WITH", "WATCH", "FROM", "…"]);

/**
 * Finds where the rows of an INSERT begin.
 *
 * @param bytes the beginning of `statement, rows`, one character a byte.
 * @param whole `true`: nothing follows `bytes`.
 */
export function readHead(bytes: string, whole: boolean): Head {
  const undecided: Head = whole ? { kind: "statement" } : { kind: "unfinished" };
  const stream = tokens(bytes);
  const first = stream.next().value;
  if (first === undefined || first.word === "…") return undecided;
  // A word that touches the end may go on in what is still to come.
  if (first.end === bytes.length) return undecided;
  if (first.word !== "INSERT") return { kind: "statement" };
  let named = false;
  let previous = first;
  for (const token of stream) {
    if (token.end === bytes.length && !whole) return undecided;
    if (token.depth === 0) {
      if (!named) {
        // INTO, TABLE and FUNCTION come before the name; a table may itself be called FORMAT or VALUES.
        named = !(token.word === "INTO" && previous.word === "INSERT") &&
          !((token.word === "TABLE" || token.word === "FUNCTION") && isPrefix(bytes, token, previous));
      } else if (previous.word !== "." && token.word !== ".") {
        if (token.word === "FORMAT") {
          const format = stream.next().value;
          if (format === undefined || format.word === "…" || (format.end === bytes.length && !whole)) return undecided;
          return insertHead(bytes, token.start, format.end, bytes.slice(format.start, format.end), whole);
        }
        if (token.word === "VALUES") return insertHead(bytes, token.start, token.end, "Values", whole);
        if (ROWLESS.has(token.word)) return token.word === "…" ? undecided : { kind: "statement" };
      }
    } else if (named && previous.word === "(" && (token.word === "SELECT" || token.word === "WITH")) {
      return { kind: "statement" };
    }
    previous = token;
  }
  if (!whole) return undecided;
  return { kind: "insert", head: { statementEnd: bytes.length, format: undefined, rowsAt: bytes.length } };
}

/** TABLE or FUNCTION is a prefix only when a name follows, not when it is the name. */
function isPrefix(sql: string, token: Token, previous: Token): boolean {
  if (previous.word !== "INTO" && previous.word !== "INSERT") return false;
  const next = tokens(sql, token.end).next().value;
  return next !== undefined && (/^[A-Z_`"]/.test(next.word) || next.word === "{") &&
    !["FORMAT", "VALUES", "SELECT", "WITH", "SETTINGS", "PARTITION"].includes(next.word);
}

/** Rows begin after the blanks that follow the format's name, and after one line end, as in the engine's parser. */
function insertHead(bytes: string, end: number, formatEnd: number, format: string, whole: boolean): Head {
  let at = formatEnd;
  while (bytes[at] === " " || bytes[at] === "\t" || bytes[at] === "\f") at++;
  if (bytes[at] === ";") at++;
  if (bytes[at] === "\r") at++;
  if (bytes[at] === "\n") at++;
  else if (at >= bytes.length && !whole) return { kind: "unfinished" };
  return { kind: "insert", head: { statementEnd: end, format, rowsAt: at } };
}

/** What a statement may ask of a program with a file system and a standard input, and never of a server. */
export type ClientFeature = "outfile" | "infile" | "input";

/**
 * Finds what the library, being a client and a server in one, would do with its own files and standard input.
 *
 * @param sql a statement without rows of its own.
 */
export function clientFeature(sql: string): ClientFeature | undefined {
  let inserts = false;
  let words: readonly string[] = ["", ""];
  for (const token of tokens(sql)) {
    const [before, previous] = words as [string, string];
    if (previous === "" && token.word === "INSERT") inserts = true;
    if (previous === "INTO" && token.word === "OUTFILE" && before !== "INSERT") return "outfile";
    if (inserts && previous === "FROM" && token.word === "INFILE") return "infile";
    if (inserts && previous === "INPUT" && token.word === "(") return "input";
    words = [previous, token.word];
  }
  return undefined;
}

/** How a statement's result is written. */
export interface ResultShape {
  /** The format that the statement names, if it does. */
  readonly format: string | undefined;
  /** It is a SELECT, the only kind whose result the engine gives in parts. */
  readonly select: boolean;
  /** It has a part after the rows (`WITH TOTALS`), which not every format repeats alike when written in parts. */
  readonly totals: boolean;
}

/** Reads the first word and the `FORMAT` clause of a statement without rows. */
export function readShape(sql: string): ResultShape {
  let first: string | undefined;
  let format: string | undefined;
  let totals = false;
  let previous: Token | undefined;
  for (const token of tokens(sql)) {
    if (first === undefined && token.word !== "(") first = token.word;
    if (token.depth === 0) {
      if (previous?.word === "FORMAT" && /^[A-Z]/.test(token.word)) format = sql.slice(token.start, token.end);
      if (previous?.word === "WITH" && token.word === "TOTALS") totals = true;
    }
    previous = token;
  }
  return { format, select: first === "SELECT" || first === "WITH" || first === "FROM", totals };
}

/** Formats whose documents may be written one after the other: they have no head, no tail and no separator. */
const CONCATENABLE = new Set(
  [
    "TSV",
    "TabSeparated",
    "TSVRaw",
    "TabSeparatedRaw",
    "CSV",
    "TSKV",
    "JSONEachRow",
    "JSONLines",
    "NDJSON",
    "JSONStringsEachRow",
    "JSONCompactEachRow",
    "JSONCompactStringsEachRow",
    "RowBinary",
    "Native",
    "LineAsString",
    "RawBLOB",
  ].map((name) => name.toLowerCase()),
);

/** Whether a result in `format` may be streamed part by part. */
export function isConcatenable(format: string): boolean {
  return CONCATENABLE.has(format.toLowerCase());
}
