/** Routes that stop and resume: a network, a direction of it, a node. */
import { z } from "zod";
import { answerNodes, describeNodes, NODE_VERBS } from "../rpc/operator_routes.ts";
import { modeOf, TASK_CLASSES } from "../stages/queue/port.ts";
import { type Answer, type Call, networkName, networkOf, Refusal, type Route, route } from "./route.ts";

const nodeName = z.string().regex(/^[A-Za-z0-9_.-]{1,100}$/, "expected the name of a node");
const query = {
  network: networkName,
  direction: z.enum(["forwards", "backwards"]).optional().describe("Absent: both."),
};

/** See the module's comment. */
export const controlRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/api/v1/pause",
    summary: "Claim no more tasks of a network, or of one direction of it, in any process; what is in hand ends.",
    query,
    answers: { 200: "Paused, also if it was.", 404: "No such network." },
    run: ({ query }, call) => turn("pause", query, call),
  }),
  route({
    method: "POST",
    path: "/api/v1/resume",
    summary: "Claim tasks again.",
    query,
    answers: { 200: "Resumed, also if it was not paused.", 404: "No such network." },
    run: ({ query }, call) => turn("resume", query, call),
  }),
  route({
    method: "GET",
    path: "/nodes",
    summary: "The nodes as this process knows them: state, lag, limits, breakers.",
    query: { network: networkName },
    answers: { 200: "The nodes.", 404: "No such network." },
    run: ({ query }, call) => {
      const wanted = query.network === undefined ? call.networks : [networkOf(query.network, call)];
      return Promise.resolve({ status: 200, body: describeNodes(wanted.map(({ pool }) => pool)) });
    },
  }),
  route({
    method: "POST",
    path: "/nodes/{name}/{verb}",
    summary:
      "drain: this process asks the node nothing more; resume; reset: forget what was learned, breakers included.",
    params: { name: nodeName, verb: z.enum(NODE_VERBS) },
    query: { network: networkName },
    answers: {
      200: "The nodes of its network.",
      404: "No such node.",
      409: "Several networks have a node of this name.",
    },
    run: async ({ params: { name, verb }, query }, call) => {
      const pools = (query.network === undefined ? call.networks : [networkOf(query.network, call)])
        .map(({ pool }) => pool);
      const response = answerNodes(new Request(`http://api/nodes/${name}/${verb}`, { method: "POST" }), pools)!;
      const body = await response.json();
      if (response.status === 404 || response.status === 409) throw new Refusal(response.status, body.error);
      return { status: 200, body };
    },
  }),
];

async function turn(
  verb: "pause" | "resume",
  { network: name, direction }: {
    readonly network?: string | undefined;
    readonly direction?: "forwards" | "backwards" | undefined;
  },
  call: Call,
): Promise<Answer> {
  const network = networkOf(name, call);
  await network.queue[verb](TASK_CLASSES.filter((each) => direction === undefined || modeOf(each) === direction));
  const { classes } = await network.queue.stats();
  return {
    status: 200,
    body: { network: network.name, paused: TASK_CLASSES.filter((each) => classes[each].paused) },
  };
}
