/**
 * The operator API over HTTP: checks who asks and how often, runs the route, and says what was done in an event per
 * request, which is the audit log.
 */
import { timingSafeEqual } from "node:crypto";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { PipelineError, UnclassifiedError } from "../errors.ts";
import { emit } from "../telemetry/emit.ts";
import { parseAddress } from "../telemetry/server.ts";
import type { ApiOptions, OperatedNetwork } from "./port.ts";
import { RequestRate } from "./rate.ts";
import { type RawInput, Refusal, type Route } from "./route.ts";
import { routes } from "./routes.ts";

/** A running API. */
export interface ApiServer extends AsyncDisposable {
  /** `http://HOST:PORT`. */
  readonly url: string;
}

const METHODS = ["GET", "POST"];
/** What a request id or an idempotency key of a client may look like. */
const NAME = /^[A-Za-z0-9._:-]{1,128}$/;
/** Characters of a path, and of a body, that the audit log keeps. */
const LOGGED_LENGTH = 200;

/** What the audit log is told from inside a route. */
type Told = {
  /** Under which the leader answers a request. */
  key: string;
  body: string;
};

/** Serves until disposed of. */
export function serveApi(options: ApiOptions, networks: readonly OperatedNetwork[]): ApiServer {
  const { hostname, port } = parseAddress(options.address);
  const answer = apiOf(options, networks, () => performance.now());
  const server = Deno.serve(
    { hostname, port, onListen: () => {} },
    (request, { remoteAddr }) => answer(request, remoteAddr.hostname),
  );
  const { addr } = server;
  const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
  const url = `http://${host}:${addr.port}`;
  emit({ kind: "api_listening", url });
  return { url, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** The API without its socket. @param nowMs Monotonic. */
export function apiOf(
  options: ApiOptions,
  networks: readonly OperatedNetwork[],
  nowMs: () => number,
): (request: Request, client: string) => Promise<Response> {
  const app = new Hono<{ Bindings: Told }>({ strict: true });
  const limit = bodyLimit({
    maxSize: options.bodyBytes,
    onError: () => {
      throw new Refusal(413, `Cannot take a body of more than ${options.bodyBytes} bytes`);
    },
  });
  for (const route of routes) {
    app.on(route.method, route.path.replaceAll(/\{(\w+)\}/g, ":$1"), limit, async (context) => {
      const { status, body } = await ran(route, context, options, networks);
      return context.json(body as object, status);
    });
  }
  app.notFound((context) => {
    const allowed = routes.filter((route) => matches(route, context.req.path)).map(({ method }) => method);
    if (allowed.length === 0) {
      throw new Refusal(404, `Cannot find ${context.req.path}: see GET /api/v1/openapi.json`);
    }
    const allow = allowed.join(", ");
    throw new Refusal(405, `Cannot ${context.req.method} ${context.req.path}: it takes ${allow}`, { allow });
  });
  app.onError((error) => {
    throw error;
  });
  const rate = new RequestRate(options.ratePerSecond, nowMs);
  return async (request, client) => {
    const startedMs = nowMs();
    const given = request.headers.get("x-request-id");
    const requestId = given !== null && NAME.test(given) ? given : crypto.randomUUID();
    const told: Told = { key: "", body: "" };
    let response: Response;
    try {
      if (!rate.take()) throw new Refusal(429, "Cannot answer now: too many requests", { "retry-after": "1" });
      admit(request, options.token);
      response = await app.fetch(request, told);
    } catch (error) {
      response = refused(error, requestId);
    }
    response.headers.set("x-request-id", requestId);
    const { pathname, search } = new URL(request.url);
    emit({
      kind: "api_request",
      route: routeOf(request.method, pathname),
      method: METHODS.includes(request.method) ? request.method : "other",
      path: `${pathname}${search}`.slice(0, LOGGED_LENGTH),
      ...told,
      client,
      status: response.status,
      seconds: (nowMs() - startedMs) / 1_000,
      requestId,
    });
    return response;
  };
}

/** @throws {Refusal} */
function admit(request: Request, token: string | undefined): void {
  if (token === undefined) {
    // Whoever can reach a loopback address may ask, but a page of the web in a browser there may not.
    if (request.headers.has("origin")) throw new Refusal(403, "Cannot answer a web page without api.token");
    return;
  }
  const [scheme, given] = (request.headers.get("authorization") ?? "").split(" ");
  if (scheme?.toLowerCase() !== "bearer" || given === undefined || !sameText(given, token)) {
    throw new Refusal(401, "Cannot answer without the bearer token of api.token", { "www-authenticate": "Bearer" });
  }
}

/** In a time that says nothing about where two texts of one length differ. */
function sameText(one: string, other: string): boolean {
  const encoder = new TextEncoder();
  const [a, b] = [encoder.encode(one), encoder.encode(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

async function ran(
  route: Route,
  context: Context<{ Bindings: Told }>,
  options: ApiOptions,
  networks: readonly OperatedNetwork[],
) {
  const raw: RawInput = {
    params: context.req.param() as Record<string, string>,
    query: singleValues(new URL(context.req.url).searchParams),
    body: route.body === undefined ? undefined : await bodyOf(context),
  };
  const key = context.req.header("idempotency-key") ?? crypto.randomUUID();
  if (!NAME.test(key)) {
    throw new Refusal(400, "Cannot take Idempotency-Key: expected 1 to 128 letters, digits, dots, dashes, colons");
  }
  if (route.method === "POST") context.env.key = key;
  const tooLate = Promise.withResolvers<never>();
  const abort = new AbortController();
  const timer = setTimeout(() => {
    const late = new Refusal(
      502,
      `Cannot answer within ${options.timeoutMs} ms: the queue, ClickHouse or the nodes are away`,
    );
    abort.abort(late);
    tooLate.reject(late);
  }, options.timeoutMs);
  try {
    return await Promise.race([route.run(raw, { networks, key, signal: abort.signal }), tooLate.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function singleValues(params: URLSearchParams): Record<string, string> {
  const names = [...params.keys()];
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Refusal(400, `Cannot take the query: ${twice} is given twice`);
  return Object.fromEntries(params);
}

async function bodyOf(context: Context<{ Bindings: Told }>): Promise<unknown> {
  const text = await context.req.text();
  context.env.body = text.slice(0, LOGGED_LENGTH);
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, "Cannot take the body: it is not JSON");
  }
}

function matches(route: Route, path: string): boolean {
  const parts = route.path.split("/");
  const given = path.split("/");
  return parts.length === given.length &&
    parts.every((part, at) => part.startsWith("{") ? given[at] !== "" : part === given[at]);
}

/** The template of the route that answers, or of one with another method; what the metrics are counted by. */
function routeOf(method: string, path: string): string {
  const matching = routes.filter((route) => matches(route, path));
  return (matching.find((route) => route.method === method) ?? matching[0])?.path ?? "unknown";
}

function refused(error: unknown, requestId: string): Response {
  const { status, message, headers = {} } = refusalOf(error, requestId);
  return Response.json({ error: message, request_id: requestId }, { status, headers });
}

function refusalOf(
  error: unknown,
  requestId: string,
): { readonly status: number; readonly message: string; readonly headers?: Readonly<Record<string, string>> } {
  if (error instanceof Refusal) return error;
  const message = error instanceof Error ? error.message : String(error);
  // What is classified is of the queue, the store or the nodes.
  if (error instanceof PipelineError && !(error instanceof UnclassifiedError)) return { status: 502, message };
  emit({ kind: "api_failed", requestId, message });
  return { status: 500, message: "Cannot answer: a defect of ours, see the log for this request id" };
}
