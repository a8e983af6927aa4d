import assert from "node:assert/strict";
import { clientFlags } from "../../src/ethereum/clients.ts";

Deno.test("clientFlags() finds the family by the first name in the version text", () => {
  const families = {
    "Geth/v1.17.10-stable/linux-amd64/go1.26.8": "geth",
    "erigon/3.5.0/linux-amd64/go1.26.8": "erigon",
    "Nethermind/v1.38.0+abc": "nethermind",
    "besu/v26.8.0/linux-x86_64": "besu",
    "reth/v1.9.0": "revm",
    "anvil/v1.7.1": "revm",
    "HardhatNetwork/2.29.1/@nomicfoundation/edr/0.3.8": "revm",
    "ethereumjs/vm 10.1.3": "ethereumjs",
    "bor/v2.0": "geth",
    "": "geth",
  };
  for (const [version, family] of Object.entries(families)) assert.equal(clientFlags(version).family, family, version);
});

Deno.test("clientFlags() knows from which release on a client prints the refund counter", () => {
  assert.equal(clientFlags("Nethermind/v1.37.9").refund, "never");
  assert.equal(clientFlags("Nethermind/v1.38.0").refund, "nonzero");
  assert.equal(clientFlags("Nethermind/v2.0.0").refund, "nonzero");
  assert.equal(clientFlags("besu/v25.12.0").refund, "never");
  assert.equal(clientFlags("besu/v26.7.0").refund, "never");
  assert.equal(clientFlags("besu/v26.8.0").refund, "nonzero");
  assert.equal(clientFlags("anvil/v1.7.1").refund, "always");
  assert.equal(clientFlags("HardhatNetwork/2.29.1/@nomicfoundation/edr/0.3.8").refund, "never");
});

Deno.test("clientFlags() expects made-up structlogs of old Besu and of revm only", () => {
  assert.equal(clientFlags("besu/v25.1.0").madeUpStop, "calls");
  assert.equal(clientFlags("besu/v26.8.0").madeUpStop, "none");
  assert.equal(clientFlags("reth/v1.9.0").madeUpStop, "creates");
  assert.equal(clientFlags("Geth/v1.16.7").madeUpStop, "none");
});
