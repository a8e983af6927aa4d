/**
 * Texts of structlogs that wait. The reader's bytes are gone by the time a structlog is final, so they are copied; frames
 * nest, so the copies form a stack.
 */
import { BLOCK_ROWS, ERROR_CAPACITY, RETURN_DATA_CAPACITY, TEXTS, TEXTS_BYTES } from "./layout";
import { tooLong } from "./host";
import { ERROR_TEXT, HAS_ERROR, HAS_RETURN_DATA, RECORD, RETURN_TEXT } from "./record";
import { F, P_ERROR_LENGTH, P_RETURN_LENGTH, P_TEXTS } from "./state";

let end: usize = TEXTS;

export function resetTexts(): void {
  end = TEXTS;
}

/** Copies the texts of the record behind those of the structlogs that wait. */
export function keepTexts(flags: u32): void {
  let returned: usize = 0;
  let error: usize = 0;
  if ((flags & HAS_RETURN_DATA) != 0) returned = load<u32>(RECORD, RETURN_TEXT + 4) as usize;
  if ((flags & HAS_ERROR) != 0) error = load<u32>(RECORD, ERROR_TEXT + 4) as usize;
  const room: usize = TEXTS + TEXTS_BYTES - end;
  if (returned + error > room) tooLong((returned + error) as u32, room as u32);
  if (returned + BLOCK_ROWS + 8 > (RETURN_DATA_CAPACITY as usize)) tooLong(returned as u32, RETURN_DATA_CAPACITY);
  if (error + BLOCK_ROWS + 8 > (ERROR_CAPACITY as usize)) tooLong(error as u32, ERROR_CAPACITY);
  store<u32>(F, end as u32, P_TEXTS);
  store<u32>(F, returned as u32, P_RETURN_LENGTH);
  store<u32>(F, error as u32, P_ERROR_LENGTH);
  if (returned != 0) memory.copy(end, load<u32>(RECORD, RETURN_TEXT), returned);
  if (error != 0) memory.copy(end + returned, load<u32>(RECORD, ERROR_TEXT), error);
  end += returned + error;
}

/** The innermost frame's structlog has left. */

export function dropTexts(flags: u32): void {
  if ((flags & (HAS_RETURN_DATA | HAS_ERROR)) != 0) end = load<u32>(F, P_TEXTS);
}
