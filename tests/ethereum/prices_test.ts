import assert from "node:assert/strict";
import { gasSchedule } from "../../src/ethereum/prices.ts";

Deno.test("gasSchedule() gives the prices of accesses as EIP-150, EIP-1884 and EIP-2929 set them", () => {
  assert.deepEqual(gasSchedule("petersburg").access, {
    SLOAD: 200,
    BALANCE: 400,
    EXTCODESIZE: 700,
    EXTCODEHASH: 400,
    EXTCODECOPY: 700,
    CALL: 700,
  });
  const istanbul = gasSchedule("istanbul");
  assert.deepEqual([istanbul.access.SLOAD, istanbul.access.BALANCE, istanbul.access.EXTCODEHASH], [800, 700, 700]);
  const berlin = gasSchedule("berlin");
  assert.deepEqual([...new Set(Object.values(berlin.access))], [100]);
  assert.deepEqual([berlin.coldSlot, berlin.coldAccount], [2_100, 2_600]);
});

Deno.test("gasSchedule() gives the classes of SSTORE and their refunds by fork", () => {
  const classes = (fork: "petersburg" | "istanbul" | "berlin" | "london") => {
    const { sstoreNoop, sstoreReset, refundClear, refundRestoreZero, refundRestoreNonZero } = gasSchedule(fork);
    return [sstoreNoop, sstoreReset, refundClear, refundRestoreZero, refundRestoreNonZero];
  };
  assert.deepEqual(classes("petersburg"), [5_000, 5_000, 15_000, 0, 0]);
  assert.deepEqual(classes("istanbul"), [800, 5_000, 15_000, 19_200, 4_200]);
  assert.deepEqual(classes("berlin"), [100, 2_900, 15_000, 19_900, 2_800]);
  assert.deepEqual(classes("london"), [100, 2_900, 4_800, 19_900, 2_800]);
});

Deno.test("gasSchedule() caps refunds at a half before London and at a fifth from it on", () => {
  assert.equal(gasSchedule("berlin").refundQuotient, 2);
  assert.equal(gasSchedule("london").refundQuotient, 5);
  assert.equal(gasSchedule("berlin").refundSelfdestruct, 24_000);
  assert.equal(gasSchedule("london").refundSelfdestruct, 0);
});
