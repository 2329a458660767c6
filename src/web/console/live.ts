/** Server-sent events: the parts of an open page, each sent again when it has changed. */

import type { ServerResponse } from 'node:http';
import { html, type Markup } from './html.ts';
import type { Parts } from './view.ts';

export interface Tick {
  readonly parts: Parts;
  /** Of the frame: what is in force, how much is held. */
  readonly frame: Readonly<Record<string, Markup>>;
}

export interface LiveSource {
  /** Null where the session has ended. */
  next(): Promise<Tick | null>;
  /** What is shown while `next` does not come to an end or fails. */
  lost(error: unknown): Readonly<Record<string, Markup>>;
}

const TICK_MS = 1000;
/** A comment now and then, so that a proxy does not take the stream for dead. */
const QUIET_TICKS_MAX = 15;

function message(event: string | null, data: string): string {
  const lines = data.split('\n').map((line) => `data: ${line}\n`);
  return `${event === null ? '' : `event: ${event}\n`}${lines.join('')}\n`;
}

function partial(id: string, content: Markup): string {
  return String(html`<hx-partial hx-target="#${id}" hx-swap="innerMorph">${content}</hx-partial>`);
}

/** The streams that are open; each costs a look a second. */
export class LiveStreams {
  readonly #open = new Set<ServerResponse>();

  get size(): number {
    return this.#open.size;
  }

  async follow(
    response: ServerResponse,
    headers: Record<string, string>,
    source: LiveSource,
  ): Promise<void> {
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // nginx would keep the events back.
      'x-accel-buffering': 'no',
    });
    response.write(': undisclosed\n\n');
    this.#open.add(response);
    const closed = new Promise<void>((resolve) => response.once('close', resolve));
    try {
      await this.#feed(response, closed, source);
    } finally {
      this.#open.delete(response);
      response.end();
    }
  }

  async #feed(response: ServerResponse, closed: Promise<void>, source: LiveSource): Promise<void> {
    const sent = new Map<string, string>();
    let quiet = 0;
    const send = (key: string, text: string): void => {
      if (sent.get(key) === text) return;
      sent.set(key, text);
      response.write(text);
      quiet = 0;
    };
    while (!response.destroyed && !response.writableEnded) {
      try {
        const tick = await source.next();
        if (tick === null) {
          response.write(message('signed-out', '/signed-out'));
          return;
        }
        for (const [id, content] of Object.entries({ ...tick.frame, ...tick.parts.html }))
          send(id, message(null, partial(id, content)));
        for (const [id, data] of Object.entries(tick.parts.plots))
          send(`plot ${id}`, message('plot', JSON.stringify({ id, data })));
      } catch (error) {
        for (const [id, content] of Object.entries(source.lost(error)))
          send(id, message(null, partial(id, content)));
      }
      if (quiet++ > QUIET_TICKS_MAX) {
        response.write(': still here\n\n');
        quiet = 0;
      }
      if (response.writableNeedDrain)
        await Promise.race([closed, new Promise((resolve) => response.once('drain', resolve))]);
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, TICK_MS))]);
    }
  }

  close(): void {
    for (const response of this.#open) response.end();
  }
}
