/**
 * Amazon SES's v2 API (restJson1): SendEmail and SendBulkEmail, signed with keys of ours and signed
 * again for AWS, and its answers.
 */

import { randomUUID } from 'node:crypto';
import { Fault } from '../../base/errors.ts';
import type { Judgement } from '../../guard/judge.ts';
import { REASONS } from '../../policy/reasons.ts';
import type {
  ApiCall,
  CallError,
  Callers,
  CallReading,
  Endpoint,
  EventPost,
  FailedCall,
  GateProblem,
  ProviderAdapter,
  ProviderAnswer,
  UpstreamAnswer,
  UpstreamCall,
  UpstreamResult,
  UpstreamTarget,
} from './adapter.ts';
import { sesEvents } from './ses-events.ts';
import {
  readSendBulkEmail,
  readSendEmail,
  type SendBulkEmail,
  type SendEmail,
  type Template,
} from './ses-message.ts';
import { rewriteSendBulkEmail, rewriteSendEmail } from './ses-private.ts';
import { readRaw } from './ses-raw.ts';
import { errorAt, findShapeErrors, SEND_BULK_EMAIL, SEND_EMAIL } from './ses-schema.ts';
import { type SigV4Keys, signSigV4, verifySigV4 } from './sigv4.ts';
import { readStrictJson } from './strict-json.ts';
import { resultOfStatus } from './upstream.ts';

export interface SesSettings {
  /** Names or ARNs of templates stored at SES whose text a person has looked at; `any` switches this off. */
  readonly approvedTemplates: readonly string[] | 'any';
  /** The keys that callers sign with. */
  readonly keys: Pick<SigV4Keys, 'secretOf'>;
  /** The region that calls to AWS are signed for; read from the base URL's host where it is left out. */
  readonly region?: string;
  /** For tests of the five minutes. */
  readonly now?: () => Date;
}

/** SES takes 40 MB of message; Base64 makes 54 of it. */
const BODY_BYTES_MAX = 56 * 1024 * 1024;
const SINGLE: Endpoint = { id: 'email', bodyForms: ['json'], bodyBytesMax: BODY_BYTES_MAX };
const BULK: Endpoint = { id: 'bulk-email', bodyForms: ['json'], bodyBytesMax: BODY_BYTES_MAX };
const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map([
  ['/v2/email/outbound-emails', SINGLE],
  ['/v2/email/outbound-bulk-emails', BULK],
]);
const SERVICE = 'ses';

/** The gate's view of Amazon SES. */
export function createSesAdapter(settings: SesSettings): ProviderAdapter {
  const { keys, now = () => new Date() } = settings;
  return {
    name: 'ses',
    match: (method, path) => {
      const endpoint = ENDPOINTS.get(path) ?? null;
      return endpoint === null || method === 'POST' ? endpoint : 'method-not-allowed';
    },
    signsBody: true,
    authenticate: async (request, callers: Callers) => {
      const check = verifySigV4(request, SERVICE, keys.secretOf, now());
      return check.kind === 'valid' ? callers(check.secret) : null;
    },
    read: (call) => readCall(call, settings),
    invalid: (errors) => answer(400, 'BadRequestException', errors.map(textOfError).join(' ')),
    refusal: (judgement) => refusal(judgement),
    problem: (problem) => answer(...PROBLEMS[problem]),
    accepted,
    rewrite: (call, how) =>
      call.endpoint.id === BULK.id ? rewriteSendBulkEmail(call, how) : rewriteSendEmail(call, how),
    sign: (call, target) => signed(call, target, settings.region),
    resultOf,
    failureEvents: (
      _: ApiCall,
      failed: readonly FailedCall[],
      id: string | null,
      at: Date,
    ): readonly EventPost[] => sesEvents(failed, id, at),
  };
}

