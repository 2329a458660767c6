/**
 * Which provider's call a JSON value is, by the names of its members alone.
 *
 * Invariant: a name of one kind of call counts for no other kind, but where both know it; of two that fit alike neither is
 * taken.
 */

import { MESSAGE, TEMPLATED_MESSAGE } from './postmark-schema.ts';
import { MAIL_SEND } from './sendgrid-schema.ts';
import { SEND_BULK_EMAIL, SEND_EMAIL } from './ses-schema.ts';

/** A kind of call whose body is JSON. */
export interface JsonCall {
  /** As people call it: `Postmark /email`. */
  readonly name: string;
  readonly provider: 'sendgrid' | 'ses' | 'postmark';
  readonly path: string;
}

interface Kind extends JsonCall {
  readonly members: ReadonlySet<string>;
  /** Members that a call of this kind has and one of another kind has not. */
  readonly marks: readonly string[];
}

function kind(
  name: string,
  provider: JsonCall['provider'],
  path: string,
  members: object,
  marks: readonly string[],
): Kind {
  return { name, provider, path, members: new Set(Object.keys(members)), marks };
}

const TEMPLATE_MARKS = ['TemplateId', 'TemplateAlias', 'TemplateModel'];
const EMAIL = kind('Postmark /email', 'postmark', '/email', MESSAGE, ['TextBody', 'HtmlBody']);
const KINDS: readonly Kind[] = [
  kind(
    'SendGrid v3 mail/send',
    'sendgrid',
    '/v3/mail/send',
    MAIL_SEND.kind === 'object' ? MAIL_SEND.properties : {},
    ['personalizations'],
  ),
  kind(
    'SES v2 SendEmail',
    'ses',
    '/v2/email/outbound-emails',
    SEND_EMAIL.kind === 'object' ? SEND_EMAIL.members : {},
    ['Content'],
  ),
  kind(
    'SES v2 SendBulkEmail',
    'ses',
    '/v2/email/outbound-bulk-emails',
    SEND_BULK_EMAIL.kind === 'object' ? SEND_BULK_EMAIL.members : {},
    ['BulkEmailEntries', 'DefaultContent'],
  ),
  EMAIL,
  kind(
    'Postmark /email/withTemplate',
    'postmark',
    '/email/withTemplate',
    TEMPLATED_MESSAGE,
    TEMPLATE_MARKS,
  ),
  kind('Postmark /email/batchWithTemplates', 'postmark', '/email/batchWithTemplates', {}, [
    'Messages',
  ]),
];
const BATCH: JsonCall = {
  name: 'Postmark /email/batch',
  provider: 'postmark',
  path: '/email/batch',
};

export type JsonCallGuess =
  /** sure: it has what only this kind of call has. */
  | { readonly kind: 'call'; readonly call: JsonCall; readonly sure: boolean }
  /** A list of calls, each to be read by itself. */
  | { readonly kind: 'list'; readonly items: readonly unknown[] }
  | { readonly kind: 'ambiguous'; readonly names: readonly string[] }
  | { readonly kind: 'unknown' };

/** A call's mark weighs more than all members of another kind. */
const MARK_WEIGHT = 100;

/** The kind of call that a value is nearest to. */
export function guessJsonCall(value: unknown): JsonCallGuess {
  if (Array.isArray(value)) return guessList(value);
  if (typeof value !== 'object' || value === null) return { kind: 'unknown' };
  const names = Object.keys(value);
  const scores = KINDS.map((each) => scoreOf(each, names));
  const best = Math.max(...scores);
  if (best === 0) return { kind: 'unknown' };
  const nearest = KINDS.filter((_, index) => scores[index] === best);
  const [call] = nearest;
  if (call === undefined || nearest.length > 1) {
    return { kind: 'ambiguous', names: nearest.map(({ name }) => name) };
  }
  return { kind: 'call', call, sure: best >= MARK_WEIGHT };
}

function scoreOf({ members, marks }: Kind, names: readonly string[]): number {
  const known = names.filter((name) => members.has(name)).length;
  return names.some((name) => marks.includes(name)) ? MARK_WEIGHT + known : known;
}

/** Postmark alone takes a list; lists of other calls are what logs hold. */
function guessList(values: readonly unknown[]): JsonCallGuess {
  const [first] = values;
  if (first === undefined) return { kind: 'unknown' };
  const guess = guessJsonCall(first);
  if (guess.kind !== 'call') return guess.kind === 'list' ? { kind: 'unknown' } : guess;
  if (guess.call.name === EMAIL.name) return { kind: 'call', call: BATCH, sure: guess.sure };
  return { kind: 'list', items: values };
}
