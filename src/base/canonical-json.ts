/** RFC 8785 JSON Canonicalization Scheme: one byte sequence for one value, so that it can be signed and hashed. */

import { Fault } from './errors.ts';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/**
 * The canonical text of a JSON value: members sorted by UTF-16 code units, numbers and strings as ECMAScript writes them
 * (RFC 8785 sections 3.2.2 and 3.2.3).
 * @throws Fault `json.not-canonical` for NaN, infinities, undefined, functions and lone surrogates.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Fault('json.not-canonical', 'a number is not finite');
    return JSON.stringify(value);
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      throw new Fault('json.not-canonical', 'a string has a lone surrogate');
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonicalJson(item)).join(',')}]`;
  if (typeof value !== 'object')
    throw new Fault('json.not-canonical', `a ${typeof value} is not JSON`);
  const object = value as { readonly [key: string]: Json };
  const members = Object.keys(object)
    .sort()
    .map((key) => `${canonicalJson(key)}:${canonicalJson(object[key] as Json)}`);
  return `{${members.join(',')}}`;
}
