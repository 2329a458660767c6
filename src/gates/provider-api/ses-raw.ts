/**
 * The copy that a SendEmail call with a raw message makes. Who sees whom stands in its MIME header;
 * Destination is only the envelope, and without it SES delivers to the people in the header.
 */

import { parseAddress } from '../../mail/address.ts';
import { readAddressList } from '../../mail/address-list.ts';
import { decodeEncodedWords } from '../../mail/encoded-word.ts';
import { type ParsedMessage, parseMessage } from '../../mail/message.ts';
import type { CallError, CallReading } from './adapter.ts';
import type { NamedAddress } from './message-parts.ts';
import { keyOf, readMailboxes } from './ses-mailbox.ts';
import {
  envelopeOf,
  feedbackField,
  peopleOf,
  RECIPIENTS_MAX,
  readersOf,
  type SendEmail,
  withLink,
} from './ses-message.ts';
import { errorAt } from './ses-schema.ts';

/** A raw message with line ends as mail has them. Python's library writes LF alone, which SES takes. */
export function withMailLineEnds(bytes: Buffer): Buffer {
  if (bytes.includes(0x0d)) return bytes;
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

/** Whom SES delivers a raw message to: Destination's people, or, without any, those in its header. */
export function rawReaders(call: SendEmail, bytes: Buffer): readonly NamedAddress[] | null {
  const people = readersOf(peopleOf(call.Destination));
  if (people.length > 0) return people;
  const found = listed(parseMessage(bytes), ['to', 'cc', 'bcc']);
  return found?.every(({ email }) => parseAddress(email).kind === 'address') === true
    ? found
    : null;
}

/** The copy of a SendEmail call with a raw message. */
export function readRaw(call: SendEmail, given: Buffer): CallReading {
  const message = withMailLineEnds(given);
  if (call.ReplyToAddresses !== undefined && call.ReplyToAddresses.length > 0) {
    const text = 'Write Reply-To into the raw message.';
    return refused(errorAt('ReplyToAddresses', text));
  }
  const parsed = parseMessage(message);
  const author = listed(parsed, ['from']);
  const sender = readMailboxes(call.FromEmailAddress ?? '') ?? author;
  const readers = rawReaders(call, message);
  const [from] = sender ?? [];
  if (from === undefined || author === null) {
    return refused(
      errorAt('FromEmailAddress', 'Neither here nor in the message is there a sender.'),
    );
  }
  if (readers === null || readers.length === 0) {
    return refused(errorAt('Destination', 'Neither here nor in the message is there a recipient.'));
  }
  if (readers.length > RECIPIENTS_MAX) {
    return refused(errorAt('Destination', `Recipient count exceeds ${RECIPIENTS_MAX}.`));
  }
  if (readers.some(({ email }) => /[^\x20-\x7e]/.test(email))) {
    return refused(
      errorAt('Destination', 'Local address contains control or non-ASCII characters.'),
    );
  }
  // What the parameter shows beside its own address, the message must show too, and is inspected there.
  const shown = parsed.headers.filter(({ lower }) => lower === 'from');
  if (!isShownBy(call.FromEmailAddress, from, shown)) {
    return refused(errorAt('FromEmailAddress', 'Only the From of the message can name people.'));
  }
  const filled = withLink(message.toString('latin1'), call);
  const bytes = Buffer.from(feedbackField(call, from) + filled, 'latin1');
  return { kind: 'copies', copies: [{ envelope: envelopeOf(from, readers), bytes }] };
}

function refused(error: CallError): CallReading {
  return { kind: 'invalid', errors: [error] };
}

function isShownBy(
  given: string | undefined,
  from: NamedAddress,
  fields: ParsedMessage['headers'],
): boolean {
  if (given === undefined) return true;
  const known = new Set([keyOf(from.email)]);
  for (const field of fields) {
    for (const sighting of readAddressList(field).sightings) known.add(keyOf(sighting));
  }
  const decoded = decodeEncodedWords(given, 1000).text;
  const { sightings } = readAddressList({ value: given, decoded });
  return sightings.every((sighting) => known.has(keyOf(sighting)));
}

/** Everybody in the fields of these names; null where one of them cannot be read for sure. */
function listed(message: ParsedMessage, names: readonly string[]): readonly NamedAddress[] | null {
  const found: NamedAddress[] = [];
  for (const field of message.headers) {
    if (!names.includes(field.lower)) continue;
    const { mailboxes: list, defects } = readAddressList(field);
    if (defects.length > 0) return null;
    for (const { address } of list) found.push({ email: address });
  }
  return found;
}
