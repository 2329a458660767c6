/**
 * One message over one open connection (RFC 5321 section 3.3, 2920), and what became of it for each recipient.
 * Invariants: no content with a lone CR or LF or a NUL is ever written; what was not asked of the next hop is not `accepted`;
 * once content has been handed to the socket, silence is `uncertain`, never a guess.
 */

import { Fault } from '../base/errors.ts';
import type { Envelope } from '../mail/envelope.ts';
import type { ClientConnection } from './connection.ts';
import { stuffed } from './data-reader.ts';
import type { Extensions } from './extensions.ts';
import { hasNonAscii, readPath } from './path.ts';
import { makeReply, type Reply } from './reply.ts';
import type { Dsn } from './submission.ts';

export interface Delivery {
  readonly envelope: Envelope;
  readonly content: Uint8Array;
  readonly dsn?: Dsn | null;
  /** Whether one refused recipient keeps the message from everybody. Costs one round trip more with several recipients. */
  readonly allOrNothing?: boolean;
  /** Asked right before content is written: an answer stops the message there. */
  readonly stopped?: () => Reply | null;
}

/** `withheld`: the recipient was not refused itself; another one was, under `allOrNothing`. */
export type Stage = 'connect' | 'needs' | 'mail' | 'rcpt' | 'data' | 'content' | 'withheld';

export type RecipientResult =
  | {
      readonly kind: 'accepted' | 'refused' | 'deferred';
      readonly stage: Stage;
      readonly reply: Reply;
    }
  | { readonly kind: 'uncertain'; readonly reason: string };

/** `lost`: the connection ended before any content was written; the message may be tried on another one. */
export type TransactionResult =
  | { readonly kind: 'done'; readonly recipients: readonly RecipientResult[] }
  | { readonly kind: 'lost'; readonly fault: Fault };

/** What the bytes of a message ask of the road. */
export interface ContentNeeds {
  readonly eightBit: boolean;
}

const CR = 13;
const LF = 10;
const WITHHELD = makeReply(451, '4.5.3', 'Not sent, since another recipient was refused.');
const ODD_REPLY = makeReply(451, '4.5.0', 'The next hop gave an answer that means nothing here.');

/**
 * Looks at every byte before anything is written.
 * @throws Fault `smtp.unsafe-content` for a lone CR or LF or a NUL.
 */
export function contentNeeds(content: Uint8Array): ContentNeeds {
  let high = 0;
  let previous = 0;
  const { length } = content;
  for (let i = 0; i < length; i++) {
    const byte = content[i] ?? 0;
    high |= byte;
    if (byte <= CR && isUnsafe(byte, previous, content[i + 1])) throw unsafeContent();
    previous = byte;
  }
  return { eightBit: high > 127 };
}

/** Runs one transaction. The connection is usable afterwards, or knows that it is not. */
export async function transact(
  connection: ClientConnection,
  delivery: Delivery,
  needs: ContentNeeds,
): Promise<TransactionResult> {
  const refusal = unmetNeed(delivery, needs, connection.extensions);
  if (refusal !== null) return same(delivery, { kind: 'refused', stage: 'needs', reply: refusal });
  try {
    const replies = await envelopeReplies(connection, delivery, needs);
    if (replies.mail.code === 421)
      throw new Fault('smtp.connection-lost', 'the next hop answered 421');
    return await continueWith(connection, delivery, replies);
  } catch (error) {
    connection.destroy();
    if (error instanceof Fault) return { kind: 'lost', fault: error };
    throw error;
  }
}

interface EnvelopeReplies {
  readonly mail: Reply;
  readonly rcpts: readonly Reply[];
  /** The reply to DATA where it was sent in the same group. */
  readonly data: Reply | null;
}

