/**
 * Delivers later what an SMTP gate (relay or milter) kept: cut into one private copy for each reader, or as it came.
 *
 * Invariants: a copy shows its reader nobody else, and what cannot be cut so is a Fault before anything is sent; content handed
 * over without an answer is `uncertain`; a report on a failure goes to the sender alone, with a null reverse path, and never in
 * answer to one.
 */

import { Fault } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import type { Carrier, Delivery, DeliveryResult, FailedDelivery } from '../guard/carrier.ts';
import { canonicalAddress } from '../mail/address.ts';
import {
  composeDeliveryReport,
  type DeliveryReport,
  type ReportedRecipient,
} from '../mail/delivery-report.ts';
import type { Envelope } from '../mail/envelope.ts';
import { privateCopies, withoutReaders } from '../mail/private-copy.ts';
import { REASONS } from '../policy/reasons.ts';
import { SmtpClient, type SmtpClientOptions } from '../smtp/client.ts';
import type { NextHop } from '../smtp/connection.ts';
import { makeReply, type Reply } from '../smtp/reply.ts';
import type { Dsn } from '../smtp/submission.ts';
import { checkEnvelope, contentNeeds, type RecipientResult } from '../smtp/transaction.ts';
import { receivedField } from './received-field.ts';

export interface SmtpCarrierOptions {
  readonly nextHop: Omit<NextHop, 'name'> & Pick<SmtpClientOptions, 'connectionsMax' | 'idleMs'>;
  /** The gate's own name in EHLO, Received and reports. Default 'undisclosed.invalid'. */
  readonly name?: string;
  /**
   * Own return paths, `local+TOKEN@domain`, so that what comes back tells which copy it was; left out: the sender's own.
   * The token must be the same for the same call and number of the delivery.
   */
  readonly returnPath?: {
    readonly domain: string;
    readonly token: (id: string, number: number) => string;
  };
  /** Whether a Received field of ours is put before each copy. Default true. */
  readonly trace?: boolean;
  readonly onFault?: (fault: Fault) => void;
}

/** To a next hop's server nothing is said: its connection ends. This is what the one who waits hears. */
export const HALTED: Reply = makeReply(
  REASONS.halted.smtpCode,
  REASONS.halted.enhancedStatus,
  REASONS.halted.sentence,
);

/** A carrier with its own connections to the next hop: what waits never takes those of what passes. */
export interface SmtpCarrier extends Carrier {
  close(): Promise<void>;
}

/** RFC 5321 section 4.5.3.1.1. */
const LOCAL_PART_MAX = 64;
const TOKEN = /^[a-z0-9]{1,40}$/i;

export function createSmtpCarrier(options: SmtpCarrierOptions): SmtpCarrier {
  const name = options.name ?? 'undisclosed.invalid';
  const { connectionsMax, idleMs, ...hop } = options.nextHop;
  const client = new SmtpClient({
    nextHop: { ...hop, name },
    ...(connectionsMax === undefined ? {} : { connectionsMax }),
    ...(idleMs === undefined ? {} : { idleMs }),
    ...(options.onFault === undefined ? {} : { onFault: options.onFault }),
  });
  return {
    gate: 'smtp',
    cut: (kept, how, id) => (how === 'private' ? cutPrivately(kept, id, options) : cutWhole(kept)),
    async deliver(delivery, stopped) {
      const { envelope, dsn, content } = decodeKept(delivery.bytes);
      const traced =
        options.trace === false ? content : Buffer.concat([receivedField(name, false), content]);
      try {
        const results = await client.send({
          ...{ envelope, dsn, content: traced, allOrNothing: true },
          stopped: () => (stopped?.() ? HALTED : null),
        });
        return resultOf(results);
      } catch (error) {
        // Bytes that may not be written stay unwritten, however often they are tried.
        if (error instanceof Fault && error.code.startsWith('smtp.unsafe-'))
          return { kind: 'refused', answer: '554 5.6.0' };
        throw error;
      }
    },
    tellFailed: (kept, failed, id) => tellFailed(kept, failed, id, client, name),
    close: () => client.close(),
  };
}

