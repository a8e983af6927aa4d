/** The union of all events: one file per stage in `events/`. */
import type { DecodeEvent } from "./events/decode.ts";
import type { EmbeddedEvent } from "./events/embedded.ts";
import type { QueueEvent } from "./events/queue.ts";
import type { RpcEvent } from "./events/rpc.ts";
import type { SinkEvent } from "./events/sink.ts";

/** Everything that {@linkcode emit} takes. */
export type PipelineEvent = DecodeEvent | EmbeddedEvent | QueueEvent | RpcEvent | SinkEvent;
