/**
 * The body of a caller's request: read within limits, in a form that the endpoint takes, and
 * decompressed as the provider will read it.
 */

import type http from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { BodyForm, Endpoint, GateProblem, RequestHeaders } from './adapter.ts';

/** How many bytes of bodies are in memory, over all requests. */
export interface HeldBytes {
  count: number;
  readonly max: number;
}

export type BodyReading =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'problem'; readonly problem: GateProblem }
  /** The caller went away before all of it had come. */
  | { readonly kind: 'gone' };

const FORMS: Readonly<Record<BodyForm, RegExp>> = {
  json: /^application\/json *(?:; *charset=(?:utf-8|"utf-8") *)?$/i,
  urlencoded: /^application\/x-www-form-urlencoded *(?:; *charset=(?:utf-8|"utf-8") *)?$/i,
  multipart: /^multipart\/form-data *; *boundary=/i,
};

/** What the headers of a request make impossible to inspect; null where nothing. */
export function findBodyProblem(
  headers: RequestHeaders,
  { bodyForms }: Endpoint,
  bytesMax: number,
): GateProblem | null {
  const type = String(headers['content-type'] ?? '');
  if (!bodyForms.some((form) => FORMS[form].test(type))) return 'unsupported-body';
  if (!/^(?:identity|gzip)?$/i.test(codingOf(headers))) return 'unsupported-body';
  return Number(headers['content-length'] ?? 0) > bytesMax ? 'too-large' : null;
}

/** The body as it came. Its bytes count as held until the caller of this gives them back. */
export async function readBody(
  request: http.IncomingMessage,
  bytesMax: number,
  held: HeldBytes,
): Promise<BodyReading> {
  const chunks: Buffer[] = [];
  let size = 0;
  let kept = false;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += chunk.length;
      held.count += chunk.length;
      if (size > bytesMax) return { kind: 'problem', problem: 'too-large' };
      if (held.count > held.max) return { kind: 'problem', problem: 'busy' };
      chunks.push(chunk);
    }
    kept = true;
    return { kind: 'body', body: Buffer.concat(chunks) };
  } catch {
    return { kind: 'gone' };
  } finally {
    if (!kept) held.count -= size;
  }
}

/** The body as the provider will read it; null where it is no gzip or grows too large. */
export async function decompress(
  headers: RequestHeaders,
  body: Buffer,
  bytesMax: number,
): Promise<Buffer | null> {
  if (!/^gzip$/i.test(codingOf(headers))) return body;
  try {
    return await promisify(gunzip)(body, { maxOutputLength: bytesMax });
  } catch {
    return null;
  }
}

function codingOf(headers: RequestHeaders): string {
  return String(headers['content-encoding'] ?? '');
}
