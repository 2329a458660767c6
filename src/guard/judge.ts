/**
 * mail + detect + policy without a database: what `check`, the gates and the library use.
 *
 * Invariant: never throws, and never passes what it could not inspect; an internal fault is the verdict `defer`.
 */

import { detectAll } from '../detect/all.ts';
import {
  type CopyTraits,
  compareCopies,
  copyTraits,
  sharedToken,
} from '../detect/copies-compared.ts';
import type { DetectContext, RecordOf } from '../detect/detector.ts';
import type { Finding } from '../detect/finding.ts';
import { type LinkTokens, linkTokens } from '../detect/link-tokens.ts';
import { type Mention, mentionsIn } from '../detect/mentions.ts';
import { canonicalAddress } from '../mail/address.ts';
import type { Envelope } from '../mail/envelope.ts';
import { type Defect, type ParsedMessage, parseMessage } from '../mail/message.ts';
import { assess, verdictOf } from '../policy/decide.ts';
import type { Policy } from '../policy/policy.ts';
import type { ReasonId } from '../policy/reasons.ts';
import type { Verdict, VerdictKind } from '../policy/verdict.ts';

export interface Submission {
  readonly envelope: Envelope;
  readonly bytes: Uint8Array;
  /** The same bytes read before, with what `withAttachments` has read of its files. */
  readonly message?: ParsedMessage;
}

export interface JudgeSettings {
  readonly policy: Policy;
  /** The customer index: whether a canonical address is a customer's. Left out where there is none. */
  readonly isCustomer?: (canonical: string) => boolean;
  /** What is known of the person at a canonical address. Left out where nothing is. */
  readonly recordOf?: RecordOf;
  /** Whether another reader had one of these tokens in an earlier call. Left out where no calls are remembered. */
  readonly hadByOther?: (reader: string, tokens: LinkTokens) => boolean;
  /** Names of detectors switched off, 'copies-compared' and 'defects' among them: for tests that show what each catches. */
  readonly off?: ReadonlySet<string>;
  /** Told of an internal fault behind a `defer`. Its text may hold content of the message: for a redacting log only. */
  readonly onFault?: (error: unknown) => void;
}

export interface Judgement {
  readonly verdict: Verdict;
  readonly findings: readonly Finding[];
  /** Canonical addresses a reader of the delivered message can see, the reader's own included. Personal data. */
  readonly visible: readonly string[];
  /** Canonical addresses of outsiders whom To and Cc show to each other, policy or not. Personal data. */
  readonly outsiders: readonly string[];
  /** Ordered pairs (person shown, other reader) this message would make. */
  readonly disclosures: number;
  readonly defects: readonly Defect[];
  /** Distinct readers on the envelope. */
  readonly readers: number;
}

/** One message and its envelope. Linear in the message and in the number of recipients. */
export function judge(submission: Submission, settings: JudgeSettings): Judgement {
  return judgeCopies([submission], settings);
}

/**
 * One call, many copies, as a provider's API takes them: the worst verdict with the reasons of all, the findings of all, the
 * visible of the worst copy, disclosures and readers summed. A reader of one copy shown in another is found.
 */
export function judgeCopies(copies: readonly Submission[], settings: JudgeSettings): Judgement {
  try {
    const readersOf = copies.map((copy) => readersOn(copy.envelope));
    const everybody =
      copies.length === 1 ? readersOf[0] : new Set(readersOf.flatMap((all) => [...all]));
    const circumstances = circumstancesOf(everybody ?? new Set(), settings);
    const traits: CopyTraits[] | null = copies.length > 1 && isCompared(settings) ? [] : null;
    const judgements = copies.map((copy, index) =>
      judgeCopy(copy, readersOf[index] ?? new Set(), circumstances, settings, traits),
    );
    if (traits !== null) addCompared(judgements, traits, settings.policy);
    return judgements.length === 1 && judgements[0] !== undefined ? judgements[0] : sum(judgements);
  } catch (error) {
    // What is broken is ours, not the sender's: try later.
    settings.onFault?.(error);
    return FAULT;
  }
}

