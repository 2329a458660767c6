/** Loads of mail through a relay into the counting sink, with what each process spent on a message. */

import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CountingSink } from './far-side.ts';
import { cpuSecondsOf } from './usage.ts';

const SOURCE = fileURLToPath(new URL('./smtp-load.mjs', import.meta.url));
const MESSAGE_BYTES = 3072;
const CONNECTIONS = 20;
const ADDRESSES = 50_000;
const SETTLE_MS = 60_000;
const POLL_MS = 5;

export interface LoadRequest {
  readonly port: number;
  readonly messages: number;
  /** Every so manyth message shows two people to each other; 0: none does. */
  readonly leakEvery?: number;
  /** 0: as many as there can be. */
  readonly perSecond?: number;
  /** Whether the source sends an envelope as one group; most clients send one command at a time. */
  readonly pipelining?: boolean;
  readonly connections?: number;
}

/** What the source counted and timed. */
interface Sent {
  readonly seconds: number;
  readonly perSecond: number;
  readonly accepted: number;
  readonly refused: number;
  readonly deferred: number;
  readonly leaks: number;
  readonly leaksAccepted: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly fromDueP50Ms: number;
  readonly fromDueP99Ms: number;
  readonly cpuSeconds: number;
}

export interface Load extends Sent {
  /** Until the last accepted message was in the sink, divided into the messages sent. */
  readonly perSecond: number;
  /** Accepted and never in the sink; less than 0: in the sink and not accepted. */
  readonly lost: number;
  /** Microseconds of CPU a message, of each process. */
  readonly cpu: Readonly<Record<string, number>>;
}

/** The first ASCII addresses of a file of customers, one a line: the readers of every load. */
export async function writeAddresses(csv: string, work: string): Promise<string> {
  const file = join(work, 'addresses.txt');
  const found: string[] = [];
  const stream = createReadStream(csv);
  for await (const line of createInterface({ input: stream })) {
    const address = /(?:^|[,"])([a-z0-9._+-]+@[a-z0-9.-]+)(?:[,"]|$)/i.exec(line)?.[1];
    if (address !== undefined) found.push(address);
    if (found.length === ADDRESSES) break;
  }
  stream.destroy();
  if (found.length === 0) throw new Error('the file of customers has no address');
  await writeFile(file, found.join('\n'));
  return file;
}

export class Loads {
  readonly #sink: CountingSink;
  readonly #addresses: string;

  constructor(sink: CountingSink, addresses: string) {
    this.#sink = sink;
    this.#addresses = addresses;
  }

  /** @param cpuSeconds of the processes that relay, so far. */
  async run(
    request: LoadRequest,
    cpuSeconds: () => Readonly<Record<string, number>> = () => ({}),
  ): Promise<Load> {
    const before = { ...cpuSeconds(), sink: cpuSecondsOf(this.#sink.pid) };
    const had = this.#sink.count();
    const sent = await this.#send(request);
    const ended = performance.now();
    while (this.#sink.count() - had < sent.accepted && performance.now() - ended < SETTLE_MS)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const came = performance.now() - ended;
    // What is in the sink and was never accepted may still be on its way.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const after = { ...cpuSeconds(), sink: cpuSecondsOf(this.#sink.pid) };
    const seconds = sent.seconds + (came < POLL_MS ? 0 : came / 1000);
    const each = (secondsOfAll: number): number => (secondsOfAll * 1e6) / request.messages;
    const cpu: Record<string, number> = { source: each(sent.cpuSeconds) };
    for (const [name, value] of Object.entries(after))
      cpu[name] = each(value - (before[name as keyof typeof before] ?? 0));
    return {
      ...sent,
      seconds,
      perSecond: request.messages / seconds,
      lost: sent.accepted - (this.#sink.count() - had),
      cpu,
    };
  }

  async #send(request: LoadRequest): Promise<Sent> {
    const whole = {
      connections: CONNECTIONS,
      bytes: MESSAGE_BYTES,
      leakEvery: 0,
      perSecond: 0,
      pipelining: false,
      addresses: this.#addresses,
      ...request,
    };
    const { stdout } = await promisify(execFile)(process.execPath, [SOURCE, JSON.stringify(whole)]);
    return JSON.parse(stdout) as Sent;
  }
}
