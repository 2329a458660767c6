/** Answers that take long: JSON Lines, each an event, the last one the result or the fault. */

import { PassThrough } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { Fault } from '../base/errors.ts';

export type StreamEvent =
  | {
      readonly event: 'progress';
      readonly step: string;
      readonly done: number;
      readonly of: number;
      readonly note?: string;
    }
  | { readonly event: 'item'; readonly item: unknown }
  | { readonly event: 'result'; readonly result: unknown }
  | { readonly event: 'fault'; readonly fault: FaultBody };

export interface FaultBody {
  readonly code: string;
  readonly message: string;
  readonly where: string | null;
  readonly remedy: string | null;
}

export function faultBody(error: unknown): FaultBody {
  if (error instanceof Fault)
    return {
      code: error.code,
      message: error.message,
      where: error.where ?? null,
      remedy: error.remedy ?? null,
    };
  return {
    code: 'internal',
    message: error instanceof Error ? error.message : 'an unknown fault',
    where: null,
    remedy: null,
  };
}

const PROGRESS_MS = 100;

/** Runs `work` while its events are written; progress at most ten times a second for each step. */
export function streamAnswer(
  reply: FastifyReply,
  work: (emit: (event: StreamEvent) => void) => Promise<unknown>,
): FastifyReply {
  const stream = new PassThrough();
  const last = new Map<string, number>();
  const write = (event: StreamEvent): void => {
    if (!stream.writableEnded) stream.write(`${JSON.stringify(event)}\n`);
  };
  const emit = (event: StreamEvent): void => {
    if (event.event === 'progress') {
      const now = performance.now();
      if (event.done < event.of && now - (last.get(event.step) ?? -PROGRESS_MS) < PROGRESS_MS)
        return;
      last.set(event.step, now);
    }
    write(event);
  };
  // The work goes on when the client goes away: what was begun is finished or stopped by its own means.
  stream.on('error', () => {});
  void work(emit)
    .then(
      (result) => write({ event: 'result', result: result ?? null }),
      (error: unknown) => write({ event: 'fault', fault: faultBody(error) }),
    )
    .finally(() => stream.end());
  return reply.type('application/jsonl').send(stream);
}