/** People do not merge; what they write to several is one text. */
function isCompared({ policy, off }: JudgeSettings): boolean {
  return policy.name !== 'person' && !off?.has('copies-compared');
}

const FAULT: Judgement = {
  verdict: { kind: 'defer', reasons: ['guard-fault'] },
  findings: [],
  visible: [],
  outsiders: [],
  disclosures: 0,
  defects: [],
  readers: 0,
};

type Circumstances = Pick<DetectContext, 'isRecipient' | 'allowed' | 'isCustomer' | 'recordOf'>;

function readersOn(envelope: Envelope): ReadonlySet<string> {
  return new Set(envelope.recipients.map((text) => canonicalAddress(text) ?? text.toLowerCase()));
}

function circumstancesOf(everybody: ReadonlySet<string>, settings: JudgeSettings): Circumstances {
  const { roles, domains } = allowedBy(settings.policy);
  return {
    isRecipient: (canonical) => everybody.has(canonical),
    isCustomer: settings.isCustomer ?? null,
    recordOf: settings.recordOf ?? null,
    allowed: (canonical) => {
      if (roles.has(canonical)) return 'role';
      return domains.has(canonical.slice(canonical.lastIndexOf('@') + 1)) ? 'own-domain' : null;
    },
  };
}

interface AllowedByName {
  readonly roles: ReadonlySet<string>;
  readonly domains: ReadonlySet<string>;
}

/** One policy judges all messages of a broadcast. */
const allowances = new WeakMap<Policy, AllowedByName>();

function allowedBy(policy: Policy): AllowedByName {
  const before = allowances.get(policy);
  if (before !== undefined) return before;
  const roles = new Set(policy.roleAddresses);
  const allowed = { roles, domains: new Set(policy.companyDomains) };
  allowances.set(policy, allowed);
  return allowed;
}

function judgeCopy(
  copy: Submission,
  readers: ReadonlySet<string>,
  circumstances: Circumstances,
  settings: JudgeSettings,
  traits: CopyTraits[] | null,
): Judgement {
  const message = copy.message ?? parseMessage(copy.bytes);
  const [only] = readers;
  const reader = readers.size === 1 && only !== undefined ? only : null;
  const context: DetectContext = { ...circumstances, envelope: copy.envelope, reader };
  const compared = traits === null ? null : copyTraits(message, context);
  if (compared !== null) traits?.push(compared);
  const detected = detectAll(message, context, settings.off);
  const isShared =
    reader !== null &&
    isCompared(settings) &&
    settings.hadByOther?.(reader, compared?.tokens ?? linkTokens(message)) === true;
  const findings = isShared ? [...detected, sharedToken()] : detected;
  const mentions = mentionsIn(message);
  const shown = new Set<string>();
  for (const mention of mentions) {
    if (mention.surface === 'recipients') shown.add(mention.address);
  }
  const defects = settings.off?.has('defects') ? [] : message.defects;
  const decideContext = { readers, visible: shown, isCustomer: context.isCustomer };
  const { verdict, exposed, outsiders } = assess(findings, defects, decideContext, settings.policy);
  return {
    verdict,
    findings,
    visible: visibleIn(mentions, context),
    outsiders,
    disclosures: disclosuresTo(readers, findings, exposed, context),
    defects,
    readers: readers.size,
  };
}

/** Adds to each copy what only its comparison with the others shows. */
function addCompared(judgements: Judgement[], traits: readonly CopyTraits[], policy: Policy): void {
  for (const [index, found] of compareCopies(traits)) {
    const judgement = judgements[index];
    if (judgement === undefined) continue;
    const { verdict } = judgement;
    const before = verdict.kind === 'pass' ? [] : verdict.reasons;
    const context = { readers: NO_READERS, visible: NO_READERS, isCustomer: null };
    const { verdict: added } = assess(found, [], context, policy);
    const reasons = new Set([...before, ...(added.kind === 'pass' ? [] : added.reasons)]);
    judgements[index] = {
      ...judgement,
      findings: [...judgement.findings, ...found],
      verdict: verdictOf([...reasons], judgement.readers, policy),
    };
  }
}

