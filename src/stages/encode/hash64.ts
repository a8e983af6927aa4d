/** ClickHouse's `intHash64` and `xxHash64` (seed 0), for the checksums of stored rows. */

const MASK = 0xffff_ffff_ffff_ffffn;

/** ClickHouse's `intHash64`: MurmurHash3's finaliser of the number with some bits turned. */
export function intHash64(value: bigint): bigint {
  let x = value ^ 0x4cf2_d2ba_ae6d_a887n;
  x ^= x >> 33n;
  x = (x * 0xff51_afd7_ed55_8ccdn) & MASK;
  x ^= x >> 33n;
  x = (x * 0xc4ce_b9fe_1a85_ec53n) & MASK;
  return x ^ (x >> 33n);
}

const PRIME1 = 0x9e37_79b1_85eb_ca87n;
const PRIME2 = 0xc2b2_ae3d_27d4_eb4fn;
const PRIME3 = 0x1656_67b1_9e37_79f9n;
const PRIME4 = 0x85eb_ca77_c2b2_ae63n;
const PRIME5 = 0x27d4_eb2f_1656_67c5n;

function rotate(x: bigint, bits: bigint): bigint {
  return ((x << bits) & MASK) | (x >> (64n - bits));
}

function round(lane: bigint, input: bigint): bigint {
  return (rotate((lane + input * PRIME2) & MASK, 31n) * PRIME1) & MASK;
}

function merge(hash: bigint, lane: bigint): bigint {
  return ((hash ^ round(0n, lane)) * PRIME1 + PRIME4) & MASK;
}

const utf8 = new TextEncoder();

/** `xxHash64(text)` of ClickHouse: of its UTF-8 bytes, seed 0. */
export function xxHash64(text: string): bigint {
  const bytes = utf8.encode(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let hash: bigint;
  if (bytes.length >= 32) {
    let lane1 = (PRIME1 + PRIME2) & MASK;
    let lane2 = PRIME2;
    let lane3 = 0n;
    let lane4 = -PRIME1 & MASK;
    for (; at + 32 <= bytes.length; at += 32) {
      lane1 = round(lane1, view.getBigUint64(at, true));
      lane2 = round(lane2, view.getBigUint64(at + 8, true));
      lane3 = round(lane3, view.getBigUint64(at + 16, true));
      lane4 = round(lane4, view.getBigUint64(at + 24, true));
    }
    hash = (rotate(lane1, 1n) + rotate(lane2, 7n) + rotate(lane3, 12n) + rotate(lane4, 18n)) & MASK;
    hash = merge(merge(merge(merge(hash, lane1), lane2), lane3), lane4);
  } else {
    hash = PRIME5;
  }
  hash = (hash + BigInt(bytes.length)) & MASK;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * PRIME1 + PRIME4) & MASK;
  }
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * PRIME1) & MASK), 23n) * PRIME2 + PRIME3) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at++) {
    hash = (rotate(hash ^ ((BigInt(bytes[at]!) * PRIME5) & MASK), 11n) * PRIME1) & MASK;
  }
  hash = ((hash ^ (hash >> 33n)) * PRIME2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * PRIME3) & MASK;
  return hash ^ (hash >> 32n);
}
