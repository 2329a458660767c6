/** A notice compiled: for each language the literal segments, and how to make the slots of one customer. */

import { createHash, type KeyObject } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { tokens } from '../keys/token.ts';
import { type Address, deliveryForm, parseAddress } from '../mail/address.ts';
import { composeAlternative, type Segments } from '../mail/compose.ts';
import { encodeHeaderText, encodeMailbox, headerField } from '../mail/encode-header.ts';
import { encodeQuotedPrintable } from '../mail/transfer-encoding.ts';
import { direction } from './language.ts';
import type { Allowed } from './last-look.ts';
import { HTML_FILE, type Notice, SETTINGS_FILE, TEXT_FILE } from './notice.ts';
import { FIRST_TEMPLATE_SLOT, type Layout, layoutOf, SLOT } from './prepared-message.ts';
import { type CustomerFields, compileTemplate, type Piece } from './template.ts';

/** What is fixed for the whole broadcast beside the notice. */
export interface BroadcastIdentity {
  readonly broadcast: string;
  /** Domain of Message-ID and, behind `returnPathDomain`, of the return path. */
  readonly messageIdDomain: string;
  readonly returnPathDomain: string;
  readonly tokenKey: KeyObject;
}

/** A customer as the audience froze it. */
export interface Recipient {
  readonly position: number;
  readonly address: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** What one customer's message is made of; `slots` by slot number. */
export interface RenderedSlots {
  readonly reader: string;
  readonly returnPath: string;
  readonly smtpUtf8: boolean;
  /** Own values with an at sign, exact: Message-ID and return path. */
  readonly own: readonly string[];
  readonly slots: readonly Buffer[];
}

export interface CompiledLanguage {
  readonly language: string;
  readonly layout: Layout;
  render(recipient: Recipient): RenderedSlots;
}

export interface CompiledNotice {
  readonly languages: readonly CompiledLanguage[];
  readonly allowed: Allowed;
  readonly fromDomain: string;
}

const EMPTY = Buffer.alloc(0);

function addressOf(text: string, where: string): Address {
  const reading = parseAddress(text);
  if (reading.kind === 'address') return reading.address;
  throw new Fault('notice.invalid', `the address is none: ${reading.reason}`, {
    where: `${SETTINGS_FILE} ${where}`,
  });
}

/** The fields a notice declares, with their kinds. */
type FieldKinds = readonly (readonly [name: string, kind: string])[];

/** Number fields as numbers, so that ICU plurals and comparisons work; everything else as text. */
function typedFields(kinds: FieldKinds, recipient: Recipient): CustomerFields {
  const typed: Record<string, string | number> = {};
  for (const [name, kind] of kinds) {
    const value = recipient.fields[name];
    if (value === undefined) continue;
    if (kind === 'text') typed[name] = value;
    else if (value.trim() !== '' && Number.isFinite(Number(value))) typed[name] = Number(value);
    else
      throw new Fault('notice.empty-slot', `the field ${name} is no number`, {
        where: `field ${name}`,
        remedy: 'correct the customer’s record',
      });
  }
  return typed;
}

/** Turns pieces into segments, numbering their slots from `first`. */
function number(pieces: readonly Piece[], first: number): { segments: Segments; next: number } {
  let next = first;
  const segments = pieces.map((piece) =>
    piece.kind === 'literal' ? piece.text : { slot: next++ },
  );
  return { segments, next };
}

function slotPieces(pieces: readonly Piece[]): readonly (Piece & { kind: 'slot' })[] {
  return pieces.filter((piece) => piece.kind === 'slot');
}

/** The boundary is derived, so that preparing twice gives the same bytes. */
function boundaryOf(identity: BroadcastIdentity, language: string): string {
  const digest = createHash('sha256').update(`${identity.broadcast}\0${language}`).digest('hex');
  return `=_u_${digest.slice(0, 32)}`;
}

function headersOf(
  notice: Notice,
  language: string,
  subject: readonly Piece[],
): readonly (string | { readonly slot: number })[] {
  const { from, replyTo } = notice.settings;
  const constant = subject.every((piece) => piece.kind === 'literal');
  const plain = subject.map((piece) => (piece.kind === 'literal' ? piece.text : '')).join('');
  return [
    { slot: SLOT.dkim },
    { slot: SLOT.date },
    headerField('From', encodeMailbox(from.name, from.address, 6)),
    ...(replyTo === null
      ? []
      : [headerField('Reply-To', encodeMailbox(replyTo.name, replyTo.address, 10))]),
    'To: ',
    { slot: SLOT.to },
    '\r\nSubject: ',
    ...(constant ? [encodeHeaderText(plain, 9)] : [{ slot: SLOT.subject }]),
    '\r\nMessage-ID: <',
    { slot: SLOT.messageId },
    '>\r\n',
    ...(notice.settings.class === 'subscribed' ? [{ slot: SLOT.listUnsubscribe }] : []),
    headerField('Content-Language', language),
    headerField('Auto-Submitted', 'auto-generated'),
  ];
}

interface Parts {
  readonly subject: readonly Piece[];
  readonly html: readonly Piece[];
  readonly text: readonly Piece[];
}

function compileParts(notice: Notice, language: string): Parts {
  const options = {
    language,
    direction: direction(language),
    messages: notice.messages[language] ?? {},
    fields: notice.settings.fields,
  };
  return {
    subject: compileTemplate(notice.settings.subject, {
      ...options,
      file: `${SETTINGS_FILE} subject`,
      escape: 'none',
    }),
    html: compileTemplate(notice.html, { ...options, file: HTML_FILE, escape: 'html' }),
    text: compileTemplate(notice.text, { ...options, file: TEXT_FILE, escape: 'none' }),
  };
}

function listUnsubscribe(
  notice: Notice,
  broadcast: string,
  position: number,
  token: string,
): Buffer {
  const url = notice.settings.unsubscribeUrl;
  if (url === null) return EMPTY;
  // One parameter that begins with a letter: an equals sign before a position such as 40 reads as a coded at sign.
  const link = `${url}${url.includes('?') ? '&' : '?'}u=${broadcast}.${position}.${token}`;
  return Buffer.from(
    `List-Unsubscribe:\r\n <${link}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n`,
    'utf8',
  );
}

/** Fields and slots of one language. Throws Fault when the template names what the notice lacks. */
function compileLanguage(
  notice: Notice,
  identity: BroadcastIdentity,
  language: string,
): CompiledLanguage {
  const { subject, html, text } = compileParts(notice, language);
  const textNumbered = number(text, FIRST_TEMPLATE_SLOT);
  const htmlNumbered = number(html, textNumbered.next);
  const layout = layoutOf(
    composeAlternative({
      headers: headersOf(notice, language, subject),
      boundary: boundaryOf(identity, language),
      text: textNumbered.segments,
      html: htmlNumbered.segments,
    }),
  );
  const bodySlots = [...slotPieces(text), ...slotPieces(html)];
  const subjectIsSlot = slotPieces(subject).length > 0;
  const { broadcast, tokenKey, messageIdDomain, returnPathDomain } = identity;
  const kinds = Object.entries(notice.settings.fields);
  return {
    language,
    layout,
    render: (recipient) => {
      const fields = typedFields(kinds, recipient);
      const { position } = recipient;
      const form = deliveryForm(addressOf(recipient.address, `row ${position}`));
      const derived = tokens(tokenKey, broadcast, position);
      const messageId = `${derived['message-id']}@${messageIdDomain}`;
      const returnPath = `r-${position}-${derived['return-path']}@${returnPathDomain}`;
      const slots: Buffer[] = [
        EMPTY,
        EMPTY,
        Buffer.from(`<${form.text}>`, 'utf8'),
        Buffer.from(messageId),
        listUnsubscribe(notice, broadcast, position, derived.unsubscribe),
        subjectIsSlot ? subjectSlot(subject, fields) : EMPTY,
      ];
      for (const piece of bodySlots)
        slots.push(Buffer.from(encodeQuotedPrintable(piece.render(fields)), 'latin1'));
      const own = [messageId, returnPath];
      return { reader: form.text, returnPath, smtpUtf8: form.needsSmtpUtf8, own, slots };
    },
  };
}

function subjectSlot(subject: readonly Piece[], fields: CustomerFields): Buffer {
  const value = subject.map((p) => (p.kind === 'literal' ? p.text : p.render(fields))).join('');
  return Buffer.from(encodeHeaderText(value, 9), 'utf8');
}

/**
 * Compiles a notice for a broadcast; done once in each thread that prepares.
 * @throws Fault `notice.invalid`, `notice.undefined-variable`, naming file, line and remedy.
 */
export function compileNotice(notice: Notice, identity: BroadcastIdentity): CompiledNotice {
  const { from, replyTo, roleAddresses } = notice.settings;
  const sender = addressOf(from.address, 'from.address');
  const reply = replyTo === null ? [] : [addressOf(replyTo.address, 'replyTo.address').text];
  const roles = roleAddresses.map((address) => addressOf(address, 'roleAddresses').text);
  return {
    languages: notice.settings.languages.map((language) =>
      compileLanguage(notice, identity, language),
    ),
    allowed: { addresses: [...new Set([sender.text, ...reply, ...roles])] },
    fromDomain: sender.domain.toLowerCase(),
  };
}
