import assert from "node:assert/strict";
import { routes } from "../../src/api/routes.ts";
import { apiWorld } from "./api_world.ts";

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly schema: { readonly type: string };
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content: object }>>;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

async function served(): Promise<Document> {
  await using world = await apiWorld(["alpha"]);
  const { status, json } = await world.ask("GET", "/api/v1/openapi.json");
  assert.equal(status, 200);
  return json;
}

function at(document: object, reference: string): unknown {
  return reference.split("/").slice(1).reduce<unknown>(
    (inner, step) => (inner as Record<string, unknown> | undefined)?.[step],
    document,
  );
}

function references(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === "$ref" && typeof inner === "string" ? [inner] : references(inner)
  );
}

Deno.test("the served document has every route of the router and no other", async () => {
  const document = await served();
  const found = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
  );
  assert.deepEqual(found.sort(), routes.map(({ method, path }) => `${method} ${path}`).sort());
});

Deno.test("the served document is whole: ids differ, parameters of paths are declared, references lead somewhere", async () => {
  const document = await served();
  assert.match(document.openapi, /^3\.1\./);
  assert.ok(document.info.title.length > 0 && document.info.version.length > 0);
  const ids = new Set<string>();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      assert.match(operation.operationId, /^[a-z0-9_]+$/);
      assert.ok(!ids.has(operation.operationId), operation.operationId);
      ids.add(operation.operationId);
      assert.match(operation.summary, /\.$/);
      const inPath = operation.parameters.filter((parameter) => parameter.in === "path");
      assert.deepEqual(
        inPath.map(({ name }) => name).sort(),
        [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort(),
      );
      assert.ok(inPath.every(({ required }) => required));
      assert.ok(operation.parameters.every(({ schema }) => schema.type === "string"));
      assert.ok(method === "post" || operation.requestBody === undefined);
      for (const status of ["200", "400", "401", "413", "429", "500", "502"]) {
        assert.ok(operation.responses[status]!.description.length > 0, `${path} ${status}`);
      }
    }
  }
  for (const reference of references(document)) assert.ok(at(document, reference) !== undefined, reference);
});

Deno.test("the served document says what a list of blocks is", async () => {
  const { requestBody } = (await served()).paths["/api/v1/queue/blocks/{processor}"]!["post"]!;
  assert.deepEqual(requestBody!.content["application/json"]!.schema, {
    type: "object",
    properties: {
      blocks: { type: "array", minItems: 1, items: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } },
    },
    required: ["blocks"],
    additionalProperties: false,
  });
});
