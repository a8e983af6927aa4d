/** All routes of the operator API. */
import { controlRoutes } from "./control_routes.ts";
import { deadLetterRoutes } from "./dead_letter_routes.ts";
import { openApiDocument } from "./openapi.ts";
import { queueRoutes } from "./queue_routes.ts";
import { type Route, route } from "./route.ts";
import { statusRoutes } from "./status_routes.ts";

/** See the module's comment. */
export const routes: readonly Route[] = [
  ...queueRoutes,
  ...statusRoutes,
  ...deadLetterRoutes,
  ...controlRoutes,
  route({
    method: "GET",
    path: "/api/v1/openapi.json",
    summary: "This document.",
    answers: { 200: "An OpenAPI document." },
    run: () => Promise.resolve({ status: 200, body: openApiDocument(routes) }),
  }),
];