const NO_READERS: ReadonlySet<string> = new Set();

function visibleIn(mentions: readonly Mention[], context: DetectContext): readonly string[] {
  const visible = new Set<string>();
  const isKnown = (address: string): boolean =>
    context.isRecipient(address) || (context.isCustomer?.(address) ?? false);
  for (const { address, weak, readings, embedded } of mentions) {
    if (!weak || isKnown(address)) visible.add(address);
    for (const reading of readings) if (isKnown(reading)) visible.add(reading);
    for (const other of embedded) if (isKnown(other)) visible.add(other);
  }
  return [...visible];
}

/** The company itself: its role addresses and this message's sender. Nobody is disclosed to them or by showing them. */
function companyIn(context: DetectContext): (canonical: string) => boolean {
  const sender = canonicalAddress(context.envelope.from);
  return (canonical) => canonical === sender || context.allowed(canonical) === 'role';
}

/** Each reader would learn of everybody shown but themselves: other readers, and whoever a reason was about. */
function disclosuresTo(
  readers: ReadonlySet<string>,
  findings: readonly Finding[],
  exposed: ReadonlySet<string>,
  context: DetectContext,
): number {
  if (exposed.size === 0 && !findings.some(({ severity }) => severity === 'exposure')) return 0;
  const isCompany = companyIn(context);
  const people = new Set<string>();
  for (const address of exposed) if (!isCompany(address)) people.add(address);
  for (const finding of findings) {
    if (finding.severity !== 'exposure') continue;
    for (const address of finding.addresses)
      if (readers.has(address) && !isCompany(address)) people.add(address);
  }
  let outside = 0;
  for (const reader of readers) if (!isCompany(reader)) outside++;
  // With one reader its own address is in no finding.
  let own = 0;
  for (const address of people) if (readers.has(address)) own++;
  return outside * people.size - own;
}

const SEVERITY_OF: Readonly<Record<VerdictKind, number>> = {
  pass: 0,
  hold: 1,
  split: 2,
  refuse: 3,
  defer: 4,
};

function sum(judgements: readonly Judgement[]): Judgement {
  const [first] = judgements;
  if (first === undefined) return FAULT;
  const worst = judgements.reduce((one, other) => (isWorse(other, one) ? other : one), first);
  return {
    verdict: sumOfVerdicts(worst.verdict.kind, judgements),
    findings: judgements.flatMap(({ findings }) => findings),
    visible: worst.visible,
    outsiders: [...new Set(judgements.flatMap(({ outsiders }) => outsiders))],
    disclosures: judgements.reduce((total, { disclosures }) => total + disclosures, 0),
    defects: judgements.flatMap(({ defects }) => defects),
    readers: judgements.reduce((total, { readers }) => total + readers, 0),
  };
}

function sumOfVerdicts(kind: VerdictKind, judgements: readonly Judgement[]): Verdict {
  const reasons = new Set<ReasonId>();
  const allowed = new Set<string>();
  for (const { verdict } of judgements) {
    if (verdict.kind === 'pass') for (const because of verdict.allowedBecause) allowed.add(because);
    else for (const reason of verdict.reasons) reasons.add(reason);
  }
  return kind === 'pass' ? { kind, allowedBecause: [...allowed] } : { kind, reasons: [...reasons] };
}

function isWorse(one: Judgement, other: Judgement): boolean {
  const difference = SEVERITY_OF[one.verdict.kind] - SEVERITY_OF[other.verdict.kind];
  if (difference !== 0) return difference > 0;
  return one.disclosures > other.disclosures;
}