function cutWhole(kept: Buffer): readonly Delivery[] {
  const { envelope, content } = decodeKept(kept);
  checkWritable(envelope, content);
  return [{ bytes: kept, readers: distinctPlaces(envelope.recipients).length }];
}

/** Bytes are made when asked for: a thousand copies of a large message are never in memory together. */
function cutPrivately(
  kept: Buffer,
  id: string,
  { returnPath }: SmtpCarrierOptions,
): readonly Delivery[] {
  const mail = decodeKept(kept);
  const { envelope, dsn, content } = mail;
  checkWritable(envelope, content);
  const { smtpUtf8, recipients: readers } = envelope;
  const copies = privateCopies(content, { readers, smtpUtf8 });
  return distinctPlaces(readers).map((place, number) => {
    const reader = readers[place] ?? '';
    const from = returnPathOf(envelope.from, id, number, returnPath);
    const own = dsn?.recipients[place];
    const ownDsn: Dsn | null =
      dsn === null || own === undefined ? null : { ...dsn, recipients: [own] };
    return {
      readers: 1,
      get bytes() {
        const alone = { from, recipients: [reader], smtpUtf8 };
        return encodeKept(alone, ownDsn, copies.copyFor(reader));
      },
    };
  });
}

/** @throws Fault `guard.cannot-cut`: refused before it is taken, not found out with half of the copies gone. */
function checkWritable(envelope: Envelope, content: Buffer): void {
  try {
    contentNeeds(content);
    checkEnvelope(envelope);
  } catch (cause) {
    throw new Fault('guard.cannot-cut', 'no next hop may be given these bytes', {
      remedy: 'end every line with CRLF, and give plain addresses',
      cause,
    });
  }
}

/** Places of the recipients, the first of those that are the same person. */
function distinctPlaces(recipients: readonly string[]): readonly number[] {
  const seen = new Set<string>();
  const places: number[] = [];
  for (const [place, address] of recipients.entries()) {
    const canonical = canonicalAddress(address) ?? address.toLowerCase();
    if (seen.has(canonical)) continue;
    seen.add(canonical);
    places.push(place);
  }
  return places;
}

function returnPathOf(
  from: string,
  id: string,
  number: number,
  returnPath: SmtpCarrierOptions['returnPath'],
): string {
  // A null reverse path says that nothing is to come back (RFC 5321 section 4.5.5).
  if (returnPath === undefined || from === '') return from;
  const token = returnPath.token(id, number);
  if (!TOKEN.test(token)) throw new TypeError('a return path token has letters and digits only');
  const local = /^[\w.-]+/.exec(from)?.[0].replace(/\.+$/, '') ?? '';
  const short = local.slice(0, LOCAL_PART_MAX - token.length - 1).replace(/\.+$/, '');
  return `${short === '' ? 'bounce' : short}+${token}@${returnPath.domain}`;
}

function resultOf(results: readonly RecipientResult[]): DeliveryResult {
  const unsure = results.find((result) => result.kind === 'uncertain');
  // Without a result nobody knows; the next hop may have it.
  if (results.length === 0 || unsure !== undefined)
    return { kind: 'uncertain', answer: 'no-answer' };
  const failed = results.filter((result) => result.kind !== 'accepted');
  const worst =
    failed.find((result) => result.kind === 'refused') ??
    failed.find((result) => result.kind !== 'uncertain' && result.stage !== 'withheld');
  if (worst !== undefined && worst.kind !== 'uncertain')
    return { kind: worst.kind === 'refused' ? 'refused' : 'deferred', answer: answerOf(worst) };
  const [first] = results;
  if (first === undefined || first.kind !== 'accepted')
    return { kind: 'deferred', answer: '451 4.5.3' };
  const upstreamId = /\b(?:queued as|id=?)\s*<?([\w.-]{2,64})/i.exec(first.reply.text)?.[1] ?? null;
  return { kind: 'accepted', upstreamId, answer: answerOf(first) };
}

