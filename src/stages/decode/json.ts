/**
 * A resumable JSON reader in constant memory: it takes bytes in pieces of any size and tells a visitor what they say. It
 * exists because `JSON.parse` needs the whole text, and a trace may have twenty gigabytes.
 *
 * It is strict about the grammar of RFC 8259 and lenient about UTF-8: bytes of a string pass as they are. Strings are
 * told in runs of decoded bytes, so that none has to fit anywhere.
 */

/** Deepest nesting of containers: JSON that is nested deeper is refused. */
export const MAX_NESTING = 10_000;

/** Longest key that is told; a longer one is unknown to every visitor. */
export const MAX_KEY_BYTES = 64;

/** Bytes of a number that are kept; no number of 64 bits is longer. */
export const MAX_NUMBER_BYTES = 32;

/** Hears what the text says, in its order. */
export interface JsonVisitor {
  beginObject(): void;
  endObject(): void;
  beginArray(): void;
  endArray(): void;
  /** The next value is that of this member; `undefined` for a name longer than {@linkcode MAX_KEY_BYTES}. */
  key(name: string | undefined): void;
  /** A string value begins; `true` asks for its bytes. */
  beginString(): boolean;
  /** Decoded bytes of the string value that was asked for, valid during the call. */
  stringBytes(bytes: Uint8Array, from: number, to: number): void;
  endString(): void;
  /** A number: its text is {@linkcode JsonReader.number}. */
  number(): void;
  /** `true`, `false` or `null`. */
  literal(value: boolean | null): void;
}

/** Throws the error of a text that is not what it should be. `offset` is an index into the bytes in hand. */
export type Refuse = (expected: string, index: number) => never;

const enum State {
  Value,
  ValueOrEnd,
  KeyOrEnd,
  Key,
  Colon,
  AfterValue,
  String,
  Escape,
  Unicode,
  Literal,
  Minus,
  Zero,
  Integer,
  Point,
  Fraction,
  Exponent,
  ExponentSign,
  ExponentDigits,
  Done,
}

const EXPECTED: Readonly<Record<State, string>> = {
  [State.Value]: "a value",
  [State.ValueOrEnd]: "a value or ]",
  [State.KeyOrEnd]: "a member's name or }",
  [State.Key]: "a member's name",
  [State.Colon]: "a colon",
  [State.AfterValue]: "a comma or the end of the container",
  [State.String]: "the rest of a string",
  [State.Escape]: "an escaped character",
  [State.Unicode]: "four hex digits",
  [State.Literal]: "true, false or null",
  [State.Minus]: "a digit",
  [State.Zero]: "the end of a number",
  [State.Integer]: "the rest of a number",
  [State.Point]: "a digit",
  [State.Fraction]: "the rest of a number",
  [State.Exponent]: "a digit or a sign",
  [State.ExponentSign]: "a digit",
  [State.ExponentDigits]: "the rest of a number",
  [State.Done]: "nothing more",
};

const TRUE = new TextEncoder().encode("true");
const FALSE = new TextEncoder().encode("false");
const NULL = new TextEncoder().encode("null");

const EMPTY = new Uint8Array(0);

/** The byte that an escaped letter stands for. */
const ESCAPES = new Map([
  [0x22, 0x22], // "
  [0x2f, 0x2f], // /
  [0x5c, 0x5c], // backslash
  [0x62, 0x08], // b
  [0x66, 0x0c], // f
  [0x6e, 0x0a], // n
  [0x72, 0x0d], // r
  [0x74, 0x09], // t
]);

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Value of a hex digit, -1 for other bytes. */
export function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Reads one JSON text. See the module comment. */
export class JsonReader {
  readonly #visitor: JsonVisitor;
  readonly #refuse: Refuse;
  /** One bit per open container: 1 is an object. */
  readonly #objects = new Uint8Array(Math.ceil(MAX_NESTING / 8));
  readonly #key = new Uint8Array(MAX_KEY_BYTES);
  readonly #number = new Uint8Array(MAX_NUMBER_BYTES);
  readonly #decoded = new Uint8Array(4);
  #bytes: Uint8Array = EMPTY;
  #position = 0;
  #state = State.Value;
  #depth = 0;
  #pauseDepth = -1;
  #inKey = false;
  #wanted = false;
  #keyBytes = 0;
  #numberBytes = 0;
  #literal = TRUE;
  #matched = 0;
  #unit = 0;
  #unitDigits = 0;
  /** A high surrogate whose low one has not come yet. */
  #high = 0;
  /** Raw text of the value that {@linkcode capture} asked for. */
  #raw: Uint8Array | undefined;
  #rawBytes = 0;
  #rawFrom = 0;

