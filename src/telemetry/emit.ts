/**
 * The one port of observation. Stages call {@linkcode emit}; logs, metrics, health and progress are readers added by
 * {@linkcode subscribe}. Emitting is synchronous and never throws into the stage.
 */
import type { PipelineEvent } from "./events.ts";

/** Reads every event of this isolate. */
export type Reader = (event: PipelineEvent) => void;

const readers = new Set<Reader>();

/** Tells every reader that something happened. A reader that throws is a defect of the reader, not of the stage. */
export function emit(event: PipelineEvent): void {
  for (const read of readers) {
    try {
      read(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** Adds a reader. Dispose of the result to remove it. */
export function subscribe(reader: Reader): Disposable {
  readers.add(reader);
  return { [Symbol.dispose]: () => void readers.delete(reader) };
}
