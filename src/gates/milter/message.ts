/**
 * A message as a milter is given it, piece by piece, put together again as readers would get it.
 * Invariants: nothing beyond the limits is kept in memory, and what was beyond them is not judged but refused.
 */

import type { Envelope } from '../../mail/envelope.ts';
import type { Dsn } from '../../smtp/submission.ts';
import { malformed, readTexts } from './wire.ts';

export interface MessageLimits {
  readonly sizeBytesMax: number;
  readonly recipientsMax: number;
}

interface Field {
  readonly name: string;
  readonly value: Buffer;
}

/** What one field becomes. `index` counts the fields of this name from 1; the value '' deletes. */
export interface HeaderChange {
  readonly name: string;
  readonly index: number;
  readonly value: string;
}

export interface Masked {
  readonly bytes: Buffer;
  /** To be made in this order: a deletion never moves one that follows. */
  readonly changes: readonly HeaderChange[];
}

/** Why a message is refused unseen. */
export type Overrun = 'size' | 'recipients' | 'address';

const UTF8 = new TextDecoder('utf-8', { fatal: true });
const SHOWN = new Set(['to', 'cc', 'resent-to', 'resent-cc']);
/** RFC 5322 section 3.4: a group of nobody. */
const NOBODY = 'undisclosed-recipients:;';
const XTEXT = /^[!-~]{1,500}$/;
const NOTIFY = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i;

export class MilterMessage {
  readonly #limits: MessageLimits;
  readonly #leadingSpace: boolean;
  readonly #fields: Field[] = [];
  readonly #body: Buffer[] = [];
  readonly #recipients: string[] = [];
  readonly #notifications: { notify: string; orcpt: string }[] = [];
  #from = '';
  #smtpUtf8 = false;
  #ret: Dsn['ret'] = '';
  #envid = '';
  #size = 0;
  #overrun: Overrun | null = null;

  /** @param leadingSpace whether values come with the space after the colon. */
  constructor(limits: MessageLimits, leadingSpace: boolean) {
    this.#limits = limits;
    this.#leadingSpace = leadingSpace;
  }

  get overrun(): Overrun | null {
    return this.#overrun;
  }

