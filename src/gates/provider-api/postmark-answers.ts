/** What Postmark answers, and what its webhook says, in its own shapes: written for callers, read from the provider. */

import type { DeliveryResult } from '../../guard/carrier.ts';
import type {
  ApiCall,
  EventPost,
  FailedCall,
  ProviderAnswer,
  UpstreamAnswer,
  UpstreamCall,
  UpstreamResult,
} from './adapter.ts';
import { messagesOf, readersOf } from './postmark-rewrite.ts';
import type { PostmarkMessage } from './postmark-schema.ts';
import { resultOfStatus } from './upstream.ts';

const JSON_TYPE: Readonly<Record<string, string>> = { 'content-type': 'application/json' };

/** An answer with Postmark's code; 0 where it has none for this. */
export function errorAnswer(status: number, code: number, message: string): ProviderAnswer {
  return {
    status,
    headers: JSON_TYPE,
    body: JSON.stringify({ ErrorCode: code, Message: message }),
  };
}

/** Success, as one object or, for a batch, one for each message. */
export function acceptedAnswer(id: string, call: ApiCall, now: Date): ProviderAnswer {
  const body: unknown = JSON.parse(call.body.toString('utf8'));
  const items = messagesOf(body).map(({ To, Cc, Bcc }, index) => ({
    ...(To ? { To } : {}),
    ...(Cc ? { Cc } : {}),
    ...(Bcc ? { Bcc } : {}),
    SubmittedAt: now.toISOString(),
    // One id stands for the call; each message of a batch has it with its position.
    MessageID: index === 0 ? id : `${id}.${index}`,
    ErrorCode: 0,
    Message: 'OK',
  }));
  const batch = call.endpoint.id.includes('batch');
  return { status: 200, headers: JSON_TYPE, body: JSON.stringify(batch ? items : items[0]) };
}

/**
 * Codes that pass: bad token (10), maintenance (100), not allowed to send (405), account pending
 * (412) or stopped (413), rate limit (429).
 */
const PASSING: ReadonlySet<number> = new Set([10, 100, 405, 412, 413, 429]);

interface Item {
  readonly code: number;
  readonly id: string | null;
}

/** What an answer means for one of our requests; a batch answers 200 with a code for each message. */
export function resultOf(answer: UpstreamAnswer, { path }: UpstreamCall): UpstreamResult {
  const items = readItems(answer.body);
  if (answer.status >= 300) return resultOfError(answer, items?.[0]?.code ?? 0);
  if (items === null || items.length === 0) {
    return { kind: 'uncertain', answer: `HTTP ${answer.status} without a result` };
  }
  const failedItems = [...items.keys()].filter((index) => items[index]?.code !== 0);
  const first = items[failedItems[0] ?? 0]?.code ?? 0;
  if (failedItems.length === items.length) return resultOfCodes(items, first);
  const ids = items.map(({ id }) => id).filter((id) => id !== null);
  return {
    kind: 'accepted',
    upstreamId: ids.length === 0 ? null : ids.join(' '),
    answer: failedItems.length === 0 ? 'HTTP 200' : `HTTP 200 with ErrorCode ${first}`,
    ...(path.startsWith('/email/batch') && failedItems.length > 0 ? { failedItems } : {}),
  };
}

function resultOfError(answer: UpstreamAnswer, code: number): DeliveryResult {
  const { status } = answer;
  if (status !== 422) return resultOfStatus(answer, null);
  return {
    kind: PASSING.has(code) ? 'deferred' : 'refused',
    answer: `HTTP 422 ErrorCode ${code}`,
  };
}

function resultOfCodes(items: readonly Item[], first: number): DeliveryResult {
  const passes = items.every(({ code }) => PASSING.has(code));
  return { kind: passes ? 'deferred' : 'refused', answer: `HTTP 200 ErrorCode ${first}` };
}

/** The results in an answer, one or many; null where it is nothing that Postmark would say. */
function readItems(body: Buffer): readonly Item[] | null {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
  const items = (Array.isArray(value) ? value : [value]).map(readItem);
  const read = items.filter((item) => item !== null);
  return read.length === items.length ? read : null;
}

function readItem(value: unknown): Item | null {
  if (typeof value !== 'object' || value === null) return null;
  const { ErrorCode: code, MessageID: id } = value as Readonly<Record<string, unknown>>;
  if (typeof code !== 'number') return null;
  return { code, id: typeof id === 'string' ? id : null };
}

/** Postmark's names and numbers for what became of a message that did not reach its reader. */
const BOUNCES: Readonly<Record<FailedCall['kind'], readonly [type: string, code: number]>> = {
  refused: ['Blocked', 100006],
  expired: ['Transient', 2],
  uncertain: ['Unknown', 2048],
};

/** The bounce webhook: one POST for each reader. */
export function bounceEvents(
  failed: readonly FailedCall[],
  id: string | null,
  now: Date,
): readonly EventPost[] {
  return failed.flatMap((item) => {
    const messages = messagesOf(JSON.parse(item.call.body.toString('utf8')));
    return messages
      .filter((_, index) => item.items === null || item.items.includes(index))
      .flatMap((message) =>
        readersOf(message).map(({ email }) => ({
          headers: JSON_TYPE,
          body: JSON.stringify(bounceOf(email, message, item, { id, now })),
        })),
      );
  });
}

function bounceOf(
  email: string,
  message: PostmarkMessage,
  { kind, answer }: FailedCall,
  { id, now }: { readonly id: string | null; readonly now: Date },
): object {
  const [type, code] = BOUNCES[kind];
  return {
    RecordType: 'Bounce',
    Type: type,
    TypeCode: code,
    ...(id === null ? {} : { MessageID: id }),
    Tag: message.Tag ?? '',
    Metadata: message.Metadata ?? {},
    Email: email,
    From: message.From,
    Subject: message.Subject ?? '',
    Description:
      kind === 'uncertain'
        ? 'The provider gave no answer: the message may have been sent.'
        : 'The message was not sent.',
    Details: answer,
    BouncedAt: now.toISOString(),
    DumpAvailable: false,
    Inactive: false,
    CanActivate: false,
  };
}
