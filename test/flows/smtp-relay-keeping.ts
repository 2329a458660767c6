/** A relay with the real judge and the real carrier, and a store in memory between them: what the SMTP gate does of split and hold. */

import { Fault } from '../../src/base/errors.ts';
import {
  createSmtpCarrier,
  type SmtpCarrier,
  type SmtpCarrierOptions,
} from '../../src/gates/smtp-carrier.ts';
import type { SmtpRelayOptions } from '../../src/gates/smtp-relay.ts';
import type { DeliveryResult, FailedDelivery } from '../../src/guard/carrier.ts';
import { type Identity, policyOf } from '../../src/guard/identity.ts';
import { judgeCopies } from '../../src/guard/judge.ts';
import { canonicalAddress } from '../../src/mail/address.ts';
import { needsPrivateCopies } from '../../src/policy/decide.ts';
import {
  closeAfter,
  decisionOf,
  roadOf,
  type StartedRelay,
  startRelay,
} from './smtp-relay-next-hop.ts';

export interface KeepingRelay extends StartedRelay {
  readonly carrier: SmtpCarrier;
  /** Calls that were kept, in order. */
  readonly kept: readonly Buffer[];
  readonly results: readonly DeliveryResult[];
  /** Resolves when all that was kept so far has its results, and the sender was told of failures. */
  settled(): Promise<void>;
}

export interface KeepingOptions {
  readonly relay?: Partial<SmtpRelayOptions>;
  readonly carrier?: Partial<SmtpCarrierOptions>;
  readonly companyDomains?: readonly string[];
  readonly roleAddresses?: readonly string[];
}

/** Everything kept is cut and delivered at once, ten at a time. */
export async function startKeepingRelay(
  nextHop: { readonly port: number },
  identity: Identity,
  options: KeepingOptions = {},
): Promise<KeepingRelay> {
  const { companyDomains = [], roleAddresses = [] } = options;
  const carrier = createSmtpCarrier({
    nextHop: { host: '127.0.0.1', port: nextHop.port, tls: 'none' },
    name: 'gate.test',
    ...options.carrier,
  });
  closeAfter(() => carrier.close());
  const kept: Buffer[] = [];
  const results: DeliveryResult[] = [];
  const running: Promise<void>[] = [];
  const road = roadOf(async (call, who) => {
    const policy = policyOf(who, { companyDomains, roleAddresses });
    const judgement = judgeCopies(call.copies, { policy });
    const { verdict, disclosures } = judgement;
    const decision = { ...decisionOf(verdict, disclosures, who.mode), ...judgement };
    if (decision.action !== 'keep') return decision;
    const bytes = call.keep();
    const reasons = verdict.kind === 'pass' ? [] : verdict.reasons;
    try {
      carrier.cut(bytes, needsPrivateCopies(reasons) ? 'private' : 'whole', 'k-1');
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'guard.cannot-cut') throw error;
      return { ...decision, ...decisionOf({ kind: 'refuse', reasons }, disclosures) };
    }
    kept.push(bytes);
    if (verdict.kind === 'split') running.push(deliverAll(carrier, bytes, results));
    return decision;
  });
  const relay = await startRelay(nextHop, {
    anonymousIdentity: identity,
    road,
    ...options.relay,
  });
  return {
    ...relay,
    carrier,
    kept,
    results,
    async settled() {
      await Promise.all(running);
    },
  };
}

async function deliverAll(
  carrier: SmtpCarrier,
  kept: Buffer,
  results: DeliveryResult[],
): Promise<void> {
  const waiting = [...carrier.cut(kept, 'private', 'k-1')];
  const failed: FailedDelivery[] = [];
  const one = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const result = await carrier.deliver(next);
      results.push(result);
      if (result.kind === 'refused' || result.kind === 'uncertain')
        failed.push({ delivery: next, answer: result.answer, kind: result.kind });
    }
  };
  await Promise.all(Array.from({ length: 10 }, one));
  if (failed.length > 0) await carrier.tellFailed(kept, failed, 'k-0001');
}

/** The addresses a content shows in its header, as plain text. */
export function shownIn(content: string): readonly string[] {
  const header = content.slice(0, content.indexOf('\r\n\r\n'));
  const found = header.match(/[\w.+-]+@[\w.-]+/g) ?? [];
  return [...new Set(found.map((text) => canonicalAddress(text) ?? text))];
}