async function continueWith(
  connection: ClientConnection,
  delivery: Delivery,
  replies: EnvelopeReplies,
): Promise<TransactionResult> {
  const results = replies.rcpts.map((reply) => rcptResult(replies.mail, reply));
  const accepted = results.filter((result) => result === null).length;
  const stop = accepted === 0 || (delivery.allOrNothing === true && accepted < results.length);
  if (stop) {
    // RFC 2920 section 3.1: a DATA that got 354 cannot be taken back, so the connection goes.
    if (replies.data?.code === 354) connection.destroy();
    else if (replies.mail.code < 300) await reset(connection);
    const withheld: RecipientResult = { kind: 'deferred', stage: 'withheld', reply: WITHHELD };
    return { kind: 'done', recipients: results.map((result) => result ?? withheld) };
  }
  const { dataMs } = connection.timeouts;
  const go = replies.data ?? (await connection.exchange('DATA\r\n', 1, dataMs))[0] ?? ODD_REPLY;
  if (go.code !== 354) {
    const result = resultOf(go, 'data');
    await reset(connection);
    return { kind: 'done', recipients: results.map((own) => own ?? result) };
  }
  const stopped = delivery.stopped?.() ?? null;
  if (stopped !== null) {
    // A DATA that got 354 cannot be taken back.
    connection.destroy();
    return same(delivery, { kind: 'deferred', stage: 'data', reply: stopped });
  }
  const result = await content(connection, delivery.content);
  return { kind: 'done', recipients: results.map((own) => own ?? result) };
}

async function content(connection: ClientConnection, bytes: Uint8Array): Promise<RecipientResult> {
  const wire = stuffed(bytes);
  if (!connection.usable) throw new Fault('smtp.connection-lost', 'the connection was lost');
  try {
    const reply = await connection.deliver(wire);
    if (reply.code >= 300 && reply.code < 400) {
      connection.destroy();
      return { kind: 'uncertain', reason: 'the reply to the content means nothing' };
    }
    return resultOf(reply, 'content');
  } catch (error) {
    connection.destroy();
    return { kind: 'uncertain', reason: error instanceof Error ? error.message : 'no reply' };
  }
}

/** After a transaction that stops early. A connection that does not take RSET is given up. */
async function reset(connection: ClientConnection): Promise<void> {
  try {
    const [reply] = await connection.exchange('RSET\r\n', 1, connection.timeouts.commandMs);
    if (reply?.code !== 250) connection.destroy();
  } catch {
    connection.destroy();
  }
}

async function envelopeReplies(
  connection: ClientConnection,
  delivery: Delivery,
  needs: ContentNeeds,
): Promise<EnvelopeReplies> {
  const { extensions, timeouts } = connection;
  const mail = mailCommand(delivery, needs, extensions);
  const rcpts = rcptCommands(delivery, extensions);
  if (!extensions.pipelining) return oneByOne(connection, mail, rcpts);
  const withData = delivery.allOrNothing !== true || rcpts.length === 1;
  const group = `${mail}${rcpts.join('')}${withData ? 'DATA\r\n' : ''}`;
  const count = 1 + rcpts.length + (withData ? 1 : 0);
  const replies = await connection.exchange(group, count, timeouts.commandMs);
  return {
    mail: replies[0] ?? ODD_REPLY,
    rcpts: replies.slice(1, 1 + rcpts.length),
    data: withData ? (replies[count - 1] ?? ODD_REPLY) : null,
  };
}

async function oneByOne(
  connection: ClientConnection,
  mail: string,
  rcpts: readonly string[],
): Promise<EnvelopeReplies> {
  const { commandMs } = connection.timeouts;
  const [first = ODD_REPLY] = await connection.exchange(mail, 1, commandMs);
  if (first.code >= 300) return { mail: first, rcpts: rcpts.map(() => first), data: null };
  const replies: Reply[] = [];
  for (const rcpt of rcpts) {
    const [reply = ODD_REPLY] = await connection.exchange(rcpt, 1, commandMs);
    replies.push(reply);
  }
  return { mail: first, rcpts: replies, data: null };
}