  constructor(visitor: JsonVisitor, refuse: Refuse) {
    this.#visitor = visitor;
    this.#refuse = refuse;
  }

  /** Begins a new text. */
  reset(): void {
    this.#state = State.Value;
    this.#depth = 0;
    this.#pauseDepth = -1;
    this.#high = 0;
    this.#raw = undefined;
  }

  /** Index behind the last byte of what is being told. */
  get position(): number {
    return this.#position;
  }

  /** Text of the number just told; `undefined` when it is longer than {@linkcode MAX_NUMBER_BYTES}. */
  get number(): string | undefined {
    if (this.#numberBytes > MAX_NUMBER_BYTES) return undefined;
    let text = "";
    for (let index = 0; index < this.#numberBytes; index++) text += String.fromCharCode(this.#number[index]!);
    return text;
  }

  /** `true` between two elements of the array at which {@linkcode pauseHere} was said: the next one begins here. */
  get paused(): boolean {
    return this.#depth === this.#pauseDepth && (this.#state === State.Value || this.#state === State.ValueOrEnd);
  }

  /** From now on {@linkcode read} returns before each element of the array that is open innermost. */
  pauseHere(): void {
    this.#pauseDepth = this.#depth;
  }

  /** While paused: somebody else has read elements, each with its comma. */
  elementsRead(): void {
    this.#state = State.Value;
  }

  /** While paused: somebody else has read the last element and the `]`, up to `position`. */
  arrayRead(position: number): void {
    this.#position = position;
    this.#closeArray();
  }

  /** While a container begins: keep its raw text, as far as it fits into `buffer`. */
  capture(buffer: Uint8Array): void {
    this.#raw = buffer;
    this.#rawBytes = 0;
  }

  /** While that container ends: bytes of its raw text, more than the buffer's length when it did not fit. */
  captured(): number {
    this.#keepRaw(this.#position);
    this.#raw = undefined;
    return this.#rawBytes;
  }

  /** Reads `bytes[from, to)`. Returns `to`, or less where it is {@linkcode paused}. */
  read(bytes: Uint8Array, from: number, to: number): number {
    this.#bytes = bytes;
    this.#rawFrom = from;
    let at = from;
    while (at < to) {
      const byte = bytes[at]!;
      switch (this.#state) {
        case State.String:
          at = this.#readString(bytes, at, to);
          continue;
        case State.Escape:
          this.#readEscape(byte, at);
          break;
        case State.Unicode:
          this.#readUnicode(byte, at);
          break;
        case State.Literal:
          this.#position = at + 1;
          this.#readLiteral(byte, at);
          break;
        case State.Minus:
        case State.Zero:
        case State.Integer:
        case State.Point:
        case State.Fraction:
        case State.Exponent:
        case State.ExponentSign:
        case State.ExponentDigits:
          if (this.#readNumber(byte, at)) break;
          this.#position = at;
          this.#endNumber();
          continue;
        default:
          if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) break;
          this.#position = at + 1;
          this.#readStructure(byte, at);
          if (this.paused) return at + 1;
      }
      at++;
    }
    this.#keepRaw(to);
    return to;
  }

  /** The text has ended at `index`. */
  end(index: number): void {
    const inNumber = this.#state === State.Zero || this.#state === State.Integer || this.#state === State.Fraction ||
      this.#state === State.ExponentDigits;
    if (inNumber && this.#depth === 0) {
      this.#position = index;
      this.#endNumber();
    }
    if (this.#state !== State.Done) this.#refuse(EXPECTED[this.#state], index);
  }

  #keepRaw(to: number): void {
    if (this.#raw === undefined) return;
    const room = this.#raw.length - this.#rawBytes;
    if (room > 0) {
      this.#raw.set(this.#bytes.subarray(this.#rawFrom, Math.min(to, this.#rawFrom + room)), this.#rawBytes);
    }
    this.#rawBytes += to - this.#rawFrom;
    this.#rawFrom = to;
  }

  #readStructure(byte: number, at: number): void {
    switch (this.#state) {
      case State.ValueOrEnd:
        if (byte === 0x5d) return this.#closeArray();
        return this.#beginValue(byte, at);
      case State.Value:
        return this.#beginValue(byte, at);
      case State.KeyOrEnd:
        if (byte === 0x7d) return this.#closeObject();
        return this.#beginKey(byte, at);
      case State.Key:
        return this.#beginKey(byte, at);
      case State.Colon:
        if (byte !== 0x3a) this.#refuse(EXPECTED[State.Colon], at);
        this.#state = State.Value;
        return;
      case State.AfterValue:
        return this.#afterValue(byte, at);
      default:
        this.#refuse(EXPECTED[State.Done], at);
    }
  }

  #afterValue(byte: number, at: number): void {
    const inObject = this.#isObject();
    if (byte === 0x2c) {
      this.#state = inObject ? State.Key : State.Value;
    } else if (inObject) {
      if (byte !== 0x7d) this.#refuse("a comma or }", at);
      this.#closeObject();
    } else {
      if (byte !== 0x5d) this.#refuse("a comma or ]", at);
      this.#closeArray();
    }
  }

  #isObject(): boolean {
    const bit = this.#depth - 1;
    return (this.#objects[bit >> 3]! >> (bit & 7) & 1) === 1;
  }

  #open(isObject: boolean, at: number): void {
    if (this.#depth === MAX_NESTING) this.#refuse(`at most ${MAX_NESTING} containers inside each other`, at);
    const bit = this.#depth++;
    const mask = 1 << (bit & 7);
    if (isObject) this.#objects[bit >> 3]! |= mask;
    else this.#objects[bit >> 3]! &= ~mask;
  }

  #closeObject(): void {
    this.#visitor.endObject();
    this.#depth--;
    this.#valueEnded();
  }

