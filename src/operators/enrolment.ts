/** Enrolling and removing operators: two existing ones are needed after the first two. */

import { createHash } from 'node:crypto';
import { Fault } from '../base/errors.ts';
import { appendEntry } from '../ledger/ledger.ts';
import type { Database, Transaction } from '../store/database.ts';
import {
  countActiveOperators,
  deleteOperatorRequest,
  findOperator,
  findOperatorRequest,
  insertOperator,
  putOperatorRequest,
  removeOperator,
} from '../store/operators.ts';
import { checkOperatorId } from './operator-key.ts';

export type EnrolmentResult =
  | { readonly kind: 'done'; readonly operator: string }
  | { readonly kind: 'waits-for-second'; readonly operator: string; readonly requestedBy: string };

export interface EnrolmentRequest {
  readonly deed: 'add' | 'remove';
  readonly operator: string;
  /** SubjectPublicKeyInfo of the operator to add. */
  readonly publicKey: Buffer;
  /** Who asks; null only while fewer than two operators exist. */
  readonly by: string | null;
  readonly now: Date;
}

function checkDeed(known: { removed_at: Date | null } | null, request: EnrolmentRequest): void {
  const { operator } = request;
  if (request.deed === 'add' && known !== null)
    throw new Fault('operator.exists', `${operator} has been an operator already`, {
      remedy: 'names are used once; choose another',
    });
  if (request.deed === 'remove' && (known === null || known.removed_at !== null))
    throw new Fault('operator.unknown', `${operator} is not an operator`);
}

async function carryOut(tx: Transaction, request: EnrolmentRequest, by: string[]): Promise<void> {
  const { operator, deed } = request;
  if (deed === 'add') await insertOperator(tx, operator, request.publicKey);
  else await removeOperator(tx, operator);
  await deleteOperatorRequest(tx, operator, deed);
  const key = deed === 'add' ? { publicKey: request.publicKey.toString('base64') } : {};
  await appendEntry(tx, {
    kind: deed === 'add' ? 'operator.added' : 'operator.removed',
    at: request.now.toISOString(),
    by: by[0] ?? 'system',
    subject: operator,
    data: { operator, agreedBy: by, ...key },
  });
}

/** Who has asked for the same before, and is an operator still; null for nobody. */
async function firstWord(tx: Transaction, request: EnrolmentRequest): Promise<string | null> {
  const { operator, deed, publicKey } = request;
  const waiting = await findOperatorRequest(tx, operator, deed);
  if (waiting === null || (deed === 'add' && !waiting.public_key.equals(publicKey))) return null;
  const asked = await findOperator(tx, waiting.requested_by);
  return asked !== null && asked.removed_at === null ? asked.id : null;
}

/** One operator's word for enrolling or removing another; the second different word carries it out. */
export function enrol(db: Database, request: EnrolmentRequest): Promise<EnrolmentResult> {
  const { operator, deed, by } = request;
  checkOperatorId(operator);
  return db.transaction(async (tx) => {
    const active = await countActiveOperators(tx);
    checkDeed(await findOperator(tx, operator), request);
    if (deed === 'add' && active < 2) {
      await carryOut(tx, request, by === null ? [] : [by]);
      return { kind: 'done', operator };
    }
    if (by === null)
      throw new Fault('operator.not-authenticated', 'two operators must agree to this', {
        remedy: 'run the command as an enrolled operator: --as NAME',
      });
    if (deed === 'remove' && active <= 2)
      throw new Fault('operator.too-few', 'two operators must remain', {
        remedy: 'enrol another one first',
      });
    const first = await firstWord(tx, request);
    if (first !== null && first !== by) {
      await carryOut(tx, request, [first, by]);
      return { kind: 'done', operator };
    }
    await putOperatorRequest(tx, {
      id: operator,
      deed,
      public_key: request.publicKey,
      requested_by: by,
    });
    return { kind: 'waits-for-second', operator, requestedBy: by };
  });
}

/** First 16 hexadecimal characters of SHA-256 over the public key: how two people compare it by voice. */
export function operatorFingerprint(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 16);
}
