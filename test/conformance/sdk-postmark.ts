/** Calls by the unmodified `postmark`. */

import { createRequire } from 'node:module';
import { type CallPlace, classOf, type Sdk } from './sdk-call.ts';

interface ServerClient {
  sendEmail(message: object): Promise<unknown>;
  sendEmailBatch(messages: readonly object[]): Promise<unknown>;
  sendEmailWithTemplate(message: object): Promise<unknown>;
  sendEmailBatchWithTemplates(messages: readonly object[]): Promise<unknown>;
}

const require = createRequire(new URL('../package.json', import.meta.url));

function program({ house, setting }: CallPlace): ServerClient {
  const { ServerClient } = require('postmark') as {
    ServerClient: new (token: string, options: object) => ServerClient;
  };
  const { host: requestHost } = new URL(house.urls.postmark);
  return new ServerClient(house.keys[setting], { requestHost, useHttps: false });
}

const From = 'Company <notices@company.example>';

function notice(mark: string) {
  return {
    From,
    Subject: `An important notice ${mark}`,
    TextBody: `Please read this notice. ${mark}\n`,
    HtmlBody: `<p>Please read this notice. ${mark}</p>`,
  };
}

function templated(mark: string) {
  return { From, TemplateAlias: 'welcome', TemplateModel: { product: `Account ${mark}` } };
}

export const POSTMARK: Sdk = {
  title: 'postmark',
  pinned: { name: 'postmark', lock: 'test' },
  baseUrl: '`requestHost` and `useHttps` of `ServerClient`',
  farSide: 'postmark',
  refusal: 'InvalidEmailRequestError 300 (422)',
  describe: (thrown) => {
    const { code, statusCode } = thrown as {
      readonly code: number;
      readonly statusCode: number;
    };
    return `${classOf(thrown)} ${code} (${statusCode})`;
  },
  calls: [
    {
      call: '`sendEmail`, 50 in `To`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, people) => {
        await program(at).sendEmail({ ...notice(at.mark), To: people.join(', ') });
      },
    },
    {
      call: '`sendEmail`, one in `To`, 49 in `Cc`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, [To, ...cc]) => {
        await program(at).sendEmail({ ...notice(at.mark), To, Cc: cc.join(', ') });
      },
    },
    {
      call: '`sendEmail`, one in `To`, 49 in `Bcc`: each sees the one in `To`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, [To, ...bcc]) => {
        await program(at).sendEmail({ ...notice(at.mark), To, Bcc: bcc.join(', ') });
      },
    },
    {
      call: '`sendEmailBatch`, 500 of one',
      people: 500,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, people) => {
        await program(at).sendEmailBatch(people.map((To) => ({ ...notice(at.mark), To })));
      },
    },
    {
      call: '`sendEmailBatch`, 20 of 50',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, people) => {
        const pages = Array.from({ length: 20 }, (_, n) => people.slice(n * 50, n * 50 + 50));
        const batch = pages.map((page) => ({ ...notice(at.mark), To: page.join(', ') }));
        await program(at).sendEmailBatch(batch);
      },
    },
    {
      call: '`sendEmailBatch`, 50 of one text to one each, the same auditor in `Cc` of all',
      people: 51,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, [Cc, ...people]) => {
        await program(at).sendEmailBatch(people.map((To) => ({ ...notice(at.mark), To, Cc })));
      },
    },
    {
      call: '`sendEmailWithTemplate`, 50 in `To`',
      people: 50,
      leaks: true,
      ends: ['nothing', 'private'],
      make: async (at, people) => {
        await program(at).sendEmailWithTemplate({ ...templated(at.mark), To: people.join(', ') });
      },
    },
    {
      call: '`sendEmailBatchWithTemplates`, 50 of one',
      people: 50,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, people) => {
        const batch = people.map((To) => ({ ...templated(at.mark), To }));
        await program(at).sendEmailBatchWithTemplates(batch);
      },
    },
  ],
};
