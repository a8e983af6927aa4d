/**
 * TRACE 5: the sets of accounts and slots that are warm, with the journal that takes back what a failed frame added.
 *
 * An entry is made once for an account, a slot of an account, or a contract under construction (a token), and stays until
 * the transaction ends; being warm is a bit of it. Entry 0 means none.
 */
import { ENTRIES, ENTRY_BYTES, INDEX, JOURNAL, MAX_ENTRIES, MAX_INDEX, MAX_JOURNAL, SCRATCH } from "./layout";
import { FACT_CREDITS, FACT_SLOT_CREDITS, IS_BERLIN, KNOWN_RULES } from "./facts";
import { F, F_SELF, fact32, is, P_INDEX } from "./state";
import { equal } from "./u256";

export const E_KEY = 0; // four limbs: address or slot
export const E_OWNER = 32; // u32: 0 for an account, otherwise the entry whose slot it is, or OWNER_*
export const E_WARM = 36; // u8
export const E_DESTROYED = 37; // u8
export const E_ORIGINAL = 38; // u8: what is known of a slot's values, VALUE_* of slots.ts
export const E_CURRENT = 39; // u8
export const E_ALIAS = 40; // u32: token of the contract that was created at this address
export const E_NEXT = 44; // u32: next slot of the same owner
export const E_SLOTS = 48; // u32: first slot of this owner
export const E_JOURNALED = 52; // u32: newest journal entry of a slot's value, from 1
export const E_MISMATCH = 56; // u32: 1 once it has been charged warm although cold by the sets
export const E_ORIGINAL_WORD = 64;
export const E_CURRENT_WORD = 96;

const OWNER_TOKEN: u32 = 0xffffffff;
const OWNER_MISMATCH: u32 = 0xfffffffe;
const DESTROYED_BIT: u32 = 0x80000000;

let count: u32 = 0;
let mask: u32 = 0;
let journalLength: u32 = 0;
/** The cap is reached: nothing is added any more, and gas alone decides. */
export let isCapped: u32 = 0;

/* What the proof needs at the end. */
export let coldMismatches: u32 = 0;
export let warmAccounts: u32 = 0;
export let warmSlots: u32 = 0;
export let firstColdIndex: u32 = 0;
export let firstWarmAccountIndex: u32 = 0;
export let firstWarmSlotIndex: u32 = 0;
export let credits: u32 = 0;

export function entry(position: u32): usize {
  return ENTRIES + (position as usize) * ENTRY_BYTES;
}

export function resetAccess(): void {
  count = 0;
  mask = 511;
  memory.fill(INDEX, 0, 512 * 4);
  journalLength = 0;
  isCapped = 0;
  coldMismatches = 0;
  warmAccounts = 0;
  warmSlots = 0;
  credits = fact32(FACT_CREDITS);
}

function hash(key: usize, owner: u32): u32 {
  const mixed = (load<u64>(key) * 0x9e3779b97f4a7c15) ^ (load<u64>(key, 8) * 0xc2b2ae3d27d4eb4f) ^
    (load<u64>(key, 16) * 0x165667b19e3779f9) ^ (load<u64>(key, 24) * 0x27d4eb2f165667c5) ^
    ((owner as u64) * 0x85ebca77c2b2ae63);
  const folded = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93;
  return (folded >> 32) as u32;
}

function grow(): void {
  mask = (mask << 1) | 1;
  memory.fill(INDEX, 0, ((mask as usize) + 1) << 2);
  for (let position: u32 = 1; position <= count; position++) {
    const at = entry(position);
    if (load<u32>(at, E_OWNER) == OWNER_TOKEN) continue;
    let slot = hash(at, load<u32>(at, E_OWNER)) & mask;
    while (load<u32>(INDEX + ((slot as usize) << 2)) != 0) slot = (slot + 1) & mask;
    store<u32>(INDEX + ((slot as usize) << 2), position);
  }
}

function add(): u32 {
  count++;
  memory.fill(entry(count), 0, ENTRY_BYTES);
  return count;
}

/** The entry of a key; made if it is new and there is room, otherwise 0. */
function find(key: usize, owner: u32): u32 {
  let slot = hash(key, owner) & mask;
  for (;;) {
    const position = load<u32>(INDEX + ((slot as usize) << 2));
    if (position == 0) break;
    const at = entry(position);
    if (load<u32>(at, E_OWNER) == owner && equal(at, key)) return position;
    slot = (slot + 1) & mask;
  }
  if (count >= (MAX_ENTRIES as u32)) {
    isCapped = 1;
    return 0;
  }
  if (count * 2 > mask && mask + 1 < (MAX_INDEX as u32)) {
    grow();
    slot = hash(key, owner) & mask;
    while (load<u32>(INDEX + ((slot as usize) << 2)) != 0) slot = (slot + 1) & mask;
  }
  const position = add();
  const at = entry(position);
  v128.store(at, v128.load(key));
  v128.store(at, v128.load(key, 16), 16);
  store<u32>(at, owner, E_OWNER);
  store<u32>(INDEX + ((slot as usize) << 2), position);
  if (owner != 0 && owner < OWNER_MISMATCH) {
    const account = entry(owner);
    store<u32>(at, load<u32>(account, E_SLOTS), E_NEXT);
    store<u32>(account, position, E_SLOTS);
  }
  return position;
}

const ADDRESS: usize = SCRATCH;

/** Entry of the account at the right-most 20 bytes of a word; of the token where a contract was created there. */
export function account(address: usize): u32 {
  const position = rawAccount(address);
  const alias = position == 0 ? 0 : load<u32>(entry(position), E_ALIAS);
  return alias != 0 ? alias : position;
}

