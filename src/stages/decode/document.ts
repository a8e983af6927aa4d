/**
 * The general reader: any JSON-RPC reply that holds traces, in whatever order and form its members come, in constant
 * memory. It hears the JSON from {@linkcode JsonReader}, gives the facts of each result to the semantics, and offers to
 * pause before each structlog, so that the scanner may take those that it can.
 *
 * A reply is an envelope `{jsonrpc, id, result | error}` or the bare result. A result is a trace, or (shape `block`) an
 * array of `{txHash, result}` or of bare traces.
 */
import { MalformedReplyError, RAW_ERROR_BYTES, ReplyError } from "./errors.ts";
import { JsonReader, type JsonVisitor } from "./json.ts";
import type { ResultFacts, TraceMeaning } from "./meaning.ts";
import type { ReplyContext } from "./port.ts";
import { STRUCTLOG_MEMBERS, type StructlogRecord } from "./structlog.ts";
import { errorText, normaliseHex, parseQuantity, type Quantity, Text } from "./texts.ts";

/** Who is told of transactions, and that the record holds a structlog. */
export type TraceListener =
  & Pick<TraceMeaning, "beginTransaction" | "returnValue" | "endTransaction">
  & { structlog(): void };

const enum Context {
  /** Before the reply's value. */
  Reply,
  /** In the envelope or a block's item; either may be a bare trace instead. */
  Outer,
  Result,
  Items,
  Structlogs,
  Structlog,
  Stack,
  /** In a value that is passed over. */
  Skip,
  /** In a value whose raw text is kept. */
  Raw,
}

/** Members of a trace whose value is a number. */
const NUMBER_FACTS: ReadonlyMap<string, NumberFact> = new Map<string, NumberFact>([
  ["gas", "gas"],
  ["regularGasUsed", "executionGasUsed"],
  ["executionGasUsed", "executionGasUsed"],
  ["stateGasUsed", "stateGasUsed"],
  ["gasRefund", "finalRefund"],
]);

type NumberFact = "gas" | "executionGasUsed" | "stateGasUsed" | "finalRefund";

/** Members that tell a trace from an envelope. */
const TRACE_MEMBERS: ReadonlySet<string> = new Set(["structLogs", "failed", "returnValue", ...NUMBER_FACTS.keys()]);

const NUMBER_MEMBERS: ReadonlySet<string> = new Set(["pc", "gas", "gasCost", "depth", "refund"]);

/** Bytes of an `error` member that are kept, and of the longest text of one. */
const MAX_ERROR_BYTES = 0x100000;
/** Bytes of the longest number, word or hash as text; a longer one is none. */
const MAX_SHORT_BYTES = 128;

type Mutable<T> = { -readonly [Member in keyof T]: T[Member] };

/** An `error` member that is not null. */
interface ErrorMember {
  readonly code: number | undefined;
  readonly message: string;
  readonly data: string | undefined;
  /** As it stands in the reply, at most RAW_ERROR_BYTES. */
  readonly raw: Uint8Array;
}

/** What is known of the envelope or item that is open. */
class Outer {
  /** Offset in the reply of its first byte. */
  readonly from: number;
  /** It holds a trace's members itself. */
  bare = false;
  result: "none" | "null" | "read" = "none";
  error: ErrorMember | undefined;
  errorCode: string | undefined;
  transactionHash: string | undefined;

  constructor(from: number) {
    this.from = from;
  }
}

