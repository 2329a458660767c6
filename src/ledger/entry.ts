/** What can have happened. */

import type { Json } from '../base/canonical-json.ts';

/** The kinds in use; a new deed adds its line here. */
export type EntryKind =
  | 'operator.added'
  | 'operator.removed'
  | 'customers.imported'
  | 'customers.erased'
  | 'suppression.changed'
  | 'keys.rotated'
  | 'keys.issued'
  | 'broadcast.created'
  | 'broadcast.frozen'
  | 'broadcast.prepared'
  | 'broadcast.approved'
  | 'broadcast.signed'
  | 'broadcast.released'
  | 'broadcast.held'
  | 'broadcast.let-on'
  | 'broadcast.halted'
  | 'broadcast.resumed'
  | 'broadcast.withdrawn'
  | 'broadcast.cancelled'
  | 'broadcast.finished'
  | 'broadcast.proved'
  | 'messages.prepared'
  | 'messages.signed'
  | 'outcomes.recorded'
  | 'verdicts.recorded'
  | 'kept.kept'
  | 'kept.looked'
  | 'kept.release-asked'
  | 'kept.released'
  | 'kept.refused'
  | 'kept.expired'
  | 'kept.delivered'
  | 'kept.failed'
  | 'guard.frozen'
  | 'guard.lifted'
  | 'guard.audience-declared'
  | 'guard.audience-removed'
  | 'console.link-made'
  | 'console.signed-in'
  | 'events.recorded'
  | (string & {});

/** One deed. `data` never holds an address in clear. */
export interface LedgerEntry {
  readonly kind: EntryKind;
  /** ISO 8601 in UTC with milliseconds. */
  readonly at: string;
  /** Operator id, or `system`. */
  readonly by: string;
  /** What it happened to: an id. */
  readonly subject: string;
  readonly data: Json;
}

/** A deed that stands for many rows kept elsewhere; `count` and `root` (base64) of the rows are added to its data. */
export interface BatchEntry extends Omit<LedgerEntry, 'data'> {
  readonly data: { readonly [key: string]: Json };
}
