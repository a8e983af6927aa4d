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
  { renewMs }: LeadershipOptions,
  ended: AbortSignal,
  tell: (leadership: Leadership) => void,
): Promise<void> {
  tell({ leading: false });
  while (!ended.aborted) {
    const office = await unlessRetried(elections.lead(mode, holder), undefined);
    if (office !== undefined) await serve(elections, office, renewMs, ended, tell);
    await pause(renewMs, ended);
  }
}

/** One term: told at its beginning and at its end. */
async function serve(
  elections: Elections,
  office: Office,
  renewMs: number,
  ended: AbortSignal,
  tell: (leadership: Leadership) => void,
): Promise<void> {
  const { network } = elections;
  const changed = (leading: boolean) =>
    emit({ kind: "leadership_changed", network, mode: office.mode, leading, token: office.token });
  changed(true);
  if (!ended.aborted) tell({ leading: true, office });
  while (!ended.aborted) {
    await pause(renewMs, ended);
    if (ended.aborted || await unlessRetried(elections.renew(office), false)) continue;
    break;
  }
  changed(false);
  if (ended.aborted) await unlessRetried(elections.resign(office), undefined);
  else tell({ leading: false });
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
