/**
 * Generated submissions for every door, each with what is known of it: who reads it, whom it may show beside the reader, and
 * what is wrong with it. Deterministic: seed and number give the same submission. Imports nothing of `src/`.
 */

import { CONTENT_TRAPS, harmlessFiles } from './generator-content-traps.ts';
import { requestOf, type SubmissionRequest } from './generator-doors.ts';
import {
  type AddressKinds,
  COMPANY_DOMAIN,
  CUSTOMERS,
  customer,
  type Person,
  PLAIN_KINDS,
  paragraphs,
  personOf,
  ROLES,
  sentence,
} from './generator-people.ts';
import {
  ALL_POLICIES,
  BATCH_DOORS,
  DOORS,
  type Door,
  MIME_DOORS,
  type Plan,
  type PlanCopy,
  type PolicyWord,
  PROGRAMS,
  readersOf,
  slot,
  TEXT_DOORS,
  type Trap,
} from './generator-plan.ts';
import { type Random, randomOf } from './generator-random.ts';
import { MIME_TRAPS } from './generator-traps.ts';

export interface Submission {
  readonly number: number;
  readonly door: Door;
  readonly policy: PolicyWord;
  readonly split: boolean;
  /** 'clean', or the name of the trap. */
  readonly kind: string;
  /** The detector the trap is meant for; null for a clean one. */
  readonly detector: string | null;
  /** Something is wrong beside addresses: no copy of it may leave. */
  readonly fault: boolean;
  /** Everybody who is to get it. */
  readonly readers: readonly string[];
  /** Names by address, as the company's own records have them. */
  readonly names: readonly (readonly [address: string, name: string])[];
  /** Whom any copy may show beside its reader. */
  readonly allowed: readonly string[];
  readonly request: SubmissionRequest;
}

export const TRAPS: readonly Trap[] = [...MIME_TRAPS, ...CONTENT_TRAPS];

/** To and Cc show so many people outside the company when people write to people. */
const PERSON_MAX = 8;

export interface GenerateOptions {
  readonly seed: number;
  /** Of all submissions so many are clean: 0 to 1. */
  readonly cleanShare?: number;
  /** Only traps for this detector. */
  readonly detector?: string;
  /** Most readers of one submission. */
  readonly readersMax?: number;
}

export function generate(number: number, options: GenerateOptions): Submission {
  const { seed, cleanShare = 0.42, detector } = options;
  const random = randomOf(seed, number);
  const clean = random.chance(cleanShare);
  if (clean) return cleanSubmission(number, random, options);
  const traps = detector === undefined ? TRAPS : TRAPS.filter((one) => one.detector === detector);
  if (detector === undefined && random.chance(0.03)) return tooManyShown(number, random);
  const trap = random.pick(traps);
  const door = random.pick(DOORS.filter(trap.doors));
  const policies = trap.policies.filter((name) => name !== 'person' || PERSONS_DOORS.has(door));
  return trapped(number, random, trap, door, random.pick(policies), options);
}

/** Doors for one message of its own text. */
const PERSONS_DOORS: ReadonlySet<Door> = new Set(
  DOORS.filter((door) => !BATCH_DOORS.has(door) && !TEXT_DOORS.has(door)),
);

function kindsFor({ door, clean }: Makings): AddressKinds {
  const smtp = door === 'smtp' || door === 'milter';
  return { unicodeDomains: smtp, oddLocals: smtp, spaces: smtp && !clean, company: true };
}

interface Makings {
  readonly number: number;
  readonly random: Random;
  readonly door: Door;
  readonly clean: boolean;
  made: number;
}

function somebody(makings: Makings, kinds: AddressKinds = kindsFor(makings)): Person {
  const tag = `${makings.number.toString(36)}x${(makings.made++).toString(36)}`;
  return personOf(makings.random, tag, kinds);
}

function people(makings: Makings, count: number): Person[] {
  return Array.from({ length: count }, () => somebody(makings));
}

const MOST: Partial<Record<Door, number>> = {
  'ses-simple': 49,
  'ses-template': 49,
  'ses-raw': 50,
  'ses-bulk': 50,
  postmark: 49,
  'postmark-template': 49,
  'postmark-batch': 500,
};

function sizeFor({ random, door }: Makings, from: number, max = 1000): number {
  const most = Math.min(MOST[door] ?? 1000, max);
  const roll = random.next();
  if (roll < 0.004) return random.int(Math.min(200, most), most);
  if (roll < 0.03) return random.int(Math.min(10, most), Math.min(50, most));
  return random.int(from, Math.max(from, Math.min(5, most)));
}

