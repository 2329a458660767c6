/** A guard's circumstances in a process of their own: judges the calls its parent sends and answers with the reasons. */

import { createCircumstances } from '../../src/guard/circumstances.ts';
import { identityOf } from '../../src/guard/identity.ts';
import { judge } from '../../src/guard/judge.ts';
import { type KeyringDocument, keyringOf } from '../../src/keys/keyring.ts';
import { POLICIES } from '../../src/policy/policy.ts';
import { openDatabase } from '../../src/store/database.ts';

export interface Ask {
  readonly id: number;
  readonly identity: string;
  readonly recipients: readonly string[];
  readonly text: string;
}

export interface Answer {
  readonly id: number;
  readonly reasons: readonly string[];
  readonly campaign: number | null;
}

export type FromParent =
  | { readonly kind: 'start'; readonly url: string; readonly keyring: KeyringDocument }
  | { readonly kind: 'ask'; readonly ask: Ask }
  | { readonly kind: 'frozen'; readonly identity: string; readonly campaign: number | null }
  | { readonly kind: 'stop' };

const send = (message: object): void => {
  process.send?.(message);
};

process.once('message', async (start: FromParent) => {
  if (start.kind !== 'start') throw new Error('the first message starts');
  const db = await openDatabase({ url: start.url }, { poolMax: 4 });
  const around = await createCircumstances({ db, keyring: keyringOf(start.keyring) });
  process.on('message', async (message: FromParent) => {
    if (message.kind === 'ask') {
      const { id, identity, recipients, text } = message.ask;
      const bytes = Buffer.from(
        `From: kim@company.example\r\nTo: ${recipients.join(', ')}\r\nSubject: News\r\n\r\n${text}\r\n`,
      );
      const copy = {
        envelope: { from: 'kim@company.example', recipients, smtpUtf8: false },
        bytes,
      };
      const policy = POLICIES.person;
      const call = { copies: [copy], keep: () => bytes };
      const judgement = judge(copy, { policy });
      const answer = await around.assess(call, identityOf(identity, 'person'), judgement);
      send({ id, ...answer } satisfies Answer);
    } else if (message.kind === 'frozen')
      send({ frozen: around.frozen(message.identity, message.campaign) });
    else if (message.kind === 'stop') {
      await around.close();
      await db.close();
      process.disconnect();
    }
  });
  send({ ready: true });
});
