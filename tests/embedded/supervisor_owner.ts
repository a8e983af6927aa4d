/** A program that owns a supervisor, says what it runs, and waits to be killed. Argument: directory of the engine. */
import { startSupervisor } from "../../src/embedded/supervisor.ts";

const { pid, chain, engine, run } = await (async () => {
  const supervisor = await startSupervisor({
    chain: {
      port: 0,
      hardfork: "osaka",
      mining: "manual",
      stepsTracing: true,
      genesisTime: 1,
      blockGasLimit: 30_000_000,
    },
    engine: { path: Deno.args[0]!, port: 0, maxMemoryBytes: 1e9 },
    onDownload: () => {},
  });
  return {
    pid: supervisor.pid,
    chain: supervisor.chain,
    engine: supervisor.engine,
    run: supervisor.run.bind(supervisor),
  };
})();
const program = await run({ args: ["eval", "setInterval(() => {}, 60_000)"] }, () => {});
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify([pid, chain.pid, engine.pid, program.pid])));
Deno.stdout.close();
await program.exited;
