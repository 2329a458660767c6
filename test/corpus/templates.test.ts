/** What programs send to one person each passes, with the sender's own addresses in it. */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withAttachments } from '../../src/guard/attachments.ts';
import { judgeCopies } from '../../src/guard/judge.ts';
import { policyFrom } from '../../src/policy/policy.ts';
import { templates } from './templates.ts';

const all = templates();

for (const name of ['bulk', 'transactional'] as const) {
  it(`fifty templates of the usual kinds pass under ${name}`, async () => {
    assert.ok(all.length >= 50);
    const stopped: string[] = [];
    for (const { name: template, from, reader, roles, bytes } of all) {
      const envelope = { from, recipients: [reader], smtpUtf8: !/^[\x20-\x7e]*$/.test(reader) };
      const copies = await withAttachments([{ envelope, bytes }]);
      const isCustomer = (address: string): boolean => address === reader;
      const recordOf = () => null;
      const settings = { policy: policyFrom(name, { roleAddresses: roles }), isCustomer, recordOf };
      const { verdict, findings } = judgeCopies(copies, settings);
      if (verdict.kind === 'pass') continue;
      const found = findings.filter(({ severity }) => severity !== 'note');
      stopped.push(`${template}: ${verdict.reasons.join(' ')} ${JSON.stringify(found)}`);
    }
    assert.deepEqual(stopped, []);
  });
}

it('none of them passes with another customer in it', async () => {
  const passed: string[] = [];
  for (const { name, from, reader, roles, bytes } of all) {
    const text = bytes.toString('latin1').replace('Subject: ', 'X-Note: bob@y.test\r\nSubject: ');
    const envelope = { from, recipients: [reader], smtpUtf8: true };
    const copies = await withAttachments([{ envelope, bytes: Buffer.from(text, 'latin1') }]);
    const { verdict } = judgeCopies(copies, {
      policy: policyFrom('bulk', { roleAddresses: roles }),
    });
    if (verdict.kind === 'pass') passed.push(name);
  }
  assert.deepEqual(passed, []);
});
