/**
 * Calls to mail providers from files: the body of a request, or the request as HTTP carries it, read by the adapters that the
 * gates use, into the messages its readers would get.
 *
 * Invariants: what an adapter would refuse is unreadable, never read in part; no reason holds an address.
 */

import { Fault } from '../base/errors.ts';
import type { Submission } from '../guard/judge.ts';
import type { ApiCall, CallError, ProviderAdapter } from './provider-api/adapter.ts';
import { guessJsonCall, type JsonCall } from './provider-api/json-call.ts';
import { createMailgunAdapter } from './provider-api/mailgun.ts';
import { type FormField, readForm, writeForm } from './provider-api/multipart-form.ts';
import { createPostmarkAdapter } from './provider-api/postmark.ts';
import { createSendgridAdapter } from './provider-api/sendgrid.ts';
import { createSesAdapter } from './provider-api/ses.ts';
import { readStrictJson } from './provider-api/strict-json.ts';

export type PayloadReading =
  | {
      readonly kind: 'payload';
      /** The call as people name it: `Mailgun v3 messages`. */
      readonly call: string;
      readonly copies: readonly Submission[];
    }
  | { readonly kind: 'unreadable'; readonly reason: string };

// What a template stored at the provider says is in no file: the values given to it are looked at.
const approvedTemplates = 'any';
const ADAPTERS = {
  sendgrid: createSendgridAdapter({ approvedTemplates }),
  ses: createSesAdapter({ approvedTemplates, keys: { secretOf: () => null } }),
  mailgun: createMailgunAdapter({ approvedTemplates }),
  postmark: createPostmarkAdapter({ approvedTemplates }),
} as const satisfies Readonly<Record<string, ProviderAdapter>>;

/** More than any provider takes in one call. */
const CALL_BYTES_MAX = 64 * 1024 * 1024;
const URLENCODED = 'application/x-www-form-urlencoded';

