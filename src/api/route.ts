/** A route: one definition from which the router, the checks of what comes in and the OpenAPI document are made. */
import { z } from "zod";
import type { OperatedNetwork } from "./port.ts";

/** What a route answers, as JSON. */
export interface Answer {
  readonly status: 200 | 207 | 404 | 502;
  readonly body: unknown;
}

/** A request that is not done, with the reason for its sender. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  /** @param headers Of the answer. */
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 405 | 409 | 413 | 429 | 502,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** What a call brings besides its parameters. */
export interface Call {
  readonly networks: readonly OperatedNetwork[];
  /** The header `Idempotency-Key`, or one of our own. */
  readonly key: string;
  readonly signal: AbortSignal;
}

/** Members of a call before they are checked. */
export interface RawInput {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A route whose parameters are checked inside. */
export interface Route {
  readonly method: "GET" | "POST";
  /** With `{name}` in the places of parameters, as OpenAPI writes it. */
  readonly path: string;
  readonly summary: string;
  readonly params: z.ZodObject;
  readonly query: z.ZodObject;
  /** Absent: the route takes no body. */
  readonly body: z.ZodObject | undefined;
  /** What each status means, those of every route apart. */
  readonly answers: Readonly<Record<number, string>>;
  /** @throws {Refusal} what came in is not what the route takes, or cannot be done. */
  run(raw: RawInput, call: Call): Promise<Answer>;
}

type Shape = Readonly<Record<string, z.ZodType>>;
type Read<S extends Shape> = { readonly [K in keyof S]: z.output<S[K]> };

/** Makes a route; `run` gets what the schemas have read. */
export function route<P extends Shape, Q extends Shape, B extends Shape = never>(definition: {
  readonly method: Route["method"];
  readonly path: string;
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly answers: Route["answers"];
  readonly run: (
    input: { readonly params: Read<P>; readonly query: Read<Q>; readonly body: Read<B> },
    call: Call,
  ) => Promise<Answer>;
}): Route {
  const params = z.strictObject(definition.params ?? {});
  const query = z.strictObject(definition.query ?? {});
  const body = definition.body === undefined ? undefined : z.strictObject(definition.body);
  return {
    method: definition.method,
    path: definition.path,
    summary: definition.summary,
    params,
    query,
    body,
    answers: definition.answers,
    run: (raw, call) =>
      definition.run({
        params: checked(params, raw.params, "the path") as Read<P>,
        query: checked(query, raw.query, "the query") as Read<Q>,
        body: (body === undefined ? {} : checked(body, raw.body, "the body")) as Read<B>,
      }, call),
  };
}

function checked(schema: z.ZodObject, value: unknown, place: string): unknown {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const reasons = read.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join(".")}: ${message}`
  );
  throw new Refusal(400, `Cannot take ${place}: ${reasons.join("; ")}`);
}

/** A block number in a path or a query. */
export const blockNumberText = z.string().regex(/^\d{1,15}$/, "expected a block number, decimal digits").transform(
  Number,
);
/** `true` or `false` in a query. */
export const switchText = z.enum(["true", "false"]).default("false").transform((text) => text === "true");
/** The network that a call means; needed where more than one is configured. */
export const networkName = z.string().max(100).optional();

/** The network of a call. @throws {Refusal} */
export function networkOf(name: string | undefined, { networks }: Call): OperatedNetwork {
  const names = networks.map((network) => network.name).join(", ");
  if (name === undefined && networks.length !== 1) {
    throw new Refusal(400, `Cannot choose a network: say ?network= with one of ${names}`);
  }
  const found = name === undefined ? networks[0] : networks.find((network) => network.name === name);
  if (found === undefined) throw new Refusal(404, `Cannot find network ${name}: there are ${names}`);
  return found;
}

/** One result for several items: all, none (404), or some of them. */
export function mixedStatus(done: number, missing: number, failed: number): Answer["status"] {
  if (missing + failed === 0) return 200;
  if (done > 0) return 207;
  return failed > 0 ? 502 : 404;
}
