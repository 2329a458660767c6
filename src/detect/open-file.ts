/**
 * Opens one attached file and what is inside it: archives, office documents, calendars, cards, TNEF, signed and encrypted mail.
 *
 * Invariants: a file is known by its first bytes, whatever its name and type say; what is not read in full is counted as
 * unreadable; the work is bounded by the budget and by five archives inside each other.
 */

import { type ParsedMessage, parseMessage } from '../mail/message.ts';
import { withinBudget } from './address-budget.ts';
import { fileText } from './attachment-text.ts';
import { isCalendar, isCard, readCalendar, unfolded } from './calendar.ts';
import { htmlWithoutCode } from './html-text.ts';
import { type Budget, gunzipped } from './inflate.ts';
import { rtfText } from './rtf.ts';
import { KEYS_UNKNOWN, readCms, readPgp, type SealedReading } from './sealed-mail.ts';
import { isTnef, readTnef } from './tnef.ts';
import { xmlText } from './xml-text.ts';
import { readZip, type ZipFile } from './zip.ts';

/** invited, organizer, identifiers: see CalendarReading. */
type PieceKind = 'text' | 'invited' | 'organizer' | 'identifiers';

export interface Piece {
  readonly kind: PieceKind;
  /** 'text', 'calendar', 'archive', 'office document', 'winmail.dat', … Never a name out of the file. */
  readonly label: string;
  readonly text: string;
}

export interface Opened {
  readonly pieces: Piece[];
  /** Files that are no text: searched as they are. */
  readonly binaries: Buffer[];
  /** Messages inside: attached .eml files in archives, and what an opaque signature holds. */
  readonly messages: ParsedMessage[];
  /** To be read by others: see `pdf-reading.ts`. */
  readonly pdfs: Uint8Array[];
  /** Files, or parts of them, that nobody has read: encrypted, broken, too large, too deep, of a kind not read here. */
  unreadable: number;
  /** Whether any of them is mail or a file encrypted on purpose. */
  encrypted: boolean;
  /** Keys of readers that encrypted mail shows. */
  readonly keys: Set<string>;
}

/** What MIME or an archive says of a file. */
export interface FileClaim {
  readonly contentType: string;
  readonly fileName: string;
}

const ARCHIVES_MAX = 5;
/** Compressed or media: an address in the raw bytes would be chance, and pictures are not read. */
const MEDIA_TYPE = /^(?:image\/(?!svg)|audio\/|video\/|font\/)/;
const MEDIA_NAME =
  /\.(?:png|jpe?g|gif|webp|bmp|tiff?|heic|ico|mp[34]|mov|avi|wav|ogg|woff2?|ttf|otf)$/i;

/** How files begin that are recognised but not read: 7z, RAR, xz, bzip2, zstd, cabinet, OLE (old office files, .msg), lz4, compress. */
const CLOSED_START =
  /^(?:377abcaf|52617221|fd377a58|425a68|28b52ffd|4d534346|d0cf11e0|04224d18|1f9d)/;
/** Documents of Numbers, Pages and Keynote are archives of these, compressed once more. */
const CLOSED_NAME = /\.iwa$/i;

export function nothingOpened(): Opened {
  return {
    pieces: [],
    binaries: [],
    messages: [],
    pdfs: [],
    unreadable: 0,
    encrypted: false,
    keys: new Set(),
  };
}

/** Opens `bytes` and adds what is in them to `into`; `depth` counts the archives around them. */
export function openFile(
  bytes: Buffer,
  claim: FileClaim,
  into: Opened,
  budget: Budget,
  depth = 0,
): void {
  if (bytes.length === 0) return;
  if (depth > ARCHIVES_MAX) {
    into.unreadable++;
    return;
  }
  if (openContainer(bytes, into, budget, depth)) return;
  if (openSealed(bytes, claim, into)) return;
  const text = fileText(bytes);
  if (text !== null) openText(text, bytes, claim, into, budget);
  // A list that is called a picture is still a list; a picture is no text.
  else if (!MEDIA_TYPE.test(claim.contentType) && !MEDIA_NAME.test(claim.fileName))
    openBinary(bytes, into, budget, depth);
}

