/** Approval: a second person signs exactly these messages, this audience and this plan. */

import { createHash } from 'node:crypto';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { Fault } from '../base/errors.ts';
import { KINDS } from '../customers/record.ts';
import type { Keyring } from '../keys/keyring.ts';
import { appendEntry } from '../ledger/ledger.ts';
import { signedBy } from '../operators/operator-key.ts';
import { countAudience } from '../store/audiences.ts';
import { findApproval, insertApproval, setBroadcastState } from '../store/broadcasts.ts';
import { importOperators } from '../store/customers.ts';
import type { Database, Queryable } from '../store/database.ts';
import { findOperator } from '../store/operators.ts';
import { compiledNotice } from './block-pool.ts';
import { type Broadcast, loadBroadcast, transition } from './broadcast.ts';

/** Signed by an operator's key over the canonical JSON of the document. */
export interface ApprovalEnvelope {
  readonly kind: 'ed25519';
  readonly operator: string;
  /** SubjectPublicKeyInfo, base64. */
  readonly publicKey: string;
  /** Base64. */
  readonly signature: string;
}

export type ApprovalDocument = { readonly [key: string]: Json };

const digestOf = (value: Json): string =>
  createHash('sha256').update(canonicalJson(value)).digest('base64');

/** Everybody who authored, imported or prepared: none of them may approve. */
async function authorsOf(db: Queryable, broadcast: Broadcast): Promise<string[]> {
  const importers = await importOperators(db);
  return [...new Set([broadcast.createdBy, ...broadcast.preparedBy, ...importers])].sort();
}

/** What is promised beside the messages: in which order and how they go, by which route, and until when. */
function planOf(broadcast: Broadcast): Json {
  const { route, rings, uncertain, deadlineHours, retrySeconds } = broadcast.settings;
  return {
    rings: broadcast.plan.rings.map((ring) => ({ ...ring })),
    perThousand: rings.perThousand,
    route: { ...route, timeoutsMs: { ...route.timeoutsMs } },
    uncertain,
    deadlineHours,
    retrySeconds,
  };
}

/** The document of a prepared broadcast: the same bytes every time it is asked for. */
export async function approvalDocument(
  db: Database,
  keyring: Keyring,
  id: string,
): Promise<ApprovalDocument> {
  const broadcast = await loadBroadcast(db, id);
  if (broadcast.manifestRoot === null) transition(broadcast.state, 'approved');
  const { allowed } = await compiledNotice(db, keyring, broadcast);
  const counts: Record<string, Record<string, number>> = { kind: {}, language: {}, provider: {} };
  const add = (what: string, name: string, count: number): void => {
    const group = counts[what] as Record<string, number>;
    group[name] = (group[name] ?? 0) + count;
  };
  for (const row of await countAudience(db, id)) {
    add('kind', KINDS[row.kind] ?? 'customer', row.count);
    add('language', row.language, row.count);
    add('provider', row.provider, row.count);
  }
  return {
    document: 'undisclosed/approval/1',
    broadcast: id,
    name: broadcast.name,
    count: broadcast.count,
    manifestRoot: (broadcast.manifestRoot ?? Buffer.alloc(0)).toString('base64'),
    audienceDigest: broadcast.audienceDigest.toString('base64'),
    noticeDigest: broadcast.noticeDigest.toString('base64'),
    plan: planOf(broadcast),
    allowListDigest: digestOf(allowed.addresses),
    versions: { node: process.versions.node, icu: process.versions.icu ?? '' },
    counts,
    authors: await authorsOf(db, broadcast),
  };
}

async function checkApprover(
  db: Queryable,
  document: ApprovalDocument,
  envelope: ApprovalEnvelope,
) {
  const { operator } = envelope;
  if ((document.authors as readonly string[]).includes(operator))
    throw new Fault('approval.own-work', `${operator} made, imported or prepared this broadcast`, {
      remedy: 'nobody approves their own work: another operator must',
    });
  const known = await findOperator(db, operator);
  if (known === null || known.removed_at !== null)
    throw new Fault('operator.not-authenticated', `${operator} is not an enrolled operator`);
  const sameKey = known.public_key.toString('base64') === envelope.publicKey;
  const signature = Buffer.from(envelope.signature, 'base64');
  if (!sameKey || !signedBy(known.public_key, canonicalJson(document), signature))
    throw new Fault('approval.bad-signature', 'the signature is not over this document', {
      remedy: 'the broadcast has changed since it was shown: look at it again and approve again',
    });
}

/**
 * Enters an approval.
 * @throws Fault `approval.own-work`, `approval.bad-signature`, `broadcast.wrong-state`.
 */
export async function approveBroadcast(
  db: Database,
  keyring: Keyring,
  id: string,
  envelope: ApprovalEnvelope,
  now: Date,
): Promise<ApprovalDocument> {
  const document = await approvalDocument(db, keyring, id);
  await db.transaction(async (tx) => {
    const broadcast = await loadBroadcast(tx, id, true);
    const next = transition(broadcast.state, 'approved');
    await checkApprover(tx, document, envelope);
    await insertApproval(tx, id, document, envelope);
    await setBroadcastState(tx, id, next, null);
    await appendEntry(tx, {
      kind: 'broadcast.approved',
      at: now.toISOString(),
      by: envelope.operator,
      subject: id,
      data: { document, envelope: { ...envelope } },
    });
  });
  return document;
}

export interface Approval {
  readonly document: ApprovalDocument;
  readonly envelope: ApprovalEnvelope;
  readonly digest: string;
}

/**
 * The approval a release stands on, checked again: signature, key, and that it is of these messages.
 * @throws Fault `broadcast.not-approved`, `broadcast.altered`.
 */
export async function checkedApproval(db: Queryable, broadcast: Broadcast): Promise<Approval> {
  const row = await findApproval(db, broadcast.id);
  if (row === null)
    throw new Fault('broadcast.not-approved', 'nobody has approved this broadcast', {
      where: broadcast.id,
      remedy: 'a second person approves it: undisclosed broadcast approve ID --as NAME',
    });
  const document = row.document as ApprovalDocument;
  const envelope = row.envelope as ApprovalEnvelope;
  await checkApprover(db, document, envelope);
  const same =
    document.manifestRoot === broadcast.manifestRoot?.toString('base64') &&
    document.noticeDigest === broadcast.noticeDigest.toString('base64') &&
    document.audienceDigest === broadcast.audienceDigest.toString('base64') &&
    document.count === broadcast.count &&
    canonicalJson(document.plan ?? null) === canonicalJson(planOf(broadcast)) &&
    document.broadcast === broadcast.id;
  if (!same)
    throw new Fault('broadcast.altered', 'the broadcast is not the one that was approved', {
      where: broadcast.id,
      remedy: 'make a new broadcast and have it approved',
    });
  return { document, envelope, digest: digestOf(document) };
}
