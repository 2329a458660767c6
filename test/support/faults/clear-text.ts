/** Finds people's addresses in any bytes: plain, percent-coded, base64 in each alignment, hexadecimal and UTF-16, whatever the case. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface Form {
  readonly name: string;
  readonly spell: (text: string) => readonly Buffer[];
}

const bytesOf = (text: string): Buffer => Buffer.from(text, 'utf8');

/** The digits that are settled by the text alone, for each of the three places where a group of three bytes may begin. */
function base64Forms(text: string): Buffer[] {
  const bytes = bytesOf(text);
  return [0, 1, 2].flatMap((shift) => {
    const digits = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const from = Math.ceil((shift * 8) / 6);
    const to = Math.floor(((shift + bytes.length) * 8) / 6);
    const settled = digits.slice(from, to);
    const url = settled.replaceAll('+', '-').replaceAll('/', '_');
    return settled === url ? [Buffer.from(settled)] : [Buffer.from(settled), Buffer.from(url)];
  });
}

function percentForms(text: string): Buffer[] {
  const all = [...bytesOf(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  return [Buffer.from(encodeURIComponent(text)), Buffer.from(all)];
}

export const FORMS: readonly Form[] = [
  { name: 'plain', spell: (text) => [bytesOf(text)] },
  { name: 'percent', spell: percentForms },
  { name: 'base64', spell: base64Forms },
  { name: 'hex', spell: (text) => [Buffer.from(bytesOf(text).toString('hex'))] },
  { name: 'UTF-16LE', spell: (text) => [Buffer.from(text, 'utf16le')] },
  { name: 'UTF-16BE', spell: (text) => [Buffer.from(text, 'utf16le').swap16()] },
];

const LOWER = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte,
);
const lower = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => LOWER[byte] ?? byte));

interface Needle {
  readonly bytes: Buffer;
  readonly form: string;
}

export interface Finder {
  /** Names of the forms in which somebody stands in these bytes. */
  find(bytes: Buffer): ReadonlySet<string>;
}

/** Each address whole, and its local part alone where that has a dot and at least 5 characters. */
export function finderOf(addresses: readonly string[]): Finder {
  const buckets = new Map<number, Needle[]>();
  const present = new Uint8Array(1 << 20);
  const hashAt = (bytes: Uint8Array, at: number): number =>
    ((bytes[at] ?? 0) * 0x9e3779b1 +
      (bytes[at + 1] ?? 0) * 0x85ebca6b +
      (bytes[at + 2] ?? 0) * 0xc2b2ae35 +
      (bytes[at + 3] ?? 0) * 0x27d4eb2f +
      (bytes[at + 4] ?? 0) * 0x165667b1) >>>
    0;
  for (const address of addresses) {
    const local = address.slice(0, address.lastIndexOf('@'));
    const texts = local.length >= 5 && local.includes('.') ? [address, local] : [address];
    for (const text of texts)
      for (const { name, spell } of FORMS)
        for (const form of spell(text)) {
          const bytes = lower(form);
          const key = hashAt(bytes, 0) % present.length;
          present[key] = 1;
          buckets.set(key, [...(buckets.get(key) ?? []), { bytes, form: name }]);
        }
  }
  return {
    find: (given) => {
      const bytes = lower(given);
      const found = new Set<string>();
      for (let at = 0; at + 5 <= bytes.length; at++) {
        const key = hashAt(bytes, at) % present.length;
        if (present[key] === 0) continue;
        for (const needle of buckets.get(key) ?? [])
          if (bytes.subarray(at, at + needle.bytes.length).equals(needle.bytes))
            found.add(needle.form);
      }
      return found;
    },
  };
}

/** Every file below a folder, and where somebody stands in one of them. */
export function searchFolder(
  finder: Finder,
  folder: string,
): {
  readonly files: number;
  readonly bytes: number;
  readonly found: ReadonlyMap<string, ReadonlySet<string>>;
} {
  const found = new Map<string, ReadonlySet<string>>();
  let files = 0;
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) continue;
    const content = readFileSync(path);
    files++;
    bytes += content.length;
    const forms = finder.find(content);
    if (forms.size > 0) found.set(name, forms);
  }
  return { files, bytes, found };
}
