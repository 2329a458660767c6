/**
 * The call that showed a company's customers to each other, and its siblings, by the unmodified official packages against
 * `undisclosed serve`: private copies leave, or nothing does and the program is told in its provider's own way.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type CallResult,
  peopleShown,
  runCall,
  type Sdk,
  type SdkCall,
  SETTINGS,
  type Setting,
} from './sdk-call.ts';
import { type ConformanceHouse, openHouse } from './sdk-house.ts';
import { MAILGUN } from './sdk-mailgun.ts';
import { POSTMARK } from './sdk-postmark.ts';
import { SENDGRID } from './sdk-sendgrid.ts';
import { NODEMAILER_SES, SES, sendByEnvironment } from './sdk-ses.ts';
import { NODEMAILER_SMTP, noPython, SMTPLIB } from './sdk-smtp.ts';
import { holdTable, type Ran, type Results } from './sdk-table.ts';

const SDKS: readonly Sdk[] = [
  SENDGRID,
  SES,
  NODEMAILER_SES,
  MAILGUN,
  POSTMARK,
  NODEMAILER_SMTP,
  SMTPLIB,
];

let house: ConformanceHouse;
let calls = 0;
const ran: Ran[] = [];

before(async () => {
  house = await openHouse();
});
after(() => house?.close());

/** Fails unless a result is what was promised for this call. */
function assertEnds(sdk: Sdk, call: SdkCall, setting: Setting, result: CallResult): void {
  const what = `${sdk.title}: ${call.call}: ${setting}`;
  const { copies, othersShown, reached, error } = result;
  const [refuse, split] = call.ends;
  const end = setting === 'refuse' ? refuse : split;
  const left = setting === 'shadow' ? !call.providerRefuses : end !== 'nothing';
  if (!left) {
    assert.equal(copies, 0, `${what}: copies`);
    assert.equal(error, sdk.refusal, what);
    return;
  }
  assert.equal(error, null, what);
  assert.equal(reached, call.people, `${what}: people reached`);
  if (setting === 'shadow') {
    // Without the guard the reader of copies has to find what leaks, or finding nothing would say nothing.
    assert.equal(othersShown > 0, call.leaks, `${what}: others shown`);
    return;
  }
  assert.equal(othersShown, 0, `${what}: others shown`);
  assert.equal(copies, call.people, `${what}: nobody twice`);
}

for (const sdk of SDKS) {
  test(`${sdk.title}: private copies, or nothing and ${sdk.refusal}`, {
    skip: sdk === SMTPLIB ? noPython : false,
  }, async () => {
    const rows: Ran['calls'][number][] = [];
    for (const call of sdk.calls) {
      const results: Partial<Record<Setting, CallResult>> = {};
      for (const setting of SETTINGS) {
        calls++;
        const result = await runCall(sdk, call, { house, setting, mark: `m${calls}` });
        assertEnds(sdk, call, setting, result);
        results[setting] = result;
      }
      rows.push({ call: call.call, people: call.people, results: results as Results });
    }
    ran.push({ sdk, calls: rows });
  });
}

test('nothing has come late, and the far sides refused only what the provider would', async () => {
  const counted = ran.flatMap(({ sdk, calls }) =>
    calls.flatMap(({ results }) =>
      Object.values(results).map(({ copies }) => ({ side: sdk.farSide, copies })),
    ),
  );
  assert.ok(counted.length > 100, `${counted.length} calls`);
  for (const [name, { copies, rejected }] of Object.entries(house.farSides)) {
    const arrived = copies.reduce((sum, { readers }) => sum + readers.length, 0);
    const mine = counted.filter(({ side }) => side === name);
    assert.equal(
      arrived,
      mine.reduce((sum, { copies }) => sum + copies, 0),
      name,
    );
    assert.deepEqual(rejected, name === 'sendgrid' ? ['headers.To: is reserved'] : [], name);
  }
});

test('AWS_ENDPOINT_URL_SESV2 leads the AWS SDK to the gate as `endpoint` does', async () => {
  const { copies } = house.farSides.ses;
  const before = copies.length;
  const to = 'ann@mail.example';
  await sendByEnvironment({ house, setting: 'refuse', mark: 'by environment' }, to);
  assert.deepEqual(
    copies.slice(before).map(({ readers }) => readers),
    [[to]],
  );
});

test('the reader of copies finds a person in every place and coding', async () => {
  const person = 'customer.0@mail0.example';
  const base64 = Buffer.from(`name;address\r\nBo;${person}\r\n`).toString('base64');
  const encoded = Buffer.from(person).toString('base64');
  for (const text of [
    `To: ${person}\r\n\r\nhello`,
    `Cc: "x" <a@b.example>,\r\n "${person}" <c@d.example>\r\n\r\nhello`,
    `X-Audience: ${person}\r\n\r\nhello`,
    `Subject: =?utf-8?B?${encoded}?=\r\n\r\nhello`,
    `Content-Transfer-Encoding: quoted-printable\r\n\r\nfor customer.0=\r\n=40mail0.example`,
    `Content-Type: text/csv; name=a.csv\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}`,
  ]) {
    const bytes = Buffer.from(`From: x@y.example\r\nMIME-Version: 1.0\r\n${text}\r\n`);
    assert.deepEqual([...(await peopleShown(bytes, new Set([person])))], [person], text);
  }
});

test('the table in docs/conformance.md is what this run found', () => {
  holdTable(ran);
});
