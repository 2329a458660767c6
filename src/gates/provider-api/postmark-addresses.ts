/**
 * Postmark's `To`, `Cc`, `Bcc`, `From` and `ReplyTo`: mailboxes in one string, with commas between.
 *
 * Invariant: a string is read only where every reader of it finds the same mailboxes; comments,
 * groups, semicolons, routes and an `@` in an unquoted name make it invalid.
 */

import { canonicalAddress, parseAddress } from '../../mail/address.ts';
import { holdsControl, type NamedAddress } from './message-parts.ts';

export interface PostmarkMailbox extends NamedAddress {
  readonly name: string;
  /** As it was given, without outer space. */
  readonly text: string;
}

/** The mailboxes of a string, in order; null where it is no such list, or an empty one. */
export function readMailboxes(text: string): readonly PostmarkMailbox[] | null {
  if (holdsControl(text) || !text.isWellFormed()) return null;
  const pieces = splitAtCommas(text);
  const mailboxes = pieces?.map(readMailbox) ?? [];
  const read = mailboxes.filter((mailbox) => mailbox !== null);
  return read.length === 0 || read.length < mailboxes.length ? null : read;
}

/** Far more than the 50 that Postmark takes: those are counted, and named as too many. */
const PIECES_MAX = 10_000;

/** Commas in quotes divide nothing; null where a quote is not closed. */
function splitAtCommas(text: string): readonly string[] | null {
  const pieces: string[] = [];
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (quoted && character === '\\') i++;
    else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) {
      if (pieces.length === PIECES_MAX) return null;
      pieces.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (quoted) return null;
  pieces.push(text.slice(start));
  return pieces;
}

const NAMED = /^(?:("(?:[^"\\]|\\.)*")[ \t]*|([^@<>,;:"\\]*))<([^<>]*)>$/;

function readMailbox(piece: string): PostmarkMailbox | null {
  const text = piece.trim();
  if (isAddress(text)) return { email: text, name: '', text };
  const [, quoted, plain = '', email = ''] = NAMED.exec(text) ?? [];
  if (!isAddress(email)) return null;
  const name = quoted === undefined ? plain.trim() : quoted.slice(1, -1).replace(/\\(.)/g, '$1');
  return { email, name, text };
}

function isAddress(text: string): boolean {
  return parseAddress(text).kind === 'address' && canonicalAddress(text) !== null;
}
