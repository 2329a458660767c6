/** Mailgun's v3 API: `POST /v3/{domain}/messages` and `messages.mime`, and its answers. */

import { randomBytes } from 'node:crypto';
import type { Judgement } from '../../guard/judge.ts';
import { REASONS } from '../../policy/reasons.ts';
import type {
  ApiCall,
  CallError,
  CallReading,
  Endpoint,
  EventPost,
  FailedCall,
  GateProblem,
  ProviderAdapter,
  ProviderAnswer,
  UpstreamAnswer,
  UpstreamResult,
} from './adapter.ts';
import { errorAt, readMailgunForm } from './mailgun-form.ts';
import { readCopies } from './mailgun-message.ts';
import { callOf, readersOf, rewriteMailgun } from './mailgun-private.ts';
import { readForm } from './multipart-form.ts';
import { resultOfStatus } from './upstream.ts';

export interface MailgunSettings {
  /** Names of templates stored at Mailgun whose text a person has looked at; `any` switches this off. */
  readonly approvedTemplates: readonly string[] | 'any';
}

/** Mailgun takes 25 MB of message; Base64 in a MIME message is in it. */
const BODY_BYTES_MAX = 36 * 1024 * 1024;
const PARTS: Endpoint = {
  id: 'messages',
  bodyForms: ['multipart', 'urlencoded'],
  bodyBytesMax: BODY_BYTES_MAX,
};
const MIME: Endpoint = { id: 'mime', bodyForms: ['multipart'], bodyBytesMax: BODY_BYTES_MAX };
const PATH = /^\/v3\/([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)\/messages(\.mime)?$/;

/** The gate's view of Mailgun. */
export function createMailgunAdapter(settings: MailgunSettings): ProviderAdapter {
  return {
    name: 'mailgun',
    match: (method, path) => {
      const match = PATH.exec(path);
      if (match === null) return null;
      if (method !== 'POST') return 'method-not-allowed';
      return match[2] === undefined ? PARTS : MIME;
    },
    headerProblem: (headers) =>
      headers['x-mailgun-on-behalf-of'] === undefined ? null : 'subuser',
    signsBody: false,
    authenticate: async ({ headers }, callers) => {
      const key = basicKey(String(headers.authorization ?? ''));
      return key === null ? null : callers(key);
    },
    read: (call) => readCall(call, settings),
    invalid: (errors) => answer(400, errors.map(textOfError).join(' ')),
    refusal: (judgement) => refusal(judgement),
    problem: (problem) =>
      problem === 'unauthorised' ? UNAUTHORISED : answer(...PROBLEMS[problem]),
    accepted: (id, { path }) => {
      const domain = PATH.exec(path)?.[1] ?? '';
      const body = JSON.stringify({ id: `<${id}@${domain}>`, message: 'Queued. Thank you.' });
      return { status: 200, headers: { 'content-type': 'application/json' }, body };
    },
    rewrite: rewriteMailgun,
    sign: (_, { credential }) => {
      const pair = Buffer.from(`api:${credential}`).toString('base64');
      return { authorization: `Basic ${pair}` };
    },
    resultOf,
    failureEvents: (call, failed, id, now) => failureEvents(call, failed, id, now),
  };
}

/** The password of Basic authentication for the user `api` (RFC 7617). */
function basicKey(authorization: string): string | null {
  const pair = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1];
  const text = pair === undefined ? '' : Buffer.from(pair, 'base64').toString('utf8');
  return text.startsWith('api:') && text.length > 4 ? text.slice(4) : null;
}

function readCall(
  { endpoint, headers, body }: ApiCall,
  { approvedTemplates }: MailgunSettings,
): CallReading {
  const form = readForm(headers['content-type'] ?? '', body);
  if (form.kind === 'invalid') {
    return { kind: 'invalid', errors: [{ message: form.reason, field: null, help: null }] };
  }
  const reading = readMailgunForm(form.fields, endpoint.id === PARTS.id ? 'messages' : 'mime');
  if (reading.kind === 'invalid') return reading;
  const template = reading.call.texts.get('template');
  const approved = approvedTemplates === 'any' || approvedTemplates.includes(template ?? '');
  if (template !== undefined && !approved) {
    const text =
      'The text of this template is stored at the provider and has not been approved: have a person look at it, then add its name to the approved templates.';
    return { kind: 'invalid', errors: [errorAt('template', text)] };
  }
  return readCopies(reading.call);
}