function newPlan({ random, door }: Makings, policy: PolicyWord, copies: PlanCopy[]): Plan {
  const person = policy === 'person';
  const from: Person = person
    ? { name: 'Dana Frost', address: `dana.frost@${COMPANY_DOMAIN}` }
    : { name: 'Northwind', address: `news@${COMPANY_DOMAIN}` };
  return {
    ...{ door, policy, from, fromValue: null, copies, toValue: null },
    subject: sentence(random, random.int(2, 5)).replace(/\.$/, ''),
    text: paragraphs(random),
    html: null,
    ...{ fields: [], replyTo: [], attached: [], parts: [], data: {} },
    ...{ tags: [], sections: {}, variables: 'each' },
  };
}

const copyTo = (to: Person[], more: Partial<PlanCopy> = {}): PlanCopy => ({
  ...{ to, cc: [], bcc: [], values: {} },
  ...more,
});

/** Blind: nobody of those who read it stands in To and Cc. */
function blindCopy({ door, random }: Makings, all: Person[]): PlanCopy {
  if (MIME_DOORS.has(door)) return copyTo([], { bcc: all });
  const self = { name: 'Northwind', address: random.pick(ROLES) };
  return copyTo([self], { bcc: all });
}

function cleanSubmission(
  number: number,
  random: Random,
  { readersMax }: GenerateOptions,
): Submission {
  const door = random.pick(DOORS);
  const makings: Makings = { number, random, door, clean: true, made: 0 };
  // A person's mails are all of one text where the text is the provider's: that would be a campaign.
  const policies: readonly PolicyWord[] = TEXT_DOORS.has(door) ? PROGRAMS : ALL_POLICIES;
  const policy = random.pick(policies);
  const plan =
    policy === 'person'
      ? newPlan(makings, policy, [personCopy(makings)])
      : newPlan(makings, policy, cleanCopies(makings, readersMax));
  decorate(plan, makings);
  return finished(number, random, plan, 'clean', null, false);
}

function cleanCopies(makings: Makings, readersMax?: number): PlanCopy[] {
  const { random, door } = makings;
  if (BATCH_DOORS.has(door) && random.chance(0.6)) {
    const all = people(makings, sizeFor(makings, 2, readersMax));
    return all.map((one) => copyTo([one]));
  }
  if (random.chance(0.25)) return [blindCopy(makings, people(makings, random.int(2, 5)))];
  return [copyTo([somebody(makings)])];
}

function personCopy(makings: Makings): PlanCopy {
  const { random } = makings;
  const to = people(makings, random.int(1, 4));
  const cc = random.chance(0.4) ? people(makings, random.int(1, 3)) : [];
  return copyTo(to, { cc });
}

/** What legitimate mail has in it. */
function decorate(plan: Plan, { random, door }: Makings): void {
  const [first] = plan.copies;
  const alone = plan.copies.every(({ to, cc, bcc }) => to.length + cc.length + bcc.length === 1);
  if (alone) {
    for (const copy of plan.copies) {
      const [reader] = copy.to;
      if (reader === undefined) continue;
      copy.values.name = reader.name;
      copy.values.mail = reader.address;
      copy.values.token = `${random.int(1e9, 9e9)}k${random.int(1e9, 9e9)}`;
    }
    plan.text = `Dear ${slot('name')},\n\n${plan.text}`;
    if (random.chance(0.4))
      plan.text += `\n\nhttps://northwind.example/unsubscribe/${slot('token')}`;
    if (random.chance(0.4)) plan.text += `\n\nThis was sent to ${slot('mail')}.`;
  }
  if (random.chance(0.4)) plan.text += `\n\nQuestions? ${random.pick(ROLES)}`;
  if (random.chance(0.2)) plan.text += `\n\nYour contact: kim.lee@${COMPANY_DOMAIN}`;
  if (random.chance(0.4)) plan.html = htmlOf(plan.text);
  if (random.chance(0.15) && !TEXT_DOORS.has(door)) plan.attached.push(harmlessFiles(random));
  if (random.chance(0.2)) plan.tags.push(`c${random.int(1, 99)}`);
  if (random.chance(0.2)) plan.fields.push(['X-Campaign', `c${random.int(1, 999)}`]);
  if (random.chance(0.15))
    plan.fields.push(['List-Unsubscribe', `<mailto:leave@${COMPANY_DOMAIN}>`]);
  if (random.chance(0.1)) plan.replyTo = [{ name: 'Support', address: ROLES[0] ?? '' }];
  if (random.chance(0.1) && MIME_DOORS.has(door))
    plan.fields.push(['References', `<${random.int(1, 1e9)}@mail.${COMPANY_DOMAIN}>`]);
  if (TEXT_DOORS.has(door) && first !== undefined) plan.data.order = `A-${random.int(1, 9999)}`;
}