/** Every call in the content, in order; null where it begins like none. */
export function readPayloads(content: Buffer): Iterable<PayloadReading> | null {
  const start = content.toString('latin1', 0, 4096);
  if (/^\s*[[{]/.test(start)) return readJson(content);
  const boundary = multipartBoundary(start);
  if (boundary !== null) {
    return [readMailgun(content, `multipart/form-data; boundary="${boundary}"`)];
  }
  if (/^POST \S+ HTTP\/1\.[01]\r?\n/.test(start)) return [readRequest(content)];
  const form = FORM_HEAD.exec(start);
  if (form !== null) return [readMailgun(content.subarray(form[0].length), form[1] ?? '')];
  const line = urlencodedLine(content, start);
  return line === null ? null : [readMailgun(line, URLENCODED)];
}

/** A form with its Content-Type in front, as some recorders keep it: no message has this type. */
const FORM_HEAD =
  /^(?:[!-9;-~]{1,100}:[^\r\n]*\r?\n){0,50}?Content-Type:[ \t]*((?:multipart\/form-data|application\/x-www-form-urlencoded)\b[^\r\n]*)\r?\n(?:[!-9;-~]{1,100}:[^\r\n]*\r?\n){0,50}\r?\n/i;

function unreadable(reason: string): PayloadReading {
  return { kind: 'unreadable', reason };
}

/** RFC 7578: a boundary, and the header of a field. A MIME body has no `form-data`. */
function multipartBoundary(start: string): string | null {
  const match =
    /^--([^\r\n]{1,70})\r?\n(?:[!-9;-~]{1,100}:[^\r\n]*\r?\n){0,5}?Content-Disposition: *form-data\b/i.exec(
      start,
    );
  return match?.[1] ?? null;
}

/** One line of `name=value&…`, with a name that every call to Mailgun has; null for everything else. */
function urlencodedLine(content: Buffer, start: string): Buffer | null {
  if (!/^[\w%:.+-]{1,128}=/.test(start)) return null;
  const text = content.toString('latin1').replace(/\r?\n$/, '');
  if (/\s/.test(text) || !/(?:^|&)to=/.test(text)) return null;
  return Buffer.from(text, 'latin1');
}

function* readJson(content: Buffer): Generator<PayloadReading> {
  if (isJsonLines(content)) {
    for (const line of linesOf(content)) yield* readOneJson(line);
  } else yield* readOneJson(content);
}

function* readOneJson(content: Buffer): Generator<PayloadReading> {
  if (content.length > CALL_BYTES_MAX) {
    yield unreadable('JSON, and larger than any call that a provider takes');
    return;
  }
  // The bytes, so that a member given twice is found.
  const json = readStrictJson(content);
  if (json.kind === 'invalid') {
    const place = json.place === null ? '' : ` at ${json.place}`;
    yield unreadable(`begins like JSON but is none that has one reading${place}: ${json.reason}`);
    return;
  }
  const guess = guessJsonCall(json.value);
  if (guess.kind === 'list') {
    for (const item of guess.items) yield* readOneJson(Buffer.from(JSON.stringify(item)));
  } else if (guess.kind === 'call') yield readJsonCall(guess.call, guess.sure, content);
  else if (guess.kind === 'ambiguous') {
    const names = guess.names.join(' or ');
    yield unreadable(`JSON that could be ${names}, and holds what tells neither`);
  } else yield unreadable(UNKNOWN);
}

const UNKNOWN =
  'JSON, but no provider payload known here (SendGrid v3 mail/send, SES v2 SendEmail and SendBulkEmail, Postmark email, batch and templates)';

/** Whether every line is a JSON object of its own, as logs have them, and there are several. */
function isJsonLines(content: Buffer): boolean {
  const feed = content.indexOf('\n');
  if (feed === -1 || feed > CALL_BYTES_MAX) return false;
  let lines = 0;
  for (const line of linesOf(content)) {
    lines++;
    const first = line.toString('latin1', 0, 64).trimStart();
    const last = line.toString('latin1', Math.max(0, line.length - 64)).trimEnd();
    if (!first.startsWith('{') || !last.endsWith('}')) return false;
  }
  return lines > 1;
}

/** Lines with something in them. */
function* linesOf(content: Buffer): Generator<Buffer> {
  let at = 0;
  while (at < content.length) {
    const feed = content.indexOf('\n', at);
    const end = feed === -1 ? content.length : feed;
    const line = content.subarray(at, end);
    at = end + 1;
    if (line.length > 64 || line.toString('latin1').trim() !== '') yield line;
  }
}

function readJsonCall(
  { name, provider, path }: JsonCall,
  sure: boolean,
  body: Buffer,
): PayloadReading {
  const reading = readCall(ADAPTERS[provider], name, path, 'application/json', body);
  if (reading.kind === 'payload' || sure) return reading;
  return unreadable(`JSON that is no call known here; the nearest is ${reading.reason}`);
}

function readCall(
  adapter: ProviderAdapter,
  name: string,
  path: string,
  contentType: string,
  body: Buffer,
): PayloadReading {
  const endpoint = adapter.match('POST', path);
  if (endpoint === null || endpoint === 'method-not-allowed') {
    return unreadable(`a request to ${name}, which sends no mail that is read here`);
  }
  const call: ApiCall = {
    endpoint,
    method: 'POST',
    path,
    headers: { 'content-type': contentType },
    body,
  };
  const reading = adapter.read(call);
  if (reading.kind === 'copies') return { kind: 'payload', call: name, copies: reading.copies };
  return unreadable(`a ${name} payload the provider would refuse${reasonOf(reading.errors)}`);
}

function reasonOf([first]: readonly CallError[]): string {
  if (first === undefined) return '';
  return `${first.field === null ? '' : ` at ${first.field}`}: ${first.message}`;
}

function readMailgun(body: Buffer, contentType: string): PayloadReading {
  const form = readForm(contentType, body);
  if (form.kind === 'invalid') return unreadable(`a form, but ${lowered(form.reason)}`);
  const mime = isMime(form.fields);
  const name = mime ? 'Mailgun v3 messages.mime' : 'Mailgun v3 messages';
  const path = mime ? '/v3/domain.invalid/messages.mime' : '/v3/domain.invalid/messages';
  return readCall(ADAPTERS.mailgun, name, path, contentType, body);
}

/**
 * A call as `mailgun.js` takes it, as the form it would send; null where it has no name that only such a call has.
 * @throws Fault `library.option-malformed` for a value that is no text, list of texts or file
 */
export function mailgunForm(options: Readonly<Record<string, unknown>>): Buffer | null {
  const names = Object.keys(options).filter((name) => options[name] !== undefined);
  if (!names.some((name) => /^(?:[ohtv]:.|recipient-variables$|amp-html$)/.test(name))) return null;
  const fields = names.flatMap((name) => {
    const value = options[name];
    return (Array.isArray(value) ? value : [value]).map((one) => formField(name, one));
  });
  return writeForm(fields).body;
}

function formField(name: string, value: unknown): FormField {
  if (['string', 'number', 'boolean'].includes(typeof value)) {
    return { name, fileName: null, contentType: null, content: Buffer.from(String(value)) };
  }
  const { filename, data } = Object(value) as Readonly<Record<string, unknown>>;
  if (typeof data === 'string' || data instanceof Uint8Array) {
    const fileName = typeof filename === 'string' ? filename : 'file';
    return { name, fileName, contentType: null, content: Buffer.from(data) };
  }
  throw new Fault('library.option-malformed', 'a text, a list of texts or a file is expected', {
    where: name,
    remedy: 'give { filename, data } with the data themselves, and JSON as text',
  });
}

/** `messages.mime` has its whole message in one field, and `messages` has none of that name. */
function isMime(fields: readonly FormField[]): boolean {
  return fields.some(({ name }) => name === 'message');
}

function lowered(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

const HEAD_BYTES_MAX = 64 * 1024;

/** A request as a proxy or a recorder keeps it (RFC 9112): its path says what it is. */
function readRequest(content: Buffer): PayloadReading {
  const head = content.toString('latin1', 0, HEAD_BYTES_MAX);
  const end = /\r?\n\r?\n/.exec(head);
  if (end === null) return unreadable('an HTTP request without an end of its header');
  const headers = new Map<string, string>();
  for (const line of head.slice(0, end.index).split(/\r?\n/).slice(1)) {
    const [, name = '', value = ''] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    headers.set(name.toLowerCase(), value);
  }
  if (headers.has('content-encoding') || headers.has('transfer-encoding')) {
    return unreadable('an HTTP request whose body is compressed or in chunks; keep it decoded');
  }
  const path = /^POST (?:https?:\/\/[^/\s]+)?(\/[^\s?]*)/.exec(head)?.[1] ?? '';
  const body = content.subarray(end.index + end[0].length);
  const type = headers.get('content-type') ?? '';
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    if (adapter.match('POST', path) === null) continue;
    return readCall(adapter, `${name} ${path}`, path, type, body);
  }
  return unreadable(
    'an HTTP request to no address at which SendGrid, SES, Mailgun or Postmark send',
  );
}
