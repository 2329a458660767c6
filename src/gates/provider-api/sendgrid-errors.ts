/**
 * What is wrong with a `mail/send` body, in SendGrid's own words where its documentation has them.
 *
 * Invariant: a body without errors has the type {@link MailSend}, and no error holds an address or
 * another value of the body.
 */

import { canonicalAddress, parseAddress } from '../../mail/address.ts';
import type { CallError } from './adapter.ts';
import { holdsControl } from './message-parts.ts';
import {
  HEADER_TEXT,
  MAIL_SEND,
  type MailSend,
  type Personalization,
  type Shape,
} from './sendgrid-schema.ts';

/** Header names the provider keeps to itself, by its own list. */
const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  'x-sg-id',
  'x-sg-eid',
  'received',
  'dkim-signature',
  'content-type',
  'content-transfer-encoding',
  'to',
  'from',
  'subject',
  'reply-to',
  'cc',
  'bcc',
]);
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]{1,200}$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const ERRORS_MAX = 20;
const DEPTH_MAX = 32;
const RECIPIENTS_MAX = 1000;

/** What is wrong with a parsed body, at most 20 errors; empty where it is a {@link MailSend}. */
export function findErrors(body: unknown): readonly CallError[] {
  const errors: CallError[] = [];
  checkShape(body, MAIL_SEND, '', errors);
  if (errors.length > 0) return errors;
  const mail = body as MailSend;
  checkRecipients(mail, errors);
  checkMessage(mail, errors);
  return errors;
}

function checkShape(value: unknown, shape: Shape, place: string, errors: CallError[]): void {
  if (errors.length >= ERRORS_MAX) return;
  if (shape.kind === 'object') checkObject(value, shape, place, errors);
  else if (shape.kind === 'array') checkArray(value, shape, place, errors);
  else if (shape.kind === 'headers') checkHeaders(value, place, errors);
  else if (shape.kind === 'strings') checkStrings(value, place, errors);
  else if (shape.kind === 'data') checkData(value, place, errors);
  else {
    const message = scalarProblem(value, shape);
    if (message !== null) addError(errors, place, message);
  }
}

function checkObject(
  value: unknown,
  shape: Extract<Shape, { kind: 'object' }>,
  place: string,
  errors: CallError[],
): void {
  if (!isRecord(value)) {
    addError(errors, place, 'An object is expected here.');
    return;
  }
  for (const name of Object.keys(value)) {
    const known = Object.hasOwn(shape.properties, name) ? shape.properties[name] : undefined;
    const at = join(place, name);
    if (known !== undefined) checkShape(value[name], known, at, errors);
    else addError(errors, at, unknownProperty(name, shape.properties), UNKNOWN_HELP);
  }
  for (const name of shape.required) {
    if (!Object.hasOwn(value, name)) {
      addError(errors, join(place, name), requiredMessage(join(place, name)));
    }
  }
}

const UNKNOWN_HELP =
  'Only properties that the guard can inspect are passed on. Remove the property, or spell it as in the documentation.';

function unknownProperty(name: string, properties: Readonly<Record<string, Shape>>): string {
  const lower = name.toLowerCase();
  const meant = Object.keys(properties).find((known) => known.toLowerCase() === lower);
  return meant === undefined
    ? 'This property is not known.'
    : `This property is not known; it differs from ${meant} in upper and lower case.`;
}

function requiredMessage(place: string): string {
  if (place === 'personalizations') return 'You must have at least one personalization.';
  if (place === 'from') {
    return 'The from object must be provided for every email send. It is an object that requires the email parameter, but may also contain a name parameter.';
  }
  return 'This property is required.';
}

function checkArray(
  value: unknown,
  shape: Extract<Shape, { kind: 'array' }>,
  place: string,
  errors: CallError[],
): void {
  if (!Array.isArray(value)) {
    addError(errors, place, 'An array is expected here.');
    return;
  }
  const sizeMax = shape.sizeMax ?? Number.POSITIVE_INFINITY;
  if (value.length < (shape.sizeMin ?? 0)) {
    addError(errors, place, requiredMessage(place));
    return;
  }
  if (value.length > sizeMax) {
    addError(errors, place, tooMany(place, value.length, sizeMax));
    return;
  }
  for (const [index, item] of value.entries()) {
    checkShape(item, shape.of, `${place}.${index}`, errors);
    if (errors.length >= ERRORS_MAX) return;
  }
}