function htmlOf(text: string): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const body = escaped
    .split('\n\n')
    .map((paragraph) => `<p style="margin:0 0 1em">${paragraph.replaceAll('\n', '<br>')}</p>`)
    .join('\n');
  return `<html><head><title>Northwind</title></head><body>${body}<p><a href="mailto:${ROLES[0]}">Support</a></p></body></html>`;
}

function tooManyShown(number: number, random: Random): Submission {
  const door = random.pick([...PERSONS_DOORS]);
  const makings: Makings = { number, random, door, clean: false, made: 0 };
  const to = Array.from({ length: random.int(PERSON_MAX + 1, 40) }, () =>
    somebody(makings, PLAIN_KINDS),
  );
  const cc = random.chance(0.5) ? to.splice(0, random.int(1, 6)) : [];
  const plan = newPlan(makings, 'person', [copyTo(to, { cc })]);
  return finished(number, random, plan, 'person-many', 'policy', false);
}

function audienceFor(makings: Makings, trap: Trap, policy: PolicyWord, max?: number): PlanCopy[] {
  const { random, door } = makings;
  if (trap.audience === 'one') return [copyTo([somebody(makings)])];
  if (trap.audience === 'copies')
    return people(makings, sizeFor(makings, 3, max)).map((one) => copyTo([one]));
  if (trap.audience === 'blind') {
    const all = people(makings, sizeFor(makings, 2, max));
    return [policy === 'person' ? copyTo(all.splice(0, 1), { bcc: all }) : blindCopy(makings, all)];
  }
  if (trap.audience === 'several') return [severalCopy(makings, sizeFor(makings, 2, max))];
  if (policy === 'person') return [personCopy(makings)];
  if (BATCH_DOORS.has(door) && random.chance(0.5))
    return people(makings, sizeFor(makings, 2, max)).map((one) => copyTo([one]));
  if (random.chance(0.5)) return [blindCopy(makings, people(makings, sizeFor(makings, 2, max)))];
  return [copyTo([somebody(makings)])];
}

function severalCopy(makings: Makings, size: number): PlanCopy {
  const { random, door } = makings;
  const all = people(makings, size);
  if (MIME_DOORS.has(door)) return copyTo(all);
  const rest = all.slice(1);
  return random.pick([
    () => copyTo(all),
    () => copyTo(all.slice(0, 1), { cc: rest }),
    () => copyTo(all.slice(0, 1), { bcc: rest }),
  ])();
}

function trapped(
  number: number,
  random: Random,
  trap: Trap,
  door: Door,
  policy: PolicyWord,
  { readersMax }: GenerateOptions,
): Submission {
  const makings: Makings = { number, random, door, clean: false, made: 0 };
  const plan = newPlan(makings, policy, audienceFor(makings, trap, policy, readersMax));
  if (random.chance(0.4)) plan.html = htmlOf(plan.text);
  const readers = readersOf(plan).filter(({ address }) => !ROLES.includes(address));
  const start = random.int(0, CUSTOMERS - 12);
  const customers = Array.from({ length: 12 }, (_, i) => customer(start + i));
  const ofReaders = policy !== 'person' && readers.length > 1 && random.chance(0.7);
  const victim = ofReaders ? random.pick(readers) : random.pick(customers);
  trap.apply(plan, { victim, customers }, random);
  if (TEXT_DOORS.has(door)) plan.data.order ??= `A-${random.int(1, 9999)}`;
  return finished(number, random, plan, trap.name, trap.detector, trap.fault);
}

function finished(
  number: number,
  random: Random,
  plan: Plan,
  kind: string,
  detector: string | null,
  fault: boolean,
): Submission {
  const { door, policy, from } = plan;
  const allowed = [from.address, ...ROLES];
  if (policy === 'person') {
    const shown = plan.copies.flatMap(({ to, cc }) => [...to, ...cc]);
    const isOutside = ({ address }: Person): boolean =>
      !address.toLowerCase().endsWith(`@${COMPANY_DOMAIN}`);
    if (shown.filter(isOutside).length <= PERSON_MAX)
      allowed.push(...shown.map(({ address }) => address));
  }
  const readers = readersOf(plan).map(({ address }) => address);
  return {
    ...{ number, door, policy, kind, detector, fault, allowed },
    // A copy for each of a thousand takes the outbox a while: a few of those are enough.
    split: random.chance(readers.length > 50 ? 0.05 : 0.5),
    readers: [...new Set(readers)],
    names: readersOf(plan).map((one): [string, string] => [one.address, one.name]),
    request: requestOf(random, plan),
  };
}
