import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeDeliveryReport, type DeliveryReport } from './delivery-report.ts';
import { allParts, parseMessage } from './message.ts';

const REPORT: DeliveryReport = {
  host: 'gate.example',
  to: 'office@northwind.example',
  date: 'Thu, 01 Jan 2026 00:00:00 +0000',
  id: 'dsn-1',
  envelopeId: '',
  sentence: 'It was refused.',
  recipients: [{ address: 'ann@x.test', original: '', status: '5.1.1', diagnostic: '550 5.1.1' }],
  returned: { whole: false, bytes: Buffer.from('Subject: x\r\n') },
};

const compose = (changes: Partial<DeliveryReport> = {}): Buffer =>
  composeDeliveryReport({ ...REPORT, ...changes });

test('a report is the three parts of RFC 6522 and has no defect', () => {
  const message = parseMessage(compose());
  assert.deepEqual(message.defects, []);
  assert.equal(message.root.parameters.get('report-type'), 'delivery-status');
  assert.deepEqual(
    allParts(message)
      .slice(1)
      .map(({ contentType }) => contentType)
      .slice(0, 3),
    ['text/plain', 'message/delivery-status', 'text/rfc822-headers'],
  );
  assert.match(compose().toString(), /\r\nAuto-Submitted: auto-replied\r\n/);
});

test('a reader outside ASCII is written in the form that ASCII carries', () => {
  const recipients = [
    { address: '用户@x.test', original: '', status: '5.1.1', diagnostic: 'nö\r\nX: y' },
  ];
  const bytes = compose({ recipients });
  assert.match(bytes.toString(), /\r\nFinal-Recipient: utf-8; \\x\{7528\}\\x\{6237\}@x\.test\r\n/);
  assert.ok(bytes.every((byte) => byte < 128));
  assert.doesNotMatch(bytes.toString(), /\r\nX: y/);
});

test('xtext is undone, but never into a line break', () => {
  const recipients = [
    {
      address: 'a@x.test',
      original: 'rfc822;a+2Bb+40x.test+0D+0A',
      status: '5.0.0',
      diagnostic: '',
    },
  ];
  const text = compose({ recipients, envelopeId: 'Q+2B1+0D' }).toString();
  assert.match(text, /\r\nOriginal-Recipient: rfc822; a\+b@x\.test\+0D\+0A\r\n/);
  assert.match(text, /\r\nOriginal-Envelope-Id: Q\+1\+0D\r\n/);
});

test('returned bytes outside ASCII are declared as 8bit', () => {
  const bytes = compose({
    returned: { whole: true, bytes: Buffer.from('Subject: x\r\n\r\ngrüße\r\n') },
  });
  const text = bytes.toString();
  assert.equal(text.match(/Content-Transfer-Encoding: 8bit/g)?.length, 2);
  assert.match(text, /\r\n\r\nSubject: x\r\n\r\ngrüße\r\n\r\n--/);
});
