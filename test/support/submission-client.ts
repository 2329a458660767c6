/** An SMTP client on one connection that speaks by itself and judges nothing: one message after another, and the final reply to each. */

import { connect, type Socket } from 'node:net';

export class SubmissionClient {
  readonly #socket: Socket;
  readonly #key: string | null;
  #text = '';
  #closed = false;
  #isGreeted = false;
  #wake: () => void = () => {};

  /** @param key the caller's key; null does not authenticate. */
  constructor(port: number, key: string | null = null) {
    this.#socket = connect(port, '127.0.0.1');
    this.#key = key;
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** The final reply, of whatever command ended the transaction; `closed` where the connection did. */
  async send(from: string, recipients: readonly string[], content: string): Promise<string> {
    if (!this.#isGreeted) await this.#greet();
    for (const line of [`MAIL FROM:<${from}>`, ...recipients.map((to) => `RCPT TO:<${to}>`)]) {
      const reply = await this.#say(line);
      if (!reply.startsWith('2')) return reply;
    }
    const ready = await this.#say('DATA');
    return ready.startsWith('354') ? this.#say(`${content}\r\n.`) : ready;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #greet(): Promise<void> {
    await this.#reply();
    await this.#say('EHLO client.example');
    if (this.#key !== null) {
      const plain = Buffer.from(`\0caller\0${this.#key}`).toString('base64');
      const reply = await this.#say(`AUTH PLAIN ${plain}`);
      if (!reply.startsWith('235')) throw new Error(`not authenticated: ${reply}`);
    }
    this.#isGreeted = true;
  }

  #say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.#reply();
  }

  async #reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r]*\r\n)*\d{3}(?: [^\r]*)?\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].trimEnd();
      }
      if (this.#closed) return 'closed';
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
