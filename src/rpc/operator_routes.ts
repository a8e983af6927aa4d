/** What operators ask of the pools over HTTP: `GET /nodes`, `POST /nodes/NAME/drain|resume|reset`. Mounted by the API. */
import type { NodePool, NodeState } from "./port.ts";

/** Answer to `GET /nodes`. */
export interface NodesAnswer {
  readonly networks: readonly { readonly name: string; readonly nodes: readonly NodeState[] }[];
}

/** What can be done to a node. */
export const NODE_VERBS = ["drain", "resume", "reset"] as const;

/** What {@linkcode NODE_VERBS} holds. */
export type NodeVerb = typeof NODE_VERBS[number];

/** What they need of a pool. */
export type OperatedPool = Pick<NodePool, "network" | "nodes" | "setDrained" | "reset">;

/** Answers the routes of this file; `undefined` for every other one. The caller has checked the token. */
export function answerNodes(request: Request, pools: readonly OperatedPool[]): Response | undefined {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/nodes" && request.method === "GET") return Response.json(describeNodes(pools));
  const match = /^\/nodes\/([A-Za-z0-9_.-]+)\/(drain|resume|reset)$/.exec(pathname);
  if (match === null || request.method !== "POST") return undefined;
  const [, name, verb] = match as unknown as [string, string, NodeVerb];
  const network = searchParams.get("network");
  const holders = pools.filter((pool) =>
    (network === null || pool.network === network) && pool.nodes().some((node) => node.name === name)
  );
  if (holders.length !== 1) {
    const text = holders.length === 0
      ? `Cannot find node ${name}: see GET /nodes`
      : `Cannot tell which node ${name} is meant: name its network (${holders.map((pool) => pool.network).join(", ")})`;
    return Response.json({ error: text }, { status: holders.length === 0 ? 404 : 409 });
  }
  turn(holders[0]!, name, verb);
  return Response.json(describeNodes(holders));
}

/** All nodes of all pools. */
export function describeNodes(pools: readonly OperatedPool[]): NodesAnswer {
  return { networks: pools.map((pool) => ({ name: pool.network, nodes: pool.nodes() })) };
}

function turn(pool: OperatedPool, name: string, verb: NodeVerb): void {
  if (verb === "reset") pool.reset(name);
  else pool.setDrained(name, verb === "drain");
}