function openContainer(bytes: Buffer, into: Opened, budget: Budget, depth: number): boolean {
  const start = bytes.toString('hex', 0, 4);
  if (start === '504b0304' || start === '504b0506') openZip(bytes, into, budget, depth);
  else if (start.startsWith('1f8b')) {
    const content = gunzipped(bytes, budget);
    if (content === null) into.unreadable++;
    else openFile(content, { contentType: '', fileName: '' }, into, budget, depth + 1);
  } else if (isPdf(bytes)) {
    into.pdfs.push(bytes);
    into.binaries.push(bytes);
  } else if (CLOSED_START.test(start)) {
    into.unreadable++;
    into.binaries.push(bytes);
  } else if (isTnef(bytes)) openTnef(bytes, into, budget, depth);
  else return false;
  return true;
}

/** PDF readers look for the mark in the first 1,024 bytes. */
function isPdf(bytes: Buffer): boolean {
  return bytes.subarray(0, 1024).includes('%PDF-');
}

const SIGNED_OR_SEALED = /^application\/(?:x-)?pkcs7-/;
const SEALED_NAME = /\.(?:p7m|p7z)$/i;
/** First octet of a session key packet: the old form with one or two octets of length, and the new one (RFC 9580 section 4.2). */
const SESSION_KEY_STARTS = new Set([0x84, 0x85, 0xc1]);
const PGP_NAME = /\.(?:pgp|gpg|asc)$/i;

function openSealed(bytes: Buffer, { contentType, fileName }: FileClaim, into: Opened): boolean {
  if (SIGNED_OR_SEALED.test(contentType) || SEALED_NAME.test(fileName)) {
    const cms = readCms(bytes);
    if (cms !== null) addSealed(cms, into);
    else if (!contentType.endsWith('-signature')) {
      into.unreadable++;
      for (const key of KEYS_UNKNOWN) into.keys.add(key);
    }
    return cms !== null;
  }
  const named = contentType.startsWith('application/pgp') || PGP_NAME.test(fileName);
  const isPgp =
    named ||
    SESSION_KEY_STARTS.has(bytes[0] ?? 0) ||
    bytes.subarray(0, 256).includes('-----BEGIN PGP MESSAGE-----');
  const pgp = isPgp ? readPgp(bytes) : null;
  if (pgp !== null) addSealed(pgp, into);
  return pgp !== null;
}

function addSealed({ keys, encrypted, signed }: SealedReading, into: Opened): void {
  for (const key of keys) into.keys.add(key);
  if (encrypted) {
    into.encrypted = true;
    into.unreadable++;
  }
  // A copy: the message may be kept longer than its part.
  if (signed !== null) into.messages.push(parseMessage(Buffer.from(signed)));
}

function openTnef(bytes: Buffer, into: Opened, budget: Budget, depth: number): void {
  const label = 'winmail.dat';
  const { recipients, identifiers, texts, files, binaries, whole } = readTnef(bytes);
  into.pieces.push(
    { kind: 'invited', label, text: recipients },
    { kind: 'identifiers', label, text: identifiers },
    { kind: 'text', label, text: texts },
  );
  into.binaries.push(...binaries);
  if (!whole) {
    into.unreadable++;
    into.binaries.push(bytes);
  }
  for (const file of files) {
    openFile(file, { contentType: '', fileName: '' }, into, budget, depth + 1);
  }
}

const DIRECTORY_END = Buffer.from('PK\x05\x06', 'latin1');

const PACKED_SAMPLE = 16_384;
const PACKED_LENGTH_MIN = 512;
/** Of the most that so many bytes can hold: deflated and encrypted files reach 0.97, programs and databases 0.85. */
const PACKED_ENTROPY_MIN = 0.94;

