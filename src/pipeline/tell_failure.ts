/** One way to tell that what a leader does beside the work failed and is tried again. */
import { classified, type PipelineError } from "../errors.ts";
import type { Direction } from "../stages/gate/ledger.ts";
import { emit } from "../telemetry/emit.ts";

/** The direction that is led, or what else of discovery failed. */
export type DiscoverPart = Direction | "ledger" | "limiter" | "queue";

/** Tells the failure. @returns it, classified. */
export function tellFailure(network: string, part: DiscoverPart, error: unknown): PipelineError {
  const failure = classified(error);
  const { code, message } = failure;
  emit({ kind: "discover_failed", network, direction: part, code, message });
  return failure;
}

/** Tells the failure; throws it where nothing will be better later. */
export function tellUnlessFatal(network: string, part: DiscoverPart, error: unknown): void {
  const failure = classified(error);
  if (failure.disposition === "fatal") throw failure;
  tellFailure(network, part, failure);
}
