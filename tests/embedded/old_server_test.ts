/**
 * The contract on a second real server. What 18.16 does otherwise is named, and checked to be so: a promise that it keeps
 * has no place in the list.
 */
import assert from "node:assert/strict";
import { httpContract } from "./http_contract.ts";
import { oldServer } from "./old_server.ts";

/** Promise, what 18.16 does instead, and how the promise fails on it. */
const DIFFERENCES: readonly (readonly [name: string, instead: string, failure: RegExp])[] = [
  ["wrong credentials are 403 with code 516, and the password is not in the text", "401 with 193 or 194", /'194'/],
  ["an exception says code, text and name, and its code in a header", "no name, no header", /null !== '60'/],
  ["a value that is not of the setting's type is refused", "it is taken as 0 or auto", /200/],
  ["a role that is not there is refused", "there are no roles: an unknown setting", /'115'/],
  ["the answer says its format, and the request may ask for one in a header", "neither header", /null,/],
  ["query parameters are typed values", "there are none: an unknown setting", /Unknown setting param_/],
  ["the answer names the query and sums up what was read and written", "neither header", /of null/],
  [
    "an exception after the first rows follows them, and the body breaks; wait_end_of_query makes it an error",
    "the exception follows the rows without a tag, and the body ends as if whole",
    /assert\.ok\(tag\)|falsy/,
  ],
  [
    "a body that ends short at any byte stores nothing, whatever its format",
    "the rows of a text body that came whole are stored",
    /!== '0\\n'/,
  ],
  [
    "a statement ends when its client goes, before there is a row and while rows come",
    "it runs on until it has rows to write",
    /in time/,
  ],
  [
    "no space for an insert is an error in the server's words, and the engine goes on",
    "the table has no such limit",
    /Unknown setting min_free_disk_bytes_to_perform_insert/,
  ],
];

const different = new Map(DIFFERENCES.map(([name, ...rest]) => [name, rest] as const));

Deno.test("every difference is one from the contract", () => {
  const names = new Set(httpContract.map(({ name }) => name));
  assert.deepEqual([...different.keys()].filter((name) => !names.has(name)), []);
});

for (const { name, run } of httpContract) {
  if (!different.has(name)) Deno.test(`clickhouse-server 18.16: ${name}`, () => run(oldServer));
}

// A promise that fails halfway leaves answers unread: these come last, without the sanitizers.
for (const { name, run } of httpContract) {
  const [instead, failure] = different.get(name) ?? [];
  if (instead === undefined || failure === undefined) continue;
  Deno.test({
    name: `clickhouse-server 18.16 differs (${instead}): ${name}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => assert.rejects(run(oldServer), failure),
  });
}
