/**
 * Postmark's sending API: `/email`, `/email/batch`, `/email/withTemplate` and
 * `/email/batchWithTemplates`, read as the messages they would make, and its answers. Each item is
 * one message: everybody in its `To` and `Cc` is seen by everybody in its `To`, `Cc` and `Bcc`.
 */

import type { Judgement, Submission } from '../../guard/judge.ts';
import { REASONS } from '../../policy/reasons.ts';
import type {
  CallError,
  CallReading,
  Endpoint,
  GateProblem,
  ProviderAdapter,
  ProviderAnswer,
} from './adapter.ts';
import { acceptedAnswer, bounceEvents, errorAnswer, resultOf } from './postmark-answers.ts';
import { composeMessage } from './postmark-message.ts';
import { rewriteMessages } from './postmark-rewrite.ts';
import {
  findMessageErrors,
  invalid,
  MESSAGE,
  type PostmarkError,
  type PostmarkMessage,
  TEMPLATED_MESSAGE,
} from './postmark-schema.ts';
import { readStrictJson } from './strict-json.ts';

export interface PostmarkSettings {
  /**
   * Templates stored at the provider whose text a person has looked at, by id or alias. A call
   * naming another one is refused, since its text is not in the call. `any` switches this off.
   */
  readonly approvedTemplates: readonly string[] | 'any';
}

interface PostmarkEndpoint extends Endpoint {
  readonly batch: boolean;
  readonly templated: boolean;
}

const MB = 1024 * 1024;

function endpoint(id: string, batch: boolean, templated: boolean): PostmarkEndpoint {
  return { id, bodyForms: ['json'], bodyBytesMax: (batch ? 50 : 10) * MB, batch, templated };
}

const ENDPOINTS: Readonly<Record<string, PostmarkEndpoint>> = {
  '/email': endpoint('email', false, false),
  '/email/batch': endpoint('batch', true, false),
  '/email/withTemplate': endpoint('template', false, true),
  '/email/batchWithTemplates': endpoint('batch-templates', true, true),
};

const BATCH_MESSAGES_MAX = 500;
/** All messages of one call together; a call is read as a whole or not at all. */
const TOTAL_BYTES_MAX = 128 * MB;

/** The gate's view of Postmark. */
export function createPostmarkAdapter(settings: PostmarkSettings): ProviderAdapter {
  return {
    name: 'postmark',
    match: (method, path) => {
      const found = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined;
      if (found === undefined) return null;
      return method === 'POST' ? found : 'method-not-allowed';
    },
    signsBody: false,
    authenticate: async ({ headers }, callers) => {
      const token = headers['x-postmark-server-token'];
      return typeof token === 'string' && token !== '' ? callers(token) : null;
    },
    read: (call) => readCall(call.body, call.endpoint as PostmarkEndpoint, settings),
    invalid: invalidAnswer,
    refusal,
    problem: (problem) => errorAnswer(...PROBLEMS[problem]),
    accepted: (id, call) => acceptedAnswer(id, call, new Date()),
    rewrite: rewriteMessages,
    sign: (_, { credential }) => ({ 'x-postmark-server-token': credential }),
    resultOf,
    failureEvents: (_, failed, id, now) => bounceEvents(failed, id, now),
  };
}

function readCall(
  body: Uint8Array,
  { batch, templated }: PostmarkEndpoint,
  settings: PostmarkSettings,
): CallReading {
  const json = readStrictJson(body);
  if (json.kind === 'invalid') return failed([invalid(json.place ?? '', json.reason, 402)]);
  const items = batch ? itemsOf(json.value, templated) : [json.value];
  if (items === null) return failed([invalid('', 'The batch is expected as an array.', 403)]);
  if (items.length === 0) return failed([invalid('', 'The batch holds no message.')]);
  if (items.length > BATCH_MESSAGES_MAX) {
    return failed([invalid('', 'At most 500 messages are allowed in one batch.', 410)]);
  }
  const copies: Submission[] = [];
  let total = 0;
  for (const [index, item] of items.entries()) {
    const place = batch ? String(index) : '';
    const errors = findMessageErrors(item, templated ? TEMPLATED_MESSAGE : MESSAGE, place);
    const problems =
      errors.length > 0 ? errors : findTemplateErrors(item as PostmarkMessage, settings, place);
    if (problems.length > 0) return failed(problems);
    const copy = composeMessage(item as PostmarkMessage);
    total += copy.bytes.length;
    if (total > TOTAL_BYTES_MAX) {
      return failed([invalid('', 'The messages are together too large to inspect.')]);
    }
    copies.push(copy);
  }
  return { kind: 'copies', copies };
}

