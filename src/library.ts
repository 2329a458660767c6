/**
 * `import { check } from 'undisclosed'`: what the guard says of a message, in other people's tests and builds.
 *
 * Invariant: loads no database driver, opens no file and no connection.
 */

import { Fault } from './base/errors.ts';
import type { Finding } from './detect/finding.ts';
import { readSubmissions } from './gates/files.ts';
import { mailgunForm } from './gates/payloads.ts';
import { withAttachmentsAtOnce } from './guard/attachments-at-once.ts';
import { judgeCopies, type Submission } from './guard/judge.ts';
import { type MailOptions, submissionFrom } from './guard/mail-options.ts';
import { type PolicyName, policyFrom } from './policy/policy.ts';
import type { ReasonId } from './policy/reasons.ts';
import type { VerdictKind } from './policy/verdict.ts';

export type { Fault } from './base/errors.ts';
export type { Finding, FindingId, Severity, Where } from './detect/finding.ts';
export type {
  AddressOption,
  AttachmentOption,
  HeaderOptions,
  MailOptions,
  NamedAddress,
} from './guard/mail-options.ts';
export type { PolicyName } from './policy/policy.ts';
export type { ReasonId } from './policy/reasons.ts';
export type { VerdictKind } from './policy/verdict.ts';

export interface CheckOptions {
  /** bulk (unless told): one message to many. transactional: a program writes to one. person: people write to people. */
  readonly policy?: PolicyName;
  /** The readers of a finished message, where To, Cc and Bcc are not its envelope. */
  readonly readers?: readonly string[];
  /** Addresses every reader may see (support, complaints). */
  readonly roleAddresses?: readonly string[];
  readonly companyDomains?: readonly string[];
  /** person: how many outsiders To and Cc may show together. */
  readonly visibleOutsidersMax?: number;
  /** Whether a canonical address (small letters, A-labels) is a customer's. */
  readonly isCustomer?: (canonical: string) => boolean;
}

export interface CheckResult {
  readonly verdict: VerdictKind;
  /** Empty for `pass`; docs/reference/reasons.md explains each. */
  readonly reasons: readonly ReasonId[];
  readonly findings: readonly Finding[];
  /** Canonical addresses a reader can see, the reader's own included. Personal data. */
  readonly visible: readonly string[];
  /** Ordered pairs (person shown, other reader) this message would make. */
  readonly disclosures: number;
}

export type CheckedMessage =
  | Uint8Array
  | string
  | MailOptions
  | Readonly<Record<string, unknown>>
  | readonly Readonly<Record<string, unknown>>[];

/**
 * What the guard would decide about a message: its bytes (RFC 5322), the same as text, a provider's payload (as text, bytes
 * or parsed), or options as nodemailer takes them.
 *
 * @throws Fault `library.unreadable`, `library.several-messages`, `library.option-unknown`, `library.option-malformed`;
 *   RangeError where an option of the check is not what it should be
 */
export function check(message: CheckedMessage, options: CheckOptions = {}): CheckResult {
  const { isCustomer } = options;
  const policy = policyFrom(options.policy ?? 'bulk', options);
  const settings = isCustomer === undefined ? { policy } : { policy, isCustomer };
  const copies = withAttachmentsAtOnce(copiesOf(message, options));
  const { verdict, findings, visible, disclosures } = judgeCopies(copies, settings);
  const reasons = verdict.kind === 'pass' ? [] : verdict.reasons;
  return { verdict: verdict.kind, reasons, findings, visible, disclosures };
}

function copiesOf(message: CheckedMessage, { readers }: CheckOptions): readonly Submission[] {
  if (message instanceof Uint8Array) return readOne(message, readers);
  if (typeof message === 'string') return readOne(Buffer.from(message), readers);
  if (isPayload(message)) {
    return readOne(Buffer.from(JSON.stringify(message, bytesAsBase64)), readers);
  }
  const form = mailgunForm(message as Readonly<Record<string, unknown>>);
  if (form !== null) return readOne(form, readers);
  return [submissionFrom(message as MailOptions)];
}

/** Options that nodemailer knows are all in small letters at their beginning, and never one of these. */
function isPayload(message: object): boolean {
  return (
    Array.isArray(message) ||
    Object.keys(message).some((name) => name === 'personalizations' || /^[A-Z]/.test(name))
  );
}

/** The AWS SDK is given bytes, and writes base64. */
function bytesAsBase64(this: unknown, name: string, value: unknown): unknown {
  // As it was before Buffer made an object of itself.
  const given: unknown = (this as Readonly<Record<string, unknown>>)[name];
  if (!(given instanceof Uint8Array)) return value;
  return Buffer.from(given.buffer, given.byteOffset, given.byteLength).toString('base64');
}

function readOne(bytes: Uint8Array, readers: readonly string[] | undefined): readonly Submission[] {
  const [first, second] = readSubmissions(bytes, '', readers === undefined ? {} : { readers });
  if (first === undefined || first.kind === 'unreadable') {
    throw new Fault('library.unreadable', first?.reason ?? 'there is no message', {
      remedy: 'give one message, as bytes or text, or one call to a provider',
    });
  }
  if (second === undefined) return first.copies;
  throw new Fault('library.several-messages', 'it holds several messages or calls', {
    remedy: 'check each by itself',
  });
}
