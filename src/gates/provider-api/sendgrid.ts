/**
 * SendGrid's v3 Web API: `POST /v3/mail/send` read as the messages it would make, and its answers.
 * Each personalization is one message for all addresses in it: everybody in its `to` and `cc` is
 * seen by everybody in its `to`, `cc` and `bcc`.
 */

import type { Judgement, Submission } from '../../guard/judge.ts';
import { canonicalAddress } from '../../mail/address.ts';
import { REASONS, type ReasonId } from '../../policy/reasons.ts';
import type {
  CallError,
  CallReading,
  Endpoint,
  GateProblem,
  ProviderAdapter,
  ProviderAnswer,
} from './adapter.ts';
import { findErrors } from './sendgrid-errors.ts';
import { mailSendEvents } from './sendgrid-events.ts';
import { composeCopies } from './sendgrid-message.ts';
import { rewriteMailSend } from './sendgrid-rewrite.ts';
import type { MailSend } from './sendgrid-schema.ts';
import { readStrictJson } from './strict-json.ts';
import { resultOfStatus } from './upstream.ts';

type Finding = Judgement['findings'][number];

export type MailSendReading = CallReading;

/**
 * Reads the body of a `mail/send` call: one copy for each personalization, in order, or what is
 * wrong, in the provider's words where it has words for it. Never throws.
 *
 * @param body the bytes, which are checked for repeated property names too, or the parsed JSON
 */
export function readMailSend(body: unknown): MailSendReading {
  let value = body;
  if (body instanceof Uint8Array) {
    const reading = readStrictJson(body);
    if (reading.kind === 'invalid') {
      return {
        kind: 'invalid',
        errors: [{ message: reading.reason, field: reading.place, help: null }],
      };
    }
    value = reading.value;
  }
  const errors = findErrors(value);
  if (errors.length > 0) return { kind: 'invalid', errors };
  return composeCopies(value as MailSend);
}

export interface SendgridSettings {
  /**
   * Templates stored at the provider whose text a person has looked at. A call naming another one
   * is refused, since its text is not in the call. `any` switches this off.
   */
  readonly approvedTemplates: readonly string[] | 'any';
}

const HELP = 'https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors';

const MAIL_SEND_PATH = '/v3/mail/send';
const ENDPOINT: Endpoint = {
  id: 'mail-send',
  bodyForms: ['json'],
  bodyBytesMax: 30 * 1024 * 1024,
};

/** The gate's view of SendGrid. */
export function createSendgridAdapter(settings: SendgridSettings): ProviderAdapter {
  return {
    name: 'sendgrid',
    match: (method, path) => {
      if (path !== MAIL_SEND_PATH) return null;
      return method === 'POST' ? ENDPOINT : 'method-not-allowed';
    },
    headerProblem: (headers) => (headers['on-behalf-of'] === undefined ? null : 'subuser'),
    signsBody: false,
    authenticate: async ({ headers }, callers) => {
      const key = /^Bearer +(\S+)$/i.exec(String(headers.authorization ?? ''))?.[1];
      return key === undefined ? null : callers(key);
    },
    read: ({ body }) => readApproved(body, settings),
    invalid: (errors) => answer(400, errors),
    refusal,
    problem: (problem) => answer(...PROBLEMS[problem]),
    accepted: (id) => ({ status: 202, headers: { 'x-message-id': id }, body: '' }),
    rewrite: rewriteMailSend,
    sign: (_, { credential }) => ({ authorization: `Bearer ${credential}` }),
    resultOf: (given) => {
      const id = given.headers['x-message-id'];
      return resultOfStatus(given, typeof id === 'string' ? id : null);
    },
    failureEvents: (_, failed, id, now) => mailSendEvents(failed, id, now),
  };
}

function readApproved(body: Uint8Array, settings: SendgridSettings): CallReading {
  const json = readStrictJson(body);
  const reading = json.kind === 'invalid' ? readMailSend(body) : readMailSend(json.value);
  if (json.kind === 'invalid' || reading.kind === 'invalid') return reading;
  const { template_id: template } = json.value as MailSend;
  const { approvedTemplates } = settings;
  if (template === undefined || approvedTemplates === 'any') return reading;
  if (approvedTemplates.includes(template)) return reading;
  return {
    kind: 'invalid',
    errors: [
      {
        message: 'The text of this template is stored at the provider and has not been approved.',
        field: 'template_id',
        help: 'Have a person look at the template, then add its id to the approved templates.',
      },
    ],
  };
}

