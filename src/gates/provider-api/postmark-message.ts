/**
 * The message that Postmark makes of one item: the bytes its readers would get, as far as the item decides
 * them. Date and Message-ID are the provider's and left out; so is the text of a stored template.
 *
 * Invariant: every string of the item that can reach a reader stands in the message.
 */

import type { Submission } from '../../guard/judge.ts';
import {
  attachmentPart,
  boundaryOf,
  delivered,
  mailboxes,
  textPart,
  unstructured,
} from './message-parts.ts';
import { mailboxesOf, type PostmarkMessage } from './postmark-schema.ts';

/** The message of an item that `findMessageErrors` found nothing wrong with. */
export function composeMessage(message: PostmarkMessage): Submission {
  const boundary = boundaryOf(JSON.stringify(message));
  const parts: Buffer[] = [Buffer.from(headerOf(message, boundary))];
  if (message.TextBody) parts.push(textPart(boundary, 'text/plain', message.TextBody));
  if (message.HtmlBody) parts.push(textPart(boundary, 'text/html', message.HtmlBody));
  const values = valuesOf(message).join('\n');
  if (values !== '') parts.push(textPart(boundary, 'text/plain', values));
  for (const { Name, Content, ContentType, ContentID, Disposition } of message.Attachments ?? []) {
    parts.push(
      attachmentPart(boundary, {
        filename: Name,
        content: Content,
        type: ContentType.replace(/;.*$/, ''),
        ...(ContentID ? { contentId: ContentID.replace(/^cid:/i, '') } : {}),
        ...(Disposition ? { disposition: Disposition } : {}),
      }),
    );
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return { envelope: envelopeOf(message), bytes: Buffer.concat(parts) };
}

/** The provider's own return path replaces `from`. */
function envelopeOf(message: PostmarkMessage): Submission['envelope'] {
  const readers = [message.To, message.Cc, message.Bcc].flatMap(mailboxesOf);
  const recipients = readers.map(({ email }) => delivered(email));
  return {
    from: delivered(mailboxesOf(message.From)[0]?.email ?? '').text,
    recipients: recipients.map(({ text }) => text),
    smtpUtf8: recipients.some(({ needsSmtpUtf8 }) => needsSmtpUtf8),
  };
}

function headerOf(message: PostmarkMessage, boundary: string): string {
  return [
    mailboxes('From', mailboxesOf(message.From)),
    mailboxes('To', mailboxesOf(message.To)),
    mailboxes('Cc', mailboxesOf(message.Cc)),
    mailboxes('Reply-To', mailboxesOf(message.ReplyTo)),
    unstructured('Subject', message.Subject ?? ''),
    ...(message.Headers ?? []).map(({ Name, Value }) => unstructured(Name, Value)),
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n`,
  ].join('');
}

/** What a stored template, a header of the provider's or a link can show of the rest. */
function valuesOf({ Tag, Metadata, TemplateModel }: PostmarkMessage): readonly string[] {
  const values: string[] = Tag ? [Tag] : [];
  collectStrings(Metadata ?? {}, values);
  collectStrings(TemplateModel ?? {}, values);
  return values;
}

/** All strings, member names with them. Nesting is bounded by the reading of the JSON. */
function collectStrings(value: unknown, into: string[]): void {
  if (typeof value === 'string') into.push(value);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (!Array.isArray(value)) into.push(name);
    collectStrings(member, into);
  }
}
