/** JSON-RPC 2.0 documents: what is sent, and what of an answer can be believed. */
import { type DocumentFault, type Evidence } from "./classify.ts";
import type { Exchange } from "./http_transport.ts";
import { errorMember } from "./open_trace.ts";
import type { Call } from "./port.ts";

/** What one answer holds. */
export type Answer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly evidence: Partial<Evidence> };

/** Longest part of a foreign document that is kept. */
const START = 4_096;

/** One request. */
export function encodeCall(id: number, { method, params }: Call): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/** Reads the answer to the request `id`. */
export function readAnswer(exchange: Exchange, id: number): Answer {
  const { status: httpStatus, bytes } = exchange;
  if (httpStatus !== 200) return { ok: false, evidence: { httpStatus, bytes, ...refusalOf(exchange) } };
  const parsed = parse(exchange.text);
  if (!parsed.ok) return { ok: false, evidence: { httpStatus, bytes, ...parsed.evidence } };
  const answer = readItem(parsed.value, id);
  if (answer.ok) return answer;
  return { ok: false, evidence: { httpStatus, bytes, ...retryAfterOf(exchange), ...answer.evidence } };
}

/** Reads the answers to a batch by their ids; an answer that is missing has no entry. */
export function readAnswers(exchange: Exchange, ids: readonly number[]): Answer | ReadonlyMap<number, Answer> {
  const whole = { httpStatus: exchange.status, bytes: exchange.bytes, batch: true };
  if (exchange.status !== 200) return { ok: false, evidence: { ...whole, ...refusalOf(exchange) } };
  const parsed = parse(exchange.text);
  if (!parsed.ok) return { ok: false, evidence: { ...whole, ...parsed.evidence } };
  const document = parsed.value;
  if (!Array.isArray(document)) {
    const error = (document as { error?: unknown } | null)?.error;
    if (error === undefined || error === null) return { ok: false, evidence: { ...whole, document: "neither" } };
    return { ok: false, evidence: { ...whole, error } };
  }
  const wanted = new Set(ids);
  const answers = new Map<number, Answer>();
  for (const item of document as unknown[]) {
    const id = (item as { id?: unknown } | null)?.id;
    if (typeof id !== "number" || !wanted.delete(id)) continue;
    const answer = readItem(item, id);
    answers.set(id, answer.ok ? answer : { ok: false, evidence: { httpStatus: 200, batch: true, ...answer.evidence } });
  }
  // geth refuses a batch that is too large with one error under the id of its first call.
  const only = document.length === 1 && ids.length > 1 ? (document[0] as { error?: unknown } | null)?.error : undefined;
  return only === undefined || only === null ? answers : { ok: false, evidence: { ...whole, error: only } };
}

function readItem(document: unknown, id: number): Answer {
  if (typeof document !== "object" || document === null || Array.isArray(document)) return faulty("neither");
  const item = document as { id?: unknown; result?: unknown; error?: unknown };
  // Some clients send both members, and some `"error": null` with a result.
  if (item.error !== undefined && item.error !== null) return { ok: false, evidence: { error: item.error } };
  if (item.id === undefined) return faulty("no_id");
  if (item.id !== id) return faulty("foreign_id");
  if (!("result" in item)) return faulty("neither");
  return { ok: true, result: item.result };
}

function faulty(document: DocumentFault): Answer {
  return { ok: false, evidence: { document } };
}

function parse(text: string): { ok: true; value: unknown } | { ok: false; evidence: Partial<Evidence> } {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    return { ok: false, evidence: { document: "not_json", body: text.slice(0, START) } };
  }
}

function refusalOf(exchange: Exchange): Partial<Evidence> {
  return { body: exchange.text.slice(0, START), ...errorMember(exchange.text), ...retryAfterOf(exchange) };
}

/** Providers say how long to stay away with any status. */
function retryAfterOf({ retryAfter }: Exchange): Partial<Evidence> {
  return retryAfter === undefined ? {} : { retryAfter };
}
