/** A usual day at the gates: what passes, what is sent as copies, what waits for people; each by a connection of its own. */

import { type GateVerdict, sendGridAt, sendGridVerdict, smtpVerdict } from './gate-calls.ts';
// biome-ignore lint/correctness/useImportExtensions: plain JavaScript, its types beside it
import { sendMail } from './mail-client.mjs';
import { message } from './mistakes.ts';
import type { FarSides } from './road.ts';
import type { SampleCustomer } from './sample-customers.ts';

export interface UsualMail {
  readonly title: string;
  /** Its verdict as the caller can tell it from the gate's own answer. */
  readonly verdict: GateVerdict;
  readonly wanted: GateVerdict;
}

const RECEIPTS = 24;
const MEMBERS = 12;
const LIST_ROWS = 60;
const UNFILLED_READERS = 150;
const OFFICE = 'office@northwind.example';
const SHOP = 'orders@northwind.example';
const CLUB = 'club@northwind.example';
const NEWS = 'notices@northwind.example';

/** A person's mail with the customer list attached: the slip that no header check can see. */
function withList(customers: readonly SampleCustomer[]): string {
  const rows = customers.map(({ id, email, name }) => `${id},${name},${email}`);
  const csv = Buffer.from(`id,name,email\r\n${rows.join('\r\n')}\r\n`).toString('base64');
  const body = [
    '--part',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Here are the figures that you asked for.',
    '--part',
    'Content-Type: text/csv; name="figures.csv"',
    'Content-Disposition: attachment; filename="figures.csv"',
    'Content-Transfer-Encoding: base64',
    '',
    csv.replace(/.{76}/g, '$&\r\n'),
    '--part--',
  ].join('\r\n');
  const to = 'To: <audit@partner.example>\r\n';
  return message(OFFICE, to, 'The figures for the audit', body).replace(
    'Content-Type: text/plain; charset=utf-8',
    'Content-Type: multipart/mixed; boundary="part"',
  );
}

/** One provider call with a placeholder that nobody filled in; the answer's id is ours when it is kept. */
async function unfilled(far: FarSides, people: readonly string[]): Promise<UsualMail> {
  const answer = await sendGridAt(far.sendgridUrl, far.keys.program).send({
    personalizations: people.map((email) => ({ to: [{ email }] })),
    from: NEWS,
    subject: 'Your statement for November',
    text: 'Hello {{first_name}},\n\nyour statement for November is ready.\n',
  });
  return {
    title: `A program’s mail to ${people.length} customers, “Hello {{first_name}}” in each`,
    verdict: sendGridVerdict(answer),
    wanted: 'hold',
  };
}

/** Sends it all, in this order. */
export async function makeUsualMail(
  far: FarSides,
  customers: readonly SampleCustomer[],
): Promise<readonly UsualMail[]> {
  const send = async (
    key: string,
    from: string,
    recipients: readonly string[],
    text: string,
  ): Promise<GateVerdict> =>
    smtpVerdict(await sendMail({ port: far.smtpPort, key, from, recipients, message: text }));
  let receipts = 0;
  for (const { email, id } of customers.slice(0, RECEIPTS)) {
    const text = `Thank you. The receipt of your deposit is in your account, ${id}.`;
    const mail = message(SHOP, `To: <${email}>\r\n`, 'Your receipt', text);
    if ((await send(far.keys.shop, SHOP, [email], mail)) === 'pass') receipts++;
  }
  const members = customers.slice(40, 40 + MEMBERS).map(({ email }) => email);
  const toMembers = `To: ${members.join(',\r\n ')}\r\n`;
  const invitation = message(CLUB, toMembers, 'The members’ evening', 'Doors open at seven.');
  const ours = ['ann@northwind.example', 'ben@northwind.example', 'audit@partner.example'];
  const minutes = message(OFFICE, `To: ${ours.join(', ')}\r\n`, 'Minutes', 'Attached soon.');
  const list = withList(customers.slice(100, 100 + LIST_ROWS));
  return [
    {
      title: `A shop’s ${RECEIPTS} receipts, one message each`,
      verdict: receipts === RECEIPTS ? 'pass' : 'refuse',
      wanted: 'pass',
    },
    {
      title: 'A colleague’s mail to two colleagues and the auditor',
      verdict: await send(far.keys.person, OFFICE, ours, minutes),
      wanted: 'pass',
    },
    {
      title: `A club’s invitation to ${MEMBERS} members in one To line`,
      verdict: await send(far.keys.club, CLUB, members, invitation),
      wanted: 'split',
    },
    {
      title: `A colleague’s mail to the auditor, ${LIST_ROWS} customers in the attached table`,
      verdict: await send(far.keys.person, OFFICE, ['audit@partner.example'], list),
      wanted: 'hold',
    },
    await unfilled(
      far,
      customers.slice(200, 200 + UNFILLED_READERS).map(({ email }) => email),
    ),
  ];
}
