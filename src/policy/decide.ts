/**
 * From findings to a verdict. Pure: the same findings and policy give the same verdict.
 *
 * Invariant: an exposure a policy does not allow by name is never `pass`, and every verdict but `pass` has a reason.
 */

import type { Finding, FindingId } from '../detect/finding.ts';
import type { Defect, DefectId } from '../mail/message.ts';
import type { Policy } from './policy.ts';
import { REASONS, type ReasonId } from './reasons.ts';
import type { Verdict } from './verdict.ts';

export interface DecideContext {
  /** Canonical addresses of the people on the envelope. */
  readonly readers: ReadonlySet<string>;
  /** Canonical addresses To, Cc and their like show, the readers' own included. */
  readonly visible: ReadonlySet<string>;
  /** The customer index; null when there is none. */
  readonly isCustomer: ((canonical: string) => boolean) | null;
}

export interface Assessment {
  readonly verdict: Verdict;
  /** Outsiders whom To and Cc show to each other; empty where there is one. Personal data. */
  readonly outsiders: readonly string[];
  /** Canonical addresses whose being shown led to a reason. Personal data. */
  readonly exposed: ReadonlySet<string>;
}

/** The verdict alone; see `assess`. */
export function decide(
  findings: readonly Finding[],
  defects: readonly Defect[],
  context: DecideContext,
  policy: Policy,
): Verdict {
  return assess(findings, defects, context, policy).verdict;
}

/** The verdict, and whose address it was about. */
export function assess(
  findings: readonly Finding[],
  defects: readonly Defect[],
  context: DecideContext,
  policy: Policy,
): Assessment {
  const reasons = new Set<ReasonId>();
  const exposed = new Set<string>();
  const rule = policy.name === 'person' ? personRule : strictRule;
  for (const finding of findings) {
    const people = rule(finding, context, policy);
    if (people === null) continue;
    reasons.add(people.reason);
    for (const address of people.addresses) exposed.add(address);
  }
  const outsiders = outsidersShown(findings, context, policy);
  addCounted(findings, outsiders, context, policy, reasons, exposed);
  addDefects(defects, policy, reasons);
  const verdict: Verdict =
    reasons.size === 0
      ? { kind: 'pass', allowedBecause: allowances(findings, context, outsiders, policy) }
      : verdictOf([...reasons], context.readers.size, policy);
  return { verdict, exposed, outsiders };
}

interface Stopped {
  readonly reason: ReasonId;
  readonly addresses: readonly string[];
}

/** Findings that are a reason wherever they occur; the others are judged by their people or their number. */
const ALWAYS: ReadonlySet<FindingId> = new Set([
  'bcc-header',
  'provider-command',
  'header-injection',
  'bare-line-break',
  'nul-byte',
  'identity-record',
]);

const FOREIGN: ReadonlySet<FindingId> = new Set([
  'foreign-address-header',
  'foreign-address-body',
  'foreign-address-encoded',
  'foreign-address-attachment',
  'foreign-address-nested',
]);

/** Several findings are one reason to the sender. */
function stoppedBy({ id, addresses }: Finding): Stopped {
  return { reason: id === 'identity-record' ? 'personal-record' : (id as ReasonId), addresses };
}

/** From this many on it is a list of people, whoever sends it; of addresses alone, programs may send fewer. */
const LIST_MIN = 20;
const ADDRESSES_FROM_PROGRAMS_MIN = 3;
/** A bill names the account it is paid to and the one it is paid from. */
const RECORDS_FROM_PROGRAMS_MIN = 3;

/** bulk and transactional: nobody beside the reader. */
function strictRule(finding: Finding, context: DecideContext, policy: Policy): Stopped | null {
  const { id, severity, count, addresses } = finding;
  if (severity === 'note') return null;
  // Statements go out encrypted for their one reader; a notice to all has no such reason.
  if (id === 'unreadable-attachment' && policy.name !== 'bulk') return null;
  // Two keys are the reader's and the sender's own.
  if (id === 'encrypted-readers' && context.readers.size < 2 && count <= 2) return null;
  if (id === 'personal-record' && count < RECORDS_FROM_PROGRAMS_MIN) return null;
  if (id === 'customer-list' && count < LIST_MIN && addresses.length < ADDRESSES_FROM_PROGRAMS_MIN)
    return null;
  return stoppedBy(finding);
}

/** person: what people write to each other is theirs to show, customers and blind copies excepted. */
function personRule(finding: Finding, context: DecideContext): Stopped | null {
  if (finding.severity === 'note') return null;
  if (ALWAYS.has(finding.id)) return stoppedBy(finding);
  if (finding.id === 'customer-list' || finding.id === 'personal-record')
    return finding.count < LIST_MIN ? null : stoppedBy(finding);
  if (finding.id === 'encrypted-readers')
    return finding.count > 1 && hasBlindReader(context) ? stoppedBy(finding) : null;
  if (!FOREIGN.has(finding.id) && finding.id !== 'invited-people') return null;
  const addresses = finding.addresses.filter((address) =>
    isExposedByPerson(address, finding, context),
  );
  return addresses.length === 0 ? null : { reason: finding.id as ReasonId, addresses };
}

/** Somebody reads it whom To and Cc do not show: the keys would. */
function hasBlindReader({ readers, visible }: DecideContext): boolean {
  return readers.size > 1 && [...readers].some((reader) => !visible.has(reader));
}

function isExposedByPerson(address: string, finding: Finding, context: DecideContext): boolean {
  if (context.visible.has(address)) return false;
  if (context.isCustomer?.(address) ?? false) return true;
  // A reader To and Cc do not show was copied in secret; no other field may tell.
  return finding.id === 'foreign-address-header' && context.readers.has(address);
}

