/** Calls whose subjects have the same words, numbers aside, are of one type. */

import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { campaignTypes } from './campaign-type.ts';

const typeOf = campaignTypes(createSecretKey(randomBytes(32)));
const mail = (header: string, body = 'Hello.'): Buffer =>
  Buffer.from(`From: a@company.example\r\n${header}\r\nTo: b@home.example\r\n\r\n${body}\r\n`);

test('numbers, marks, case, folding and coding make no other type; other words do', () => {
  const type = typeOf(mail('Subject: Your receipt 4711'));
  assert.match(type ?? '', /^[0-9a-f]{16}$/);
  for (const header of [
    'Subject: Your receipt 4712',
    'Subject: YOUR RECEIPT: #12-B/2026!',
    'subject:Your\r\n receipt 9',
    'SUBJECT:  Your receipt',
    'Subject: =?utf-8?q?Your_receipt_4711?=',
    'Subject: =?utf-8?b?WW91ciByZWNlaXB0IDQ3MTM=?=',
  ])
    assert.equal(typeOf(mail(header)), type, header);
  assert.notEqual(typeOf(mail('Subject: Your invoice 4711')), type);
  assert.notEqual(
    campaignTypes(createSecretKey(randomBytes(32)))(mail('Subject: Your receipt')),
    type,
  );
});

test('what has no subject with words is of no type, whatever stands in its body', () => {
  for (const header of ['X-A: b', 'Subject:', 'Subject: 4711', 'Subject: 12 / 13'])
    assert.equal(typeOf(mail(header, 'a\r\nSubject: Your receipt')), null, header);
  assert.equal(typeOf(Buffer.alloc(0)), null);
});
