import assert from "node:assert/strict";
import { authority, createdAddress } from "../../src/ethereum/accounts.ts";
import { addressText } from "../../src/ethereum/hex.ts";

/** Signed with the first key of the test mnemonic that development chains use. */
const SIGNED = {
  chainId: "0x7a69",
  address: "0x00000000000000000000000000000000000c0de2",
  nonce: "0x0",
  yParity: "0x0",
  r: "0x7b463a6e6233eb667dc797a826076149d53c88f7a5f8be13976b72ab0edc83cc",
  s: "0x54c6681377a17a003927ee9134430710f1583edd92798b59b71fce52be3b091d",
};

Deno.test("createdAddress() follows sender and nonce", () => {
  const sender = 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266n;
  assert.equal(addressText(createdAddress(sender, 0n)), "0x5fbdb2315678afecb367f032d93f642f64180aa3");
  assert.equal(addressText(createdAddress(sender, 1n)), "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512");
  // From EIP-161 on contracts create with nonces from 1 on; 0x80 needs a length byte.
  assert.notEqual(createdAddress(sender, 0x7fn), createdAddress(sender, 0x80n));
});

Deno.test("authority() recovers the account that signed", () => {
  assert.equal(addressText(authority(SIGNED, 31_337n)!), "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc");
});

Deno.test("authority() gives nobody where EIP-7702 says that the authorisation is ignored", () => {
  assert.equal(authority(SIGNED, 1n), undefined);
  assert.equal(authority({ ...SIGNED, nonce: "0xffffffffffffffff" }, 31_337n), undefined);
  assert.equal(authority({ ...SIGNED, s: `0x${"f".repeat(64)}` }, 31_337n), undefined);
  assert.equal(authority({ ...SIGNED, yParity: "0x2" }, 31_337n), undefined);
  assert.equal(authority({ ...SIGNED, r: "0x0" }, 31_337n), undefined);
  assert.equal(authority({ ...SIGNED, address: "0x12" }, 31_337n), undefined);
  assert.equal(authority({}, 31_337n), undefined);
});

Deno.test("authority() takes authorisations for any chain", () => {
  const anywhere = authority({ ...SIGNED, chainId: "0x0" }, undefined);
  assert.ok(anywhere !== undefined);
  assert.notEqual(anywhere, authority(SIGNED, 31_337n));
});