function readCall({ endpoint, body }: ApiCall, settings: SesSettings): CallReading {
  const json = readStrictJson(body);
  if (json.kind === 'invalid') {
    return { kind: 'invalid', errors: [errorAt(json.place ?? '', json.reason)] };
  }
  const bulk = endpoint.id === BULK.id;
  const errors = findShapeErrors(json.value, bulk ? SEND_BULK_EMAIL : SEND_EMAIL);
  if (errors.length > 0) return { kind: 'invalid', errors };
  const template = bulk
    ? (json.value as SendBulkEmail).DefaultContent.Template
    : (json.value as SendEmail).Content.Template;
  const problem = template === undefined ? null : templateProblem(template, settings);
  if (problem !== null) return { kind: 'invalid', errors: [problem] };
  if (bulk) return readSendBulkEmail(json.value as SendBulkEmail);
  const email = json.value as SendEmail;
  const { Raw: raw } = email.Content;
  return raw === undefined ? readSendEmail(email) : readRaw(email, Buffer.from(raw.Data, 'base64'));
}

/** The text of a stored template is not in the call, so somebody must have looked at it before. */
function templateProblem(template: Template, { approvedTemplates }: SesSettings): CallError | null {
  const { TemplateName, TemplateArn, TemplateContent } = template;
  const stored = [TemplateName, TemplateArn].filter((name) => name !== undefined);
  const inline = TemplateContent !== undefined;
  if (inline === stored.length > 0) {
    return errorAt('Template', 'Either TemplateContent or the name of a stored one is expected.');
  }
  if (approvedTemplates === 'any') return null;
  if (stored.every((name) => approvedTemplates.includes(name))) return null;
  const text =
    'The text of this template is stored at the provider and has not been approved: have a person look at it, then add its name to the approved templates.';
  return errorAt('Template.TemplateName', text);
}

const NOTHING_SENT = 'nothing was sent. Try again later.';
const PROBLEMS: Readonly<Record<GateProblem, [status: number, type: string, message: string]>> = {
  unauthorised: [
    403,
    'InvalidSignatureException',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key, which is one issued by this gate, and the clock: five minutes are allowed.',
  ],
  'not-found': [
    404,
    'UnknownOperationException',
    'Only SendEmail and SendBulkEmail of version 2 are passed on.',
  ],
  'method-not-allowed': [405, 'UnknownOperationException', 'Only POST is passed on.'],
  'too-large': [413, 'BadRequestException', 'The message is too large.'],
  'unsupported-body': [415, 'BadRequestException', 'Content-Type should be application/json.'],
  subuser: [403, 'AccessDeniedException', 'This is not passed on.'],
  busy: [429, 'TooManyRequestsException', `Too much is being sent at once; ${NOTHING_SENT}`],
  fault: [
    503,
    'ServiceUnavailableException',
    `The message could not be inspected; ${NOTHING_SENT}`,
  ],
  'upstream-unreachable': [
    503,
    'ServiceUnavailableException',
    `The provider cannot be reached; ${NOTHING_SENT}`,
  ],
  // Not 5xx: the packages would send it again by themselves.
  'upstream-uncertain': [
    409,
    'ConflictException',
    'The provider took the call and gave no answer; it may have been sent. Look at its events before sending it again.',
  ],
};

function answer(status: number, type: string, message: string): ProviderAnswer {
  const headers = {
    'content-type': 'application/json',
    'x-amzn-errortype': type,
    'x-amzn-requestid': randomUUID(),
  };
  return { status, headers, body: JSON.stringify({ message }) };
}

function textOfError({ field, message }: CallError): string {
  return field === null ? message : `${field}: ${message}`;
}

/** 400 MessageRejected, which the packages throw and do not try again; 503 for `defer`, which they do. */
function refusal({ verdict, disclosures }: Judgement): ProviderAnswer {
  if (verdict.kind === 'pass' || verdict.reasons.length === 0) return answer(...PROBLEMS.fault);
  const reasons = verdict.reasons.map((id) => `${REASONS[id].sentence} ${REASONS[id].remedy}`);
  if (verdict.kind === 'defer') {
    return answer(503, 'ServiceUnavailableException', reasons.join(' '));
  }
  const noun = disclosures === 1 ? 'disclosure' : 'disclosures';
  const count =
    disclosures === 0 ? '' : ` It would have made ${disclosures.toLocaleString('en-US')} ${noun}.`;
  return answer(400, 'MessageRejected', `${reasons.join(' ')}${count}`);
}

