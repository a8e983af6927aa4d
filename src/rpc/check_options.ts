/** Mistakes in the part of the configuration that concerns nodes, beyond what the types say. */
import type { NodePoolOptions } from "./options.ts";

/** A mistake and where it is, relative to the network. */
export interface OptionProblem {
  readonly path: readonly (string | number)[];
  readonly text: string;
}

/** Ports that fetch refuses to open, whatever listens there. */
const REFUSED_PORTS = new Set(
  `1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115
  117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563
  587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 5060 5061 6000 6566 6665 6666 6667 6668
  6669 6697 10080`.split(/\s+/),
);

/** Methods without which nothing works, and those of what is enabled. */
export function neededMethods(traces: boolean): readonly string[] {
  return ["eth_getBlockByNumber", "eth_getBlockByHash", ...(traces ? ["debug_traceTransaction"] : [])];
}

function isAllowed({ allow, deny }: NodePoolOptions["nodes"][number]["methods"], method: string): boolean {
  return !deny.includes(method) && (allow.length === 0 || allow.includes(method));
}

/** Looks at the nodes of one network. `needed`: {@linkcode neededMethods}. */
export function checkNodes(
  network: Pick<NodePoolOptions, "nodes">,
  needed: readonly string[],
): { readonly errors: readonly OptionProblem[]; readonly warnings: readonly OptionProblem[] } {
  const errors: OptionProblem[] = [];
  const warnings: OptionProblem[] = [];
  const enabled = network.nodes.filter((node) => node.enabled);
  for (const [at, node] of network.nodes.entries()) {
    for (const key of ["url", "ws"] as const) {
      const text = node[key];
      if (text === undefined) continue;
      const { port, username, password } = new URL(text);
      if (REFUSED_PORTS.has(port)) {
        errors.push({
          path: ["nodes", at, key],
          text: `fetch refuses port ${port}: let the node listen on another one`,
        });
      }
      if (username !== "" || password !== "") {
        warnings.push({
          path: ["nodes", at, key],
          text: "credentials in a URL are redacted in what is shown, but belong into headers with ${NAME}",
        });
      }
    }
    for (const method of needed) {
      if (!node.enabled || enabled.some(({ methods }) => isAllowed(methods, method))) continue;
      errors.push({
        path: ["nodes", at, "methods"],
        text: `no node may be asked ${method}, which a processor needs: allow it for one`,
      });
    }
  }
  if (enabled.length === 1) {
    warnings.push({ path: ["nodes"], text: "one node only: its outage stops the network" });
  }
  return { errors, warnings };
}
