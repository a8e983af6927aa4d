import assert from "node:assert/strict";
import { evidenceFiles, EvidenceStore, EvidenceTooLargeError, readEvidence } from "../../src/pipeline/evidence.ts";
import { madeUpEvidence } from "./made_up_evidence.ts";

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(`${directory}/evidence`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Bytes that do not compress. */
function noise(bytes: number): Uint8Array {
  return new TextEncoder().encode(crypto.getRandomValues(new Uint8Array(bytes / 2)).toHex());
}

Deno.test("EvidenceStore keeps transaction, receipt, record and both ends, compressed", () =>
  inDirectory(async (directory) => {
    const store = new EvidenceStore(directory, 1_000_000);
    const evidence = madeUpEvidence(1, { head: new TextEncoder().encode("7".repeat(100_000)) });
    const { name, bytes } = await store.keep(evidence);
    assert.ok(bytes < 5_000, `${bytes} bytes`);
    const [file] = await evidenceFiles(directory);
    assert.deepEqual([file!.name, file!.bytes], [name, bytes]);
    const read = await readEvidence(directory, name);
    const { head, tail, writtenAt, record, ...facts } = read;
    assert.deepEqual([head, tail], ["7".repeat(100_000), '"structLogs":[]}']);
    assert.ok(Number.isFinite(Date.parse(writtenAt)));
    assert.equal(record.verdict, "violated");
    const { head: _head, tail: _tail, record: _record, ...given } = evidence;
    assert.deepEqual(facts, given);
  }));

Deno.test("EvidenceStore stays within its bound: the oldest file leaves first", () =>
  inDirectory(async (directory) => {
    const maxBytes = 20_000;
    const store = new EvidenceStore(directory, maxBytes);
    const names: string[] = [];
    for (let number = 0; number < 6; number++) {
      const { name } = await store.keep(madeUpEvidence(number, { head: noise(10_000) }));
      names.push(name);
      // The clock of files may stand still between two writes.
      await Deno.utime(`${directory}/${name}`, 1_000 + number, 1_000 + number);
      const files = await evidenceFiles(directory);
      assert.ok(files.reduce((sum, file) => sum + file.bytes, 0) <= maxBytes);
      assert.equal(files.at(-1)!.name, name);
    }
    const left = (await evidenceFiles(directory)).map(({ name }) => name);
    assert.ok(left.length >= 2);
    assert.deepEqual(left, names.slice(-left.length));
    const entries = await Array.fromAsync(Deno.readDir(directory));
    assert.equal(entries.length, left.length);
  }));

Deno.test("EvidenceStore keeps nothing that is larger than its directory may be, and goes on", () =>
  inDirectory(async (directory) => {
    const store = new EvidenceStore(directory, 4_000);
    const kept = store.keep(madeUpEvidence(1));
    const tooLarge = store.keep(madeUpEvidence(2, { tail: noise(20_000) }));
    const behind = store.keep(madeUpEvidence(3));
    await assert.rejects(
      tooLarge,
      (error) => error instanceof EvidenceTooLargeError && /proof\.evidenceMaxBytes is 4000/.test(error.message),
    );
    const names = [(await kept).name, (await behind).name];
    assert.deepEqual((await evidenceFiles(directory)).map(({ name }) => name).sort(), names.sort());
  }));

Deno.test("evidenceFiles() of a directory that is not there are none, and foreign files are no evidence", () =>
  inDirectory(async (directory) => {
    assert.deepEqual(await evidenceFiles(directory), []);
    await Deno.mkdir(directory);
    await Deno.writeTextFile(`${directory}/notes.txt`, "mine");
    assert.deepEqual(await evidenceFiles(directory), []);
    await new EvidenceStore(directory, 10_000).keep(madeUpEvidence(1));
    assert.equal(await Deno.readTextFile(`${directory}/notes.txt`), "mine");
  }));
