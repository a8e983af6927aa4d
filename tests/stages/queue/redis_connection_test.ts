import assert from "node:assert/strict";
import { accessError, keyPrefix, newClient, type RedisTarget } from "../../../src/stages/queue/redis_connection.ts";

function target(url: string, change: Partial<RedisTarget> = {}): RedisTarget {
  return { url, prefix: "test", replicas: 0, ...change };
}

Deno.test("host, port, user, password and database come from the URL", () => {
  const { options } = newClient(target("redis://ada:s%2Fecret@[::1]:7000/3"));
  const { host, port, username, password, db, tls } = options;
  assert.deepEqual([host, port, username, password, db, tls], ["::1", 7000, "ada", "s/ecret", 3, undefined]);
  assert.deepEqual([newClient(target("redis://redis.internal")).options.port], [6379]);
});

Deno.test("rediss:// and queue.tls speak TLS, with the options as they are", () => {
  assert.deepEqual(newClient(target("rediss://redis.internal")).options.tls, {});
  const tls = { ca: "PEM", servername: "redis.internal", rejectUnauthorized: true };
  assert.deepEqual(newClient(target("redis://10.0.0.1", { tls })).options.tls, tls);
});

Deno.test("sentinels are asked for the master; user, password and database stay those of the URL", () => {
  const nodes = [{ host: "10.0.0.1", port: 26_379 }, { host: "10.0.0.2", port: 26_379 }];
  const sentinel = { name: "mymaster", nodes, username: "watch", password: "w" };
  const { options } = newClient(target("redis://ada:secret@ignored/2", { sentinel }));
  assert.deepEqual(options.sentinels, nodes);
  const { name, sentinelUsername, sentinelPassword, username, password, db } = options;
  assert.deepEqual(
    [name, sentinelUsername, sentinelPassword, username, password, db],
    ["mymaster", "watch", "w", "ada", "secret", 2],
  );
});

Deno.test("no command is given up while Redis is away", () => {
  const { options } = newClient(target("redis://127.0.0.1"));
  assert.equal(options.maxRetriesPerRequest, null);
  assert.ok(Number(options.socketTimeout) > 5_000 && Number(options.blockingTimeout) > 5_000, "longer than any wait");
});

Deno.test("all keys of a network have its hash tag", () => {
  assert.equal(keyPrefix(target("redis://h"), "mainnet"), "test:{mainnet}:");
});

Deno.test("a refusal names what is missing and no password; another error is none", () => {
  const refusing = target("redis://ada:secret@redis.internal:6379");
  const wrong = accessError(refusing, new Error("WRONGPASS invalid username-password pair"))!;
  assert.match(wrong.message, /redis\.internal:6379 as user "ada".*user name and password in queue\.url/s);
  const right = accessError(refusing, new Error("NOPERM this user has no permissions to run the 'xadd' command"))!;
  assert.match(right.message, /ACL rules, which have to be ~<prefix>:\*/);
  for (const { message, disposition } of [wrong, right]) {
    assert.ok(!message.includes("secret"));
    assert.equal(disposition, "fatal");
  }
  assert.equal(accessError(refusing, new Error("LOADING Redis is loading")), undefined);
});
