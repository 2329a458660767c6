/** The stages of one message between its frozen row and its leaf; one object, so that each can be replaced by a faulty one in a test. */

import { judge } from '../guard/judge.ts';
import { createDkimSigner } from '../mail/dkim.ts';
import type { Policy } from '../policy/policy.ts';
import type { CompiledLanguage, Recipient, RenderedSlots } from './compile.ts';
import { type Allowed, inspectPrepared, type LookResult } from './last-look.ts';
import { assemble, type Layout } from './prepared-message.ts';

/** What the inspection of one prepared message says. */
export type Inspection =
  | { readonly kind: 'pass' }
  | { readonly kind: 'stop'; readonly reasons: readonly string[] };

export interface Stages {
  /** Rendering, translation, escaping and encoding: a customer's slots. */
  render(language: CompiledLanguage, recipient: Recipient): RenderedSlots;
  /** Literals and slots joined to a message. */
  compose(layout: Layout, slots: readonly Uint8Array[]): Buffer;
  /** The guard's road: parse again, detect, decide. */
  inspect(bytes: Buffer, rendered: RenderedSlots, policy: Policy): Inspection;
  /** The last look's first entry, over the exact bytes. */
  look(bytes: Buffer, rendered: RenderedSlots, allowed: Allowed): LookResult;
  /** Makes the DKIM signer of a ring. */
  signer: typeof createDkimSigner;
}

export const stages: Stages = {
  render: (language, recipient) => language.render(recipient),
  compose: assemble,
  inspect: (bytes, rendered, policy) => {
    const envelope = {
      from: rendered.returnPath,
      recipients: [rendered.reader],
      smtpUtf8: rendered.smtpUtf8,
    };
    const { verdict } = judge({ envelope, bytes }, { policy });
    return verdict.kind === 'pass' ? { kind: 'pass' } : { kind: 'stop', reasons: verdict.reasons };
  },
  look: (bytes, rendered, allowed) =>
    inspectPrepared(bytes, rendered.reader, allowed, rendered.own),
  signer: createDkimSigner,
};