function tooMany(place: string, size: number, sizeMax: number): string {
  return place === 'personalizations'
    ? `The personalization block is limited to 1000 personalizations per API request. You have provided ${size} personalizations. Please consider splitting this into multiple requests and resending your request.`
    : `There is a limit of ${sizeMax} here. You have provided ${size}.`;
}

/** The message for a value that is no such scalar; null where it is one. */
function scalarProblem(value: unknown, shape: Shape): string | null {
  if (shape.kind === 'boolean') {
    return typeof value === 'boolean' ? null : 'A boolean value is expected here.';
  }
  if (shape.kind === 'integer') {
    return Number.isSafeInteger(value) ? null : 'An integer is expected here.';
  }
  if (typeof value !== 'string') return 'A string is expected here.';
  if (!value.isWellFormed()) return 'Invalid UTF8 in request.';
  if (shape.kind === 'email') return emailProblem(value);
  if (shape.kind === 'base64') return base64Problem(value);
  return shape.kind === 'string' ? stringProblem(value, shape) : null;
}

function emailProblem(value: string): string | null {
  if (holdsControl(value)) return CONTROL_MESSAGE;
  return parseAddress(value).kind === 'address' && canonicalAddress(value) !== null
    ? null
    : 'Does not contain a valid address.';
}

function base64Problem(value: string): string | null {
  if (value === '')
    return 'The attachment content must be a string at least one character in length.';
  return BASE64.test(value) || BASE64.test(value.replace(/[\r\n]/g, ''))
    ? null
    : 'The attachment content must be base64 encoded.';
}

const CONTROL_MESSAGE =
  'This becomes part of a header and cannot contain CRLF or other control characters.';

function stringProblem(value: string, shape: Extract<Shape, { kind: 'string' }>): string | null {
  if (shape.header === true && holdsControl(value)) return CONTROL_MESSAGE;
  if (value.includes('\0')) return 'A NUL character is not allowed here.';
  if (value.length < (shape.sizeMin ?? 0)) {
    return `A string of at least ${shape.sizeMin} ${shape.sizeMin === 1 ? 'character' : 'characters'} is expected here.`;
  }
  if (shape.sizeMax !== undefined && value.length > shape.sizeMax) {
    return `A string of at most ${shape.sizeMax} characters is expected here.`;
  }
  return shape.pattern === undefined || shape.pattern.test(value)
    ? null
    : 'This value is not of the form that is allowed here.';
}

function checkHeaders(value: unknown, place: string, errors: CallError[]): void {
  if (!isRecord(value)) {
    addError(errors, place, 'An object is expected here.');
    return;
  }
  const seen = new Set<string>();
  for (const [name, text] of Object.entries(value)) {
    const problem = headerProblem(name, text, seen);
    if (problem !== null) addError(errors, join(place, name), problem);
    seen.add(name.toLowerCase());
  }
}

function headerProblem(name: string, text: unknown, seen: ReadonlySet<string>): string | null {
  const lower = name.toLowerCase();
  if (!FIELD_NAME.test(name))
    return "Header keys can't contain non-ASCII characters or empty spaces.";
  if (RESERVED_HEADERS.has(lower)) return "Header can't be one of the reserved keys.";
  if (lower === 'x-smtpapi') return 'X-SMTPAPI can name further recipients and is not passed on.';
  if (seen.has(lower)) return "The headers can't contain duplicate keys.";
  if (typeof text !== 'string') return 'All values of the headers object must be strings.';
  return scalarProblem(text, HEADER_TEXT);
}

function checkStrings(value: unknown, place: string, errors: CallError[]): void {
  if (!isRecord(value)) {
    addError(errors, place, 'An object is expected here.');
    return;
  }
  for (const [name, text] of Object.entries(value)) {
    if (name === '') addError(errors, place, 'An empty tag is not allowed here.');
    else if (name.includes('@')) addError(errors, place, 'A tag cannot contain an address.');
    else if (typeof text !== 'string') {
      addError(errors, join(place, name), 'The values must be strings.');
    } else if (text.includes('\0') || !text.isWellFormed()) {
      addError(errors, join(place, name), 'A NUL or broken character is not allowed here.');
    }
  }
}

