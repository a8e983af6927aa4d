/**
 * Row checksums: what the rows in a table must add up to, so that stored rows can be compared with decoded ones by one query.
 *
 * Checksum of a table's rows = sum over the rows of intHash64(sum over the cells of cell * K), all modulo 2^64.
 * A cell is: an integer as itself; a text xxHash64(bytes) | 1; a nullable integer intHash64(value) | 1; null is 0; a path is
 * the sum over its elements of intHash64(element + position * PATH_STEP), position from 1.
 * `intHash64` and `xxHash64` are the SQL functions of that name. Only cells that differ from row to row take part here; what
 * is the same in all rows of a transaction is added by whoever knows it.
 *
 * Structlog rows: index K1, program_counter K2, operation K3, gas K4, gas_cost K5, gas_used K6, gas_self K7, depth K8,
 * return_data K9, refund K10, error K11, call_to_address K12, call_frame_id K13, call_frame_path K14.
 * Aggregate rows: call_frame_id K1, parent_call_frame_id K2, call_frame_path K3, depth K4, target_address K5, call_type K6,
 * operation K7, opcode_count K8, error_count K9, gas K10, gas_cumulative K11, min_depth K12, max_depth K13, gas_refund K14,
 * intrinsic_gas K15, memory_words_sum_before K16, memory_words_sum_after K17, memory_words_sq_sum_before K18,
 * memory_words_sq_sum_after K19, memory_expansion_gas K20, cold_access_count K21.
 */

export const K1: u64 = 0x910a2dec89025cc1;
export const K2: u64 = 0x975835de1c9756cf;
export const K3: u64 = 0x1d0b14e4db018fed;
export const K4: u64 = 0x6e73e372e2338acb;
export const K5: u64 = 0x63033b0ca389c35b;
export const K6: u64 = 0xbd64a5d9adefe001;
export const K7: u64 = 0x63cbe1e459320dd7;
export const K8: u64 = 0x9e5651b0ef953637;
export const K9: u64 = 0xaeaf52febe706065;
export const K10: u64 = 0x088712be8a582fcb;
export const K11: u64 = 0x50f5647d2380309d;
export const K12: u64 = 0x943ff9fc99de8f03;
export const K13: u64 = 0xc4ca37b7f8ad8aff;
export const K14: u64 = 0x6aa9d61435dbe63f;
export const K15: u64 = 0x875b9307abf55005;
export const K16: u64 = 0x5de186dcba779207;
export const K17: u64 = 0x808475f02ee37363;
export const K18: u64 = 0x1120b3d00955f033;
export const K19: u64 = 0xbc4075f2ef431a45;
export const K20: u64 = 0x362259904816818d;
export const K21: u64 = 0x06ca0a95b7e825c7;
export const PATH_STEP: u64 = 0x23259b94f13cf545;

/** The engine's intHash64. */

export function intHash64(value: u64): u64 {
  let x = value ^ 0x4cf2d2baae6da887;
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccd;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

const P1: u64 = 0x9e3779b185ebca87;
const P2: u64 = 0xc2b2ae3d27d4eb4f;
const P3: u64 = 0x165667b19e3779f9;
const P4: u64 = 0x85ebca77c2b2ae63;
const P5: u64 = 0x27d4eb2f165667c5;

function round(lane: u64, input: u64): u64 {
  return rotl<u64>(lane + input * P2, 31) * P1;
}

function merge(hash: u64, lane: u64): u64 {
  return (hash ^ round(0, lane)) * P1 + P4;
}

/** xxHash64 with seed 0. */
export function xxHash64(address: usize, length: usize): u64 {
  let at = address;
  const end = address + length;
  let hash: u64;
  if (length >= 32) {
    let v1: u64 = P1 + P2;
    let v2: u64 = P2;
    let v3: u64 = 0;
    let v4: u64 = 0 - P1;
    const last = end - 32;
    while (at <= last) {
      v1 = round(v1, load<u64>(at));
      v2 = round(v2, load<u64>(at, 8));
      v3 = round(v3, load<u64>(at, 16));
      v4 = round(v4, load<u64>(at, 24));
      at += 32;
    }
    hash = rotl<u64>(v1, 1) + rotl<u64>(v2, 7) + rotl<u64>(v3, 12) + rotl<u64>(v4, 18);
    hash = merge(merge(merge(merge(hash, v1), v2), v3), v4);
  } else {
    hash = P5;
  }
  hash += length as u64;
  while (at + 8 <= end) {
    hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * P1 + P4;
    at += 8;
  }
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ ((load<u32>(at) as u64) * P1), 23) * P2 + P3;
    at += 4;
  }
  while (at < end) {
    hash = rotl<u64>(hash ^ ((load<u8>(at) as u64) * P5), 11) * P1;
    at += 1;
  }
  hash = (hash ^ (hash >> 33)) * P2;
  hash = (hash ^ (hash >> 29)) * P3;
  return hash ^ (hash >> 32);
}

/** Cell of a text. */

export function textCell(address: usize, length: usize): u64 {
  return xxHash64(address, length) | 1;
}

/** Cell of a nullable integer that is not null. */

export function presentCell(value: u64): u64 {
  return intHash64(value) | 1;
}
