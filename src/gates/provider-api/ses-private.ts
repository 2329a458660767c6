/**
 * The safe shapes of SES calls: one SendEmail for each reader, bulk calls with one entry of one reader.
 *
 * Invariant: whoever is on the call gets exactly one message for each entry, alone in its
 * Destination and, for a raw message, alone in its MIME header. One request is one delivery, so that
 * an answer never speaks for several.
 */

import { Fault } from '../../base/errors.ts';
import { privateCopies } from '../../mail/private-copy.ts';
import type { ApiCall, UpstreamCall } from './adapter.ts';
import { mailbox, type NamedAddress } from './message-parts.ts';
import { distinctReaders, keyOf, ownMailbox } from './ses-mailbox.ts';
import {
  type BulkEntry,
  type Destination,
  peopleOf,
  type SendBulkEmail,
  type SendEmail,
} from './ses-message.ts';
import { rawReaders, withMailLineEnds } from './ses-raw.ts';

/**
 * The requests of a SendEmail call that `read` found nothing wrong with.
 * @throws Fault `guard.cannot-cut` where the message cannot be each reader's own
 */
export function rewriteSendEmail(call: ApiCall, how: 'private' | 'whole'): readonly UpstreamCall[] {
  const body: SendEmail = JSON.parse(call.body.toString('utf8'));
  const { Raw: raw } = body.Content;
  const message = raw === undefined ? null : withMailLineEnds(Buffer.from(raw.Data, 'base64'));
  const readers = distinctReaders(
    message === null ? allOf(body.Destination) : (rawReaders(body, message) ?? []),
  );
  if (how === 'whole') return [requestOf(call, call.body, readers.length)];
  checkReplyTo(body.ReplyToAddresses);
  const everybody = readers.map(({ email }) => email);
  const copies = message === null ? null : privateCopies(message, { readers: everybody });
  return readers.map((reader) => {
    const own = { ...body, Destination: destinationOf(reader) };
    if (copies === null) return requestOf(call, jsonOf(own), 1);
    const Data = copies.copyFor(reader.email).toString('base64');
    return requestOf(call, jsonOf({ ...own, Content: { Raw: { Data } } }), 1);
  });
}

/**
 * The requests of a SendBulkEmail call that `read` found nothing wrong with: one for each entry
 * (`whole`) or for each reader of each entry (`private`).
 * @throws Fault `guard.cannot-cut`
 */
export function rewriteSendBulkEmail(
  call: ApiCall,
  how: 'private' | 'whole',
): readonly UpstreamCall[] {
  const body: SendBulkEmail = JSON.parse(call.body.toString('utf8'));
  if (how === 'private') checkReplyTo(body.ReplyToAddresses);
  const requestFor = (entry: BulkEntry, readers: number): UpstreamCall =>
    requestOf(call, jsonOf({ ...body, BulkEmailEntries: [entry] }), readers);
  const entries = body.BulkEmailEntries;
  if (how === 'whole') {
    return entries.map((entry) =>
      requestFor(entry, distinctReaders(allOf(entry.Destination)).length),
    );
  }
  return privateEntries(entries).map((entry) => requestFor(entry, 1));
}

/** Who is in `to` gets each entry written to them; who is only in cc or bcc, one message in all. */
function privateEntries(entries: readonly BulkEntry[]): readonly BulkEntry[] {
  const served = new Set<string>();
  const own: BulkEntry[] = [];
  for (const entry of entries) {
    for (const reader of distinctReaders(peopleOf(entry.Destination).to)) {
      served.add(keyOf(reader.email));
      own.push({ ...entry, Destination: destinationOf(reader) });
    }
  }
  for (const entry of entries) {
    for (const reader of allOf(entry.Destination)) {
      if (served.has(keyOf(reader.email))) continue;
      served.add(keyOf(reader.email));
      own.push({ ...entry, Destination: destinationOf(reader) });
    }
  }
  return own;
}

/** Everybody in a destination, in the order To, Cc, Bcc. */
export function allOf(destination: Destination | undefined): readonly NamedAddress[] {
  const { to, cc, bcc } = peopleOf(destination);
  return [...to, ...cc, ...bcc];
}

function destinationOf(reader: NamedAddress): Destination {
  return { ToAddresses: [mailbox(ownMailbox(reader))] };
}

/** Several people in Reply-To would be shown to every reader still. */
function checkReplyTo(replyTo: readonly string[] | undefined): void {
  if ((replyTo ?? []).length <= 1) return;
  throw new Fault('guard.cannot-cut', 'Reply-To shows several people in every copy', {
    where: 'ReplyToAddresses',
    remedy: 'name one address in ReplyToAddresses',
  });
}

function requestOf(call: ApiCall, body: Buffer, readers: number): UpstreamCall {
  const { method, path, headers } = call;
  return { method, path, headers, body, readers };
}

function jsonOf(value: object): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}