  #closeArray(): void {
    if (this.#pauseDepth === this.#depth) this.#pauseDepth = -1;
    this.#visitor.endArray();
    this.#depth--;
    this.#valueEnded();
  }

  #valueEnded(): void {
    this.#state = this.#depth === 0 ? State.Done : State.AfterValue;
  }

  #beginKey(byte: number, at: number): void {
    if (byte !== 0x22) this.#refuse(EXPECTED[this.#state], at);
    this.#inKey = true;
    this.#keyBytes = 0;
    this.#state = State.String;
  }

  #beginValue(byte: number, at: number): void {
    if (this.#raw === undefined) this.#rawFrom = at;
    if (byte === 0x22) {
      this.#inKey = false;
      this.#state = State.String;
      this.#wanted = this.#visitor.beginString();
    } else if (byte === 0x7b) {
      this.#open(true, at);
      this.#state = State.KeyOrEnd;
      this.#visitor.beginObject();
    } else if (byte === 0x5b) {
      this.#open(false, at);
      this.#state = State.ValueOrEnd;
      this.#visitor.beginArray();
    } else if (byte === 0x2d || isDigit(byte)) {
      this.#numberBytes = 0;
      this.#keepNumber(byte);
      this.#state = byte === 0x2d ? State.Minus : byte === 0x30 ? State.Zero : State.Integer;
    } else {
      this.#literal = byte === 0x74 ? TRUE : byte === 0x66 ? FALSE : NULL;
      if (byte !== this.#literal[0]) this.#refuse(EXPECTED[this.#state], at);
      this.#matched = 1;
      this.#state = State.Literal;
    }
  }

  #readLiteral(byte: number, at: number): void {
    if (byte !== this.#literal[this.#matched]) this.#refuse(EXPECTED[State.Literal], at);
    this.#matched++;
    if (this.#matched < this.#literal.length) return;
    this.#visitor.literal(this.#literal === NULL ? null : this.#literal === TRUE);
    this.#valueEnded();
  }

  /** `false`: the number has ended before this byte. */
  #readNumber(byte: number, at: number): boolean {
    const digit = isDigit(byte);
    switch (this.#state) {
      case State.Minus:
        if (!digit) this.#refuse(EXPECTED[State.Minus], at);
        this.#state = byte === 0x30 ? State.Zero : State.Integer;
        break;
      case State.Point:
      case State.ExponentSign:
        if (!digit) this.#refuse(EXPECTED[this.#state], at);
        this.#state = this.#state === State.Point ? State.Fraction : State.ExponentDigits;
        break;
      case State.Exponent:
        if (byte === 0x2b || byte === 0x2d) this.#state = State.ExponentSign;
        else if (digit) this.#state = State.ExponentDigits;
        else this.#refuse(EXPECTED[State.Exponent], at);
        break;
      case State.Zero:
        if (digit) this.#refuse("no digit after a leading zero", at);
        return this.#continueNumber(byte);
      default:
        if (!digit) return this.#continueNumber(byte);
    }
    this.#keepNumber(byte);
    return true;
  }

  /** Point or exponent behind digits. */
  #continueNumber(byte: number): boolean {
    if (byte === 0x2e && (this.#state === State.Zero || this.#state === State.Integer)) this.#state = State.Point;
    else if ((byte | 0x20) === 0x65 && this.#state !== State.ExponentDigits) this.#state = State.Exponent;
    else return false;
    this.#keepNumber(byte);
    return true;
  }

  #keepNumber(byte: number): void {
    if (this.#numberBytes < MAX_NUMBER_BYTES) this.#number[this.#numberBytes] = byte;
    this.#numberBytes++;
  }

  #endNumber(): void {
    this.#visitor.number();
    this.#valueEnded();
  }

  #readString(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    let byte = 0;
    while (at < to) {
      byte = bytes[at]!;
      if (byte === 0x22 || byte === 0x5c || byte < 0x20) break;
      at++;
    }
    this.#position = at;
    if (at > from) {
      this.#flushSurrogate();
      this.#tell(bytes, from, at);
    }
    if (at === to) return to;
    if (byte === 0x22) {
      this.#flushSurrogate();
      this.#position = at + 1;
      this.#endString();
    } else if (byte === 0x5c) {
      this.#state = State.Escape;
    } else {
      this.#refuse("no control character in a string", at);
    }
    return at + 1;
  }

  #endString(): void {
    if (!this.#inKey) {
      this.#visitor.endString();
      this.#valueEnded();
      return;
    }
    let name: string | undefined;
    if (this.#keyBytes <= MAX_KEY_BYTES) {
      name = "";
      for (let index = 0; index < this.#keyBytes; index++) name += String.fromCharCode(this.#key[index]!);
    }
    this.#visitor.key(name);
    this.#state = State.Colon;
  }

  #tell(bytes: Uint8Array, from: number, to: number): void {
    if (this.#inKey) {
      if (this.#keyBytes + to - from <= MAX_KEY_BYTES) this.#key.set(bytes.subarray(from, to), this.#keyBytes);
      this.#keyBytes += to - from;
    } else if (this.#wanted) {
      this.#visitor.stringBytes(bytes, from, to);
    }
  }

  #readEscape(byte: number, at: number): void {
    if (byte === 0x75) {
      this.#unit = 0;
      this.#unitDigits = 0;
      this.#state = State.Unicode;
      return;
    }
    const decoded = ESCAPES.get(byte);
    if (decoded === undefined) this.#refuse(EXPECTED[State.Escape], at);
    this.#flushSurrogate();
    this.#tellPoint(decoded);
    this.#state = State.String;
  }

  #readUnicode(byte: number, at: number): void {
    const digit = hexValue(byte);
    if (digit < 0) this.#refuse(EXPECTED[State.Unicode], at);
    this.#unit = this.#unit << 4 | digit;
    if (++this.#unitDigits < 4) return;
    this.#state = State.String;
    if (this.#high !== 0 && this.#unit >= 0xdc00 && this.#unit <= 0xdfff) {
      const point = 0x10000 + ((this.#high - 0xd800) << 10) + (this.#unit - 0xdc00);
      this.#high = 0;
      this.#tellPoint(point);
      return;
    }
    this.#flushSurrogate();
    if (this.#unit >= 0xd800 && this.#unit <= 0xdbff) this.#high = this.#unit;
    else this.#tellPoint(this.#unit);
  }

  /** A surrogate without its other half becomes the replacement character. */
  #flushSurrogate(): void {
    if (this.#high === 0) return;
    this.#high = 0;
    this.#tellPoint(0xfffd);
  }

  #tellPoint(point: number): void {
    const decoded = this.#decoded;
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    let length = 1;
    if (point < 0x80) {
      decoded[0] = point;
    } else if (point < 0x800) {
      decoded[0] = 0xc0 | point >> 6;
      decoded[1] = 0x80 | point & 63;
      length = 2;
    } else if (point < 0x10000) {
      decoded[0] = 0xe0 | point >> 12;
      decoded[1] = 0x80 | point >> 6 & 63;
      decoded[2] = 0x80 | point & 63;
      length = 3;
    } else {
      decoded[0] = 0xf0 | point >> 18;
      decoded[1] = 0x80 | point >> 12 & 63;
      decoded[2] = 0x80 | point >> 6 & 63;
      decoded[3] = 0x80 | point & 63;
      length = 4;
    }
    this.#tell(decoded, 0, length);
  }
}
