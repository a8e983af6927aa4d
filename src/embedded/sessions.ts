/** Connections of the HTTP interface: a fresh one for each request, or that of the session that the request names. */
import type { Chdb, Connection } from "./chdb.ts";
import { InterfaceError } from "./exceptions.ts";

/** What a request says of its session. */
export interface SessionChoice {
  readonly id: string;
  /** How long the session outlives its last request. */
  readonly timeoutMs: number;
  /** The session must exist. */
  readonly mustExist: boolean;
}

/** A connection for one request. */
export interface Lease {
  readonly connection: Connection;
  /** It belongs to a session: what the request sets has to be set back. */
  readonly shared: boolean;
  /** Ends the use. `broken`: the connection is not fit for another request. */
  end(broken: boolean): Promise<void>;
}

interface Session {
  readonly connection: Connection;
  expiry: ReturnType<typeof setTimeout> | undefined;
}

const LOCKED = Symbol("locked");

/** Opens, keeps and closes the connections. */
export class Sessions {
  readonly #chdb: Chdb;
  readonly #connectArgs: readonly string[];
  readonly #maxSessions: number;
  readonly #sessions = new Map<string, Session | typeof LOCKED>();

  constructor(chdb: Chdb, connectArgs: readonly string[], maxSessions: number) {
    this.#chdb = chdb;
    this.#connectArgs = connectArgs;
    this.#maxSessions = maxSessions;
  }

  /**
   * A connection for one request.
   *
   * @throws {InterfaceError} 373 when the session is in use, 372 when it must exist and does not, 202 when there are too
   * many.
   */
  async lease(choice: SessionChoice | undefined): Promise<Lease> {
    if (choice === undefined) {
      const connection = await this.#open();
      return { connection, shared: false, end: () => connection.close() };
    }
    const found = this.#sessions.get(choice.id);
    if (found === LOCKED) {
      throw new InterfaceError(373, "SESSION_IS_LOCKED", `Session ${choice.id} is locked by a concurrent client`);
    }
    if (found === undefined && choice.mustExist) {
      throw new InterfaceError(372, "SESSION_NOT_FOUND", `Session ${choice.id} not found`);
    }
    if (found === undefined && this.#sessions.size >= this.#maxSessions) {
      throw new InterfaceError(
        202,
        "TOO_MANY_SIMULTANEOUS_QUERIES",
        `Too many sessions. Maximum: ${this.#maxSessions}`,
      );
    }
    this.#sessions.set(choice.id, LOCKED);
    clearTimeout(found?.expiry);
    try {
      const connection = found?.connection ?? await this.#open();
      return { connection, shared: true, end: (broken) => this.#unlock(choice, connection, broken) };
    } catch (error) {
      this.#sessions.delete(choice.id);
      throw error;
    }
  }

  /** Closes every session that is not in use. */
  async close(): Promise<void> {
    const open = [...this.#sessions.values()].filter((session) => session !== LOCKED);
    this.#sessions.clear();
    for (const session of open) {
      clearTimeout(session.expiry);
      await session.connection.close();
    }
  }

  async #open(): Promise<Connection> {
    const connection = await this.#chdb.connect(this.#connectArgs);
    if (connection === undefined) {
      throw new InterfaceError(210, "NETWORK_ERROR", "Cannot open a connection to the embedded engine");
    }
    return connection;
  }

  async #unlock(choice: SessionChoice, connection: Connection, broken: boolean): Promise<void> {
    if (broken) {
      await connection.close();
      this.#sessions.delete(choice.id);
      return;
    }
    const expiry = setTimeout(() => {
      this.#sessions.delete(choice.id);
      void connection.close();
    }, choice.timeoutMs);
    this.#sessions.set(choice.id, { connection, expiry });
  }
}
