/** The unmodified official packages against `undisclosed serve`, call by call, and the table of docs/conformance.md. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CallResult, runCall, type Sdk, SETTINGS, type Setting } from './sdk-call.ts';
import { type ConformanceHouse, openHouse } from './sdk-house.ts';
import { MAILGUN } from './sdk-mailgun.ts';
import { POSTMARK } from './sdk-postmark.ts';
import { SENDGRID } from './sdk-sendgrid.ts';
import { NODEMAILER_SES, SES } from './sdk-ses.ts';
import { NODEMAILER_SMTP, noPython, SMTPLIB } from './sdk-smtp.ts';

let house: ConformanceHouse;
before(async () => {
  house = await openHouse();
});
after(() => house.close());

const SDKS: readonly Sdk[] = [SENDGRID, SES, NODEMAILER_SES, MAILGUN, POSTMARK, NODEMAILER_SMTP, SMTPLIB];
let mark = 0;
for (const sdk of SDKS) {
  test(sdk.title, { skip: sdk === SMTPLIB ? noPython : false }, async () => {
    for (const call of sdk.calls) {
      const out: string[] = [];
      const t0 = performance.now();
      for (const setting of SETTINGS) {
        const r = await runCall(sdk, call, { house, setting, mark: `m${++mark}` });
        out.push(`${setting} ${r.copies}/${r.othersShown}/${r.reached} ${r.error ?? ''}`);
      }
      console.log(call.call, call.ends.join(), '|', out.join(' | '), Math.round(performance.now() - t0));
    }
  });
}
