/**
 * Every address a message mentions, and where: found once per message and shared by the detectors, whatever the circumstances.
 *
 * Invariant: an address is left out of no place because of a field's name. What looks like an identifier (a message id, a
 * content id) stays in the list marked `weak`: it counts only where somebody is known to have that address.
 */

import { canonicalAddress } from '../mail/address.ts';
import { readAddressList } from '../mail/address-list.ts';
import { findEncodedAddresses } from '../mail/encoded-sightings.ts';
import type { HeaderField } from '../mail/header.ts';
import { kept } from '../mail/kept.ts';
import type { ParsedMessage, Part } from '../mail/message.ts';
import { findAddresses, type Sighting } from '../mail/sightings.ts';
import { undoStyleEscapes } from '../mail/undo-coding.ts';
import { binaryAddresses } from './attachment-text.ts';
import { isCalendar, isCard, unfolded } from './calendar.ts';
import { openedIn } from './documents.ts';
import { headerLabel } from './header-label.ts';
import { htmlPlace, htmlTextNear } from './html-text.ts';
import { calendarPieces, type Opened, type Piece } from './open-file.ts';
import { pdfReadingOf } from './pdf-reading.ts';

/**
 * recipients: To, Cc and their like. bcc: Bcc, Resent-Bcc. invited: attendees of a calendar, the recipient table of TNEF.
 * organizer: of a calendar. nested: anywhere in a message inside the message.
 */
export type Surface =
  | 'recipients'
  | 'invited'
  | 'organizer'
  | 'bcc'
  | 'header'
  | 'body'
  | 'encoded'
  | 'attachment'
  | 'nested';

export interface Mention extends Sighting {
  readonly surface: Surface;
  readonly part: string;
  /** 'header Cc', 'text', 'html', 'attachment', 'nested header To', … */
  readonly field: string;
}

const RECIPIENT_FIELDS = new Set(['to', 'cc', 'resent-to', 'resent-cc', 'apparently-to']);
const BCC_FIELDS = new Set(['bcc', 'resent-bcc', 'apparently-bcc']);
const IDENTIFIER_FIELD =
  /^(?:in-reply-to|references|content-id|(?:[a-z0-9-]+-)?message-id|x-ms-tnef-correlator)$/;
/** RFC 5322 msg-id, one or many, with nothing beside them. */
const IDENTIFIERS_ONLY = /^(?:<[^<>\s]*>[\s,]*)+$/;
/** Some programs leave the brackets out. */
const BARE_IDENTIFIER = /^[^<>\s,;:"]+@[^<>\s,;:"@]+$/;

const known = new WeakMap<ParsedMessage, readonly Mention[]>();

/** All mentions in the message, its parts and the messages inside it, in order. */
export function mentionsIn(message: ParsedMessage): readonly Mention[] {
  const before = known.get(message);
  if (before !== undefined) return before;
  const mentions: Mention[] = [];
  readMessage(message, { mentions, nested: false, contentIds: null, message });
  known.set(message, mentions);
  return mentions;
}

/** The field as a person reads it: in HTML also whether it is in an attribute, and in which. */
export function placeOf(message: ParsedMessage, mention: Mention): string {
  if (mention.field !== 'html') return mention.field;
  const text = partAt(message.root, mention.part)?.texts[0];
  return text === undefined ? 'html' : htmlPlace(text, mention.start);
}

/** Whether this field shows its addresses as the people written to: To, Cc, and a Reply-To with several. */
function isRecipientField(field: HeaderField): boolean {
  if (RECIPIENT_FIELDS.has(field.lower)) return true;
  return field.lower === 'reply-to' && readAddressList(field).mailboxes.length > 1;
}

export function isBccField(field: HeaderField): boolean {
  return BCC_FIELDS.has(field.lower);
}

/** Every address that any client might show for an address field. */
function listedAddresses(field: HeaderField): readonly string[] {
  const addresses = new Set<string>();
  for (const text of readAddressList(field).sightings) {
    addresses.add(canonicalAddress(text) ?? text.toLowerCase());
  }
  return [...addresses];
}