/** Reads one reply. See the module comment. */
export class TraceDocument implements JsonVisitor {
  readonly #reader: JsonReader;
  readonly #record: StructlogRecord;
  readonly #listener: TraceListener;
  readonly #error = new Text(new Uint8Array(MAX_ERROR_BYTES));
  readonly #short = new Text(new Uint8Array(MAX_SHORT_BYTES));
  /** Raw JSON of an error that is an object or an array. */
  readonly #raw = new Uint8Array(MAX_ERROR_BYTES);
  /** Contexts around the present one. */
  readonly #contexts: Context[] = [];
  #context: Context = Context.Reply;
  #member: string | undefined;
  /** Open containers inside the one that is skipped or kept raw. */
  #nested = 0;
  /** Where the string in progress goes; `undefined` when nobody wants it. */
  #text: Text | undefined;
  #reply: ReplyContext | undefined;
  #offers = false;
  #outer = new Outer(0);
  /** The envelope, while #outer is an item of its block. */
  #envelope: Outer | undefined;
  #facts: Mutable<ResultFacts> | undefined;
  #transactions = 0;
  #structlogs = 0;
  /** The bytes in hand, their end, and the offset in the reply of index 0. */
  #bytes: Uint8Array = new Uint8Array(0);
  #to = 0;
  #base = 0;
  /** The one before index 0. */
  #lastByte = 0;

  constructor(record: StructlogRecord, listener: TraceListener) {
    this.#record = record;
    this.#listener = listener;
    this.#reader = new JsonReader(this, (expected, index) => this.#refuse(expected, index));
  }

  /** Begins a reply. `offers`: pause before structlogs, for the scanner. */
  begin(reply: ReplyContext, offers: boolean): void {
    this.#reader.reset();
    this.#reply = reply;
    this.#offers = offers;
    this.#contexts.length = 0;
    this.#context = Context.Reply;
    this.#nested = 0;
    this.#envelope = undefined;
    this.#facts = undefined;
    this.#transactions = 0;
    this.#structlogs = 0;
  }

  /** Structlogs read so far. */
  get structlogs(): number {
    return this.#structlogs;
  }

  /** The next byte is where a structlog may begin: the scanner may read on. */
  get paused(): boolean {
    return this.#context === Context.Structlogs && this.#reader.paused;
  }

  /**
   * Reads `bytes[from, to)`; `base` is the offset in the reply of index 0. Returns `to`, or less where it is
   * {@linkcode paused}.
   *
   * @throws {MalformedReplyError}
   * @throws {ReplyError}
   */
  read(bytes: Uint8Array, from: number, to: number, base: number): number {
    this.#hold(bytes, to, base);
    const next = this.#reader.read(bytes, from, to);
    this.#lastByte = bytes[to - 1]!;
    return next;
  }

  /** While paused: the scanner has read structlogs up to `to`, each with the comma behind it, or the last with the `]`. */
  scanned(structlogs: number, ended: boolean, bytes: Uint8Array, to: number, base: number): void {
    this.#hold(bytes, to, base);
    this.#structlogs += structlogs;
    if (structlogs > 0) this.#reader.elementsRead();
    if (ended) this.#reader.arrayRead(to);
  }

  /** The reply has ended at index `to`. @throws {MalformedReplyError} when it is not complete. */
  end(bytes: Uint8Array, to: number, base: number): void {
    this.#hold(bytes, to, base);
    this.#reader.end(to);
  }

  beginObject(): void {
    this.#beginContainer(true);
  }

  beginArray(): void {
    this.#beginContainer(false);
  }

  endObject(): void {
    this.#endContainer();
  }

  endArray(): void {
    this.#endContainer();
  }

  key(name: string | undefined): void {
    this.#member = name;
  }

  beginString(): boolean {
    this.#text = this.#textOfValue();
    this.#text?.clear();
    return this.#text !== undefined;
  }

