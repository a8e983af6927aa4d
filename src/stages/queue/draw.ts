/** Random draws from a seed, the same in `scripts/fetch.lua`: Park and Miller's generator, exact in doubles. */

/** Numbers in (0, 1). @param seed 1 to 2^31 - 2. */
export function drawing(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}
