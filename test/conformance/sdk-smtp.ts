/** Calls by nodemailer's SMTP transport and by Python's smtplib, to the relay. */

import { spawn, spawnSync } from 'node:child_process';
import { createTransport } from 'nodemailer';
import { type CallPlace, classOf, type Sdk } from './sdk-call.ts';

const FROM = 'notices@company.example';

async function mail({ house, setting, mark }: CallPlace, fields: object): Promise<void> {
  const transport = createTransport({
    host: '127.0.0.1',
    port: house.smtpPort,
    auth: { user: 'shop', pass: house.keys[setting] },
  });
  try {
    await transport.sendMail({
      from: FROM,
      subject: `An important notice ${mark}`,
      text: `Please read this notice. ${mark}\n`,
      ...fields,
    });
  } finally {
    transport.close();
  }
}

export const NODEMAILER_SMTP: Sdk = {
  title: "nodemailer's SMTP transport",
  pinned: { name: 'nodemailer', lock: 'test' },
  baseUrl: '`host` and `port` of `createTransport`',
  farSide: 'smtp',
  refusal: 'Error EMESSAGE 550',
  describe: (thrown) => {
    const { code, responseCode } = thrown as {
      readonly code: string;
      readonly responseCode: number;
    };
    return `${classOf(thrown)} ${code} ${responseCode}`;
  },
  calls: [
    {
      call: '`sendMail({ to: [1,000] })`',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, to) => mail(at, { to: [...to] }),
    },
    {
      call: '`sendMail({ to, cc: [199] })`',
      people: 200,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, [to, ...cc]) => mail(at, { to, cc }),
    },
    {
      call: '`sendMail({ to: sender, bcc: [1,000] })`',
      people: 1000,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, bcc) => mail(at, { to: FROM, bcc: [...bcc], envelope: { from: FROM, to: bcc } }),
    },
    {
      call: '`sendMail({ to })`, 20 times',
      people: 20,
      leaks: false,
      ends: ['passes', 'passes'],
      make: async (at, people) => {
        for (const to of people) await mail(at, { to });
      },
    },
  ],
};

/** Ends with the class and code of what smtplib raised on standard output, or with nothing. */
const PROGRAM = `
import smtplib, sys
from email.message import EmailMessage
port, key, mark, field = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
people = sys.stdin.read().split()
m = EmailMessage()
m['From'] = '${FROM}'
if field != 'To':
    m['To'] = '${FROM}' if field.startswith('Bcc') else people[0]
m[field.split()[0]] = ', '.join(people[1:] if field == 'Cc' else people)
m['Subject'] = 'An important notice ' + mark
m.set_content('Please read this notice. ' + mark)
with smtplib.SMTP('127.0.0.1', port) as s:
    s.login('shop', key)
    try:
        if field == 'Bcc left in':
            s.sendmail(m['From'], people, m.as_string())
        else:
            s.send_message(m, m['From'], people)
    except smtplib.SMTPException as e:
        print(type(e).__name__, getattr(e, 'smtp_code', ''))
`;

export const noPython: string | false =
  spawnSync('python3', ['-c', 'import smtplib']).status === 0 ? false : 'not installed: python3';

function byPython(at: CallPlace, people: readonly string[], field: string): Promise<void> {
  const { smtpPort, keys } = at.house;
  const args = ['-c', PROGRAM, String(smtpPort), keys[at.setting], at.mark, field];
  return new Promise((resolve, reject) => {
    const child = spawn('python3', args);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        said += String(chunk);
      });
    child.on('close', () => (said === '' ? resolve() : reject(said.trim())));
    child.stdin.end(people.join('\n'));
  });
}

export const SMTPLIB: Sdk = {
  title: "Python's smtplib",
  pinned: null,
  baseUrl: '`host` and `port` of `smtplib.SMTP`',
  farSide: 'smtp',
  refusal: 'SMTPDataError 550',
  describe: String,
  calls: [
    {
      call: '`send_message`, 1,000 in To',
      people: 1000,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, people) => byPython(at, people, 'To'),
    },
    {
      call: '`send_message`, one in To, 199 in Cc',
      people: 200,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, people) => byPython(at, people, 'Cc'),
    },
    {
      call: '`send_message`, 200 in Bcc, which it takes out',
      people: 200,
      leaks: false,
      ends: ['passes', 'passes'],
      make: (at, people) => byPython(at, people, 'Bcc'),
    },
    {
      call: '`sendmail`, 200 in a Bcc header that is left in',
      people: 200,
      leaks: true,
      ends: ['nothing', 'private'],
      make: (at, people) => byPython(at, people, 'Bcc left in'),
    },
  ],
};
