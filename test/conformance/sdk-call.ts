/** One call as a programmer would write it with an unmodified package, and what became of it on the far side. */

import PostalMime from 'postal-mime';
import type { DeliveredCopy } from '../support/provider-message.ts';
import type { ConformanceHouse, FarSide } from './sdk-house.ts';

/** shadow: the guard only watches. refuse: enforced, without split. split: enforced, with it. */
export const SETTINGS = ['shadow', 'refuse', 'split'] as const;
export type Setting = (typeof SETTINGS)[number];

/** nothing: no copy leaves, and the program is told so. private: cut into private copies. passes: goes on as it came. */
export type Outcome = 'nothing' | 'private' | 'passes';

export interface SdkCall {
  /** As it stands in the table. */
  readonly call: string;
  readonly people: number;
  /** Whether it would show people to each other, were it sent as it is. */
  readonly leaks: boolean;
  /** How it ends: enforced without split, enforced with it. */
  readonly ends: readonly [Outcome, Outcome];
  /** The provider itself refuses it: nothing leaves in shadow either. */
  readonly providerRefuses?: true;
  /** Makes the call. Rejects with what the package throws. */
  readonly make: (at: CallPlace, people: readonly string[]) => Promise<void>;
}

export interface CallPlace {
  readonly house: ConformanceHouse;
  readonly setting: Setting;
  /** A word that is in no other call. */
  readonly mark: string;
}

export interface Sdk {
  /** What the table calls it. */
  readonly title: string;
  /** The package, and the lock file that pins it; null for a program that comes with the machine. */
  readonly pinned: { readonly name: string; readonly lock: string } | null;
  /** The documented option that leads it to the gate. */
  readonly baseUrl: string;
  readonly farSide: FarSide;
  /** What the package says of a refusal, `Class code`. */
  readonly refusal: string;
  /** Class and code of what the package threw. */
  readonly describe: (thrown: unknown) => string;
  readonly calls: readonly SdkCall[];
}

export interface CallResult {
  readonly copies: number;
  /** Of the people written to, the most that one reader is shown in one copy, beside themselves. */
  readonly othersShown: number;
  /** Distinct people who got a copy. */
  readonly reached: number;
  readonly error: string | null;
}

export function peopleOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `customer.${n}@mail${n % 20}.example`);
}

/** The name of the class of what was thrown. */
export function classOf(thrown: unknown): string {
  return (thrown as object).constructor.name;
}

/** Makes the call and reads what the far side has of it once nothing is on its way any more. */
export async function runCall(sdk: Sdk, call: SdkCall, at: CallPlace): Promise<CallResult> {
  const { copies } = at.house.farSides[sdk.farSide];
  const start = copies.length;
  const people = peopleOf(call.people);
  const error = await call.make(at, people).then(
    () => null,
    (thrown: unknown) => sdk.describe(thrown),
  );
  await at.house.settled();
  return { ...(await readCopies(copies.slice(start), people)), error };
}

/** How many copies, whom they reached, and the most people that one of them shows beside its reader. */
export async function readCopies(
  copies: readonly DeliveredCopy[],
  people: readonly string[],
): Promise<Omit<CallResult, 'error'>> {
  const written = new Set(people);
  const readers = copies.flatMap((copy) => copy.readers.map((reader) => reader.toLowerCase()));
  let othersShown = 0;
  for (const { readers: own, bytes } of copies) {
    const shown = await peopleShown(bytes, written);
    const everyReaderStands = own.every((reader) => shown.has(reader.toLowerCase()));
    othersShown = Math.max(othersShown, shown.size - (everyReaderStands ? 1 : 0));
  }
  return { copies: readers.length, othersShown, reached: new Set(readers).size };
}

/** Who of these can be seen in a message: by postal-mime's reading of it, and by a search of its bytes and of every text. */
export async function peopleShown(
  bytes: Buffer,
  people: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const mail = await PostalMime.parse(bytes);
  const lists = [mail.from, mail.sender, ...(mail.to ?? []), ...(mail.cc ?? [])];
  const more = [...(mail.bcc ?? []), ...(mail.replyTo ?? [])];
  const files = mail.attachments.map(({ content }) =>
    typeof content === 'string' ? content : new TextDecoder().decode(content),
  );
  const texts = [
    JSON.stringify([...lists, ...more]),
    ...mail.headers.map(({ value }) => value),
    mail.subject ?? '',
    mail.text ?? '',
    mail.html ?? '',
    ...files,
    bytes.toString('latin1').replace(/=\r?\n/g, ''),
  ];
  const shown = new Set<string>();
  for (const text of texts)
    for (const found of text.toLowerCase().match(/[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g) ?? [])
      if (people.has(found)) shown.add(found);
  return shown;
}
