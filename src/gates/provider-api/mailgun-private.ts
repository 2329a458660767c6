/**
 * The safe shape of a Mailgun call: everybody in `to` with an entry of their own in
 * `recipient-variables`, so that Mailgun makes one message for each.
 *
 * Invariant: whoever is on the call gets exactly one message and nobody is in cc or bcc; a MIME
 * message says `To: %recipient%`.
 */

import { Fault } from '../../base/errors.ts';
import { privateCopies } from '../../mail/private-copy.ts';
import type { ApiCall, UpstreamCall } from './adapter.ts';
import { type MailgunCall, readMailgunForm } from './mailgun-form.ts';
import { boundaryOf, mailbox, type NamedAddress } from './message-parts.ts';
import { type FormField, readForm, textOf, writeForm } from './multipart-form.ts';
import { distinctReaders, keyOf, ownMailbox, readMailboxes } from './ses-mailbox.ts';
import { withMailLineEnds } from './ses-raw.ts';
import { readRewritableJson } from './strict-json.ts';

/** Stands in To while the copy is made; nobody's (RFC 6761 section 6.4). */
const PLACEHOLDER = 'recipient@placeholder.invalid';
const BATCH_MAX = 1000;

/** Everybody a call is delivered to, once. */
export function readersOf({ to, cc, bcc }: MailgunCall): readonly NamedAddress[] {
  return distinctReaders([...to, ...cc, ...bcc]);
}

/** The call behind an `ApiCall` that `read` found nothing wrong with. */
export function callOf({ endpoint, headers, body }: ApiCall): MailgunCall {
  const form = readForm(headers['content-type'] ?? '', body);
  const kind = endpoint.id === 'messages' ? 'messages' : 'mime';
  const reading = form.kind === 'form' ? readMailgunForm(form.fields, kind) : form;
  if (reading.kind === 'call') return reading.call;
  throw new Fault('provider-api.kept', 'a kept call cannot be read any more', {
    where: 'mailgun',
    remedy: 'let the version of the program that kept it deliver it',
  });
}

/**
 * The requests of a call.
 * @throws Fault `guard.cannot-cut` where the message cannot be each reader's own
 */
export function rewriteMailgun(call: ApiCall, how: 'private' | 'whole'): readonly UpstreamCall[] {
  const { method, path, headers, body } = call;
  const read = callOf(call);
  const readers = readersOf(read);
  if (how === 'whole') return [{ method, path, headers, body, readers: readers.length }];
  checkReplyTo(read);
  const kept = read.fields
    .filter(({ name }) => !REPLACED.has(name))
    .map((field) => (field.name === 'message' ? ownMessage(field, readers) : field));
  const calls: UpstreamCall[] = [];
  for (let start = 0; start < readers.length; start += BATCH_MAX) {
    const batch = readers.slice(start, start + BATCH_MAX);
    const fields = [
      ...batch.map((reader) => textField('to', mailbox(ownMailbox(reader)).replace(/\r\n/g, ''))),
      textField('recipient-variables', variablesFor(read, batch)),
      ...kept,
    ];
    const form = writeForm(fields, boundaryOf(body));
    calls.push({
      method,
      path,
      headers: { ...headers, 'content-type': form.contentType },
      body: form.body,
      readers: batch.length,
    });
  }
  return calls;
}

const REPLACED: ReadonlySet<string> = new Set(['to', 'cc', 'bcc', 'recipient-variables']);

/** Several people in Reply-To would be shown to every reader still. */
function checkReplyTo({ headers }: MailgunCall): void {
  for (const [name, value] of headers) {
    if (name.toLowerCase() !== 'reply-to' || (readMailboxes(value)?.length ?? 2) <= 1) continue;
    throw new Fault('guard.cannot-cut', 'Reply-To shows several people in every copy', {
      where: 'h:Reply-To',
      remedy: 'name one address in Reply-To',
    });
  }
}

function textField(name: string, text: string): FormField {
  return { name, fileName: null, contentType: null, content: Buffer.from(text) };
}

/** Existing values as they were; for everybody else an empty entry, which is enough for Mailgun. */
function variablesFor({ fields }: MailgunCall, batch: readonly NamedAddress[]): string {
  const field = fields.find(({ name }) => name === 'recipient-variables');
  const text = field === undefined ? '' : (textOf(field) ?? '').trim();
  const given = text === '' ? {} : (readRewritableJson(Buffer.from(text)) as object);
  const known = new Map(Object.entries(given).map(([address, value]) => [keyOf(address), value]));
  const entries = batch.map(({ email }) => [email, known.get(keyOf(email)) ?? {}]);
  return JSON.stringify(Object.fromEntries(entries));
}

function ownMessage(field: FormField, readers: readonly NamedAddress[]): FormField {
  const message = withMailLineEnds(field.content);
  const addresses = readers.map(({ email }) => email);
  const source = message.toString('latin1');
  // Already of that shape: nobody is named in it.
  const header = source.slice(0, source.indexOf('\r\n\r\n') + 2);
  const shape = /^To: *%recipient% *\r\n/im.test(header);
  if (shape && !/^(?:cc|bcc|resent-[a-z]+|apparently-to) *:/im.test(header)) {
    return { ...field, content: message };
  }
  const copy = privateCopies(message, { readers: addresses }).copyFor(PLACEHOLDER);
  const own = copy.toString('latin1').replace(`To: ${PLACEHOLDER}\r\n`, 'To: %recipient%\r\n');
  if (own.includes('To: %recipient%\r\n')) return { ...field, content: Buffer.from(own, 'latin1') };
  throw new Fault('guard.cannot-cut', 'the message takes no To of the reader’s own', {
    where: 'message',
    remedy: 'write To: %recipient% and give recipient-variables',
  });
}