const PROBLEMS: Readonly<Record<GateProblem, [status: number, errors: readonly CallError[]]>> = {
  unauthorised: [401, [error('The provided authorization grant is invalid, expired, or revoked')]],
  'not-found': [404, [error('not found', 'Only POST /v3/mail/send is passed on.')]],
  'method-not-allowed': [405, [error('method not allowed')]],
  'too-large': [413, [error('content too large', 'A request may have at most 30 MB.')]],
  'unsupported-body': [
    415,
    [error('Content-Type should be application/json, as UTF-8, plain or with gzip.')],
  ],
  subuser: [403, [error('access forbidden', 'On-Behalf-Of is not passed on.')]],
  busy: [503, [error('Too much is being sent at once; nothing was sent.', 'Try again later.')]],
  fault: [
    503,
    [error('The message could not be inspected; nothing was sent.', 'Try again later.')],
  ],
  'upstream-unreachable': [
    503,
    [error('The provider cannot be reached; nothing was sent.', 'Try again later.')],
  ],
  'upstream-uncertain': [
    502,
    [
      error(
        'The provider took the call and gave no answer; it may have been sent.',
        'Look at the provider’s activity before sending it again.',
      ),
    ],
  ],
};

function error(message: string, help: string | null = null): CallError {
  return { message, field: null, help };
}

/**
 * Any verdict but `pass`: 400 with one error for each reason, which the packages throw and do not
 * try again; 503 for `defer`, which they may.
 */
function refusal(judgement: Judgement, copies: readonly Submission[]): ProviderAnswer {
  const { verdict } = judgement;
  if (verdict.kind === 'pass' || verdict.reasons.length === 0) return answer(...PROBLEMS.fault);
  const errors = verdict.reasons.map((id, index) => {
    const { sentence, remedy } = REASONS[id];
    const count = index === 0 ? disclosuresSentence(judgement.disclosures) : '';
    return { message: `${sentence}${count}`, field: fieldOf(id, judgement, copies), help: remedy };
  });
  return answer(verdict.kind === 'defer' ? 503 : 400, errors);
}

function disclosuresSentence(count: number): string {
  if (count === 0) return '';
  const noun = count === 1 ? 'disclosure' : 'disclosures';
  return ` It would have made ${count.toLocaleString('en-US')} ${noun}.`;
}

/** The property a reason is about, as a path; null where none can be named. */
function fieldOf(
  reason: ReasonId,
  judgement: Judgement,
  copies: readonly Submission[],
): string | null {
  if (REASONS[reason].verdict === 'defer') return null;
  const ids: readonly string[] = reason === 'too-many-visible' ? ['visible-recipients'] : [reason];
  const finding = judgement.findings.find(({ id }) => ids.includes(id));
  if (finding === undefined) return 'personalizations';
  const index = copies.length === 1 ? 0 : findCopy(finding, copies);
  const own = index < 0 ? 'personalizations' : `personalizations.${index}`;
  const { field, part } = finding.where;
  if (part !== '') return placeOfPart(finding, own);
  const name = /^header (.+)$/i.exec(field)?.[1]?.toLowerCase();
  if (name === 'to' || name === 'cc') return index < 0 ? own : `${own}.${name}`;
  if (name === 'reply-to') return hasReplyToList(copies[0]) ? 'reply_to_list' : 'reply_to';
  if (name === 'subject' || name === 'from') return name;
  return name === undefined ? own : 'headers';
}

/** Parts stand in the order content, values, attachments; only the first is surely content. */
function placeOfPart({ id, where }: Finding, own: string): string {
  if (id === 'foreign-address-attachment' || id === 'foreign-address-nested') return 'attachments';
  if (/^header /i.test(where.field)) return 'attachments';
  return where.part === '1' ? 'content' : own;
}

function hasReplyToList(copy: Submission | undefined): boolean {
  const bytes = Buffer.from(copy?.bytes ?? []);
  const header = bytes.toString('latin1', 0, Math.max(0, bytes.indexOf('\r\n\r\n')));
  return /\r\nReply-To: [^\r]*,\r\n /.test(header);
}

/** The copy with several recipients whose envelope holds an address of the finding; -1 where none has. */
function findCopy(finding: Finding, copies: readonly Submission[]): number {
  const shown = new Set(finding.addresses);
  return copies.findIndex(
    ({ envelope: { recipients } }) =>
      recipients.length > 1 && recipients.some((it) => shown.has(canonicalAddress(it) ?? it)),
  );
}

function answer(status: number, errors: readonly CallError[]): ProviderAnswer {
  const body = JSON.stringify({
    errors: errors.map(({ message, field, help }) => ({
      message,
      field,
      help: help ?? (status === 400 ? HELP : null),
    })),
  });
  return { status, headers: { 'content-type': 'application/json' }, body };
}
