/** The OpenAPI document of the routes, made of the definitions that the router runs. */
import { z } from "zod";
import { VERSION } from "../version.ts";
import type { Route } from "./route.ts";

/** A part of a JSON document. */
type Json = { readonly [member: string]: unknown };

/** What every route may answer. */
const COMMON_ANSWERS: Readonly<Record<number, string>> = {
  400: "Malformed: the text says what was expected.",
  401: "The bearer token is missing or wrong.",
  403: "A web page asks, and no token is configured.",
  413: "The body is too long.",
  429: "Too many requests: see Retry-After.",
  500: "A defect of ours; the request id is in our log.",
  502: "The queue, ClickHouse or every node does not answer.",
};

const errorSchema = {
  type: "object",
  properties: { error: { type: "string" }, request_id: { type: "string" } },
  required: ["error", "request_id"],
};

/** The document. */
export function openApiDocument(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const operations = paths[route.path] ??= {};
    operations[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: { title: "execution-processor operator API", version: VERSION },
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: { Error: errorSchema },
    },
    security: [{ token: [] }],
  };
}

function operation(route: Route): Json {
  const key = {
    name: "Idempotency-Key",
    in: "header",
    required: false,
    description: "A repeat of the same key within a day is one request.",
    schema: { type: "string", maxLength: 128 },
  };
  return {
    operationId: `${route.method} ${route.path}`.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/_+$/, ""),
    summary: route.summary,
    parameters: [
      ...parameters(route.params, "path"),
      ...parameters(route.query, "query"),
      ...(route.path.startsWith("/api/v1/queue/") ? [key] : []),
    ],
    ...(route.body === undefined ? {} : {
      requestBody: { required: true, content: { "application/json": { schema: schemaOf(route.body) } } },
    }),
    responses: Object.fromEntries(
      Object.entries({ ...COMMON_ANSWERS, ...route.answers }).map(([status, description]) => [
        status,
        {
          description,
          content: {
            "application/json": {
              schema: Number(status) < 300 ? { type: "object" } : { $ref: "#/components/schemas/Error" },
            },
          },
        },
      ]),
    ),
  };
}

function parameters(schema: z.ZodObject, place: "path" | "query"): Json[] {
  const { properties = {}, required = [] } = schemaOf(schema) as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...inner }]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: inner,
  }));
}

function schemaOf(schema: z.ZodObject): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: "input" });
  return json;
}
