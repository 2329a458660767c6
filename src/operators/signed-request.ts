/** Signed requests: how a command proves to `serve` which operator it speaks for. */

import { createHash, randomBytes } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import type { Database } from '../store/database.ts';
import { findOperator, useNonce } from '../store/operators.ts';
import { type OperatorKey, signAs, signedBy } from './operator-key.ts';

const SCHEME = 'Undisclosed-Ed25519';
const AGE_MS_MAX = 5 * 60_000;

export interface RequestFacts {
  readonly method: string;
  readonly path: string;
  /** SHA-256 of the body, hexadecimal. */
  readonly bodyDigest: string;
}

export function bodyDigest(body: string | Uint8Array): string {
  return createHash('sha256').update(body).digest('hex');
}

function textToSign(facts: RequestFacts, at: string, nonce: string): string {
  return [SCHEME, facts.method, facts.path, at, nonce, facts.bodyDigest].join('\n');
}

/** The Authorization header of one request; good once and for five minutes. */
export function authorization(
  key: OperatorKey,
  facts: RequestFacts,
  now: Date = new Date(),
): string {
  const at = now.toISOString();
  const nonce = randomBytes(16).toString('hex');
  const signature = signAs(key, textToSign(facts, at, nonce)).toString('base64');
  return `${SCHEME} operator="${key.operator}", at="${at}", nonce="${nonce}", body="${facts.bodyDigest}", signature="${signature}"`;
}

const refused = (why: string): Fault =>
  new Fault('operator.not-authenticated', why, {
    remedy: 'name an enrolled operator with --as NAME, whose key file is on this machine',
  });

/**
 * Who speaks. The body's digest is taken from the header; whoever reads the body compares it.
 * @returns the operator's id and the digest that the body must have.
 * @throws Fault `operator.not-authenticated`.
 */
export async function authenticate(
  db: Database,
  header: string | undefined,
  method: string,
  path: string,
  nowMs: number,
): Promise<{ readonly operator: string; readonly bodyDigest: string }> {
  const match =
    /^Undisclosed-Ed25519 operator="([^"]+)", at="([^"]+)", nonce="([0-9a-f]{32})", body="([0-9a-f]{64})", signature="([^"]+)"$/.exec(
      header ?? '',
    );
  if (match === null) throw refused('the request is not signed by an operator');
  const [, operator = '', at = '', nonce = '', digest = '', signature = ''] = match;
  const age = Math.abs(nowMs - Date.parse(at));
  if (!(age <= AGE_MS_MAX)) throw refused('the request is older than five minutes');
  const known = await findOperator(db, operator);
  if (known === null || known.removed_at !== null)
    throw refused(`${operator} is not an enrolled operator`);
  const text = textToSign({ method, path, bodyDigest: digest }, at, nonce);
  if (!signedBy(known.public_key, text, Buffer.from(signature, 'base64')))
    throw refused(`the signature is not ${operator}’s`);
  if (!(await useNonce(db, nonce))) throw refused('this request has been made before');
  return { operator, bodyDigest: digest };
}