/** The code and its status; the words may hold an address. */
function answerOf({ reply }: { readonly reply: { code: number; enhanced: string } }): string {
  return `${reply.code}${reply.enhanced === '' ? '' : ` ${reply.enhanced}`}`;
}

const SENTENCES: Readonly<Record<FailedDelivery['kind'], string>> = {
  refused: 'Your message was refused for the following recipients.',
  expired: 'Your message was kept too long without being delivered to the following recipients.',
  uncertain:
    'Your message was handed over for the following recipients, but no answer came: they may or may not have it.',
};

/** RFC 3463: what is said where the answer has no status of its own. */
const STATUSES: Readonly<Record<FailedDelivery['kind'], string>> = {
  refused: '5.0.0',
  expired: '5.4.7',
  uncertain: '5.4.2',
};

/**
 * One report for each kind of failure, so that its sentence is true of all it names.
 * @throws Fault `smtp.report-deferred` where the next hop takes it later: to be tried again.
 */
async function tellFailed(
  kept: Buffer,
  failed: readonly FailedDelivery[],
  id: string,
  client: SmtpClient,
  name: string,
): Promise<void> {
  const mail = decodeKept(kept);
  if (mail.envelope.from === '') return;
  for (const kind of ['refused', 'expired', 'uncertain'] as const) {
    const ofKind = failed.filter((one) => one.kind === kind);
    const recipients = ofKind.flatMap(recipientsToTell);
    const sentence = `${SENTENCES[kind]} We had taken it as ${id}.`;
    if (recipients.length > 0) await report(mail, sentence, recipients, client, name);
  }
}

/** RFC 3461 section 5.2.4: nobody is told of a recipient who asked for NEVER, or for other news only. */
function recipientsToTell({ delivery, answer, kind }: FailedDelivery): ReportedRecipient[] {
  const { envelope, dsn } = decodeKept(delivery.bytes);
  const [, code = '', enhanced = ''] =
    /^(\d{3})?(?: ([245]\.\d{1,3}\.\d{1,3}))?/.exec(answer) ?? [];
  const status = enhanced.startsWith('5.') ? enhanced : STATUSES[kind];
  return envelope.recipients.flatMap((address, place) => {
    const asked = dsn?.recipients[place];
    const notify = asked?.notify ?? '';
    if (notify !== '' && !notify.split(',').includes('FAILURE')) return [];
    const diagnostic = code === '' ? '' : `${code} ${enhanced}`.trim();
    return [{ address, original: asked?.orcpt ?? '', status, diagnostic }];
  });
}

async function report(
  mail: KeptMail,
  sentence: string,
  recipients: readonly ReportedRecipient[],
  client: SmtpClient,
  host: string,
): Promise<void> {
  const { envelope, dsn, content } = mail;
  const to = envelope.from;
  const bytes = composeDeliveryReport({
    host,
    to,
    date: new Date().toUTCString().replace('GMT', '+0000'),
    id: newId('dsn'),
    envelopeId: dsn?.envid ?? '',
    sentence,
    recipients,
    returned: returnedOf(content, dsn?.ret === 'FULL'),
  });
  const isForeign = /[^\x20-\x7e]/.test(to);
  const results = await client.send({
    envelope: { from: '', recipients: [to], smtpUtf8: isForeign || envelope.smtpUtf8 },
    content: bytes,
  });
  if (results.some((result) => result.kind === 'deferred'))
    throw new Fault('smtp.report-deferred', 'a report on undelivered mail could not be sent yet', {
      remedy: 'the next hop has to answer; the report is tried again',
    });
}

/** The original names its other readers in To and Cc; they are left out of what is quoted. */
function returnedOf(content: Buffer, whole: boolean): DeliveryReport['returned'] {
  let clean: Buffer;
  try {
    clean = withoutReaders(content);
  } catch {
    // Whose header cannot be read in one way only is not quoted.
    return { whole: false, bytes: Buffer.from('Subject: (not quoted)\r\n') };
  }
  if (whole) return { whole, bytes: clean };
  const end = clean.indexOf('\r\n\r\n');
  return { whole, bytes: end < 0 ? clean : clean.subarray(0, end + 2) };
}

