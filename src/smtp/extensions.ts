/** The service extensions of EHLO (RFC 5321 section 4.1.1.1): what we offer, and what the far side offers. */

import type { Reply } from './reply.ts';

export interface Extensions {
  readonly pipelining: boolean;
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  readonly dsn: boolean;
  readonly startTls: boolean;
  /** RFC 1870: the largest message in bytes; 0 where no limit is said, -1 where SIZE is not offered. */
  readonly sizeBytesMax: number;
  /** Names of AUTH mechanisms in upper case. */
  readonly auth: readonly string[];
}

/** What a server that answers HELO only can do. */
export const NO_EXTENSIONS: Extensions = {
  pipelining: false,
  eightBitMime: false,
  smtpUtf8: false,
  dsn: false,
  startTls: false,
  sizeBytesMax: -1,
  auth: [],
};

/** Reads the lines of a 250 reply to EHLO; the first one is the greeting. Keywords that mean nothing to us are left out. */
export function readExtensions(reply: Reply): Extensions {
  const found = new Map<string, readonly string[]>();
  for (const line of reply.lines.slice(1)) {
    // 'AUTH=LOGIN' is what servers older than RFC 2554 wrote.
    const [keyword = '', ...values] = line.trim().toUpperCase().split(/[ =]+/);
    found.set(keyword, [...(found.get(keyword) ?? []), ...values]);
  }
  const size = found.get('SIZE');
  return {
    pipelining: found.has('PIPELINING'),
    eightBitMime: found.has('8BITMIME'),
    smtpUtf8: found.has('SMTPUTF8'),
    dsn: found.has('DSN'),
    startTls: found.has('STARTTLS'),
    sizeBytesMax: size === undefined ? -1 : /^\d{1,20}$/.test(size[0] ?? '') ? Number(size[0]) : 0,
    auth: found.get('AUTH') ?? [],
  };
}

/** The lines of our own reply to EHLO. No CHUNKING: BDAT has no end that can be checked for smuggling. */
export function offeredLines(offer: {
  readonly name: string;
  readonly sizeBytesMax: number;
  readonly startTls: boolean;
  readonly auth: boolean;
}): readonly string[] {
  return [
    offer.name,
    'PIPELINING',
    `SIZE ${offer.sizeBytesMax}`,
    '8BITMIME',
    'SMTPUTF8',
    'DSN',
    'ENHANCEDSTATUSCODES',
    ...(offer.startTls ? ['STARTTLS'] : []),
    ...(offer.auth ? ['AUTH PLAIN LOGIN'] : []),
  ];
}
