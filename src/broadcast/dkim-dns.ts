/** Whether the key in DNS is the one that signed (RFC 6376 section 3.6): a ring opens only then, where DNS can be asked. */

import { resolveTxt } from 'node:dns/promises';

export type DkimDnsReading =
  | { readonly kind: 'published' }
  /** DNS has answered, and the key is not there or is another one. */
  | { readonly kind: 'wrong'; readonly because: string }
  /** Nobody answers: nothing is known. */
  | { readonly kind: 'cannot-ask'; readonly because: string };

export type TxtResolver = (name: string) => Promise<readonly (readonly string[])[]>;

/** Names that no DNS answers for (RFC 6761, RFC 2606): samples and tests. */
const RESERVED = /(?:^|\.)(?:example|test|invalid|localhost)\.?$/i;

const NO_RECORD: readonly string[] = ['ENOTFOUND', 'ENODATA'];

/** The value of a tag of a key record, white space removed. */
function tagOf(record: string, tag: string): string | null {
  for (const part of record.split(';')) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === tag) return part.slice(at + 1).replace(/\s+/g, '');
  }
  return null;
}

/** @param publicKey base64 of the SubjectPublicKeyInfo, as in `p=`. */
export async function readDkimDns(
  selector: string,
  domain: string,
  publicKey: string,
  resolve: TxtResolver = resolveTxt,
): Promise<DkimDnsReading> {
  if (RESERVED.test(domain))
    return { kind: 'cannot-ask', because: 'the domain is a reserved name' };
  const name = `${selector}._domainkey.${domain}`;
  let records: readonly (readonly string[])[];
  try {
    records = await resolve(name);
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'unknown';
    return NO_RECORD.includes(code)
      ? { kind: 'wrong', because: `there is no key at ${name}` }
      : { kind: 'cannot-ask', because: `DNS does not answer (${code})` };
  }
  const keys = records.map((parts) => tagOf(parts.join(''), 'p'));
  if (keys.includes(publicKey)) return { kind: 'published' };
  return { kind: 'wrong', because: `the key at ${name} is another one` };
}