function mailCommand(delivery: Delivery, needs: ContentNeeds, extensions: Extensions): string {
  const { envelope, dsn } = delivery;
  let command = `MAIL FROM:<${envelope.from}>`;
  if (extensions.sizeBytesMax >= 0) command += ` SIZE=${delivery.content.length}`;
  if (needs.eightBit && extensions.eightBitMime) command += ' BODY=8BITMIME';
  if (needsUtf8(delivery, needs)) command += ' SMTPUTF8';
  if (extensions.dsn && dsn) {
    if (dsn.ret !== '') command += ` RET=${dsn.ret}`;
    if (dsn.envid !== '') command += ` ENVID=${dsn.envid}`;
  }
  return `${command}\r\n`;
}

function rcptCommands(delivery: Delivery, extensions: Extensions): readonly string[] {
  return delivery.envelope.recipients.map((address, index) => {
    const dsn = extensions.dsn ? delivery.dsn?.recipients[index] : undefined;
    let command = `RCPT TO:<${address}>`;
    if (dsn !== undefined && dsn.notify !== '') command += ` NOTIFY=${dsn.notify}`;
    if (dsn !== undefined && dsn.orcpt !== '') command += ` ORCPT=${dsn.orcpt}`;
    return `${command}\r\n`;
  });
}

/** SMTPUTF8 was asked for and something in the message is outside ASCII (RFC 6531 section 3.2). */
function needsUtf8(delivery: Delivery, needs: ContentNeeds): boolean {
  const { envelope } = delivery;
  return envelope.smtpUtf8
    ? needs.eightBit || hasNonAscii(envelope.from) || envelope.recipients.some(hasNonAscii)
    : false;
}

/** The permanent reply where the next hop cannot carry the message as it is. Nothing is ever re-coded. */
function unmetNeed(delivery: Delivery, needs: ContentNeeds, extensions: Extensions): Reply | null {
  if (needsUtf8(delivery, needs) && !extensions.smtpUtf8)
    return makeReply(550, '5.6.7', 'The next hop does not take addresses outside ASCII.');
  if (needs.eightBit && !extensions.eightBitMime)
    return makeReply(554, '5.6.3', 'The next hop takes 7-bit messages only.');
  const max = extensions.sizeBytesMax;
  if (max > 0 && delivery.content.length > max)
    return makeReply(552, '5.3.4', `The next hop takes messages of at most ${max} bytes.`);
  return null;
}

/** Null: the next hop took the recipient. A refused MAIL refuses everybody. */
function rcptResult(mail: Reply, rcpt: Reply): RecipientResult | null {
  if (mail.code >= 300) return resultOf(mail, 'mail');
  return rcpt.code < 300 ? null : resultOf(rcpt, 'rcpt');
}

function resultOf(reply: Reply, stage: Stage): RecipientResult {
  if (reply.code < 300 && stage === 'content') return { kind: 'accepted', stage, reply };
  if (reply.code >= 500) return { kind: 'refused', stage, reply };
  return { kind: 'deferred', stage, reply: reply.code >= 400 ? reply : ODD_REPLY };
}

function same(delivery: Delivery, result: RecipientResult): TransactionResult {
  return { kind: 'done', recipients: delivery.envelope.recipients.map(() => result) };
}

function isUnsafe(byte: number, previous: number, next: number | undefined): boolean {
  return byte === 0 || (byte === LF && previous !== CR) || (byte === CR && next !== LF);
}

/**
 * What the server side would not take as one mailbox is not written either.
 * @throws Fault `smtp.unsafe-envelope`.
 */
export function checkEnvelope(envelope: Envelope): void {
  for (const address of [envelope.from, ...envelope.recipients]) {
    const path = readPath(`<${address}>`, 0, address === '' && address === envelope.from);
    if (path.kind === 'path' && path.end === address.length + 2) continue;
    throw new Fault('smtp.unsafe-envelope', 'an address of the envelope is not one mailbox');
  }
}

function unsafeContent(): Fault {
  return new Fault('smtp.unsafe-content', 'the message has a lone CR, a lone LF or a NUL', {
    remedy: 'end every line with CRLF',
  });
}
