/**
 * The safe shape of Postmark calls: one message for each reader, in batches.
 *
 * Invariant: whoever is on a message gets it once, a reader in Cc or Bcc gets one text once however many messages of a batch
 * copy them in, and no item names anybody but its reader.
 */

import { Fault } from '../../base/errors.ts';
import { canonicalAddress } from '../../mail/address.ts';
import type { ApiCall, UpstreamCall } from './adapter.ts';
import { aloneInTo, mustShowNobody } from './message-parts.ts';
import { mailboxesOf, type PostmarkMessage } from './postmark-schema.ts';
import { readRewritableJson } from './strict-json.ts';

/** Postmark takes no more in one batch; of its 50 MB a little is left for what stands around. */
const BATCH_MESSAGES_MAX = 500;
const BATCH_BYTES_MAX = 48 * 1024 * 1024;
/** All requests of one call: attachments are repeated for every reader. */
const TOTAL_BYTES_MAX = 256 * 1024 * 1024;

/** The messages in the body of a call, from either form of a batch. */
export function messagesOf(body: unknown): readonly PostmarkMessage[] {
  if (Array.isArray(body)) return body;
  const { Messages: messages } = body as { readonly Messages?: readonly PostmarkMessage[] };
  return messages ?? [body as PostmarkMessage];
}

/** All readers of a message, in the order To, Cc, Bcc. */
export function readersOf(message: PostmarkMessage): ReturnType<typeof mailboxesOf> {
  return [message.To, message.Cc, message.Bcc].flatMap(mailboxesOf);
}

/**
 * The requests of a call that `read` found nothing wrong with.
 * @throws Fault `guard.cannot-cut` where one copy for each reader would be too much to hold, or would still
 *   show people
 */
export function rewriteMessages(call: ApiCall, how: 'private' | 'whole'): readonly UpstreamCall[] {
  const { method, path, headers, body } = call;
  const messages = messagesOf(readRewritableJson(body));
  if (how === 'whole') return [{ method, path, headers, body, readers: countReaders(messages) }];
  const templated = call.endpoint.id.endsWith('templates') || call.endpoint.id.endsWith('template');
  return batchesOf(privateCopies(messages)).map((batch) => {
    const text = batch.map(({ json }) => json).join(',');
    return {
      method,
      path: templated ? '/email/batchWithTemplates' : '/email/batch',
      headers,
      body: Buffer.from(templated ? `{"Messages":[${text}]}` : `[${text}]`),
      readers: new Set(batch.map(({ reader }) => reader)).size,
    };
  });
}

type NamedMailbox = ReturnType<typeof mailboxesOf>[number];

interface Copy {
  readonly reader: string;
  readonly json: string;
  readonly bytes: number;
}

function countReaders(messages: readonly PostmarkMessage[]): number {
  return new Set(messages.flatMap(readersOf).map(({ email }) => readerKey(email))).size;
}

function readerKey(email: string): string {
  return canonicalAddress(email) ?? email;
}

/** Readers in `To` first: each gets every message that was written to them. Then those in Cc and Bcc, who get a text once. */
function privateCopies(messages: readonly PostmarkMessage[]): readonly Copy[] {
  const copies: Copy[] = [];
  const texts = new Map<string, number>();
  const served = new Set<string>();
  let total = 0;
  const add = (rest: PostmarkMessage, place: string, mailbox: NamedMailbox): void => {
    const { email } = mailbox;
    const reader = readerKey(email);
    if (served.has(`${place} ${reader}`)) return;
    served.add(`${place} ${reader}`);
    // The text as it was given, unless an address could stand in its name.
    const To = aloneInTo(mailbox).name === undefined ? email : mailbox.text;
    const json = JSON.stringify({ ...rest, To });
    const bytes = Buffer.byteLength(json);
    total += bytes;
    if (total > TOTAL_BYTES_MAX) throw tooLarge();
    copies.push({ reader, json, bytes });
  };
  const items = messages.map((message, index) => {
    const { To, Cc, Bcc, ...rest } = message;
    mustShowNobody({
      from: mailboxesOf(message.From)[0]?.email ?? '',
      replyTo: mailboxesOf(message.ReplyTo).map(({ email }) => email),
      headerNames: (message.Headers ?? []).map(({ Name }) => Name),
    });
    const key = JSON.stringify(rest);
    const text = texts.get(key) ?? index;
    texts.set(key, text);
    return { rest, text, to: mailboxesOf(To), copied: [Cc, Bcc].flatMap(mailboxesOf) };
  });
  for (const [index, { rest, text, to }] of items.entries()) {
    for (const mailbox of to) {
      add(rest, `message ${index}`, mailbox);
      served.add(`text ${text} ${readerKey(mailbox.email)}`);
    }
  }
  for (const { rest, text, copied } of items)
    for (const mailbox of copied) add(rest, `text ${text}`, mailbox);
  return copies;
}

function batchesOf(copies: readonly Copy[]): readonly (readonly Copy[])[] {
  const batches: Copy[][] = [];
  let batch: Copy[] = [];
  let bytes = 0;
  for (const copy of copies) {
    const full = batch.length === BATCH_MESSAGES_MAX || bytes + copy.bytes > BATCH_BYTES_MAX;
    if (full && batch.length > 0) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(copy);
    bytes += copy.bytes + 1;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

function tooLarge(): Fault {
  return new Fault('guard.cannot-cut', 'one copy for each reader would be more than 256 MB', {
    remedy: 'send smaller attachments, or fewer messages in one call',
  });
}
