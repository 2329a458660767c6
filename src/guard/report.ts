/** What the guard has kept from happening since a moment, and what it would have, had it not only watched. */

import type { Database } from '../store/database.ts';
import { countVerdicts, type VerdictGroup } from '../store/verdicts.ts';

export interface Sum {
  readonly calls: number;
  readonly readers: number;
  /** Ordered pairs: one person shown to one other. */
  readonly disclosures: number;
}

export interface GuardReport {
  /** ISO 8601. */
  readonly since: string;
  readonly calls: number;
  readonly passed: number;
  /** Stopped or cured before it could leave, with disclosures it would have made. */
  readonly nearMisses: Sum;
  readonly refused: Sum;
  readonly split: Sum;
  readonly held: Sum;
  readonly deferred: Sum;
  /** Left as it came, in the modes shadow and warn, and would not have in enforce. */
  readonly watched: Sum;
  /** Of these, what shows people to each other: this has leaked. */
  readonly leaked: Sum;
  /** By gate, identity, mode and reason; a call counts under each of its reasons. */
  readonly rows: readonly ReportRow[];
}

export interface ReportRow extends Sum {
  readonly gate: string;
  readonly identity: string;
  readonly mode: string;
  readonly reason: string;
  readonly verdict: string;
  /** What the gate did: forward, keep, refuse or defer. */
  readonly action: string;
}

type Choice = (group: VerdictGroup) => boolean;

/** Counts since then; see `GuardReport`. */
export async function guardReport(db: Database, since: Date): Promise<GuardReport> {
  const groups = await countVerdicts(db, since, 'call');
  const byReason = await countVerdicts(db, since, 'reason');
  const all = (chosen: Choice): Sum => sumOf(groups.filter(chosen), ({ calls }) => calls);
  const stopped: Choice = ({ action }) => action === 'keep' || action === 'refuse';
  const watched: Choice = ({ action, verdict }) => action === 'forward' && verdict !== 'pass';
  return {
    since: since.toISOString(),
    calls: all(() => true).calls,
    passed: all(({ verdict }) => verdict === 'pass').calls,
    nearMisses: exposing(groups.filter(stopped)),
    refused: all(({ action }) => action === 'refuse'),
    split: all(({ action, verdict }) => action === 'keep' && verdict === 'split'),
    held: all(({ action, verdict }) => action === 'keep' && verdict === 'hold'),
    deferred: all(({ action }) => action === 'defer'),
    watched: all(watched),
    leaked: exposing(groups.filter(watched)),
    rows: byReason.map(({ gate, identity, mode, verdict, action, reason, ...sums }) => {
      const { calls, readers, disclosures } = sums;
      const row = { gate, identity, mode, verdict, action, reason: reason ?? '' };
      return { ...row, calls, readers, disclosures };
    }),
  };
}

function sumOf(groups: readonly VerdictGroup[], callsOf: (group: VerdictGroup) => number): Sum {
  let calls = 0;
  let readers = 0;
  let disclosures = 0;
  for (const group of groups) {
    calls += callsOf(group);
    readers += group.readers;
    disclosures += group.disclosures;
  }
  return { calls, readers, disclosures };
}

/** Only the calls that show somebody to somebody. */
function exposing(groups: readonly VerdictGroup[]): Sum {
  const some = groups.map((group) => ({ ...group, readers: group.exposingReaders }));
  return sumOf(some, (group) => group.exposing);
}