  get envelope(): Envelope {
    return { from: this.#from, recipients: this.#recipients, smtpUtf8: this.#smtpUtf8 };
  }

  /** Null where nobody asked for anything (RFC 3461). */
  get dsn(): Dsn | null {
    const asked = this.#notifications.some(({ notify, orcpt }) => notify !== '' || orcpt !== '');
    if (!asked && this.#ret === '' && this.#envid === '') return null;
    return { ret: this.#ret, envid: this.#envid, recipients: this.#notifications };
  }

  /** @param data the argument of MAIL and its ESMTP parameters. */
  mail(data: Buffer): void {
    const [path, ...parameters] = readTexts(data);
    this.#from = this.#address(path);
    for (const parameter of parameters) {
      const [keyword, value] = keywordOf(parameter);
      if (keyword === 'SMTPUTF8') this.#smtpUtf8 = true;
      else if (keyword === 'SIZE') this.#announced(Number(value));
      else if (keyword === 'ENVID' && XTEXT.test(value)) this.#envid = value;
      else if (keyword === 'RET') this.#ret = retOf(value);
    }
  }

  rcpt(data: Buffer): void {
    const [path, ...parameters] = readTexts(data);
    if (this.#recipients.length >= this.#limits.recipientsMax) {
      this.#exceed('recipients');
      return;
    }
    let notify = '';
    let orcpt = '';
    for (const parameter of parameters) {
      const [keyword, value] = keywordOf(parameter);
      if (keyword === 'NOTIFY' && NOTIFY.test(value)) notify = value.toUpperCase();
      if (keyword === 'ORCPT' && XTEXT.test(value)) orcpt = value;
    }
    this.#recipients.push(this.#address(path));
    this.#notifications.push({ notify, orcpt });
  }

  header(data: Buffer): void {
    const [name, value] = readTexts(data);
    if (name === undefined || value === undefined) throw malformed('a header has no value');
    if (!this.#room(name.length + value.length)) return;
    // A packet is part of what was read from the socket: what stays is a copy of its own.
    this.#fields.push({ name: name.toString('latin1'), value: withCrlf(value) });
  }

  body(data: Buffer): void {
    if (data.length > 0 && this.#room(data.length)) this.#body.push(Buffer.from(data));
  }

  bytes(): Buffer {
    return this.#assemble(this.#fields);
  }

  /**
   * The message with nobody in To and Cc. Null where it cannot be: no such field, one whose name is not written as the MTA
   * would look for it, or a signature that would break.
   */
  masked(): Masked | null {
    const names = this.#fields.map(({ name }) => name.trim().toLowerCase());
    if (names.some((name) => name === 'dkim-signature' || name.startsWith('arc-'))) return null;
    const shown = [...names.keys()].filter((place) => SHOWN.has(names[place] ?? ''));
    if (shown.length === 0) return null;
    if (shown.some((place) => this.#fields[place]?.name !== this.#fields[place]?.name.trim()))
      return null;
    const first = shown.find((place) => names[place] === 'to') ?? shown[0];
    const value = `${this.#leadingSpace ? ' ' : ''}${NOBODY}`;
    const fields = this.#fields.flatMap((field, place) => {
      if (place === first) return [{ name: field.name, value: Buffer.from(value) }];
      return shown.includes(place) ? [] : [field];
    });
    const changes = shown.map((place): HeaderChange => {
      const name = names[place] ?? '';
      const index = names.slice(0, place + 1).filter((one) => one === name).length;
      const written = this.#fields[place]?.name ?? name;
      return { name: written, index, value: place === first ? value : '' };
    });
    return { bytes: this.#assemble(fields), changes: changes.reverse() };
  }

  #assemble(fields: readonly Field[]): Buffer {
    const colon = this.#leadingSpace ? ':' : ': ';
    const pieces = fields.flatMap(({ name, value }) => [
      Buffer.from(`${name}${colon}`, 'latin1'),
      value,
      CRLF,
    ]);
    return Buffer.concat([...pieces, CRLF, ...this.#body]);
  }

  #address(path: Buffer | undefined): string {
    if (path === undefined) throw malformed('an address is missing');
    try {
      const text = UTF8.decode(path).trim();
      const address = text.startsWith('<') && text.endsWith('>') ? text.slice(1, -1) : text;
      if (hasNonAscii(address)) this.#smtpUtf8 = true;
      return address;
    } catch {
      this.#exceed('address');
      return '';
    }
  }

  #announced(bytes: number): void {
    if (bytes > this.#limits.sizeBytesMax) this.#exceed('size');
  }

  /** Whether so many bytes more may be kept; what there is goes at once where they may not. */
  #room(bytes: number): boolean {
    this.#size += bytes;
    if (this.#size > this.#limits.sizeBytesMax) this.#exceed('size');
    return this.#overrun === null;
  }

  #exceed(what: Overrun): void {
    this.#overrun ??= what;
    this.#fields.length = 0;
    this.#body.length = 0;
  }
}

const CRLF = Buffer.from('\r\n');

/** Both mail servers end the lines of a folded value with LF alone. A lone CR stays, and is found. */
function withCrlf(value: Buffer): Buffer {
  if (!value.includes(10)) return Buffer.from(value);
  return Buffer.from(value.toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1');
}

function hasNonAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return true;
  return false;
}

function keywordOf(parameter: Buffer): readonly [string, string] {
  const text = parameter.toString('utf8');
  const equals = text.indexOf('=');
  return equals < 0
    ? [text.toUpperCase(), '']
    : [text.slice(0, equals).toUpperCase(), text.slice(equals + 1)];
}

function retOf(value: string): Dsn['ret'] {
  const upper = value.toUpperCase();
  return upper === 'FULL' || upper === 'HDRS' ? upper : '';
}
