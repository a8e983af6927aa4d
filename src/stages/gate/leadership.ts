/**
 * Leadership of one direction of a network as a stream. The term's fencing token is checked where it matters, inside
 * the queue's ENQUEUE: two processes may believe that they lead for a moment, only one of them can enqueue.
 */
import { distinctUntilChanged, Observable } from "rxjs";
import { classified } from "../../errors.ts";
import { pause } from "../../flow/pause.ts";
import { emit } from "../../telemetry/emit.ts";

/** A term of office. */
export interface Office {
  readonly mode: "forwards" | "backwards";
  readonly holder: string;
  readonly token: number;
}

/** What leadership needs of the queue. */
export interface Elections {
  readonly network: string;
  lead(mode: Office["mode"], holder: string): Promise<Office | undefined>;
  renew(office: Office): Promise<boolean>;
  resign(office: Office): Promise<void>;
}

/** Whether this process leads. */
export interface Leadership {
  readonly leading: boolean;
  readonly office?: Office;
}

/** Options of {@linkcode leadership}. */
export interface LeadershipOptions {
  /** Between two renewals, and between two tries to be elected. */
  readonly renewMs: number;
  /** How long a term lasts at the queue without a renewal; here it ends then too, whether or not the queue answers. */
  readonly ttlMs: number;
}

/**
 * Stands for election until unsubscribed; then resigns.
 *
 * @param elections The queue of the network.
 * @param holder Identity of the process.
 */
export function leadership(
  elections: Elections,
  mode: Office["mode"],
  holder: string,
  options: LeadershipOptions,
): Observable<Leadership> {
  return new Observable<Leadership>((subscriber) => {
    const ended = new AbortController();
    stand(elections, mode, holder, options, ended.signal, (value) => subscriber.next(value)).catch((error) =>
      subscriber.error(error)
    );
    return () => ended.abort();
  }).pipe(distinctUntilChanged((a, b) => a.office?.token === b.office?.token));
}

async function stand(
  elections: Elections,
  mode: Office["mode"],
  holder: string,
  options: LeadershipOptions,
  ended: AbortSignal,
  tell: (leadership: Leadership) => void,
): Promise<void> {
  tell({ leading: false });
  while (!ended.aborted) {
    const endMs = performance.now() + options.ttlMs;
    const office = await unlessRetried(elections.lead(mode, holder), undefined);
    // An answer that took longer than the term is asked for again, which prolongs a term of ours.
    if (office !== undefined && performance.now() >= endMs) continue;
    if (office !== undefined) await serve(elections, office, endMs, options, ended, tell);
    await pause(options.renewMs, ended);
  }
}

/** One term: told at its beginning and at its end. */
async function serve(
  elections: Elections,
  office: Office,
  firstEndMs: number,
  { renewMs, ttlMs }: LeadershipOptions,
  ended: AbortSignal,
  tell: (leadership: Leadership) => void,
): Promise<void> {
  const { network } = elections;
  const changed = (leading: boolean) =>
    emit({ kind: "leadership_changed", network, mode: office.mode, leading, token: office.token });
  changed(true);
  if (!ended.aborted) tell({ leading: true, office });
  // Counted from when the queue was asked: there the term cannot end earlier.
  let endMs = firstEndMs;
  while (!ended.aborted) {
    await pause(renewMs, ended);
    if (ended.aborted) break;
    const nextMs = performance.now() + ttlMs;
    if (!await before(endMs, unlessRetried(elections.renew(office), false))) break;
    endMs = nextMs;
  }
  changed(false);
  if (ended.aborted) await unlessRetried(elections.resign(office), undefined);
  else tell({ leading: false });
}

/** The answer, or `false` where it is not there in time: a queue that is away does not say that the term is over. */
async function before(endMs: number, answer: Promise<boolean>): Promise<boolean> {
  const answered = new AbortController();
  const late = pause(Math.max(0, endMs - performance.now()), answered.signal).then(() => false);
  try {
    return await Promise.race([answer, late]);
  } finally {
    answered.abort();
    answer.catch(() => {}); // nobody waits for it any more
  }
}

/** What the queue answers; `otherwise` in an outage, which the queue itself reports. */
async function unlessRetried<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (classified(error).disposition === "fatal") throw error;
    return otherwise;
  }
}
