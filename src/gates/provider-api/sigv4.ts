/**
 * AWS Signature Version 4 (the algorithm AWS4-HMAC-SHA256 in header fields), both ways: checking
 * what a caller signed with a key of ours, and signing what goes to the provider with its key.
 *
 * Invariant: what is valid here was signed over this method, path, host, date and body, within five
 * minutes of now; nothing secret is stored, since the secret of a key of ours follows from its id.
 */

import { createHash, createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface SignedRequest {
  readonly method: string;
  /** The request target: path and query as they stand in the request line. */
  readonly path: string;
  /** By lower-case name. */
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** Why a signature is not taken; the words are AWS's own. */
export type SigV4Refusal =
  | 'MissingAuthenticationToken'
  | 'IncompleteSignature'
  | 'UnrecognizedClient'
  | 'RequestExpired'
  | 'InvalidSignature';

export type SigV4Check =
  | {
      readonly kind: 'valid';
      readonly accessKeyId: string;
      readonly secret: string;
      readonly region: string;
    }
  | { readonly kind: 'refused'; readonly code: SigV4Refusal };

export interface SigV4Credential {
  readonly accessKeyId: string;
  readonly secret: string;
}

/** A key of ours as its owner is given it; `keySha256` is what the configuration holds. */
export interface SigV4Key extends SigV4Credential {
  readonly name: string;
  readonly keySha256: string;
}

export interface SigV4Keys {
  /** A new key for a caller. Nothing of it is kept here. */
  issue(name: string): SigV4Key;
  /** The secret that belongs to an id; null where the text is no id of ours. Every well-formed id has one. */
  secretOf(accessKeyId: string): string | null;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const SKEW_MS = 5 * 60_000;
const OWN_ID = /^UD[A-Z2-7]{18}$/;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The keys that follow from one token key; another token key means other secrets for all ids. */
export function sigv4Keys(tokenKey: KeyObject): SigV4Keys {
  const secretOf = (id: string): string | null =>
    OWN_ID.test(id) ? createHmac('sha256', tokenKey).update(`sigv4\0${id}`).digest('base64') : null;
  return {
    secretOf,
    issue: (name) => {
      const letters = [...randomBytes(18)].map((byte) => BASE32[byte % 32] ?? 'A');
      const accessKeyId = `UD${letters.join('')}`;
      const secret = secretOf(accessKeyId) ?? '';
      return { name, accessKeyId, secret, keySha256: hexOf(secret) };
    },
  };
}

interface Claim {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

/**
 * Checks a request's signature.
 * @param secretOf the secret of an access key id; null where there is no such key
 */
export function verifySigV4(
  request: SignedRequest,
  service: string,
  secretOf: (accessKeyId: string) => string | null,
  now: Date,
): SigV4Check {
  const given = request.headers.authorization;
  if (typeof given !== 'string') return refused('MissingAuthenticationToken');
  const claim = readClaim(given);
  const date = single(request.headers['x-amz-date']);
  if (claim === null || date === null || !coversEnough(claim, request.headers)) {
    return refused('IncompleteSignature');
  }
  const at = readDate(date);
  if (at === null || claim.day !== date.slice(0, 8)) return refused('IncompleteSignature');
  const secret = secretOf(claim.accessKeyId);
  if (secret === null || claim.service !== service) return refused('UnrecognizedClient');
  // Our keys have no sessions: a token would be somebody else's.
  if (request.headers['x-amz-security-token'] !== undefined) return refused('UnrecognizedClient');
  if (Math.abs(now.getTime() - at) > SKEW_MS) return refused('RequestExpired');
  const digest = hexOf(request.body);
  const declared = request.headers['x-amz-content-sha256'];
  if (declared !== undefined && declared !== digest) return refused('InvalidSignature');
  const expected = signatureOf(request, claim, secret, date, digest);
  const matches = timingSafeEqual(Buffer.from(expected), Buffer.from(claim.signature));
  if (!matches) return refused('InvalidSignature');
  return { kind: 'valid', accessKeyId: claim.accessKeyId, secret, region: claim.region };
}

function refused(code: SigV4Refusal): SigV4Check {
  return { kind: 'refused', code };
}

function readClaim(authorization: string): Claim | null {
  const match =
    /^AWS4-HMAC-SHA256 +Credential=([A-Za-z0-9]{1,128})\/(\d{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request *, *SignedHeaders=([a-z0-9;_.-]{1,2000}) *, *Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (match === null) return null;
  const [, accessKeyId = '', day = '', region = '', service = '', names = '', signature = ''] =
    match;
  return { accessKeyId, day, region, service, signedHeaders: names.split(';'), signature };
}

/** Host and every X-Amz field must be signed, and what is signed must be there once, in order. */
function coversEnough({ signedHeaders }: Claim, headers: Headers): boolean {
  const signed = new Set(signedHeaders);
  if (signed.size < signedHeaders.length || !signed.has('host')) return false;
  if (signedHeaders.some((name, i) => i > 0 && name < (signedHeaders[i - 1] ?? ''))) return false;
  if (signedHeaders.some((name) => headers[name] === undefined)) return false;
  return Object.keys(headers).every((name) => !name.startsWith('x-amz-') || signed.has(name));
}

/** `20260101T120000Z` as milliseconds; null where it is none. */
function readDate(text: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour, minute, second] = match;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at) ? null : at;
}

/**
 * The header fields that sign a request: `authorization`, `x-amz-date` and `x-amz-content-sha256`.
 * The request must be sent with exactly these, and with `url`'s host as its Host.
 */
export function signSigV4(
  request: {
    readonly method: string;
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array;
  },
  credential: SigV4Credential,
  scope: { readonly service: string; readonly region: string; readonly now: Date },
): Readonly<Record<string, string>> {
  const date = scope.now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const digest = hexOf(request.body);
  const added = { 'x-amz-date': date, 'x-amz-content-sha256': digest };
  const contentType = request.headers['content-type'];
  const headers: Record<string, string> = {
    ...(contentType === undefined ? {} : { 'content-type': contentType }),
    host: request.url.host,
    ...added,
  };
  const claim: Omit<Claim, 'signature'> = {
    accessKeyId: credential.accessKeyId,
    day: date.slice(0, 8),
    region: scope.region,
    service: scope.service,
    signedHeaders: Object.keys(headers).sort(),
  };
  const { method, url, body } = request;
  const path = `${url.pathname}${url.search}`;
  const signed = { method, path, headers, body };
  const signature = signatureOf(signed, claim, credential.secret, date, digest);
  const names = claim.signedHeaders.join(';');
  return {
    ...added,
    authorization: `${ALGORITHM} Credential=${credential.accessKeyId}/${scopeText(claim)}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

function scopeText({ day, region, service }: Omit<Claim, 'signature'>): string {
  return `${day}/${region}/${service}/aws4_request`;
}

function signatureOf(
  request: SignedRequest,
  claim: Omit<Claim, 'signature'>,
  secret: string,
  date: string,
  digest: string,
): string {
  const canonical = canonicalRequest(request, claim.signedHeaders, digest);
  const text = [ALGORITHM, date, scopeText(claim), hexOf(canonical)].join('\n');
  const parts = [claim.day, claim.region, claim.service, 'aws4_request'];
  const key = parts.reduce<Buffer>((so, part) => macOf(so, part), Buffer.from(`AWS4${secret}`));
  return macOf(key, text).toString('hex');
}

function canonicalRequest(
  { method, path, headers }: SignedRequest,
  signedHeaders: readonly string[],
  digest: string,
): string {
  const mark = path.indexOf('?');
  const [target, query] = mark < 0 ? [path, ''] : [path.slice(0, mark), path.slice(mark + 1)];
  const fields = signedHeaders.map((name) => `${name}:${canonicalValue(headers[name])}\n`);
  return [
    method,
    // Every service but S3 encodes each segment of the encoded path once more.
    target.split('/').map(encodeStrictly).join('/') || '/',
    canonicalQuery(query),
    fields.join(''),
    signedHeaders.join(';'),
    digest,
  ].join('\n');
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  const pairs = query.split('&').map((pair) => (pair.includes('=') ? pair : `${pair}=`));
  return pairs.sort().join('&');
}

function canonicalValue(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value.join(',') : (value ?? '');
  return text.trim().replace(/ +/g, ' ');
}

/** RFC 3986: everything but the unreserved characters. */
function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function single(value: string | string[] | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function macOf(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function hexOf(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}
