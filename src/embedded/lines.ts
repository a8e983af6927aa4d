/** Lines over a pipe: what a program prints, or one JSON value each between two of our own processes. */

/** Of a line without end, that much is kept. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/** The lines of `stream`, without their newlines, as they arrive; the last may lack its newline. */
export async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
    text = lines.pop()!.slice(0, MAX_LINE_CHARACTERS);
    yield* lines;
  }
  if (text !== "") yield text;
}

/** The values of `stream`, one a line; a last line that was cut ends the sequence. */
export async function* readJsonLines<Value>(stream: ReadableStream<Uint8Array>): AsyncGenerator<Value, void, void> {
  for await (const line of readLines(stream)) {
    if (!line.endsWith("}")) return; // the writer was killed within it
    yield JSON.parse(line);
  }
}

/** An object as one line of bytes. */
export function jsonLine(value: object): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${JSON.stringify(value)}\n`);
}
