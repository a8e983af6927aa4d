/** Opens decoders: the one place where the readers and the semantics are put together. */
import { Meaning } from "./context.ts";
import { instantiateDecode } from "./module.ts";
import type { TraceDecoder } from "./port.ts";
import { READING, type Reading, ReplyDecoder } from "./reply_decoder.ts";

/** A decoder with a module instance of its own. */
export async function openDecoder(reading: Reading = READING): Promise<TraceDecoder> {
  const meaning = new Meaning();
  const exports = await instantiateDecode(meaning.imports);
  meaning.attach(exports);
  return new ReplyDecoder(reading, meaning, exports);
}
