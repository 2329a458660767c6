/**
 * The forms of Mailgun's `messages` and `messages.mime`, every field of the published schema, read
 * into what decides who gets what.
 *
 * Invariants: a field that is not in this table is refused by its name, so none that could carry a
 * recipient passes unread; of fields that Mailgun reads once, a second one and another spelling are
 * refused; a value that becomes a header holds no control character; no error holds an address.
 */

import { decodeEncodedWords } from '../../mail/encoded-word.ts';
import type { CallError } from './adapter.ts';
import { holdsControl, type NamedAddress } from './message-parts.ts';
import { type FormField, textOf } from './multipart-form.ts';
import { distinctReaders, keyOf, readMailboxes } from './ses-mailbox.ts';
import { readStrictJson } from './strict-json.ts';

/**
 * What a field is. people: a list of addresses. mailbox: one address. header: text that becomes a
 * header. option: a word that steers Mailgun and reaches nobody.
 */
export type FieldKind =
  | 'people'
  | 'mailbox'
  | 'header'
  | 'text'
  | 'file'
  | 'mime'
  | 'json'
  | 'variables'
  | 'option'
  | 'refused';

export interface FieldRule {
  readonly kind: FieldKind;
  readonly repeats?: true;
  readonly pattern?: RegExp;
  /** Only `messages`, or only `messages.mime`; both where it is left out. */
  readonly only?: 'messages' | 'mime';
}

const YES_OR_NO = /^(?:yes|no|true|false|htmlonly)$/i;
const TIME = /^[\w ,:+.-]{1,64}$/;
const WORD = /^[\w.:/-]{1,255}$/;
const FLAG: FieldRule = { kind: 'option', pattern: YES_OR_NO };
const CLOCK: FieldRule = { kind: 'option', pattern: TIME };
const NAME: FieldRule = { kind: 'option', pattern: WORD };
const PARTS = { only: 'messages' } as const;

/** Fields by name; `docs/gates/mailgun.md` has a row for each, and for those of a prefix. */
export const FIELDS: Readonly<Record<string, FieldRule>> = {
  from: { kind: 'mailbox', ...PARTS },
  to: { kind: 'people', repeats: true },
  cc: { kind: 'people', repeats: true, ...PARTS },
  bcc: { kind: 'people', repeats: true, ...PARTS },
  subject: { kind: 'header', ...PARTS },
  text: { kind: 'text', ...PARTS },
  html: { kind: 'text', ...PARTS },
  'amp-html': { kind: 'text', ...PARTS },
  attachment: { kind: 'file', repeats: true, ...PARTS },
  inline: { kind: 'file', repeats: true, ...PARTS },
  message: { kind: 'mime', only: 'mime' },
  template: { kind: 'header', pattern: /^[\w .:-]{1,255}$/ },
  't:version': NAME,
  't:text': FLAG,
  't:variables': { kind: 'json' },
  'recipient-variables': { kind: 'variables' },
  'o:tag': { kind: 'header', repeats: true },
  'o:campaign': NAME,
  'o:dkim': FLAG,
  'o:secondary-dkim': NAME,
  'o:secondary-dkim-public': NAME,
  'o:deliverytime': CLOCK,
  'o:deliver-within': CLOCK,
  'o:deliverytime-optimize-period': CLOCK,
  'o:time-zone-localize': CLOCK,
  'o:testmode': FLAG,
  'o:tracking': FLAG,
  'o:tracking-clicks': FLAG,
  'o:tracking-opens': FLAG,
  'o:tracking-pixel-location-top': FLAG,
  'o:require-tls': FLAG,
  'o:skip-verification': FLAG,
  'o:sending-ip': NAME,
  'o:sending-ip-pool': NAME,
  'o:suppress-headers': { kind: 'option', pattern: /^[\w,* -]{0,500}$/ },
  // A copy of every message would go to an address that nobody has looked at.
  'o:archive-to': { kind: 'refused' },
};

/** Names that Mailgun writes itself, those that say who gets it, and those by which it is steered. */
const RESERVED =
  /^(?:to|cc|bcc|from|subject|return-path|errors-to|received|mime-version|content-.*|dkim-signature|resent-.*|apparently-.*|x-mailgun-.*|x-original-to|delivered-to|envelope-to)$/i;

export type Variables = Readonly<Record<string, unknown>>;