interface Reading {
  readonly mentions: Mention[];
  readonly nested: boolean;
  readonly message: ParsedMessage;
  contentIds: ReadonlySet<string> | null;
}

function readMessage(message: ParsedMessage, reading: Reading): void {
  for (const field of message.headers) readField(field, message.root, reading);
  readPart(message.root, reading);
}

function readPart(part: Part, reading: Reading): void {
  readContent(part, reading);
  for (const child of part.children) {
    for (const field of child.headers) readField(field, child, reading);
    readPart(child, reading);
  }
  if (part.nested !== null) readMessage(part.nested, { ...reading, nested: true });
}

function add(
  reading: Reading,
  surface: Surface,
  part: string,
  field: string,
  sighting: Sighting,
): void {
  const { address, start, end, weak, readings, embedded } = sighting;
  reading.mentions.push({
    address,
    start,
    end,
    weak,
    readings,
    embedded,
    surface: reading.nested ? 'nested' : surface,
    part,
    field: reading.nested ? `nested ${field}` : field,
  });
}

const NONE: readonly never[] = [];

/** What a field's decoded value shows: from memory for the fields that are the same in every message of a broadcast. */
/** Fields that hardly any other message has alike: not worth keeping. */
const OF_ONE_MESSAGE = new Set(['to', 'cc', 'date', 'message-id', 'received', 'dkim-signature']);
const keptSightings = kept(sightingsIn);

interface FieldSightings {
  readonly sightings: readonly Sighting[];
  readonly encoded: readonly Sighting[];
}

function sightingsIn(text: string): FieldSightings {
  return { sightings: findAddresses(text), encoded: findEncodedAddresses(text) };
}

function readField(field: HeaderField, part: Part, reading: Reading): void {
  const { decoded, lower, start, end } = field;
  // A name may hold any printable character but the colon (RFC 5322 section 2.2).
  if (lower.includes('@')) {
    for (const sighting of findAddresses(lower))
      add(reading, 'header', part.path, headerLabel(field), { ...sighting, start, end });
  }
  const ownLine = OF_ONE_MESSAGE.has(lower);
  const { sightings, encoded } = ownLine ? sightingsIn(decoded) : keptSightings(decoded);
  const listed = isAddressField(field) ? listedAddresses(field) : NONE;
  if (sightings.length === 0 && encoded.length === 0 && listed.length === 0) return;
  const label = headerLabel(field);
  const surface = headerSurface(field);
  const seen = new Set(listed);
  const folded = listed.length > 0 ? foldedInto(sightings) : null;
  for (const address of listed) {
    const embedded = folded?.get(address) ?? NONE;
    const sighting = { address, start, end, weak: false, readings: NONE, embedded };
    add(reading, surface, part.path, label, sighting);
  }
  for (const sighting of sightings) {
    if (seen.has(sighting.address) || sighting.readings.some((text) => seen.has(text))) continue;
    const weak = sighting.weak || isIdentifier(field, part, sighting);
    add(reading, surface, part.path, label, { ...sighting, weak, start, end });
  }
  for (const sighting of encoded) {
    add(reading, surface, part.path, label, { ...sighting, start, end });
  }
}

/** What is folded into others, by each reading of those; null where nothing is, as nearly always. */
function foldedInto(sightings: readonly Sighting[]): ReadonlyMap<string, readonly string[]> | null {
  let folded: Map<string, string[]> | null = null;
  for (const { address, readings, embedded } of sightings) {
    if (embedded.length === 0) continue;
    folded ??= new Map();
    for (const reading of [address, ...readings]) {
      const before = folded.get(reading);
      if (before === undefined) folded.set(reading, [...embedded]);
      else before.push(...embedded);
    }
  }
  return folded;
}

/** Whole addresses stand in these, so one at a host of one label (`root@localhost`) is one too. */
const ADDRESS_FIELDS = new Set([
  'from',
  'sender',
  'reply-to',
  'resent-from',
  'resent-sender',
  'return-path',
  'delivered-to',
  'x-original-to',
  'envelope-to',
  'x-envelope-to',
  'x-rcptto',
  'disposition-notification-to',
]);