const UNAUTHORISED: ProviderAnswer = {
  status: 401,
  headers: { 'content-type': 'text/plain', 'www-authenticate': 'Basic realm="MG API"' },
  body: 'Forbidden',
};
const LATER = 'nothing was sent. Try again later.';
const PROBLEMS: Readonly<
  Record<Exclude<GateProblem, 'unauthorised'>, [status: number, message: string]>
> = {
  'not-found': [404, 'Only messages and messages.mime of version 3 are passed on.'],
  'method-not-allowed': [405, 'Method not allowed'],
  'too-large': [413, 'Maximum message size is 25MB'],
  'unsupported-body': [
    400,
    'Content-Type should be multipart/form-data or, without files, application/x-www-form-urlencoded.',
  ],
  subuser: [403, 'X-Mailgun-On-Behalf-Of is not passed on.'],
  busy: [503, `Too much is being sent at once; ${LATER}`],
  fault: [503, `The message could not be inspected; ${LATER}`],
  'upstream-unreachable': [503, `The provider cannot be reached; ${LATER}`],
  'upstream-uncertain': [
    502,
    'The provider took the call and gave no answer; it may have been sent. Look at its events before sending it again.',
  ],
};

function answer(status: number, message: string): ProviderAnswer {
  const body = JSON.stringify({ message });
  return { status, headers: { 'content-type': 'application/json' }, body };
}

function textOfError({ field, message }: CallError): string {
  return field === null ? message : `'${field}' ${message}`;
}

/** 400, or for `defer` 503, with the sentences of the reasons. */
function refusal({ verdict, disclosures }: Judgement): ProviderAnswer {
  if (verdict.kind === 'pass' || verdict.reasons.length === 0) return answer(...PROBLEMS.fault);
  const reasons = verdict.reasons.map((id) => `${REASONS[id].sentence} ${REASONS[id].remedy}`);
  const text = reasons.join(' ');
  if (verdict.kind === 'defer') return answer(503, text);
  const noun = disclosures === 1 ? 'disclosure' : 'disclosures';
  const count =
    disclosures === 0 ? '' : ` It would have made ${disclosures.toLocaleString('en-US')} ${noun}.`;
  return answer(400, `${text}${count}`);
}

function resultOf(given: UpstreamAnswer): UpstreamResult {
  const { status, body } = given;
  // 402 and 403: the account's own state, which people will mend.
  if (status === 402 || status === 403) return { kind: 'deferred', answer: `HTTP ${status}` };
  return resultOfStatus(given, status < 300 ? idIn(body) : null);
}

function idIn(body: Buffer): string | null {
  try {
    const { id } = JSON.parse(body.toString('utf8')) as { readonly id?: unknown };
    return typeof id === 'string' && id !== '' ? id : null;
  } catch {
    return null;
  }
}

/** Mailgun's `failed` event, one POST for each recipient, without a signature: there is no shared key. */
function failureEvents(
  call: ApiCall,
  failed: readonly FailedCall[],
  id: string | null,
  now: Date,
): readonly EventPost[] {
  return failed.flatMap((item) => {
    const read = callOf({ ...call, headers: item.call.headers, body: item.call.body });
    const message = { headers: { 'message-id': id, from: read.from?.email ?? null } };
    return readersOf(read).map(({ email }) => {
      const sure = item.kind !== 'uncertain';
      const event = {
        event: 'failed',
        severity: sure ? 'permanent' : 'temporary',
        reason: item.kind === 'expired' ? 'old' : 'generic',
        id: randomBytes(16).toString('base64url'),
        timestamp: now.getTime() / 1000,
        recipient: email,
        'delivery-status': {
          code: Number(/\b[45]\d\d\b/.exec(item.answer)?.[0] ?? 0),
          description: sure ? item.answer : `It may have been sent: ${item.answer}`,
        },
        message,
        'user-variables': Object.fromEntries(read.data),
        tags: read.tags,
      };
      const body = JSON.stringify({ 'event-data': event });
      return { headers: { 'content-type': 'application/json' }, body };
    });
  });
}