/** What is a reason by its number alone. */
function addCounted(
  findings: readonly Finding[],
  outsiders: readonly string[],
  context: DecideContext,
  policy: Policy,
  reasons: Set<ReasonId>,
  exposed: Set<string>,
): void {
  if (policy.name === 'person') {
    const max = policy.visibleOutsidersMax;
    if (outsiders.length <= max) return;
    const inHeader = outsiders.filter((address) => context.visible.has(address)).length;
    if (inHeader > max) reasons.add('too-many-visible');
    // A copy of one's own cures the header, not the list of those invited.
    const invited = addressesOf(findings, 'invited-people').size;
    if (inHeader <= max || invited > max) reasons.add('invited-people');
    for (const address of outsiders) exposed.add(address);
    return;
  }
  const own = addressesOf(findings, 'own-domain-address');
  if (own.size <= policy.ownDomainMentionsMax) return;
  reasons.add('own-domain-mentions');
  for (const address of own) exposed.add(address);
}

/** Everybody To, Cc and calendars show, the company's own people left out unless they are customers too. */
function outsidersShown(
  findings: readonly Finding[],
  context: DecideContext,
  policy: Policy,
): readonly string[] {
  const invited = addressesOf(findings, 'invited-people');
  const shown = invited.size === 0 ? context.visible : new Set([...context.visible, ...invited]);
  if (shown.size < 2) return NO_ADDRESSES;
  return [...shown].filter((address) => {
    const domain = address.slice(address.lastIndexOf('@') + 1);
    const inside = policy.companyDomains.includes(domain) || policy.roleAddresses.includes(address);
    return !inside || (context.isCustomer?.(address) ?? false);
  });
}

const NOBODY: ReadonlySet<string> = new Set();
const NO_ADDRESSES: readonly string[] = [];

function addressesOf(findings: readonly Finding[], id: FindingId): ReadonlySet<string> {
  let addresses: Set<string> | null = null;
  for (const finding of findings) {
    if (finding.id !== id) continue;
    addresses ??= new Set();
    for (const address of finding.addresses) addresses.add(address);
  }
  return addresses ?? NOBODY;
}

/** Beyond these limits nobody has looked. */
const UNREADABLE: ReadonlySet<DefectId> = new Set([
  'too-many-headers',
  'too-many-parts',
  'too-deep',
  'too-large',
]);

/** Mail programs differ in what they show for these; none of them comes from a sound mail library. */
const AMBIGUOUS: ReadonlySet<DefectId> = new Set([
  'header-without-colon',
  'malformed-header-name',
  'duplicate-header',
  'unknown-transfer-encoding',
  'malformed-base64',
  'malformed-quoted-printable',
  'encoded-composite',
  'unknown-charset',
  'malformed-charset',
  'missing-boundary',
  'unclosed-multipart',
  'boundary-clash',
  'malformed-content-type',
  'malformed-encoded-word',
  'malformed-address',
  'duplicate-parameter',
]);

function addDefects(defects: readonly Defect[], policy: Policy, reasons: Set<ReasonId>): void {
  for (const { id } of defects) {
    if (UNREADABLE.has(id)) reasons.add('unreadable');
    else if (policy.name !== 'person' && AMBIGUOUS.has(id)) reasons.add('ambiguous');
  }
}

/** What giving each reader a copy of its own would cure. */
const CURED_BY_SPLIT: ReadonlySet<ReasonId> = new Set([
  'visible-recipients',
  'too-many-visible',
  'bcc-header',
]);

/**
 * The verdict that reasons lead to together.
 * @param readers distinct readers on all envelopes of the call.
 */
export function verdictOf(reasons: readonly ReasonId[], readers: number, policy: Policy): Verdict {
  const splits = policy.canSplit && readers > 1;
  const left = splits ? reasons.filter((reason) => !CURED_BY_SPLIT.has(reason)) : reasons;
  const kinds = new Set(
    left.map((id) => {
      const { verdict, fromPerson } = REASONS[id];
      return policy.name === 'person' ? (fromPerson ?? verdict) : verdict;
    }),
  );
  if (kinds.has('defer')) return { kind: 'defer', reasons };
  if (kinds.has('refuse')) return { kind: 'refuse', reasons };
  return { kind: kinds.has('hold') ? 'hold' : 'split', reasons };
}

/** Whether a call with these reasons may only go on as one private copy for each reader. */
export function needsPrivateCopies(reasons: readonly ReasonId[]): boolean {
  return reasons.some((reason) => CURED_BY_SPLIT.has(reason));
}

function allowances(
  findings: readonly Finding[],
  context: DecideContext,
  outsiders: readonly string[],
  policy: Policy,
): readonly string[] {
  const sentences: string[] = [];
  const say = (count: number, sentence: (many: string) => string): void => {
    if (count > 0)
      sentences.push(sentence(count === 1 ? '1 address is' : `${count} addresses are`));
  };
  const sender = addressesOf(findings, 'sender-address').size;
  say(sender, (many) => `${many} the sender's own (From, Sender, Reply-To or List-*)`);
  say(addressesOf(findings, 'role-address').size, (many) => `${many} named as role addresses`);
  const own = addressesOf(findings, 'own-domain-address').size;
  say(own, (many) => `${many} at the sender's own domain and no customer's`);
  if (policy.name !== 'person') return sentences;
  const max = policy.visibleOutsidersMax;
  if (context.visible.size > 1) {
    sentences.push(
      `To and Cc show ${outsiders.length} people outside the company, and up to ${max} may be shown`,
    );
  }
  const foreign = new Set([...FOREIGN].flatMap((id) => [...addressesOf(findings, id)]));
  say(foreign.size, (many) => `${many} named by the writer and no customer's`);
  return sentences;
}