function isAddressField(field: HeaderField): boolean {
  return (
    RECIPIENT_FIELDS.has(field.lower) ||
    BCC_FIELDS.has(field.lower) ||
    ADDRESS_FIELDS.has(field.lower)
  );
}

function headerSurface(field: HeaderField): Surface {
  if (isBccField(field)) return 'bcc';
  return isRecipientField(field) ? 'recipients' : 'header';
}

/** Judged by shape and exact value: a message id, a boundary, a queue id, a signature's own identity. */
function isIdentifier(field: HeaderField, part: Part, sighting: Sighting): boolean {
  const { lower, decoded } = field;
  if (IDENTIFIER_FIELD.test(lower)) {
    if (IDENTIFIERS_ONLY.test(decoded)) return true;
    return lower === 'message-id' && BARE_IDENTIFIER.test(decoded.trim());
  }
  if (lower === 'content-type') {
    const boundary = part.parameters.get('boundary');
    return boundary?.includes(decoded.slice(sighting.start, sighting.end)) ?? false;
  }
  const before = decoded.slice(Math.max(0, sighting.start - 8), sighting.start);
  if (lower === 'received') return /\bid <?$/i.test(before);
  if (!/(?:^|-)(?:dkim-signature|arc-message-signature)$/.test(lower)) return false;
  const domain = /(?:^|[;\s])d=\s*([A-Za-z0-9.-]+)/.exec(decoded)?.[1]?.toLowerCase();
  const own = sighting.address.slice(sighting.address.lastIndexOf('@') + 1);
  const identity = /^i=/.test(decoded.slice(sighting.start, sighting.end)) || /i=\s*$/.test(before);
  return identity && domain !== undefined && (own === domain || own.endsWith(`.${domain}`));
}

function readContent(part: Part, reading: Reading): void {
  const opened = openedIn(reading.message).get(part);
  if (opened !== undefined) readOpened(part, opened, reading);
  for (const text of part.texts) {
    const pieces = foldedPieces(part, text);
    if (pieces === null) readText(part, text, reading);
    else {
      const surface = part.disposition === 'attachment' ? 'attachment' : 'body';
      for (const piece of pieces) readPiece(part, piece, surface, reading);
    }
  }
}

const FOLDED_TYPE = /^text\/(?:calendar|(?:x-)?vcard|directory)$/;

/** A calendar or a card, whose lines are folded anywhere, in an address too; null for any other text. */
function foldedPieces(part: Part, text: string): readonly Piece[] | null {
  const attached = part.disposition === 'attachment' || part.fileName !== '';
  const typed = part.contentType.startsWith('text/') && FOLDED_TYPE.test(part.contentType);
  if (!attached && !typed) return null;
  if (part.contentType === 'text/calendar' || isCalendar(text)) return calendarPieces(text);
  return isCard(text) ? [{ kind: 'text', label: 'card', text: unfolded(text) }] : null;
}

function readOpened(part: Part, opened: Opened, reading: Reading): void {
  for (const piece of opened.pieces) readPiece(part, piece, 'attachment', reading);
  for (const binary of opened.binaries) {
    for (const sighting of binaryAddresses(binary)) {
      add(reading, 'attachment', part.path, 'attachment', sighting);
    }
  }
  for (const pdf of opened.pdfs) {
    const found = pdfReadingOf(pdf);
    if (found.kind !== 'read') continue;
    readPiece(part, { kind: 'text', label: 'PDF', text: found.text }, 'attachment', reading);
  }
  for (const message of opened.messages) readMessage(message, { ...reading, nested: true });
}

/** People a calendar lists are shown as the ones written to; the identifiers of events only look like addresses. */
function readPiece(part: Part, piece: Piece, surface: Surface, reading: Reading): void {
  const { kind, label, text } = piece;
  const field = label === 'calendar' || label === 'winmail.dat' ? label : 'attachment';
  const listed = kind === 'invited' || kind === 'organizer' ? kind : surface;
  const sightings = [...findAddresses(text), ...findEncodedAddresses(text)];
  for (const sighting of sightings) {
    const weak = sighting.weak || kind === 'identifiers';
    add(reading, listed, part.path, field, { ...sighting, weak, start: 0, end: 0 });
  }
}

