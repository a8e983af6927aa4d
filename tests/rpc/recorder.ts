/** Collects events of the pool while a test runs. */
import { subscribe } from "../../src/telemetry/emit.ts";
import type { PipelineEvent } from "../../src/telemetry/events.ts";

/** Events of this kind. */
export type EventOf<K extends PipelineEvent["kind"]> = Extract<PipelineEvent, { kind: K }>;

/** Events since it was made, and a promise for those to come. */
export class Recorder implements Disposable {
  readonly events: PipelineEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #subscription = subscribe((event) => {
    this.events.push(event);
    for (const look of [...this.#waiting]) look();
  });

  of<K extends PipelineEvent["kind"]>(kind: K): EventOf<K>[] {
    return this.events.filter((event): event is EventOf<K> => event.kind === kind);
  }

  /** The first event of this kind that fits, seen already or not. */
  until<K extends PipelineEvent["kind"]>(
    kind: K,
    fits: (event: EventOf<K>) => boolean = () => true,
  ): Promise<EventOf<K>> {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.of(kind).find(fits);
        if (found === undefined) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