/** Free data: an object, or for the whole call's custom_args the string of the published schema. */
function checkData(value: unknown, place: string, errors: CallError[]): void {
  const stringAllowed = place === 'custom_args' && typeof value === 'string';
  if (!isRecord(value) && !stringAllowed) addError(errors, place, 'An object is expected here.');
  else if (isDeeperThan(value, DEPTH_MAX))
    addError(errors, place, 'The data is nested too deeply.');
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((member) => isDeeperThan(member, depth - 1));
}

function checkRecipients(mail: MailSend, errors: CallError[]): void {
  let total = 0;
  for (const [index, copy] of mail.personalizations.entries()) {
    const place = `personalizations.${index}`;
    if (copy.to === undefined || copy.to.length === 0) {
      addError(
        errors,
        `${place}.to`,
        'The to array is required for all personalization objects, and must have at least one email object with a valid email address.',
      );
    }
    total += (copy.to?.length ?? 0) + (copy.cc?.length ?? 0) + (copy.bcc?.length ?? 0);
    const twice = findRepeated(copy);
    if (twice !== null) {
      addError(
        errors,
        place,
        `Each email address in the personalization block should be unique between to, cc, and bcc. We found the first duplicate instance in the ${place}.${twice} field.`,
      );
    }
  }
  if (total > RECIPIENTS_MAX) {
    addError(
      errors,
      'personalizations',
      'There is a limit of 1000 total recipients (to + cc + bcc) per request.',
    );
  }
}

/** Where an address stands that the personalization has had already, such as `cc.0`; else null. */
function findRepeated(copy: Personalization): string | null {
  const seen = new Set<string>();
  for (const list of ['to', 'cc', 'bcc'] as const) {
    for (const [index, { email }] of (copy[list] ?? []).entries()) {
      const key = canonicalAddress(email) ?? email;
      if (seen.has(key)) return `${list}.${index}`;
      seen.add(key);
    }
  }
  return null;
}

function checkMessage(mail: MailSend, errors: CallError[]): void {
  const template = mail.template_id !== undefined;
  if (!template && mail.content === undefined) {
    addError(
      errors,
      'content',
      'The content param is required unless you are using a transactional template and have defined a template_id.',
    );
  }
  if (mail.reply_to !== undefined && mail.reply_to_list !== undefined) {
    addError(
      errors,
      'reply_to_list',
      'You can use either reply_to or reply_to_list, but not both.',
    );
  }
  for (const [index, copy] of mail.personalizations.entries()) {
    checkPersonalization(mail, copy, `personalizations.${index}`, errors);
  }
}

function checkPersonalization(
  mail: MailSend,
  copy: Personalization,
  place: string,
  errors: CallError[],
): void {
  if (mail.template_id === undefined && (copy.subject ?? mail.subject) === undefined) {
    addError(
      errors,
      mail.personalizations.length === 1 ? 'subject' : `${place}.subject`,
      'The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.',
    );
  }
  if (mail.template_id?.startsWith('d-') === true && copy.substitutions !== undefined) {
    const message = 'Substitutions may not be used with dynamic templating';
    addError(errors, `${place}.substitutions`, message);
  }
  // Which of two spellings wins is the provider's secret.
  const names = Object.keys(copy.headers ?? {});
  for (const other of names.length === 0 ? [] : Object.keys(mail.headers ?? {})) {
    const name = names.find((it) => it !== other && it.toLowerCase() === other.toLowerCase());
    if (name !== undefined) {
      addError(errors, join(`${place}.headers`, name), "The headers can't contain duplicate keys.");
    }
  }
}

function addError(
  errors: CallError[],
  place: string,
  message: string,
  help: string | null = null,
): void {
  if (errors.length < ERRORS_MAX)
    errors.push({ message, field: place === '' ? null : place, help });
}

function join(place: string, name: string): string {
  // A free name could be somebody's data: errors show it only where it looks like a name.
  const shown = /^[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : '*';
  return place === '' ? shown : `${place}.${shown}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