/** Types whose tags a reader does not see. */
const MARKUP_TYPES = new Set([
  'text/html',
  'application/xhtml+xml',
  'text/x-amp-html',
  'text/enriched',
  'text/richtext',
]);

function readText(part: Part, text: string, reading: Reading): void {
  const attached = part.disposition === 'attachment' || part.fileName !== '';
  const html = MARKUP_TYPES.has(part.contentType);
  const field = attached ? 'attachment' : html ? 'html' : 'text';
  const surface = attached ? 'attachment' : 'body';
  const sightings = findAddresses(text);
  for (const sighting of sightings) {
    const weak =
      sighting.weak || isContentId(text, sighting, reading) || isQuotedIdentifier(text, sighting);
    add(
      reading,
      surface,
      part.path,
      field,
      weak === sighting.weak ? sighting : { ...sighting, weak },
    );
  }
  if (html) readRendered(part, text, sightings, field, surface, reading);
  for (const sighting of findEncodedAddresses(text)) {
    add(reading, attached ? 'attachment' : 'encoded', part.path, field, sighting);
  }
}

/** Words that tags cut in pieces, and what style sheets show as `content`; only what the source did not show already. */
function readRendered(
  part: Part,
  source: string,
  sightings: readonly Sighting[],
  field: string,
  surface: Surface,
  reading: Reading,
): void {
  const seen = new Set(sightings.map((sighting) => sighting.address));
  const places = placesOfAt(source);
  const texts = places.length === 0 ? [] : [htmlTextNear(source, places)];
  const styled = source.includes('\\') ? undoStyleEscapes(source) : source;
  if (styled !== source) texts.push(styled);
  for (const sighting of texts.flatMap(findAddresses)) {
    if (!seen.has(sighting.address)) {
      add(reading, surface, part.path, field, { ...sighting, start: 0, end: 0 });
    }
  }
}

const REFERENCES_TO_AT = /&(?:commat|#0*64(?!\d)|#[xX]0*40(?![0-9a-fA-F]))/g;

/** Where the source has an @ that is shown as one. */
function placesOfAt(source: string): readonly number[] {
  const places: number[] = [];
  for (let at = source.indexOf('@'); at !== -1; at = source.indexOf('@', at + 1)) places.push(at);
  if (source.includes('&#') || source.includes('&commat')) {
    for (const match of source.matchAll(REFERENCES_TO_AT)) places.push(match.index);
    places.sort((one, other) => one - other);
  }
  return places;
}

const QUOTED_FIELD =
  /(?:^|\n)[> \t]*(?:(?:x-)?original-)?(?:message-id|content-id|in-reply-to):[ \t]*<$/i;

/** `Message-ID: <part1@host>` on a line of its own, as reports and replies quote the header of another message. */
function isQuotedIdentifier(text: string, { start, end }: Sighting): boolean {
  if (text[start - 1] !== '<' || text[end] !== '>') return false;
  return QUOTED_FIELD.test(text.slice(Math.max(0, start - 48), start));
}

/** `cid:part1@host` where a part of this message has exactly that Content-ID (RFC 2392). */
function isContentId(text: string, sighting: Sighting, reading: Reading): boolean {
  const { start, end } = sighting;
  const whole = text.startsWith('cid:', start)
    ? text.slice(start + 4, end)
    : text.slice(start, end);
  if (whole.length === end - start && text.slice(Math.max(0, start - 4), start) !== 'cid:')
    return false;
  reading.contentIds ??= contentIdsOf(reading.message);
  return reading.contentIds.has(whole.replaceAll('%40', '@'));
}

function contentIdsOf(message: ParsedMessage): ReadonlySet<string> {
  const ids = new Set<string>();
  const waiting: Part[] = [message.root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    for (const field of part.headers) {
      if (field.lower === 'content-id') ids.add(field.value.replace(/^<|>$/g, ''));
    }
    waiting.push(...part.children);
    if (part.nested !== null) waiting.push(part.nested.root);
  }
  return ids;
}

function partAt(root: Part, path: string): Part | undefined {
  const waiting: Part[] = [root];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (part.path === path) return part;
    waiting.push(...part.children);
  }
  return undefined;
}
