/** A submission before its door is known: who gets which copy, what it says, and what is wrong with it. */

import type { Attached } from './generator-mime.ts';
import type { Person } from './generator-people.ts';
import type { Random } from './generator-random.ts';

export const DOORS = [
  'smtp',
  'milter',
  'sendgrid',
  'ses-simple',
  'ses-template',
  'ses-raw',
  'ses-bulk',
  'mailgun',
  'mailgun-mime',
  'postmark',
  'postmark-batch',
  'postmark-template',
] as const;

export type Door = (typeof DOORS)[number];

export type PolicyWord = 'bulk' | 'transactional' | 'person';

/** Doors that are given a whole message. */
export const MIME_DOORS: ReadonlySet<Door> = new Set(['smtp', 'milter', 'ses-raw', 'mailgun-mime']);
/** Doors by which one call can make many messages. */
export const BATCH_DOORS: ReadonlySet<Door> = new Set([
  'sendgrid',
  'ses-bulk',
  'mailgun',
  'postmark-batch',
]);

/** Doors whose text stands at the provider: the call brings data alone. */
export const TEXT_DOORS: ReadonlySet<Door> = new Set(['ses-template', 'postmark-template']);

/** A message the call makes, and what is merged into it: each value has its slot in the text. */
export interface PlanCopy {
  to: Person[];
  cc: Person[];
  bcc: Person[];
  values: Record<string, string>;
}

export interface Plan {
  readonly door: Door;
  readonly policy: PolicyWord;
  from: Person;
  /** From as it is written, where that is not name and address. */
  fromValue: string | null;
  copies: PlanCopy[];
  /** To as it is written, where that is not names and addresses; '' leaves it out. Whole messages only. */
  toValue: string | null;
  subject: string;
  text: string;
  html: string | null;
  fields: [name: string, value: string][];
  replyTo: Person[];
  attached: Attached[];
  /** MIME parts as they are. */
  parts: string[];
  /** Data for a template, the same in every copy, beside the values. */
  data: Record<string, string>;
  /** What a provider files the call under. */
  tags: string[];
  /** SendGrid: texts that values name, by their tags. */
  sections: Record<string, string>;
  /** Mailgun: an entry for each reader, for all but one, or for somebody else beside. */
  variables: 'each' | 'but-one' | Person;
}

/** Where a value of the reader stands in a text. */
export function slot(name: string): string {
  return `\u27e6${name}\u27e7`;
}

/** Fills the slots. */
export function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\u27e6(\w+)\u27e7/g, (_, name: string) => values[name] ?? '');
}

/** Writes each slot as a provider's tag. */
export function tagged(text: string, tag: (name: string) => string): string {
  return text.replace(/\u27e6(\w+)\u27e7/g, (_, name: string) => tag(name));
}

/** What a trap is aimed at. */
export interface Aim {
  /** Whose address is shown where it must not be. */
  readonly victim: Person;
  /** Of the register, none of them written to. */
  readonly customers: readonly Person[];
}

export interface Trap {
  readonly name: string;
  /** The detector it is meant for. */
  readonly detector: string;
  readonly doors: (door: Door) => boolean;
  readonly policies: readonly PolicyWord[];
  /** several: one message for several readers. blind: the same, none of them in To and Cc. copies: many messages. one: one reader. any: one or several. */
  readonly audience: 'one' | 'several' | 'blind' | 'copies' | 'any';
  /** Something is wrong beside addresses: it must not leave as it came, whatever a parser sees in it. */
  readonly fault: boolean;
  apply(plan: Plan, aim: Aim, random: Random): void;
}

export const PROGRAMS: readonly PolicyWord[] = ['bulk', 'transactional'];
export const ALL_POLICIES: readonly PolicyWord[] = ['bulk', 'transactional', 'person'];

export function readersOf({ copies }: Plan): readonly Person[] {
  return copies.flatMap(({ to, cc, bcc }) => [...to, ...cc, ...bcc]);
}