/** Compressed or encrypted, whatever with: every value of a byte occurs about as often, so nothing in it could be found. */
function isPacked(bytes: Buffer): boolean {
  const sample = bytes.subarray(0, PACKED_SAMPLE);
  if (sample.length < PACKED_LENGTH_MIN) return false;
  const counts = new Uint32Array(256);
  for (const byte of sample) counts[byte] = (counts[byte] ?? 0) + 1;
  let entropy = 0;
  for (const count of counts)
    if (count > 0) entropy -= (count / sample.length) * Math.log2(count / sample.length);
  return entropy >= PACKED_ENTROPY_MIN * Math.min(8, Math.log2(sample.length));
}

function openBinary(bytes: Buffer, into: Opened, budget: Budget, depth: number): void {
  into.binaries.push(bytes);
  if (isPacked(bytes)) into.unreadable++;
  // A program that unpacks itself is an archive behind a program.
  const tail = bytes.subarray(Math.max(0, bytes.length - 70_000));
  if (tail.includes(DIRECTORY_END)) openZip(bytes, into, budget, depth);
}

function openZip(bytes: Buffer, into: Opened, budget: Budget, depth: number): void {
  const { files, whole } = readZip(bytes, budget);
  if (!whole) into.unreadable++;
  const office = files.some(({ name }) => name === '[Content_Types].xml' || name === 'mimetype');
  if (!office) {
    into.pieces.push({
      kind: 'text',
      label: 'archive',
      text: files.map(({ name }) => name).join('\n'),
    });
  }
  for (const file of files) openZipped(file, office, into, budget, depth);
}

function openZipped(
  { name, content }: ZipFile,
  office: boolean,
  into: Opened,
  budget: Budget,
  depth: number,
): void {
  if (content === null) return;
  if (CLOSED_NAME.test(name)) into.unreadable++;
  if (!office || !/\.(?:xml|rels|vml|rdf)$/i.test(name)) {
    openFile(content, { contentType: '', fileName: name }, into, budget, depth + 1);
    return;
  }
  const text = fileText(content) ?? content.toString('latin1');
  // OpenDocument encrypts its files one by one and says so in the manifest.
  if (name === 'META-INF/manifest.xml' && text.includes('encryption-data')) {
    into.unreadable++;
    into.encrypted = true;
  }
  into.pieces.push({ kind: 'text', label: 'office document', text: xmlText(text) });
}

const HTML_NAME = /\.x?html?$/i;
const MESSAGE_NAME = /\.(?:eml|mht|mhtml)$/i;
const MESSAGE_START =
  /^(?:From |(?:Received|Return-Path|From|To|Subject|Date|MIME-Version|Message-ID):)/i;

function openText(
  text: string,
  bytes: Buffer,
  claim: FileClaim,
  into: Opened,
  budget: Budget,
): void {
  if (isCalendar(text)) {
    into.pieces.push(...calendarPieces(text));
  } else if (isCard(text)) {
    into.pieces.push({ kind: 'text', label: 'card', text: unfolded(text) });
  } else if (MESSAGE_NAME.test(claim.fileName) && MESSAGE_START.test(text)) {
    if (withinBudget(text, budget).whole) into.messages.push(parseMessage(bytes));
    else into.unreadable++;
  } else if (text.startsWith('{\\rtf')) {
    into.pieces.push({ kind: 'text', label: 'rich text', text: rtfText(text) });
  } else {
    into.pieces.push({ kind: 'text', label: 'text', text });
    if (HTML_NAME.test(claim.fileName) || /^\s*<(?:!doctype )?html/i.test(text)) {
      into.pieces.push({ kind: 'text', label: 'html', text: htmlWithoutCode(text).text });
    }
  }
}

/** A calendar's lines, sorted by whom they show. */
export function calendarPieces(text: string): readonly Piece[] {
  const { invited, organizer, identifiers, other } = readCalendar(text);
  const label = 'calendar';
  return [
    { kind: 'invited', label, text: invited },
    { kind: 'organizer', label, text: organizer },
    { kind: 'identifiers', label, text: identifiers },
    { kind: 'text', label, text: other },
  ];
}
