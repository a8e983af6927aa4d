/**
 * One way to decode, in a process of its own: `decode_way.ts WAY CLIENT SCRIPT BYTES RUNS`. Writes what it measured as one
 * JSON object. Times are of the processor: the machine may be shared, and collecting garbage is work too.
 */
import process from "node:process";
import { JSONParser } from "@streamparser/json";
import { openDecoder } from "../src/stages/decode/decoder.ts";
import type { ProofRecord, TraceDecoder, TraceSink } from "../src/stages/decode/port.ts";
import { peakBytes } from "../tests/embedded/process_status.ts";
import { type ParsedStructlog, PlainColumns } from "./decode_plain.ts";
import { NativeSink } from "./native_sink.ts";
import {
  type Client,
  DEEP,
  NARROW,
  type Script,
  SMALL,
  SyntheticTrace,
  WIDE,
  WIDE_STORAGE,
} from "./synthetic_trace.ts";

/** What a process measured. */
export interface Measurement {
  readonly structlogs: number;
  readonly bytes: number;
  /** Of each run. */
  readonly cpuSeconds: readonly number[];
  readonly wallSeconds: readonly number[];
  /** Share of the bytes that the scanner took. */
  readonly fastShare?: number;
  /** Rows of Native blocks, where they were made. */
  readonly nativeRows?: number;
  /** Greatest resident memory of the process. */
  readonly peakRssMb: number;
}

/** Names of scripts on the command line. */
const SCRIPTS: Readonly<Record<string, readonly Script[]>> = {
  wide: [WIDE],
  narrow: [NARROW],
  small: [SMALL],
  deep: [DEEP],
  mixed: [...Array<Script>(20).fill(WIDE_STORAGE), DEEP],
};

/** Bytes that are handed over at once: what a reader of the socket recycles. */
const CHUNK_BYTES = 256 * 1024;
/** How long a way runs before it is measured. */
const WARM_UP_MS = 1_000;
/** Different small replies, together larger than the processor's caches of a core. */
const DISTINCT_REPLIES = 25;

/** A sink that keeps the last record. */
interface RecordingSink extends TraceSink {
  record: ProofRecord | undefined;
}

/** Takes columns and does nothing with them. */
class ColumnSink implements RecordingSink {
  record: ProofRecord | undefined;
  structlogs(): void {}
  frames(): void {}
  returnValue(): void {}
  finished(_position: number, record: ProofRecord): void {
    this.record = record;
  }
}

function decodeReply(
  decoder: TraceDecoder,
  trace: SyntheticTrace,
  pieces: Iterable<Uint8Array>,
  sink: RecordingSink,
): void {
  sink.record = undefined;
  decoder.begin(trace.context, sink);
  for (const piece of pieces) decoder.push(piece);
  decoder.end();
  // A figure of something that is not decoded whole and proved would be worth nothing.
  const { verdict, rows } = sink.record! as ProofRecord;
  if (verdict !== "proved" || rows !== trace.structlogs) throw new Error(`Cannot measure a trace that is ${verdict}`);
}

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

function parseWhole(bytes: Uint8Array): PlainColumns {
  const { structLogs } = JSON.parse(new TextDecoder().decode(bytes)) as { structLogs: ParsedStructlog[] };
  const columns = new PlainColumns(structLogs.length);
  for (const log of structLogs) columns.add(log);
  columns.finish();
  return columns;
}

function parseStreaming(bytes: Uint8Array): PlainColumns {
  const columns = new PlainColumns(1 << 16);
  const parser = new JSONParser({ paths: ["$.structLogs.*"], keepStack: false });
  parser.onValue = ({ value }) => columns.add(value as unknown as ParsedStructlog);
  for (const chunk of chunks(bytes)) parser.write(chunk);
  columns.finish();
  return columns;
}

/** What one run does, and how much that is. */
interface Work {
  readonly structlogs: number;
  readonly bytes: number;
  run(): void;
  fastShare?(): number;
  nativeRows?(): number;
}

async function decodeWhole(trace: SyntheticTrace, sink: RecordingSink): Promise<Work> {
  const bytes = trace.bytes();
  const decoder = await openDecoder();
  return {
    structlogs: trace.structlogs,
    bytes: bytes.length,
    run: () => decodeReply(decoder, trace, chunks(bytes), sink),
    fastShare: () => decoder.progress.fastBytes / bytes.length,
  };
}

