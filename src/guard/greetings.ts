/**
 * What the register knows of readers whom a call greets by name, so that the judge can compare.
 *
 * Invariant: the database is asked for customers alone, and only where the text greets somebody; who cannot be looked up is not
 * taken for unknown: what is given back rejects.
 */

import type { RecordOf } from '../detect/detector.ts';
import { greetedBy } from '../detect/salutation.ts';
import { canonicalAddress } from '../mail/address.ts';
import { parseMessage } from '../mail/message.ts';
import type { Submission } from './judge.ts';

export interface GreetingsOptions {
  readonly isCustomer: (canonical: string) => boolean;
  readonly namesOf: (
    canonicals: readonly string[],
  ) => Promise<ReadonlyMap<string, readonly string[]>>;
}

export interface Greeted {
  /** As they were given, those that were read with what was read. */
  readonly copies: readonly Submission[];
  /** Null where no customer is greeted by name. */
  readonly records: Promise<RecordOf> | null;
}

/** Never throws: what cannot be read is the judge's to say. */
export type Greetings = (copies: readonly Submission[]) => Greeted;

export function createGreetings({ isCustomer, namesOf }: GreetingsOptions): Greetings {
  return (copies) => {
    const greeted = new Set<string>();
    let read: Submission[] | null = null;
    for (const [place, copy] of copies.entries()) {
      const reader = onlyReaderOf(copy);
      if (reader === null || !isCustomer(reader)) continue;
      try {
        const message = copy.message ?? parseMessage(copy.bytes);
        read ??= [...copies];
        read[place] = { ...copy, message };
        if (greetedBy(message).length > 0) greeted.add(reader);
      } catch {
        // Fails in the judge too, and there it is told and deferred.
      }
    }
    const records = greeted.size === 0 ? null : recordsOf([...greeted], namesOf);
    return { copies: read ?? copies, records };
  };
}

/** Several readers are greeted by one text: it is nobody's merge. */
function onlyReaderOf({ envelope }: Submission): string | null {
  const [first, ...more] = envelope.recipients;
  if (first === undefined) return null;
  const reader = canonicalAddress(first) ?? first.toLowerCase();
  const isOnly = more.every((text) => (canonicalAddress(text) ?? text.toLowerCase()) === reader);
  return isOnly ? reader : null;
}

async function recordsOf(
  readers: readonly string[],
  namesOf: GreetingsOptions['namesOf'],
): Promise<RecordOf> {
  const found = await namesOf(readers);
  return (canonical) => {
    const names = found.get(canonical);
    return names === undefined ? null : { names };
  };
}
