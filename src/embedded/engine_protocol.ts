/**
 * What the engine's process and its parent tell each other: one line of JSON down (the child's stdin, which then stays
 * open: its end is the end of the child), one line of JSON up (the child's stdout).
 */

/** First line of the child's stdin. The password travels here: arguments can be read by any process. */
export interface EngineOrder {
  readonly libraryPath: string;
  readonly path: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly maxMemoryBytes: number;
  readonly clusters: Readonly<Record<string, readonly string[]>>;
}

/** The one line of the child's stdout. */
export type EngineReply =
  | { readonly kind: "ready"; readonly port: number; readonly version: string }
  /** The directory cannot be written. */
  | { readonly kind: "directory_failed"; readonly reason: string }
  /** The engine refused the directory; it says why on stderr. `holder`: what the directory's status file says. */
  | { readonly kind: "connect_failed"; readonly holder: string | undefined }
  /** Anything else. */
  | { readonly kind: "failed"; readonly reason: string };
