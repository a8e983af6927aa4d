/** Both ways of sending a block: what arrives, what comes back, and how they end. */
import assert from "node:assert/strict";
import {
  type BlockRequests,
  blockRequests,
  FetchRequests,
  NodeRequests,
} from "../../../src/stages/sink/block_request.ts";

const WAYS: Readonly<Record<string, () => BlockRequests>> = {
  fetch: () => new FetchRequests(),
  node: () => new NodeRequests(),
};
const SIGNAL = new AbortController().signal;
/** More than sockets and libraries buffer. */
const LARGE = new Uint8Array(10_000_000).map((_, i) => i * 7);
const HEADERS = { authorization: "Basic eDp5" };

function serve(handler: (request: Request, info: Deno.ServeHandlerInfo<Deno.NetAddr>) => Response | Promise<Response>) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  return {
    url: new URL(`http://127.0.0.1:${server.addr.port}/?query=${encodeURIComponent("INSERT INTO `ü` …")}`),
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A server of one connection that reads a request's head, writes `answer`, and then does as `then` says. */
function answerEarly(answer: string, then: (connection: Deno.TcpConn) => Promise<void>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(1024));
    await connection.write(new TextEncoder().encode(answer));
    await then(connection);
  })();
  return {
    url: new URL(`http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}/`),
    async [Symbol.asyncDispose]() {
      await served;
      listener.close();
    },
  };
}

for (const [name, open] of Object.entries(WAYS)) {
  Deno.test(`${name}: a block arrives whole, its length said first, its answer comes back`, async () => {
    const arrived: { query: string | null; headers: Headers; body: Uint8Array }[] = [];
    await using server = serve(async (request) => {
      const body = new Uint8Array(await request.arrayBuffer());
      arrived.push({ query: new URL(request.url).searchParams.get("query"), headers: request.headers, body });
      return new Response("Größe", { status: 418, headers: { "x-clickhouse-exception-code": "60" } });
    });
    const requests = open();
    const answers = [
      await requests.send({ url: server.url, headers: HEADERS, bytes: LARGE, signal: SIGNAL }),
      await requests.send({ url: server.url, headers: HEADERS, bytes: LARGE.subarray(3, 3), signal: SIGNAL }),
    ];
    requests.close();
    for (const answer of answers) assert.deepEqual(answer, { status: 418, exceptionCode: "60", text: "Größe" });
    const [first, second] = arrived;
    assert.equal(first!.query, "INSERT INTO `ü` …");
    assert.equal(first!.headers.get("authorization"), HEADERS.authorization);
    assert.equal(first!.headers.get("content-length"), String(LARGE.length));
    assert.equal(first!.headers.get("transfer-encoding"), null);
    assert.ok(Buffer.from(first!.body.buffer).equals(LARGE));
    assert.equal(second!.headers.get("content-length"), "0");
  });

  Deno.test(`${name}: an abort ends it before, while it is sent, and while the answer comes`, async () => {
    const requests = open();
    const aborted = AbortSignal.abort();
    await using quiet = serve(() => new Response("never asked"));
    await assert.rejects(requests.send({ url: quiet.url, headers: HEADERS, bytes: LARGE, signal: aborted }), {
      name: "AbortError",
    });

    const sending = new AbortController();
    await using deaf = answerEarly("", async (connection) => {
      sending.abort();
      await drained(connection);
    });
    await assert.rejects(requests.send({ url: deaf.url, headers: HEADERS, bytes: LARGE, signal: sending.signal }), {
      name: "AbortError",
    });

    const answering = new AbortController();
    await using slow = serve(async (request) => {
      await request.arrayBuffer();
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("half")),
          pull: () => answering.abort(),
        }, { highWaterMark: 0 }),
      );
    });
    await assert.rejects(requests.send({ url: slow.url, headers: HEADERS, bytes: LARGE, signal: answering.signal }));
    requests.close();
  });

  Deno.test(`${name}: an answer that is cut off, and a server that is not there, are errors`, async () => {
    const requests = open();
    await using cutting = answerEarly("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", () => Promise.resolve());
    await assert.rejects(
      requests.send({ url: cutting.url, headers: HEADERS, bytes: new Uint8Array(5), signal: SIGNAL }),
    );
    const gone = new URL(`http://127.0.0.1:${closedPort()}/`);
    await assert.rejects(requests.send({ url: gone, headers: HEADERS, bytes: LARGE, signal: SIGNAL }));
    requests.close();
  });
}

Deno.test("node: an answer before the end of the block counts, and ends its connection", async () => {
  const requests = new NodeRequests();
  const answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge";
  {
    await using server = answerEarly(answer, drained);
    const got = await requests.send({ url: server.url, headers: HEADERS, bytes: LARGE, signal: SIGNAL });
    assert.deepEqual(got, { status: 413, exceptionCode: undefined, text: "large" });
  }
  requests.close();
});

Deno.test("node: requests one after the other share a connection", async () => {
  const ports = new Set<number>();
  await using server = serve(async (request, { remoteAddr }) => {
    ports.add(remoteAddr.port);
    await request.arrayBuffer();
    return new Response("");
  });
  const requests = new NodeRequests();
  for (let i = 0; i < 5; i++) {
    await requests.send({ url: server.url, headers: HEADERS, bytes: LARGE.subarray(0, 1000), signal: SIGNAL });
  }
  requests.close();
  assert.equal(ports.size, 1);
});

Deno.test("over TLS it is fetch", () => {
  assert.ok(blockRequests("https:") instanceof FetchRequests);
  assert.ok(blockRequests("http:") instanceof NodeRequests);
});

/** Reads until the other side has gone, one way or the other. */
async function drained(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(1 << 16);
  try {
    while (await connection.read(buffer) !== null);
  } catch (error) {
    assert.ok(error instanceof Deno.errors.ConnectionReset, String(error));
  }
}

function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