/** A call, read. */
export interface MailgunCall {
  readonly fields: readonly FormField[];
  readonly from: NamedAddress | null;
  readonly to: readonly NamedAddress[];
  readonly cc: readonly NamedAddress[];
  readonly bcc: readonly NamedAddress[];
  /** Texts by name: subject, text, html, amp-html, template. */
  readonly texts: ReadonlyMap<string, string>;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `v:`, by name. */
  readonly data: readonly (readonly [name: string, value: string])[];
  readonly tags: readonly string[];
  readonly templateData: unknown;
  /** By the canonical form of the address; null where the field is not given. */
  readonly variables: ReadonlyMap<string, Variables> | null;
  readonly files: readonly FormField[];
  /** The MIME message of `messages.mime`. */
  readonly message: Buffer | null;
}

export type MailgunReading =
  | { readonly kind: 'call'; readonly call: MailgunCall }
  | { readonly kind: 'invalid'; readonly errors: readonly CallError[] };

const RECIPIENTS_MAX = 1000;
const ERRORS_MAX = 20;

/** Reads the fields of a call to one of the two endpoints. Never throws. */
export function readMailgunForm(
  fields: readonly FormField[],
  endpoint: 'messages' | 'mime',
): MailgunReading {
  const errors: CallError[] = [];
  const seen = new Set<string>();
  for (const field of fields) {
    const problem = fieldProblem(field, endpoint, seen);
    seen.add(field.name.toLowerCase());
    if (problem !== null && errors.length < ERRORS_MAX) errors.push(errorAt(field.name, problem));
  }
  if (errors.length > 0) return { kind: 'invalid', errors };
  const call = collect(fields);
  errors.push(...callErrors(call, endpoint));
  return errors.length > 0 ? { kind: 'invalid', errors } : { kind: 'call', call };
}

/** An error at a field; a name that could be somebody's data is left out. */
export function errorAt(name: string, message: string): CallError {
  const field = /^[A-Za-z0-9:_-]{1,64}$/.test(name) ? name : '*';
  return { message, field, help: null };
}

function fieldProblem(
  field: FormField,
  endpoint: 'messages' | 'mime',
  seen: ReadonlySet<string>,
): string | null {
  const lower = field.name.toLowerCase();
  const rule = ruleOf(field.name);
  if (rule === null) {
    return ruleOf(lower) === null
      ? 'This parameter is not known, and what cannot be inspected is not passed on.'
      : 'This parameter is known in lower case only.';
  }
  if (rule.only !== undefined && rule.only !== endpoint) {
    return 'This parameter does not belong to this kind of call.';
  }
  if (rule.kind === 'refused') return 'This parameter is not passed on.';
  if (rule.repeats !== true && seen.has(lower)) return 'This parameter is given twice.';
  const isFile = rule.kind === 'file' || rule.kind === 'mime';
  if (isFile) return isElsewhere(field) ? ELSEWHERE : null;
  if (field.fileName !== null) return 'This parameter cannot be a file.';
  if (!/^(?:text\/plain(?: *; *charset="?utf-8"?)?)?$/i.test(field.contentType ?? '')) {
    return 'This parameter is expected to be plain text in UTF-8.';
  }
  const text = textOf(field);
  if (text === null || text.includes('\0')) return 'This parameter is not UTF-8 text.';
  return textProblem(field.name, rule, text);
}

const ELSEWHERE = 'A file that lies elsewhere cannot be inspected: attach the file itself.';

/** A link in place of a file: whatever the provider makes of it, nobody here has seen it. */
function isElsewhere({ fileName, content }: FormField): boolean {
  const text = fileName === null ? content.toString('latin1', 0, 2048).trim() : '';
  return /^(?:https?|ftp):\/\/\S+$/i.test(text);
}

function ruleOf(name: string): FieldRule | null {
  if (Object.hasOwn(FIELDS, name)) return FIELDS[name] ?? null;
  if (/^h:./.test(name)) return { kind: 'header' };
  return /^v:./.test(name) ? { kind: 'text' } : null;
}

function textProblem(name: string, { kind, pattern }: FieldRule, text: string): string | null {
  const isHeader = kind === 'header' || kind === 'option' || name.startsWith('v:');
  if (isHeader && holdsControl(kind === 'text' ? name : text)) {
    return 'This becomes part of a header and must not have line breaks or control characters.';
  }
  if (pattern !== undefined && !pattern.test(text)) return 'This value is not allowed here.';
  if (name.startsWith('h:')) return headerProblem(name.slice(2));
  if (kind === 'people')
    return text.trim() === '' || readMailboxes(text) !== null ? null : NO_ADDRESS;
  if (kind === 'mailbox') return readMailboxes(text)?.length === 1 ? null : NO_ADDRESS;
  if (kind === 'json' || kind === 'variables') return jsonProblem(text, kind === 'variables');
  return null;
}

