/// <reference lib="deno.unstable" />
/**
 * The house's lint rules: who may import whom, which operators are guarded, where a vendor's package may appear, and no
 * waiting in tests. Tested in `tests/tools/lint_plugin_test.ts`.
 */

/** Folders below `src/` in the direction of imports: a file imports from its own layer or from one further right. */
const LAYERS: readonly (readonly string[])[] = [
  ["cli", "api", "embedded"],
  ["pipeline"],
  ["stages"],
  ["rpc", "flow", "ethereum", "telemetry", "config"],
];

/** Types that one stage may take from another: the columns on their way from decode to encode and sink. */
const SHARED_SHAPES = ["stages/decode/port.ts", "stages/encode/"];

/** Operators behind which RxJS hoards without bound, or that hide a Subject. Only `src/flow/` uses them. */
const GUARDED = new Set([
  ..."mergeMap mergeAll expand buffer bufferCount bufferTime bufferToggle bufferWhen windowTime zip zipAll zipWith"
    .split(" "),
  ..."groupBy delayWhen observeOn connect connectable share shareReplay publish multicast".split(" "),
  ..."Subject BehaviorSubject ReplaySubject AsyncSubject".split(" "),
]);

/** A vendor's package and the places that may import it. */
const VENDORS: readonly (readonly [packageName: string, places: readonly RegExp[]])[] = [
  ["ioredis", [/^src\/stages\/queue\/redis_/, /^src\/stages\/gate\/leadership/, /^tests\//, /^bench\//]],
  ["@clickhouse/client-web", [/^src\/stages\/sink\//, /^src\/embedded\//, /^tests\//, /^bench\//]],
  ["pino", [/^src\/telemetry\//]],
  ["cockatiel", [/^src\/stages\/sink\//]],
  ["p-map", [/^src\/rpc\//]],
  ["zod", [/^src\/config\//, /^src\/api\//]],
  ["yaml", [/^src\/config\//, /^src\/cli\/config/, /^tests\//]],
  ["hono", [/^src\/api\//, /^tests\/api\//]],
];

function projectPath(filename: string): string {
  const match = /(?:^|\/)((?:src|tests|bench|wasm|tools)\/.*|main\.ts)$/.exec(filename.replaceAll("\\", "/"));
  return match?.[1] ?? filename;
}

/** `./x`, seen from a file of the project, as a path of the project. */
function resolved(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const step of specifier.split("/")) {
    if (step === "..") parts.pop();
    else if (step !== ".") parts.push(step);
  }
  return parts.join("/");
}

function layerOf(path: string): number {
  const folder = /^src\/([^/]+)\//.exec(path)?.[1];
  return folder === undefined ? LAYERS.length : LAYERS.findIndex((layer) => layer.includes(folder));
}

function stageOf(path: string): string | undefined {
  return /^src\/stages\/([^/]+)\//.exec(path)?.[1];
}

/** Why `from` may not import `specifier`; `undefined` when it may. */
export function importProblem(from: string, specifier: string): string | undefined {
  if (!from.startsWith("src/")) return undefined;
  if (!specifier.startsWith(".")) return undefined;
  const to = resolved(from, specifier);
  if (to.startsWith("tests/") || to.startsWith("bench/")) return `src must not import ${to}`;
  if (!to.startsWith("src/") || !/^src\/[^/]+\//.test(to)) return undefined;
  const [own, other] = [layerOf(from), layerOf(to)];
  if (other >= 0 && own > other) {
    return `${from} must not import ${to}: imports point from cli over pipeline and stages to the rest`;
  }
  const [stage, otherStage] = [stageOf(from), stageOf(to)];
  if (stage !== undefined && otherStage !== undefined && stage !== otherStage) {
    if (SHARED_SHAPES.some((shape) => to.startsWith(`src/${shape}`))) return undefined;
    return `stage ${stage} must not import stage ${otherStage}: take a port as an argument`;
  }
  if (from.startsWith("src/ethereum/") && !to.startsWith("src/ethereum/")) {
    return "ethereum/ imports nothing of the project";
  }
  return undefined;
}

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "import-direction": {
      create(context) {
        const from = projectPath(context.filename);
        return {
          ImportDeclaration(node) {
            const problem = importProblem(from, node.source.value);
            if (problem !== undefined) context.report({ node, message: problem });
          },
        };
      },
    },
    "guarded-operators": {
      create(context) {
        const from = projectPath(context.filename);
        if (!from.startsWith("src/") || from.startsWith("src/flow/")) return {};
        return {
          ImportDeclaration(node) {
            if (node.source.value !== "rxjs") return;
            for (const specifier of node.specifiers) {
              const name = specifier.type === "ImportSpecifier" && specifier.imported.type === "Identifier"
                ? specifier.imported.name
                : "";
              if (GUARDED.has(name)) {
                context.report({ node: specifier, message: `${name} hoards without bound: use what src/flow/ offers` });
              }
            }
          },
        };
      },
    },
    "vendor-import": {
      create(context) {
        const from = projectPath(context.filename);
        return {
          ImportDeclaration(node) {
            const vendor = VENDORS.find(([name]) =>
              node.source.value === name || node.source.value.startsWith(`${name}/`)
            );
            if (vendor === undefined || vendor[1].some((place) => place.test(from))) return;
            context.report({ node, message: `${vendor[0]} belongs into its adapter, not into ${from}` });
          },
        };
      },
    },
    "no-real-wait": {
      create(context) {
        const from = projectPath(context.filename);
        const real = /^tests\/(system|contracts|soak|embedded)\//.test(from);
        if (!from.startsWith("tests/") || !from.endsWith("_test.ts") || real) return {};
        return {
          'CallExpression[callee.name="setTimeout"]'(node: Deno.lint.CallExpression) {
            const [, delay] = node.arguments;
            if (delay === undefined || (delay.type === "Literal" && delay.value === 0)) return;
            context.report({
              node,
              message: "a test does not wait for real time: use virtual time, or move it to system/ or contracts/",
            });
          },
        };
      },
    },
  },
};

export default plugin;
