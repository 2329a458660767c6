/** Calls by the unmodified `mailgun.js`. */

import { createRequire } from 'node:module';
import type { CallPlace, Sdk } from './sdk-call.ts';

interface Client {
  readonly messages: { create(domain: string, mail: object): Promise<unknown> };
}

const require = createRequire(new URL('../package.json', import.meta.url));
const DOMAIN = 'company.example';
const FROM = 'notices@company.example';

async function create({ house, setting }: CallPlace, mail: object): Promise<void> {
  const loaded = require('mailgun.js');
  const Mailgun: new (form: unknown) => { client(options: object): Client } =
    loaded.default ?? loaded;
  const options = { username: 'api', key: house.keys[setting], url: house.urls.mailgun };
  await new Mailgun(require('form-data')).client(options).messages.create(DOMAIN, mail);
}

function notice(mark: string) {
  return {
    from: `Company <${FROM}>`,
    subject: `An important notice ${mark}`,
    text: `Please read this notice. ${mark}`,
  };
}

/** Each with an empty entry, as the manual has it. */
function variables(people: readonly string[]): string {
  return JSON.stringify(
    Object.fromEntries(people.map((address, n) => [address, { name: `N ${n}` }])),
  );
}

function mime(mark: string, to: string): Buffer {
  return Buffer.from(
    `From: ${FROM}\r\nTo: ${to}\r\nSubject: Notice ${mark}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease read. ${mark}\r\n`,
  );
}

export const MAILGUN: Sdk = {
  title: 'mailgun.js',
  pinned: { name: 'mailgun.js', lock: 'test' },
  baseUrl: '`url` of `mailgun.client()`',
  farSide: 'mailgun',
  refusal: 'MailgunAPIError 400',
  describe: (thrown) => {
    const { type, status } = thrown as { readonly type: string; readonly status: number };
    return `${type} ${status}`;
  },
  calls: [
    {
      call: '`create({ to: [1,000] })` without `recipient-variables`',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, to) => create(at, { ...notice(at.mark), to: [...to] }),
    },
    {
      call: '`create({ to: [1,000] })` with `recipient-variables` for all',
      people: 1000,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, to) =>
        create(at, { ...notice(at.mark), to: [...to], 'recipient-variables': variables(to) }),
    },
    {
      call: '`create({ to: [100] })` with `recipient-variables` for 99',
      people: 100,
      leaks: false,
      ends: ['nothing', 'private'],
      make: (at, to) =>
        create(at, {
          ...notice(at.mark),
          to: [...to],
          'recipient-variables': variables(to.slice(1)),
        }),
    },
    {
      call: '`create({ to, cc: [99] })`',
      people: 100,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, [to, ...cc]) => create(at, { ...notice(at.mark), to, cc }),
    },
    {
      call: '`create({ to: [99], cc })` with `recipient-variables`: the one in `cc` sees everybody',
      people: 100,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, [cc, ...to]) =>
        create(at, { ...notice(at.mark), to, cc, 'recipient-variables': variables(to) }),
    },
    {
      call: '`create({ to: [100], message })`, MIME with 100 in its To header',
      people: 100,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, to) => create(at, { to: [...to], message: mime(at.mark, to.join(',\r\n ')) }),
    },
    {
      call: '`create({ to: [100], message })`, MIME with `To: %recipient%` and `recipient-variables`',
      people: 100,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, to) =>
        create(at, {
          to: [...to],
          message: mime(at.mark, '%recipient%'),
          'recipient-variables': variables(to),
        }),
    },
  ],
};
