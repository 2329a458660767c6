/** The mistake in each form it is told in, and the right form of each. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SendGrid, sendGridAt, sendGridVerdict, smtpVerdict } from './gate-calls.ts';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import { sendMail } from './mail-client.mjs';
import type { AccountMistake } from './page.ts';

export interface MistakesSetup {
  /** Where each mistaken submission is kept for the independent reading. */
  readonly folder: string;
  readonly smtpPort: number;
  readonly sendgridUrl: string;
  readonly keys: { readonly person: string; readonly program: string };
  /** 1,000 customers' addresses. */
  readonly people: readonly string[];
}

const OFFICE = 'office@northwind.example';
const PROGRAM = 'notices@northwind.example';
const TEXT = 'The weights of the .NXBT indices change on 22 November.';
const RIGHT_FORM_COPIES = 20;

function header(name: string, addresses: readonly string[]): string {
  return `${name}: ${addresses.join(',\r\n ')}\r\n`;
}

/** One message as its bytes; `recipients` are whole header lines. */
export function message(from: string, recipients: string, subject: string, text: string): string {
  const date = new Date().toUTCString().replace('GMT', '+0000');
  const id = `${Math.random().toString(36).slice(2)}@northwind.example`;
  return `From: <${from}>\r\n${recipients}Subject: ${subject}\r\nDate: ${date}\r\nMessage-ID: <${id}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`;
}

/** The sentence of a refusal without its codes. */
function reasonOf(text: string): string {
  return text
    .replaceAll(/\b[45]\.\d+\.\d+ /g, '')
    .replace(/ It would have made [\d,]+ disclosures?\./, '')
    .replace(/ Nobody got this message.*/, '')
    .trim();
}

async function bySmtp(
  setup: MistakesSetup,
  name: string,
  key: string,
  mail: { readonly from: string; readonly recipients: readonly string[]; readonly message: string },
): Promise<{ readonly verdict: string; readonly reason: string }> {
  await writeFile(join(setup.folder, `${name}.eml`), mail.message);
  const { code, text } = await sendMail({ port: setup.smtpPort, key, ...mail });
  return { verdict: smtpVerdict({ code, text }), reason: reasonOf(text) };
}

async function eachAlone(
  setup: MistakesSetup,
  key: string,
  from: string,
  subject: string,
): Promise<string> {
  let passed = 0;
  for (const person of setup.people.slice(0, RIGHT_FORM_COPIES)) {
    const answer = await sendMail({
      port: setup.smtpPort,
      key,
      from,
      recipients: [person],
      message: message(from, header('To', [person]), subject, TEXT),
    });
    if (smtpVerdict(answer) === 'pass') passed++;
  }
  return passed === RIGHT_FORM_COPIES ? 'pass' : 'refuse';
}

interface SendgridError {
  readonly code?: number;
  readonly response?: {
    readonly body?: { readonly errors?: readonly { readonly message: string }[] };
  };
}

async function byProvider(
  call: () => ReturnType<SendGrid['send']>,
): Promise<{ verdict: string; reason: string }> {
  try {
    return { verdict: sendGridVerdict(await call()), reason: '' };
  } catch (error) {
    const { code, response } = error as SendgridError;
    const reason = response?.body?.errors?.[0]?.message ?? String(error);
    return { verdict: code === 400 ? 'refuse' : 'defer', reason: reasonOf(reason) };
  }
}

async function providerCall(setup: MistakesSetup): Promise<AccountMistake> {
  const sendgrid = sendGridAt(setup.sendgridUrl, setup.keys.program);
  // A new object for each call: the package writes `isMultiple` into the one it is given.
  const mail = { to: [...setup.people], from: PROGRAM, subject: 'Index change', text: TEXT };
  const body = {
    personalizations: [{ to: setup.people.map((email) => ({ email })) }],
    from: { email: PROGRAM },
    subject: 'Index change',
    content: [{ type: 'text/plain', value: TEXT }],
  };
  await writeFile(join(setup.folder, 'provider-call.json'), JSON.stringify(body));
  const wrong = await byProvider(() => sendgrid.send({ ...mail }));
  const right = await byProvider(() => sendgrid.sendMultiple({ ...mail }));
  return {
    title: 'One provider call for a thousand people',
    form: 'the official @sendgrid/mail package, one personalization with 1,000 addresses',
    ...wrong,
    disclosures: 0,
    rightForm: {
      title: 'sendMultiple: 1,000 personalizations of one address',
      verdict: right.verdict,
    },
  };
}

/** Makes every mistake; disclosures are counted afterwards by the independent reading. */
export async function makeMistakes(setup: MistakesSetup): Promise<readonly AccountMistake[]> {
  const { person, program } = setup.keys;
  const everybody = setup.people;
  const carbon = header('To', [OFFICE]) + header('Cc', everybody);
  const cc = await bySmtp(setup, 'cc-for-bcc', person, {
    from: OFFICE,
    recipients: [OFFICE, ...everybody],
    message: message(OFFICE, carbon, 'Index change', TEXT),
  });
  const reply = header('To', [OFFICE]) + header('Cc', everybody);
  const replyAll = await bySmtp(setup, 'reply-all', person, {
    from: 'support@northwind.example',
    recipients: [OFFICE, ...everybody],
    message: message(
      'support@northwind.example',
      reply,
      'Re: Index change',
      `Noted.\r\n\r\n> ${TEXT}`,
    ),
  });
  const to = await bySmtp(setup, 'to-a-thousand', program, {
    from: PROGRAM,
    recipients: everybody,
    message: message(PROGRAM, header('To', everybody), 'Index change', TEXT),
  });
  const alone = await eachAlone(setup, person, OFFICE, 'Index change');
  const byProgram = await eachAlone(setup, program, PROGRAM, 'Index change');
  const rightForm = { title: 'the same text, each person alone in To', verdict: alone };
  return [
    {
      title: 'Cc for Bcc',
      form: 'a person’s mail client, SMTP, Cc with 1,000 addresses',
      ...cc,
      disclosures: 0,
      rightForm,
    },
    {
      title: 'Reply all',
      form: 'a person’s mail client, SMTP, the answer to it',
      ...replyAll,
      disclosures: 0,
      rightForm,
    },
    {
      title: 'One message to a thousand',
      form: 'a program, SMTP, To with 1,000 addresses',
      ...to,
      disclosures: 0,
      rightForm: { title: 'one message each', verdict: byProgram },
    },
    await providerCall(setup),
  ];
}
