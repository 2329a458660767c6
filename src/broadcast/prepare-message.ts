/** Prepares one message: renders its slots, joins them, inspects the bytes twice, and binds the pass into the leaf. */

import { Fault } from '../base/errors.ts';
import type { Policy } from '../policy/policy.ts';
import type { CompiledLanguage, Recipient } from './compile.ts';
import type { Allowed } from './last-look.ts';
import { leafOf, type PreparedRecord, sha256 } from './prepared-message.ts';
import type { Stages } from './stages.ts';

export type PrepareResult =
  | { readonly kind: 'prepared'; readonly record: PreparedRecord; readonly leaf: Buffer }
  | { readonly kind: 'blocked'; readonly reason: string; readonly where: string };

/** @param nonce 16 fresh random bytes. */
export function prepareMessage(
  stages: Stages,
  language: CompiledLanguage,
  languageIndex: number,
  recipient: Recipient,
  context: { readonly policy: Policy; readonly allowed: Allowed; readonly nonce: Buffer },
): PrepareResult {
  try {
    const rendered = stages.render(language, recipient);
    const bytes = stages.compose(language.layout, rendered.slots);
    const inspection = stages.inspect(bytes, rendered, context.policy);
    if (inspection.kind === 'stop')
      return { kind: 'blocked', reason: inspection.reasons.join(', '), where: 'inspection' };
    const look = stages.look(bytes, rendered, context.allowed);
    if (look.kind === 'stop')
      return { kind: 'blocked', reason: `last look: ${look.why}`, where: look.where };
    const digest = sha256(bytes);
    const record: PreparedRecord = {
      nonce: context.nonce,
      digest,
      language: languageIndex,
      reader: rendered.reader,
      returnPath: rendered.returnPath,
      smtpUtf8: rendered.smtpUtf8,
      slots: rendered.slots,
    };
    return { kind: 'prepared', record, leaf: leafOf(context.nonce, digest) };
  } catch (error) {
    if (error instanceof Fault)
      return { kind: 'blocked', reason: error.message, where: error.where ?? '' };
    throw error;
  }
}
