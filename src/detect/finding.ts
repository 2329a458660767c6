/**
 * What a detector can say about a message. A finding names the place and the people shown; whether it
 * stops the message is the policy's business, never the detector's.
 */

/** Every finding there is; docs/reference/reasons.md has a line for each. */
export const FINDING_IDS = [
  'visible-recipients',
  'bcc-header',
  'provider-command',
  'foreign-address-header',
  'foreign-address-body',
  'foreign-address-encoded',
  'foreign-address-attachment',
  'foreign-address-nested',
  'own-domain-address',
  'sender-address',
  'role-address',
  'reader-not-shown',
  'no-reader',
  'placeholder',
  'header-injection',
  'bare-line-break',
  'nul-byte',
  'invited-people',
  'unreadable-attachment',
  'encrypted-readers',
  'customer-list',
  'identity-record',
  'personal-record',
  'merge-mistake',
  'shared-token',
] as const;

export type FindingId = (typeof FINDING_IDS)[number];

/** exposure: a person's address is shown to another. risk: something is wrong. note: worth knowing, no reason to stop. */
export type Severity = 'exposure' | 'risk' | 'note';

export interface Where {
  /** The part's path, '' for the message itself; see Part.path. */
  readonly part: string;
  /** 'header Cc', 'text', 'html', 'url', 'envelope', 'nested header To', … */
  readonly field: string;
  /** In a header: byte offsets of the field in its message. In a text: offsets in the decoded text. */
  readonly start: number;
  readonly end: number;
}

export interface Finding {
  readonly id: FindingId;
  readonly severity: Severity;
  readonly where: Where;
  /** Canonical addresses of other people, distinct. Personal data: callers must not log them. */
  readonly addresses: readonly string[];
  /** Distinct addresses, or how often it occurs where no address is concerned. */
  readonly count: number;
}