  stringBytes(bytes: Uint8Array, from: number, to: number): void {
    if (!this.#text!.append(bytes, from, to)) this.#refuseHere(`a text of at most ${this.#text!.maxBytes} bytes`);
  }

  endString(): void {
    if (this.#text === undefined) return;
    switch (this.#context) {
      case Context.Stack:
        return this.#check(this.#record.word(this.#short.bytes()));
      case Context.Structlog:
        return this.#structlogText();
      default:
        return this.#outerText();
    }
  }

  number(): void {
    switch (this.#context) {
      case Context.Skip:
      case Context.Raw:
        return;
      case Context.Structlog:
        if (NUMBER_MEMBERS.has(this.#member!)) return this.#structlogNumber(this.#reader.number);
        if (this.#member === "error") return this.#structlogError(this.#reader.number ?? "");
        if (STRUCTLOG_MEMBERS.has(this.#member!)) this.#refuseValue();
        return;
      case Context.Outer:
      case Context.Result:
        return this.#outerNumber();
      default:
        this.#refuseValue();
    }
  }

  literal(value: boolean | null): void {
    switch (this.#context) {
      case Context.Skip:
      case Context.Raw:
        return;
      case Context.Structlog:
        return this.#structlogLiteral(value);
      case Context.Outer:
      case Context.Result:
        return this.#outerLiteral(value);
      default:
        this.#refuseValue();
    }
  }

  // ---- containers ----

  #beginContainer(isObject: boolean): void {
    switch (this.#context) {
      case Context.Skip:
      case Context.Raw:
        this.#nested++;
        return;
      case Context.Reply:
        if (isObject) this.#beginOuter();
        else if (this.#reply!.shape === "block") this.#enter(Context.Items);
        else this.#refuseValue();
        return;
      case Context.Items:
        if (!isObject) this.#refuseValue();
        return this.#beginItem();
      case Context.Structlogs:
        if (!isObject) this.#refuseValue();
        this.#record.begin();
        return this.#enter(Context.Structlog);
      case Context.Stack:
        return this.#refuseValue();
      case Context.Structlog:
        if (this.#member === "error") return this.#enterRaw();
        if (this.#member === "stack" && !isObject) {
          this.#record.beginStack();
          return this.#enter(Context.Stack);
        }
        if (STRUCTLOG_MEMBERS.has(this.#member!)) this.#refuseValue();
        return this.#enter(Context.Skip);
      case Context.Outer:
      case Context.Result:
        return this.#beginOuterMember(isObject);
    }
  }

  #beginOuterMember(isObject: boolean): void {
    if (this.#isResult()) return this.#beginResult(isObject);
    if (this.#member === "error") return this.#enterRaw();
    if (!this.#isTraceMember()) return this.#enter(Context.Skip);
    if (this.#member !== "structLogs" || isObject) this.#refuseValue();
    if (this.#facts!.structLogs) this.#refuseHere("no second structLogs");
    this.#facts!.structLogs = true;
    this.#enter(Context.Structlogs);
    if (this.#offers) this.#reader.pauseHere();
  }

  #endContainer(): void {
    if (this.#nested > 0) {
      this.#nested--;
      return;
    }
    const ended = this.#context;
    this.#context = this.#contexts.pop()!;
    switch (ended) {
      case Context.Raw:
        return this.#endRaw();
      case Context.Structlog:
        return this.#endStructlog();
      case Context.Result:
        this.#facts!.bytes = this.#base + this.#reader.position - this.#facts!.offset;
        return;
      case Context.Outer:
        return this.#endOuter();
      case Context.Items:
        return this.#endItems();
    }
  }

  #enter(context: Context): void {
    this.#contexts.push(this.#context);
    this.#context = context;
  }

  #enterRaw(): void {
    this.#reader.capture(this.#raw);
    this.#enter(Context.Raw);
  }

  #endRaw(): void {
    const length = this.#reader.captured();
    const fits = length <= this.#raw.length;
    const json = decoder.decode(this.#raw.subarray(0, Math.min(length, this.#raw.length)));
    if (this.#context === Context.Outer) {
      const value: unknown = fits ? JSON.parse(json) : undefined;
      const raw = this.#raw.slice(0, Math.min(length, RAW_ERROR_BYTES));
      this.#outer.error = errorMember(value, json, raw);
      return;
    }
    if (!fits) this.#refuseHere(`an error of at most ${this.#raw.length} bytes`);
    const text = errorText(JSON.parse(json));
    if (this.#context === Context.Structlog) this.#structlogError(text);
    else this.#facts!.error = text;
  }

  // ---- envelopes, items, results ----

  #beginOuter(): void {
    this.#outer = new Outer(this.#base + this.#reader.position - 1);
    this.#enter(Context.Outer);
  }

  #beginItem(): void {
    const count = this.#reply!.transactions.length;
    if (count > 0 && this.#transactions === count) this.#refuseHere(`no more than ${count} transactions`);
    this.#envelope = this.#outer;
    this.#beginOuter();
  }

  #endItems(): void {
    const count = this.#reply!.transactions.length;
    if (count > 0 && this.#transactions !== count) this.#refuseHere(`${count} transactions`);
  }

  /** In an envelope or item, at its member `result`, which comes once. */
  #isResult(): boolean {
    if (this.#context !== Context.Outer || this.#member !== "result") return false;
    if (this.#outer.bare || this.#outer.result === "read") this.#refuseHere("no second result");
    return true;
  }

  #beginResult(isObject: boolean): void {
    const isBlock = this.#reply!.shape === "block" && this.#contexts.at(-1) === Context.Reply;
    if (isBlock === isObject) this.#refuseValue();
    this.#outer.result = "read";
    if (isBlock) return this.#enter(Context.Items);
    this.#beginTrace(this.#base + this.#reader.position - 1);
    this.#enter(Context.Result);
  }

  /** Whether the present member is one of a trace. In an envelope or item it means that this is the bare trace. */
  #isTraceMember(): boolean {
    if (this.#member === undefined || !TRACE_MEMBERS.has(this.#member)) return false;
    if (this.#context === Context.Outer && !this.#outer.bare) {
      if (this.#outer.result !== "none") this.#refuseHere("no member of a trace beside result");
      this.#outer.bare = true;
      this.#beginTrace(this.#outer.from);
    }
    return true;
  }

  #beginTrace(from: number): void {
    this.#facts = { structLogs: false, offset: from, bytes: 0 };
    this.#listener.beginTransaction(this.#transactions);
  }

  /** The envelope or an item has ended, and with it what is said about its trace. */
  #endOuter(): void {
    const outer = this.#outer;
    const isItem = this.#context === Context.Items;
    if (isItem) this.#outer = this.#envelope!;
    const transaction = isItem ? this.#transactions : undefined;
    if (outer.error !== undefined && !outer.bare) {
      const { code, message, data, raw } = outer.error;
      throw new ReplyError({ absent: false, rpcCode: code, rpcMessage: message, rpcData: data, raw, transaction });
    }
    if (outer.result === "null") {
      throw new ReplyError({
        absent: true,
        rpcCode: undefined,
        rpcMessage: "result is null",
        rpcData: undefined,
        raw: new Uint8Array(0),
        transaction,
      });
    }
    const facts = this.#facts;
    if (facts === undefined) {
      if (outer.result === "none") this.#refuseHere("member result");
      return;
    }
    if (outer.bare) {
      facts.bytes = this.#base + this.#reader.position - facts.offset;
      if (outer.error !== undefined) facts.error = outer.error.message;
      if (outer.errorCode !== undefined) facts.errorCode = outer.errorCode;
    }
    if (outer.transactionHash !== undefined) facts.transactionHash = outer.transactionHash;
    this.#facts = undefined;
    this.#listener.endTransaction(facts);
    this.#transactions++;
  }

  // ---- scalar members of envelopes, items and results ----

  #outerText(): void {
    if (this.#member === "error") return this.#setError(this.#error.toString(), this.#error.bytes());
    if (this.#member === "errorCode") return this.#setErrorCode(this.#short.toString());
    if (this.#member === "txHash") {
      this.#outer.transactionHash = this.#short.toString();
    } else if (this.#member === "returnValue") {
      const text = this.#text!.bytes();
      const from = normaliseHex(text);
      if (from < 0) this.#refuseHere("hex text");
      this.#setReturnValue(decoder.decode(text.subarray(from)));
    } else {
      this.#setNumber(this.#short.toString());
    }
  }

  #outerNumber(): void {
    if (this.#isResult()) this.#refuseValue();
    if (this.#member === "error") return this.#setError(this.#reader.number ?? "", new Uint8Array(0));
    if (this.#member === "errorCode") return this.#setErrorCode(this.#reader.number);
    if (!this.#isTraceMember()) return;
    if (!NUMBER_FACTS.has(this.#member!)) this.#refuseValue();
    this.#setNumber(this.#reader.number);
  }

  #outerLiteral(value: boolean | null): void {
    if (this.#isResult()) {
      if (value !== null) this.#refuseValue();
      this.#outer.result = "null";
    } else if (this.#member === "error") {
      this.#setError(value === null ? undefined : String(value), new Uint8Array(0));
    } else if (this.#member === "errorCode") {
      this.#setErrorCode(value === null ? undefined : String(value));
    } else if (this.#isTraceMember()) {
      this.#traceLiteral(value);
    }
  }

  #traceLiteral(value: boolean | null): void {
    if (this.#member === "failed") {
      if (value === null) delete this.#facts!.failed;
      else this.#facts!.failed = value;
      return;
    }
    if (value !== null) this.#refuseValue();
    if (this.#member === "returnValue") return this.#setReturnValue("");
    const fact = NUMBER_FACTS.get(this.#member!);
    if (fact !== undefined) delete this.#facts![fact];
  }

  #setNumber(text: string | undefined): void {
    const quantity = this.#quantity(text);
    this.#facts![NUMBER_FACTS.get(this.#member!)!] = quantity.negative ? -quantity.magnitude : quantity.magnitude;
  }

  #setReturnValue(hex: string): void {
    if (hex === "") delete this.#facts!.returnValue;
    else this.#facts!.returnValue = hex;
    this.#listener.returnValue(hex === "" ? undefined : hex);
  }

  #setError(text: string | undefined, raw: Uint8Array): void {
    if (this.#context === Context.Outer) {
      this.#outer.error = text === undefined
        ? undefined
        : { code: undefined, message: text, data: undefined, raw: raw.slice(0, RAW_ERROR_BYTES) };
    } else if (text === undefined) delete this.#facts!.error;
    else this.#facts!.error = text;
  }

  #setErrorCode(text: string | undefined): void {
    if (this.#context === Context.Outer) this.#outer.errorCode = text;
    else if (text === undefined) delete this.#facts!.errorCode;
    else this.#facts!.errorCode = text;
  }

  /** Where the text that begins goes; `undefined` when nobody wants it. */
  #textOfValue(): Text | undefined {
    switch (this.#context) {
      case Context.Skip:
      case Context.Raw:
        return undefined;
      case Context.Stack:
        return this.#short;
      case Context.Structlog:
        return this.#structlogTextOf();
      case Context.Outer:
      case Context.Result:
        return this.#outerTextOf();
      default:
        return this.#refuseValue();
    }
  }

  #outerTextOf(): Text | undefined {
    if (this.#isResult()) this.#refuseValue();
    if (this.#member === "error") return this.#error;
    if (this.#member === "errorCode" || (this.#member === "txHash" && this.#context === Context.Outer)) {
      return this.#short;
    }
    if (!this.#isTraceMember()) return undefined;
    if (this.#member === "returnValue") return this.#record.returnData;
    if (!NUMBER_FACTS.has(this.#member!)) this.#refuseValue();
    return this.#short;
  }

  // ---- structlogs ----

  #structlogTextOf(): Text | undefined {
    switch (this.#member) {
      case "op":
        return this.#record.op;
      case "error":
        return this.#record.error;
      case "returnData":
        return this.#record.returnData;
      case "stack":
        return this.#refuseValue();
    }
    return NUMBER_MEMBERS.has(this.#member!) ? this.#short : undefined;
  }

  #structlogText(): void {
    switch (this.#member) {
      case "op":
        return this.#record.endOp();
      case "error":
        return this.#record.endError();
      case "returnData":
        return this.#check(this.#record.endReturnData());
    }
    if (NUMBER_MEMBERS.has(this.#member!)) this.#structlogNumber(this.#short.toString());
  }

  #structlogNumber(text: string | undefined): void {
    this.#check(this.#record.number(this.#member!, this.#quantity(text)));
  }

  #structlogError(text: string): void {
    if (!this.#record.setError(text)) this.#refuseHere(`an error of at most ${this.#record.error.maxBytes} bytes`);
  }

  #structlogLiteral(value: boolean | null): void {
    if (this.#member === "error") return this.#structlogError(value === null ? "" : String(value));
    if (!STRUCTLOG_MEMBERS.has(this.#member!)) return;
    if (value !== null) this.#refuseValue();
    switch (this.#member) {
      case "op":
        return this.#record.noOp();
      case "stack":
        return this.#record.noStack();
      case "returnData":
        this.#record.returnData.clear();
        return this.#check(this.#record.endReturnData());
      default:
        return this.#check(this.#record.number(this.#member!, undefined));
    }
  }

  #endStructlog(): void {
    if (this.#record.hasOp) {
      this.#check(this.#record.end());
      this.#listener.structlog();
    }
    this.#structlogs++;
  }

  // ---- refusals ----

  #quantity(text: string | undefined): Quantity {
    const quantity = text === undefined ? undefined : parseQuantity(text);
    return quantity ?? this.#refuseHere("an integer of at most 64 bits");
  }

  #check(complaint: string | undefined): void {
    if (complaint !== undefined) this.#refuseHere(complaint);
  }

  /** The value is of a kind that its place does not take. */
  #refuseValue(): never {
    this.#refuseHere(this.#expectedValue());
  }

  #expectedValue(): string {
    switch (this.#context) {
      case Context.Reply:
        return this.#reply!.shape === "block" ? "an object or an array" : "an object";
      case Context.Items:
      case Context.Structlogs:
        return "an object";
      case Context.Stack:
        return "a text";
      case Context.Structlog:
        return this.#member === "stack" ? "an array" : NUMBER_MEMBERS.has(this.#member!) ? "a number" : "a text";
      default:
        return EXPECTED_MEMBERS.get(this.#member!) ?? "a number";
    }
  }

  #refuseHere(expected: string): never {
    return this.#refuse(expected, this.#reader.position - 1);
  }

  #refuse(expected: string, index: number): never {
    throw new MalformedReplyError({
      offset: this.#base + index,
      expected,
      found: index < this.#to ? describe(this.#bytes[index] ?? this.#lastByte) : "the end of the reply",
      structlogs: this.#structlogs,
      transaction: this.#transactions,
    });
  }

  #hold(bytes: Uint8Array, to: number, base: number): void {
    this.#bytes = bytes;
    this.#to = to;
    this.#base = base;
  }
}

const EXPECTED_MEMBERS: ReadonlyMap<string, string> = new Map([
  ["result", "an object, or the array of a block"],
  ["structLogs", "an array"],
  ["failed", "true or false"],
  ["returnValue", "a text"],
]);

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A byte as people read it. */
function describe(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? JSON.stringify(String.fromCharCode(byte)) : `byte 0x${byte.toString(16)}`;
}

/** Code, message and data of a JSON-RPC error; of another value its JSON as the message. */
function errorMember(value: unknown, json: string, raw: Uint8Array): ErrorMember {
  const { code, message, data } = (value ?? {}) as { code?: unknown; message?: unknown; data?: unknown };
  return {
    code: typeof code === "number" ? code : undefined,
    message: typeof message === "string" ? message : json.slice(0, RAW_ERROR_BYTES),
    data: data === undefined || typeof data === "string" ? data : JSON.stringify(data),
    raw,
  };
}