const NO_ADDRESS = 'parameter is not a valid address. please check documentation';

function headerProblem(name: string): string | null {
  if (!/^[\w!#$&'*+.^|~-]{1,126}$/.test(name)) return 'This is not the name of a header.';
  return RESERVED.test(name)
    ? 'A header of this name is written by the provider or steers it.'
    : null;
}

function jsonProblem(text: string, byAddress: boolean): string | null {
  if (text.trim() === '') return null;
  const reading = readStrictJson(Buffer.from(text));
  const value = reading.kind === 'value' ? reading.value : null;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return 'parameter is expected to be a JSON object without repeated names';
  }
  const names = Object.keys(value);
  // Which of two spellings of an address counts is Mailgun's secret.
  const twice = byAddress && new Set(names.map(keyOf)).size < names.length;
  return twice ? 'parameter names an address twice' : null;
}

function collect(fields: readonly FormField[]): MailgunCall {
  const textIn = (name: string): string | null => {
    const field = fields.find((one) => one.name === name);
    return field === undefined ? null : textOf(field);
  };
  const people = (name: string): readonly NamedAddress[] =>
    distinctReaders(
      fields
        .filter((field) => field.name === name)
        .flatMap((field) => readMailboxes(textOf(field) ?? '') ?? []),
    );
  const prefixed = (prefix: string): readonly (readonly [string, string])[] =>
    fields
      .filter(({ name }) => name.startsWith(prefix))
      .map((field) => [field.name.slice(prefix.length), textOf(field) ?? ''] as const);
  const texts = ['subject', 'text', 'html', 'amp-html', 'template']
    .map((name) => [name, textIn(name)] as const)
    .filter((entry): entry is [string, string] => entry[1] !== null);
  return {
    fields,
    from: readMailboxes(textIn('from') ?? '')?.[0] ?? null,
    to: people('to'),
    cc: people('cc'),
    bcc: people('bcc'),
    texts: new Map(texts),
    headers: prefixed('h:'),
    data: prefixed('v:'),
    tags: fields.filter(({ name }) => name === 'o:tag').map((field) => textOf(field) ?? ''),
    templateData: objectIn(textIn('t:variables')) ?? {},
    variables: variablesIn(textIn('recipient-variables')),
    files: fields.filter(({ name }) => name === 'attachment' || name === 'inline'),
    message: fields.find(({ name }) => name === 'message')?.content ?? null,
  };
}

function objectIn(text: string | null): Variables | null {
  return text === null || text.trim() === '' ? null : JSON.parse(text);
}

function variablesIn(text: string | null): ReadonlyMap<string, Variables> | null {
  const given = objectIn(text);
  if (given === null) return null;
  const entries = Object.entries(given).map(([address, value]) => {
    const data = typeof value === 'object' && value !== null ? { ...value } : { value };
    return [keyOf(address), data] as const;
  });
  return new Map(entries);
}

function callErrors(call: MailgunCall, endpoint: 'messages' | 'mime'): readonly CallError[] {
  const errors: CallError[] = [];
  const everybody = distinctReaders([...call.to, ...call.cc, ...call.bcc]);
  if (call.to.length === 0) errors.push(errorAt('to', NO_ADDRESS));
  if (everybody.length > RECIPIENTS_MAX) {
    errors.push(errorAt('to', `Too many recipients: at most ${RECIPIENTS_MAX} are allowed.`));
  }
  const known = new Set(everybody.map(({ email }) => keyOf(email)));
  if ([...(call.variables?.keys() ?? [])].some((key) => !known.has(key))) {
    errors.push(
      errorAt('recipient-variables', 'There are variables of somebody who is no recipient.'),
    );
  }
  const { texts } = call;
  if (endpoint === 'mime') {
    if (call.message === null) errors.push(errorAt('message', 'Need the message parameter.'));
  } else if (!['text', 'html', 'amp-html', 'template'].some((name) => texts.has(name))) {
    errors.push(
      errorAt('text', "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters."),
    );
  }
  if (endpoint === 'messages' && call.from === null) errors.push(errorAt('from', NO_ADDRESS));
  const decoded = [...call.headers].map(([, value]) => decodeEncodedWords(value, 1000).text);
  if (decoded.some(holdsControl)) {
    errors.push(errorAt('h:*', 'An encoded word of a header holds a control character.'));
  }
  return errors;
}