function accepted(id: string, { endpoint, body }: ApiCall): ProviderAnswer {
  const headers = { 'content-type': 'application/json', 'x-amzn-requestid': randomUUID() };
  if (endpoint.id !== BULK.id)
    return { status: 200, headers, body: JSON.stringify({ MessageId: id }) };
  const { BulkEmailEntries: entries } = JSON.parse(body.toString('utf8')) as SendBulkEmail;
  const results = entries.map((_, index) => ({ Status: 'SUCCESS', MessageId: `${id}-${index}` }));
  return { status: 200, headers, body: JSON.stringify({ BulkEmailEntryResults: results }) };
}

function signed(
  call: UpstreamCall,
  { url, credential, now }: UpstreamTarget,
  region: string | undefined,
): Readonly<Record<string, string>> {
  const [, accessKeyId = '', secret = ''] = /^(\w{1,128}):(\S+)$/.exec(credential) ?? [];
  if (secret === '') {
    throw new Fault('ses.credential', 'the key for SES is not an id and a secret', {
      where: 'the environment variable that gates.ses.apiKeyEnv names',
      remedy: 'write it as ID:SECRET',
    });
  }
  const { method, headers, body } = call;
  const scope = { service: SERVICE, region: region ?? regionOf(url), now };
  return signSigV4({ method, url, headers, body }, { accessKeyId, secret }, scope);
}

/** `email.eu-west-1.amazonaws.com`, with `-fips` and other endings. */
function regionOf({ hostname }: URL): string {
  return /^email(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\./.exec(hostname)?.[1] ?? 'us-east-1';
}

const TEMPORARY_STATUS: ReadonlySet<unknown> = new Set([
  'TRANSIENT_FAILURE',
  'ACCOUNT_THROTTLED',
  'ACCOUNT_DAILY_QUOTA_EXCEEDED',
  'ACCOUNT_SENDING_PAUSED',
  'CONFIGURATION_SET_SENDING_PAUSED',
]);
/** Of the errors with 400 those that pass without the message being another one. */
const TEMPORARY_ERROR =
  /^(?:Throttling(?:Exception)?|TooManyRequestsException|LimitExceededException|SendingPausedException|AccountSuspendedException)$/;

function resultOf(given: UpstreamAnswer): UpstreamResult {
  const { status, headers } = given;
  if (status >= 300) {
    const type = /^\w{1,64}/.exec(String(headers['x-amzn-errortype'] ?? ''))?.[0] ?? '';
    const text = `HTTP ${status}${type === '' ? '' : ` ${type}`}`;
    // 403: the signature, the clock or the rights of our own key, which people will mend.
    if (status === 403 || TEMPORARY_ERROR.test(type)) return { kind: 'deferred', answer: text };
    return { ...resultOfStatus(given, null), answer: text };
  }
  const { MessageId, BulkEmailEntryResults: results } = readAnswer(given.body);
  if (!Array.isArray(results)) return resultOfStatus(given, idOf(MessageId));
  const [entry] = results as readonly { readonly Status?: unknown; readonly MessageId?: unknown }[];
  const word =
    typeof entry?.Status === 'string' && /^[A-Z_]{1,64}$/.test(entry.Status)
      ? entry.Status
      : 'no status';
  const text = `HTTP ${status} ${word}`;
  if (word === 'SUCCESS') {
    return { kind: 'accepted', upstreamId: idOf(entry?.MessageId), answer: text };
  }
  if (word === 'no status') return { kind: 'uncertain', answer: text };
  return { kind: TEMPORARY_STATUS.has(word) ? 'deferred' : 'refused', answer: text };
}

function readAnswer(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function idOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