function rawAccount(address: usize): u32 {
  store<u64>(ADDRESS, load<u64>(address));
  store<u64>(ADDRESS, load<u64>(address, 8), 8);
  store<u64>(ADDRESS, load<u64>(address, 16) & 0xffffffff, 16);
  store<u64>(ADDRESS, 0, 24);
  return find(ADDRESS, 0);
}

/** Entry of a slot of the account whose storage the innermost frame sees. */
export function slotOfSelf(key: usize): u32 {
  const owner = load<u32>(F, F_SELF);
  return owner == 0 ? 0 : find(key, owner);
}

/** A storage identity for a contract whose address is not known yet. */
export function makeToken(): u32 {
  if (count >= (MAX_ENTRIES as u32)) {
    isCapped = 1;
    return 0;
  }
  const position = add();
  store<u32>(entry(position), OWNER_TOKEN, E_OWNER);
  return position;
}

function push(item: u32): void {
  if (journalLength >= (MAX_JOURNAL as u32)) {
    isCapped = 1;
    return;
  }
  store<u32>(JOURNAL + ((journalLength as usize) << 2), item);
  journalLength++;
}

/** Makes an entry warm; 1 when it was cold. */
export function warm(position: u32): u32 {
  if (position == 0 || load<u8>(entry(position), E_WARM) != 0) return 0;
  if (isCapped != 0) return 0;
  store<u8>(entry(position), 1, E_WARM);
  push(position);
  return 1;
}

/** Marks an account as destroyed; 1 when it was not. */
export function destroy(position: u32): u32 {
  if (position == 0 || load<u8>(entry(position), E_DESTROYED) != 0) return 0;
  store<u8>(entry(position), 1, E_DESTROYED);
  push(position | DESTROYED_BIT);
  return 1;
}

export function isDestroyed(position: u32): bool {
  return position != 0 && load<u8>(entry(position), E_DESTROYED) != 0;
}

export function journalMark(): u32 {
  return journalLength;
}

/** Takes back everything since a mark. */
export function undoAccess(mark: u32): void {
  while (journalLength > mark) {
    journalLength--;
    const item = load<u32>(JOURNAL + ((journalLength as usize) << 2));
    if ((item & DESTROYED_BIT) != 0) store<u8>(entry(item & ~DESTROYED_BIT), 0, E_DESTROYED);
    else store<u8>(entry(item), 0, E_WARM);
  }
}

/** The root frame goes on: nothing before this is ever taken back. */
export function forgetJournal(): void {
  journalLength = 0;
}

/** A contract has been created at the address in a word: what is known of its storage moves to its token's name. */
export function adopt(address: usize, token: u32): void {
  const position = rawAccount(address);
  if (position == 0 || token == 0) return;
  store<u32>(entry(position), token, E_ALIAS);
  let slot = load<u32>(entry(position), E_SLOTS);
  while (slot != 0) {
    if (load<u8>(entry(slot), E_WARM) != 0) warm(find(entry(slot), token));
    slot = load<u32>(entry(slot), E_NEXT);
  }
}

export function addCredit(): void {
  credits++;
}

/**
 * TRACE 5.5: cold accesses of a structlog, from what the sets say and what the gas says.
 *
 * @param first what the gas says of the item itself, -1 when it says nothing
 * @param total with the target of a delegation
 */
export function coldAccesses(position: u32, isSlot: bool, setCold: u32, first: i32, total: u32): u32 {
  if (!is(IS_BERLIN)) return 0;
  if (first < 0) return setCold;
  if (isCapped != 0 || !is(KNOWN_RULES)) return total;
  if (first == setCold) return total;
  if (setCold == 0) {
    if (coldMismatches == 0) firstColdIndex = load<u32>(F, P_INDEX);
    coldMismatches++;
    return 0;
  }
  noteChargedWarm(position, isSlot);
  return total;
}

/** Counts distinct accounts and distinct slot keys: one credit explains one of them, however often it is seen. */
function noteChargedWarm(position: u32, isSlot: bool): void {
  if (position == 0) return;
  const marked = isSlot ? find(entry(position), OWNER_MISMATCH) : position;
  if (marked == 0 || load<u32>(entry(marked), E_MISMATCH) != 0) return;
  store<u32>(entry(marked), 1, E_MISMATCH);
  if (isSlot) {
    if (warmSlots == 0) firstWarmSlotIndex = load<u32>(F, P_INDEX);
    warmSlots++;
  } else {
    if (warmAccounts == 0) firstWarmAccountIndex = load<u32>(F, P_INDEX);
    warmAccounts++;
  }
}

export function slotCredits(creates: u32): u32 {
  return creates != 0 ? fact32(FACT_SLOT_CREDITS) : 0;
}

/** Accounts that are warm from the start: `items` words at SCRATCH + 64. */
export function warmInitialAccounts(items: u32): void {
  for (let item: u32 = 0; item < items; item++) warm(account(SCRATCH + 64 + ((item as usize) << 5)));
  forgetJournal();
}

/** Slots that are warm from the start: `items` pairs of words, account and slot, at SCRATCH + 64. */
export function warmInitialSlots(items: u32): void {
  for (let item: u32 = 0; item < items; item++) {
    const at = SCRATCH + 64 + ((item as usize) << 6);
    const owner = account(at);
    if (owner != 0) warm(find(at + 32, owner));
  }
  forgetJournal();
}
