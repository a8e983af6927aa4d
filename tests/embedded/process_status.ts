/** What the system says of a process. `cat` reads it, since Deno reads /proc with all permissions only. */

async function statusOf(pid: number): Promise<string> {
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/status`], stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

async function bytesOf(pid: number, key: "VmHWM" | "VmRSS"): Promise<number> {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(await statusOf(pid));
  if (match === null) throw new Error(`Cannot read ${key} of process ${pid}: it has ended`);
  return Number(match[1]) * 1024;
}

/** Whether a process of that id runs; a zombie has ended. */
export async function isAlive(pid: number): Promise<boolean> {
  const state = /^State:\s+(\S)/m.exec(await statusOf(pid))?.[1];
  return state !== undefined && state !== "Z" && state !== "X";
}

/** The most memory that a process has had at once. */
export function peakBytes(pid: number): Promise<number> {
  return bytesOf(pid, "VmHWM");
}

/** The memory that a process has now. */
export function residentBytes(pid: number): Promise<number> {
  return bytesOf(pid, "VmRSS");
}