/** The messages of a batch; null where it is none. */
function itemsOf(value: unknown, templated: boolean): readonly unknown[] | null {
  if (!templated) return Array.isArray(value) ? value : null;
  if (typeof value !== 'object' || value === null) return null;
  // A further property beside Messages could be anything.
  if (Object.keys(value).join() !== 'Messages') return null;
  const { Messages: messages } = value as { readonly Messages: unknown };
  return Array.isArray(messages) ? messages : null;
}

function findTemplateErrors(
  { TemplateId, TemplateAlias }: PostmarkMessage,
  { approvedTemplates }: PostmarkSettings,
  place: string,
): readonly PostmarkError[] {
  const template = TemplateAlias ?? TemplateId ?? null;
  if (template === null || approvedTemplates === 'any') return [];
  if (approvedTemplates.includes(String(template))) return [];
  const field = TemplateAlias ? 'TemplateAlias' : 'TemplateId';
  const message =
    'The text of this template is stored at the provider and has not been approved. Have a person look at it, then add it to the approved templates.';
  return [invalid(place === '' ? field : `${place}.${field}`, message)];
}

function failed(errors: readonly PostmarkError[]): CallReading {
  return { kind: 'invalid', errors };
}

/** 422 with the code and text of the first error. */
function invalidAnswer(errors: readonly CallError[]): ProviderAnswer {
  const [first] = errors;
  const code = first !== undefined && 'code' in first ? Number(first.code) : 300;
  const place = first?.field == null ? '' : `Error parsing '${first.field}': `;
  const more = errors.length > 1 ? ` There are ${errors.length - 1} more errors.` : '';
  return errorAnswer(422, code, `${place}${first?.message ?? 'The request is invalid.'}${more}`);
}

const PROBLEMS: Readonly<Record<GateProblem, [status: number, code: number, message: string]>> = {
  unauthorised: [
    401,
    10,
    'The Server Token you provided in the X-Postmark-Server-Token request header was invalid.',
  ],
  'not-found': [
    404,
    0,
    'Only /email, /email/batch, /email/withTemplate and /email/batchWithTemplates are passed on.',
  ],
  'method-not-allowed': [405, 0, 'Only POST is allowed here.'],
  'too-large': [413, 0, 'The request is larger than 10 MB, or than 50 MB for a batch.'],
  'unsupported-body': [
    415,
    409,
    'The request is expected as application/json in UTF-8, plain or with gzip.',
  ],
  subuser: [403, 0, 'The request is not passed on.'],
  busy: [503, 100, 'Too much is being sent at once; nothing was sent. Try again later.'],
  fault: [503, 100, 'The message could not be inspected; nothing was sent. Try again later.'],
  'upstream-unreachable': [
    503,
    100,
    'The provider cannot be reached; nothing was sent. Try again later.',
  ],
  'upstream-uncertain': [
    502,
    0,
    'The provider took the call and gave no answer; it may have been sent. Look at its activity before sending it again.',
  ],
};

/**
 * 422 with code 300, which the packages throw as an invalid request and do not try again; 503 for
 * `defer`, which they may.
 */
function refusal({ verdict, disclosures }: Judgement): ProviderAnswer {
  if (verdict.kind === 'pass' || verdict.reasons.length === 0)
    return errorAnswer(...PROBLEMS.fault);
  const sentences = verdict.reasons.map((id) => `${REASONS[id].sentence} ${REASONS[id].remedy}`);
  const noun = disclosures === 1 ? 'disclosure' : 'disclosures';
  const count = `It would have made ${disclosures.toLocaleString('en-US')} ${noun}.`;
  const text = [...sentences, ...(disclosures > 0 ? [count] : [])].join(' ');
  return verdict.kind === 'defer' ? errorAnswer(503, 100, text) : errorAnswer(422, 300, text);
}
