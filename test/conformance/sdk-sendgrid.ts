/** Calls by the unmodified `@sendgrid/mail`. */

import { createRequire } from 'node:module';
import { type CallPlace, classOf, type Sdk } from './sdk-call.ts';

/** What these calls use of the package. */
interface MailService {
  setApiKey(key: string): void;
  readonly client: { setDefaultRequest(name: string, value: string): void };
  send(mail: object, isMultiple?: boolean): Promise<unknown>;
  sendMultiple(mail: object): Promise<unknown>;
}

const require = createRequire(new URL('../../demo/package.json', import.meta.url));

function program({ house, setting }: CallPlace): MailService {
  const { MailService } = require('@sendgrid/mail') as { MailService: new () => MailService };
  const mail = new MailService();
  mail.setApiKey(house.keys[setting]);
  mail.client.setDefaultRequest('baseUrl', house.urls.sendgrid);
  return mail;
}

function notice(mark: string) {
  return {
    from: { email: 'notices@company.example', name: 'Company' },
    subject: `An important notice ${mark}`,
    text: `Please read this notice. ${mark}\n`,
    html: `<p>Please read this notice. ${mark}</p>`,
  };
}

export const SENDGRID: Sdk = {
  title: '@sendgrid/mail',
  pinned: { name: '@sendgrid/mail', lock: 'demo' },
  baseUrl: "`client.setDefaultRequest('baseUrl', URL)`, after `setApiKey`",
  farSide: 'sendgrid',
  refusal: 'ResponseError 400',
  describe: (thrown) => {
    const { code, response } = thrown as {
      readonly code: number;
      readonly response: { readonly body: { readonly errors: readonly object[] } };
    };
    const [first = {}] = response.body.errors;
    const shape = Object.keys(first).sort().join();
    return shape === 'field,help,message' ? `${classOf(thrown)} ${code}` : `no shape: ${shape}`;
  },
  calls: [
    {
      call: '`send({ to: [1,000] })`',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, to) => {
        await program(at).send({ ...notice(at.mark), to: [...to] });
      },
    },
    {
      call: '`send({ to, cc: [999] })`',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, [to, ...cc]) => {
        await program(at).send({ ...notice(at.mark), to, cc });
      },
    },
    {
      call: '`send({ to, bcc: [999] })`: each sees the one in `to`',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, [to, ...bcc]) => {
        await program(at).send({ ...notice(at.mark), to, bcc });
      },
    },
    {
      call: '`send([50 mails])`, one reader each',
      people: 50,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, people) => {
        await program(at).send(people.map((to) => ({ ...notice(at.mark), to })));
      },
    },
    {
      call: '`send({ to: [1,000] }, true)`',
      people: 1000,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, to) => {
        await program(at).send({ ...notice(at.mark), to: [...to] }, true);
      },
    },
    {
      call: '`sendMultiple({ to: [1,000] })`',
      people: 1000,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, to) => {
        await program(at).sendMultiple({ ...notice(at.mark), to: [...to] });
      },
    },
    {
      call: '`sendMultiple({ to: [499], cc })`: the one in `cc` gets 499 mails and sees 499 people',
      people: 500,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, [cc, ...to]) => {
        await program(at).sendMultiple({ ...notice(at.mark), to, cc });
      },
    },
    {
      call: '`sendMultiple({ personalizations: [10 with 50 in to] })`',
      people: 500,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, people) => {
        const personalizations = Array.from({ length: 10 }, (_, n) => {
          return { to: people.slice(n * 50, n * 50 + 50).map((email) => ({ email })) };
        });
        await program(at).sendMultiple({ ...notice(at.mark), personalizations });
      },
    },
    {
      call: '`send({ personalizations: [1,000 with one in to] })`',
      people: 1000,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, people) => {
        const personalizations = people.map((to) => ({ to }));
        await program(at).send({ ...notice(at.mark), personalizations });
      },
    },
    {
      call: '`personalizations` of one, each with `headers: { To: everybody }`',
      people: 50,
      leaks: false,
      ends: ['nothing', 'nothing'],
      providerRefuses: true,
      make: async (at, people) => {
        const headers = { To: people.join(', ') };
        const personalizations = people.map((to) => ({ to, headers }));
        await program(at).send({ ...notice(at.mark), personalizations });
      },
    },
    {
      call: '`personalizations` of one, each with `headers: { "X-Audience": everybody }`',
      people: 20,
      leaks: true,
      ends: ['nothing', 'nothing'],
      make: async (at, people) => {
        const headers = { 'X-Audience': people.join(', ') };
        const personalizations = people.map((to) => ({ to, headers }));
        await program(at).send({ ...notice(at.mark), personalizations });
      },
    },
    {
      call: '`sendMultiple({ to: [20], replyToList: everybody })`',
      people: 20,
      leaks: true,
      ends: ['nothing', 'nothing'],
      make: async (at, to) => {
        const replyToList = to.map((email) => ({ email }));
        await program(at).sendMultiple({ ...notice(at.mark), to: [...to], replyToList });
      },
    },
  ],
};
