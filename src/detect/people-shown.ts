/** Gathers mentions into findings: one for each field or part, with the distinct people it shows. */

import type { ParsedMessage } from '../mail/message.ts';
import type { DetectContext } from './detector.ts';
import type { Finding, FindingId, Severity } from './finding.ts';
import { type Mention, placeOf, type Surface } from './mentions.ts';
import { peopleIn, type Standing } from './people.ts';

const NONE: readonly Finding[] = [];

export interface Shown {
  readonly id: FindingId;
  readonly severity: Severity;
  readonly surfaces: readonly Surface[];
  readonly standings: readonly Standing[];
}

interface Group {
  readonly first: Mention;
  readonly addresses: Set<string>;
}

/** Findings for all mentions on these surfaces whose owner has one of these standings. */
export function peopleShown(
  message: ParsedMessage,
  context: DetectContext,
  shown: Shown,
): readonly Finding[] {
  let groups: Map<string, Group> | null = null;
  // An attached list has its 100,000 people one behind the other, in one place.
  let last: Group | null = null;
  for (const { mention, person } of peopleIn(message, context)) {
    if (!shown.standings.includes(person.standing)) continue;
    if (!shown.surfaces.includes(mention.surface)) continue;
    if (last !== null && isSamePlace(last.first, mention)) {
      last.addresses.add(person.address);
      continue;
    }
    groups ??= new Map();
    const key = `${mention.part} ${mention.field} ${isHeader(mention) ? mention.start : ''}`;
    last = groups.get(key) ?? null;
    if (last === null) {
      last = { first: mention, addresses: new Set([person.address]) };
      groups.set(key, last);
    } else last.addresses.add(person.address);
  }
  if (groups === null) return NONE;
  return [...groups.values()].map((group) => findingOf(message, group, shown));
}

function isSamePlace(one: Mention, other: Mention): boolean {
  if (one.part !== other.part || one.field !== other.field) return false;
  return one.start === other.start || !isHeader(other);
}

function isHeader(mention: Mention): boolean {
  return mention.field.includes('header ');
}

function findingOf(message: ParsedMessage, group: Group, shown: Shown): Finding {
  const { part, start, end } = group.first;
  return {
    id: shown.id,
    severity: shown.severity,
    where: { part, field: placeOf(message, group.first), start, end },
    addresses: [...group.addresses],
    count: group.addresses.size,
  };
}