export interface KeptMail {
  readonly envelope: Envelope;
  readonly dsn: Dsn | null;
  readonly content: Buffer;
}

const VERSION = 1;
const SMTPUTF8 = 1;
const HAS_DSN = 2;
const RET_FULL = 4;
const RET_HDRS = 8;
const RECIPIENTS_MAX = 1_000_000;

/**
 * The bytes in which a message is kept; the same message gives the same bytes, so that a client's retry is recognised by them.
 *
 * Version 1: version byte, flags byte, then texts (length in two bytes, UTF-8): ENVID, sender; the number of recipients in
 * four bytes; for each its address and, where the flag says so, NOTIFY and ORCPT; the content to the end.
 */
export function encodeKept(envelope: Envelope, dsn: Dsn | null, content: Uint8Array): Buffer {
  const ret = dsn?.ret === 'FULL' ? RET_FULL : dsn?.ret === 'HDRS' ? RET_HDRS : 0;
  const flags = (envelope.smtpUtf8 ? SMTPUTF8 : 0) | (dsn === null ? 0 : HAS_DSN) | ret;
  const count = Buffer.alloc(4);
  count.writeUInt32BE(envelope.recipients.length);
  const pieces: Uint8Array[] = [Buffer.from([VERSION, flags])];
  addText(pieces, dsn?.envid ?? '');
  addText(pieces, envelope.from);
  pieces.push(count);
  for (const [place, address] of envelope.recipients.entries()) {
    addText(pieces, address);
    if (dsn === null) continue;
    addText(pieces, dsn.recipients[place]?.notify ?? '');
    addText(pieces, dsn.recipients[place]?.orcpt ?? '');
  }
  pieces.push(content);
  return Buffer.concat(pieces);
}

function addText(pieces: Uint8Array[], text: string): void {
  const bytes = Buffer.from(text);
  if (bytes.length > 0xffff) throw new RangeError('a text of an envelope is too long');
  pieces.push(Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes);
}

/** @throws Fault `gate.bad-kept-mail` for bytes that `encodeKept` did not make. */
export function decodeKept(bytes: Buffer): KeptMail {
  if (bytes[0] !== VERSION) throw malformed(`it has version ${bytes[0] ?? 'none'}`);
  const flags = bytes[1] ?? 0;
  let at = 2;
  const text = (): string => {
    const start = at + 2;
    if (start > bytes.length) throw malformed('it ends early');
    at = start + bytes.readUInt16BE(at);
    if (at > bytes.length) throw malformed('it ends early');
    return bytes.toString('utf8', start, at);
  };
  const envid = text();
  const from = text();
  if (at + 4 > bytes.length) throw malformed('it ends early');
  const count = bytes.readUInt32BE(at);
  at += 4;
  if (count > RECIPIENTS_MAX) throw malformed('it has too many recipients');
  const addresses: string[] = [];
  const wishes: { notify: string; orcpt: string }[] = [];
  const hasDsn = (flags & HAS_DSN) !== 0;
  for (let i = 0; i < count; i++) {
    addresses.push(text());
    if (hasDsn) wishes.push({ notify: text(), orcpt: text() });
  }
  const ret = (flags & RET_FULL) !== 0 ? 'FULL' : (flags & RET_HDRS) !== 0 ? 'HDRS' : '';
  return {
    envelope: { from, recipients: addresses, smtpUtf8: (flags & SMTPUTF8) !== 0 },
    dsn: hasDsn ? { ret, envid, recipients: wishes } : null,
    content: bytes.subarray(at),
  };
}

function malformed(why: string): Fault {
  return new Fault('gate.bad-kept-mail', `what was kept cannot be read: ${why}`, {
    remedy: 'it was written by a newer version; run that one',
  });
}
