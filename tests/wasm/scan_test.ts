/** Which structlogs the scanner takes itself, which it leaves to the general reader, and where it stops. */
import assert from "node:assert/strict";
import { INPUT, INPUT_BYTES, SCANNED, STOP_DECLINED, STOP_END, STOP_MORE, STOP_REASON } from "../../wasm/memory.ts";
import { type DecodeExports, instantiateDecode } from "../../src/stages/decode/module.ts";
import { tellingModule } from "../stages/decode/probe.ts";

const REASONS = new Map([[STOP_MORE, "more"], [STOP_DECLINED, "declined"], [STOP_END, "end"]]);
const encoder = new TextEncoder();

let opened: Promise<DecodeExports> | undefined;

/** What `scan()` says about the text behind `"structLogs":[`. */
async function scan(text: string): Promise<{ reason: string; taken: number; at: number }> {
  opened ??= tellingModule().then((module) => instantiateDecode({ host: { told: () => {} } }, module));
  const { memory, scan } = await opened;
  const bytes = encoder.encode(text);
  const input = new Uint8Array(memory.buffer, INPUT, INPUT_BYTES);
  input.fill(0x22);
  input.set(bytes);
  const report = new DataView(memory.buffer);
  const at = scan(INPUT, INPUT + bytes.length) - INPUT;
  return { reason: REASONS.get(report.getUint32(STOP_REASON, true))!, taken: report.getUint32(SCANNED, true), at };
}

/** A structlog with one member more, or another value of one. */
function withMember(name: string, value: string): string {
  const members = new Map([["pc", "0"], ["op", '"ADD"'], ["gas", "5"], ["gasCost", "3"], ["depth", "1"]]);
  members.set(name, value);
  return `{${[...members].map(([key, text]) => `"${key}":${text}`).join(",")}}`;
}

const PLAIN = withMember("stack", '["0x1","0x2"]');

Deno.test("scan() takes structlogs up to the bracket behind the last", async () => {
  const text = `${PLAIN},${PLAIN} , ${PLAIN}],"gas":1`;
  assert.deepEqual(await scan(text), { reason: "end", taken: 3, at: text.indexOf("],") + 1 });
});

Deno.test("scan() stops before the structlog that it does not see whole, wherever the bytes end", async () => {
  const text = `${PLAIN},${withMember("error", '"out of gas"')},`;
  for (let length = 0; length < text.length; length++) {
    const { reason, taken, at } = await scan(text.slice(0, length));
    const whole = length > PLAIN.length ? 1 : 0;
    assert.deepEqual([taken, at], [whole, whole * (PLAIN.length + 1)], `cut to ${length}`);
    assert.notEqual(reason, "end");
  }
  assert.equal((await scan(text)).reason, "more");
});

Deno.test("scan() takes what clients print", async () => {
  const printed: readonly [string, string][] = [
    ["gas", "18446744073709551615"],
    ["gas", '"0x5208"'],
    ["gas", '"21000"'],
    ["gas", '"0xffffffffffffffff"'],
    ["pc", "12345678"],
    ["depth", '"0x1"'],
    ["gasCost", "-25"],
    ["gasCost", "null"],
    ["gasCost", "123456789012345"],
    ["refund", "18446744073709549616"],
    ["refund", "null"],
    ["op", '"opcode 0xc not defined"'],
    ["op", "null"],
    ["error", "null"],
    ["error", "{}"],
    ["error", '""'],
    ["error", '"Some(OutOfGas)"'],
    ["returnData", '"0x"'],
    ["returnData", `"${"ab".repeat(50)}"`],
    ["stack", "[]"],
    ["stack", `["${"0".repeat(64)}", "0xABcd"]`],
    ["memory", `["${"0".repeat(64)}","${"f".repeat(64)}"]`],
    ["storage", `{"${"0".repeat(64)}":"1"}`],
    ["storage", "{}"],
    ["reason", '"0x08c379a0"'],
    ["nested", '{"a":[1,-2.5e-7,{"b":[[],{},true,false,null]}]}'],
  ];
  for (const [name, value] of printed) {
    const spaced = withMember(name, value).replaceAll(":", " : ").replaceAll(",", " ,\n");
    for (const text of [`${withMember(name, value)}]`, name === "op" ? `${PLAIN}]` : `${spaced}\t]`]) {
      assert.deepEqual(await scan(text), { reason: "end", taken: 1, at: text.length }, text);
    }
  }
});

Deno.test("scan() leaves to the general reader what is wrong or rare", async () => {
  const values: readonly [string, string][] = [
    ["gas", "18446744073709551616"],
    ["gas", "99999999999999999999999"],
    ["gas", '"0x10000000000000000"'],
    ["gas", '"0x"'],
    ["gas", '""'],
    ["gas", "05"],
    ["gas", "0012345678"],
    ["gas", "1.5"],
    ["gas", "1e3"],
    ["gas", "-1"],
    ["gas", "null"],
    ["gas", "[]"],
    ["gas", "5x"],
    ["pc", "4294967296"],
    ["depth", "65536"],
    ["depth", "-1"],
    ["op", '""'],
    ["op", '"A\\u0044D"'],
    ["op", '"ADD\u0000"'],
    ["op", "5"],
    ["error", '["a"]'],
    ["error", '{"a":1}'],
    ["error", '"a\\n"'],
    ["error", '"a\nb"'],
    ["error", "5"],
    ["returnData", '"0xAB"'],
    ["returnData", '"0xzz"'],
    ["returnData", "5"],
    ["stack", "null"],
    ["stack", '["0x1",]'],
    ["stack", '["0x1" "0x2"]'],
    ["stack", '["0x1""0x2"]'],
    ["stack", '["0x1",,"0x2"]'],
    ["stack", '[,"0x1"]'],
    ["stack", '["0x"]'],
    ["stack", '[""]'],
    ["stack", `["0x${"1".repeat(65)}"]`],
    ["stack", '["0x1g"]'],
    ["stack", '["0x1}]'],
    ["stack", "[1]"],
    ["memory", '["a\\tb"]'],
    ["memory", "[1,]"],
    ["memory", '{"a" 1}'],
    ["memory", "{1:1}"],
    ["memory", "[1}"],
    ["memory", "01"],
    ["memory", "1."],
    ["memory", "+1"],
    ["memory", "nul"],
    ["memory", `${"[".repeat(61)}${"]".repeat(61)}`],
    ["m\\u0065mory", "1"],
  ];
  for (const [name, value] of values) {
    // Behind a plain one, so that words which are the same are compared.
    const text = `${PLAIN},${withMember(name, value)},${PLAIN}]`;
    assert.deepEqual(await scan(text), { reason: "declined", taken: 1, at: PLAIN.length + 1 }, text);
  }
  const texts = [`${PLAIN} ${PLAIN}`, "{}]", '{"op":"ADD","gas":5,"pc":1}]', "]", '{"a":1,}]', `[${PLAIN}]`];
  for (const text of [...texts, PLAIN.replace("}", ',"stack":["0x1"]}') + "]"]) {
    assert.deepEqual(await scan(text), { reason: "declined", taken: 0, at: 0 }, text);
  }
});
