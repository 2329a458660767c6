/** Mailboxes as an independent IMAP client reads them. */

import { createRequire } from 'node:module';
import { IMAP_PASSWORD } from './dovecot.ts';

/** What is used here of the client. */
interface ImapClient {
  connect(): Promise<void>;
  mailboxOpen(path: string, options: { readOnly: boolean }): Promise<{ readonly exists: number }>;
  fetchAll(
    range: string,
    query: { source: true },
  ): Promise<readonly { readonly source?: Buffer }[]>;
  logout(): Promise<void>;
}

const { ImapFlow } = createRequire(import.meta.url)('imapflow') as {
  ImapFlow: new (options: object) => ImapClient;
};

const AT_ONCE = 8;

/** The raw messages in the INBOX of one user. */
async function readMailbox(port: number, user: string): Promise<Buffer[]> {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port,
    secure: false,
    doSTARTTLS: false,
    auth: { user, pass: IMAP_PASSWORD },
    logger: false,
  });
  await client.connect();
  try {
    const { exists } = await client.mailboxOpen('INBOX', { readOnly: true });
    if (exists === 0) return [];
    const messages = await client.fetchAll('1:*', { source: true });
    if (messages.length !== exists) throw new Error(`${messages.length} of ${exists} messages`);
    return messages.map(({ source }) => source ?? Buffer.alloc(0));
  } finally {
    await client.logout();
  }
}

/** The raw messages of each user, in the users' order. */
export async function readMailboxes(port: number, users: readonly string[]): Promise<Buffer[][]> {
  const found: Buffer[][] = [];
  const waiting = [...users.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
      found[next[0]] = await readMailbox(port, next[1]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}
