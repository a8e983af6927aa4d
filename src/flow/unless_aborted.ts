/** A promise that somebody may stop waiting for. */

/**
 * `work`, or the signal's reason if that is aborted first; `work` goes on then. Leaves no listener behind.
 *
 * @throws what `work` rejects with; the reason of `signal`.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