/** Without holding the trace: for what is larger than memory. */
async function decodeStream(trace: SyntheticTrace): Promise<Work> {
  const decoder = await openDecoder();
  const sink = new NativeSink(trace.context);
  let bytes = 0;
  return {
    structlogs: trace.structlogs,
    get bytes() {
      return bytes;
    },
    run: () => {
      decodeReply(decoder, trace, trace.pieces(), sink);
      sink.flush();
      bytes = decoder.progress.bytes;
    },
    nativeRows: () => sink.nativeRows,
  };
}

function parseReplies(trace: SyntheticTrace, parse: (bytes: Uint8Array) => PlainColumns): Work {
  const bytes = trace.bytes();
  return {
    structlogs: trace.structlogs,
    bytes: bytes.length,
    run: () => {
      const { rows } = parse(bytes);
      if (rows !== trace.structlogs) throw new Error(`Cannot measure ${rows} of ${trace.structlogs} structlogs`);
    },
  };
}

/** Many replies one after the other, of which few are different. */
function smallReplies(
  client: Client,
  bytes: number,
): { readonly traces: SyntheticTrace[]; readonly replies: Uint8Array[] } {
  const traces = Array.from({ length: DISTINCT_REPLIES }, (_, index) => {
    return new SyntheticTrace(client, [{ ...SMALL, slots: 1 + index % 5 }], bytes);
  });
  return { traces, replies: traces.map((trace) => trace.bytes()) };
}

function rotating(
  { traces, replies }: ReturnType<typeof smallReplies>,
  count: number,
  one: (trace: SyntheticTrace, bytes: Uint8Array) => void,
): Work {
  const sum = (of: (index: number) => number) =>
    Array.from({ length: count }, (_, turn) => of(turn % DISTINCT_REPLIES)).reduce((total, each) => total + each, 0);
  return {
    structlogs: sum((index) => traces[index]!.structlogs),
    bytes: sum((index) => replies[index]!.length),
    run: () => {
      for (let turn = 0; turn < count; turn++) one(traces[turn % DISTINCT_REPLIES]!, replies[turn % DISTINCT_REPLIES]!);
    },
  };
}

const SMALL_REPLIES = 1_500;

async function workOf(way: string, client: Client, script: string, bytes: number): Promise<Work> {
  const trace = () => new SyntheticTrace(client, SCRIPTS[script]!, bytes);
  switch (way) {
    case "decode":
      return await decodeWhole(trace(), new ColumnSink());
    case "native": {
      const made = trace();
      return await decodeWhole(made, new NativeSink(made.context));
    }
    case "stream":
      return await decodeStream(trace());
    case "parse":
      return parseReplies(trace(), parseWhole);
    case "streamparser":
      return parseReplies(trace(), parseStreaming);
    case "small_native": {
      const decoder = await openDecoder();
      const sink = new NativeSink(trace().context);
      return rotating(
        smallReplies(client, bytes),
        SMALL_REPLIES,
        (one, reply) => decodeReply(decoder, one, [reply], sink),
      );
    }
    case "small_decode": {
      const decoder = await openDecoder();
      const sink = new ColumnSink();
      return rotating(smallReplies(client, bytes), 200, (one, reply) => decodeReply(decoder, one, [reply], sink));
    }
    case "small_parse":
      return rotating(smallReplies(client, bytes), SMALL_REPLIES, (_one, reply) => void parseWhole(reply));
    default:
      throw new Error(`Cannot measure ${way}: no such way`);
  }
}

if (import.meta.main) {
  const [way, client, script, bytes, runs] = Deno.args;
  const work = await workOf(way!, client as Client, script!, Number(bytes));
  const cpuSeconds: number[] = [];
  const wallSeconds: number[] = [];
  // A module that has just been loaded is compiled again, better, beside its first runs.
  const warmUntil = performance.now() + (Number(runs) > 1 ? WARM_UP_MS : 0);
  while (performance.now() < warmUntil) work.run();
  for (let run = 0; run < Number(runs); run++) {
    const [cpu, wall] = [process.cpuUsage(), performance.now()];
    work.run();
    const { user, system } = process.cpuUsage(cpu);
    cpuSeconds.push((user + system) / 1e6);
    wallSeconds.push((performance.now() - wall) / 1e3);
  }
  const measurement: Measurement = {
    structlogs: work.structlogs,
    bytes: work.bytes,
    cpuSeconds,
    wallSeconds,
    ...(work.fastShare === undefined ? {} : { fastShare: work.fastShare() }),
    ...(work.nativeRows === undefined ? {} : { nativeRows: work.nativeRows() }),
    peakRssMb: await peakBytes(Deno.pid) / 1e6,
  };
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(measurement)));
}
