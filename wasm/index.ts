/** What the module exports: the fast reader, the look-up of opcode names, and the semantics. */
export { nameOpcode, scan } from "./scan";
export { needWords } from "./words";
export * from "./trace";
