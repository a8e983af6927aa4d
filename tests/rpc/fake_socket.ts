/** A socket without a network. */
import type { Socket } from "../../src/rpc/head_watch.ts";

/** A socket whose other end is the test. */
export class FakeSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onerror: Socket["onerror"] = null;
  onclose: Socket["onclose"] = null;
  closed = false;
  /** Answers requests; a silent peer does not. */
  answers = true;
  readonly sent: string[] = [];

  send(text: string): void {
    const { id, method } = JSON.parse(text);
    this.sent.push(method);
    if (!this.answers) return;
    queueMicrotask(() => this.say({ jsonrpc: "2.0", id, result: method === "eth_subscribe" ? "0xsub" : "0x539" }));
  }

  close(): void {
    this.closed = true;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  announce(header: unknown, subscription = "0xsub"): void {
    this.say({ jsonrpc: "2.0", method: "eth_subscription", params: { subscription, result: header } });
  }
}
