/** docs/gates/mailgun.md against the schema and against what the guard does, both ways. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { judgeCopies } from '../../guard/judge.ts';
import { policyFrom } from '../../policy/policy.ts';
import { createMailgunAdapter } from './mailgun.ts';
import { FIELDS } from './mailgun-form.ts';
import { type FormField, writeForm } from './multipart-form.ts';

const OTHER = 'other@mail.example';
const READER = 'reader@mail.example';
const adapter = createMailgunAdapter({ approvedTemplates: 'any' });

function documentedRows(): ReadonlyMap<string, string> {
  const page = readFileSync(new URL('../../../docs/gates/mailgun.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^\| `([a-z][a-z:*-]+)` \| (\w+) \| [^|]+ \|$/gm);
  return new Map([...rows].map(([, path = '', kind = '']) => [path, kind]));
}

function field(name: string, text: string, fileName: string | null = null): FormField {
  return { name, fileName, contentType: null, content: Buffer.from(text) };
}

const BASE = [
  field('from', 'news@company.example'),
  field('to', READER),
  field('subject', 'Hello'),
  field('text', 'A text.'),
];
const MIME =
  'From: news@company.example\r\nTo: reader@mail.example\r\nSubject: Hello\r\n\r\nA text.';

/** `refuse` with the reasons, `invalid` with the place, or `pass`; under a judge who knows the other reader. */
function outcome(fields: readonly FormField[], path = '/v3/company.example/messages'): string {
  const { contentType, body } = writeForm(fields);
  const endpoint = adapter.match('POST', path);
  assert.ok(endpoint !== null && endpoint !== 'method-not-allowed');
  const headers = { 'content-type': contentType };
  const reading = adapter.read({ endpoint, method: 'POST', path, headers, body });
  if (reading.kind === 'invalid') return `invalid ${reading.errors[0]?.field}`;
  const settings = { policy: policyFrom('bulk'), isCustomer: (one: string) => one === OTHER };
  const { verdict } = judgeCopies(reading.copies, settings);
  return verdict.kind === 'pass' ? 'pass' : `${verdict.kind} ${verdict.reasons.join()}`;
}

const mime = (fields: readonly FormField[]): string =>
  outcome(fields, '/v3/company.example/messages.mime');

function planted(name: string, text: string): readonly FormField[] {
  const rest = BASE.filter((one) => one.name !== name || name === 'to');
  if (name === 'from') return [...rest, field(name, `"${text}" <news@company.example>`)];
  if (name === 't:variables') return [...rest, field(name, JSON.stringify({ list: text }))];
  if (name === 'recipient-variables') {
    return [...rest, field(name, JSON.stringify({ [READER]: { list: text } }))];
  }
  if (name === 'attachment' || name === 'inline') return [...rest, field(name, text, 'a.csv')];
  return [...rest, field(name.replace('*', 'X-Planted'), text)];
}

test('the documentation has a row for each parameter of the schema, and no other', () => {
  const names = [...Object.keys(FIELDS), 'h:*', 'v:*'];
  assert.ok(names.length > 30, 'the schema was read');
  assert.deepEqual([...documentedRows().keys()].sort(), names.sort());
  assert.equal(outcome(BASE), 'pass');
});

for (const [name, kind] of documentedRows()) {
  if (name === 'message') {
    test('another customer in the header or the text of a MIME message stops the call', () => {
      const call = (text: string) => [field('to', READER), field('message', text, 'm.eml')];
      assert.equal(mime(call(MIME)), 'pass');
      assert.match(mime(call(MIME.replace('Subject', `Cc: ${OTHER}\r\nSubject`))), /^refuse /);
      assert.match(mime(call(MIME.replace('A text', `A text for ${OTHER}`))), /^refuse /);
      const lists = `X-Mailgun-Recipient-Variables: {"${OTHER}":{}}\r\nSubject`;
      assert.match(mime(call(MIME.replace('Subject', lists))), /^invalid message/);
    });
  } else if (kind === 'inspected') {
    test(`another customer's address in ${name} stops the call`, () => {
      assert.match(outcome(planted(name, OTHER)), /^refuse /);
      if (!/^(?:to|cc|bcc)$/.test(name)) assert.equal(outcome(planted(name, 'word')), 'pass');
    });
  } else {
    test(`an address in ${name} is refused`, () => {
      assert.match(outcome(planted(name, OTHER)), /^invalid /);
    });
  }
}

test('what a MIME call adds to its message is looked at too', () => {
  const call = [field('to', READER), field('message', MIME, 'm.eml')];
  for (const name of ['h:X-Planted', 'v:planted', 'o:tag']) {
    assert.match(mime([...call, field(name, OTHER)]), /^refuse /);
    assert.equal(mime([...call, field(name, 'word')]), 'pass');
  }
  const variables = JSON.stringify({ [READER]: { list: `${'x '.repeat(900)}${OTHER}` } });
  assert.match(mime([...call, field('recipient-variables', variables)]), /^refuse /);
});

test('what Mailgun itself fills in is no placeholder; what nobody fills in is one', () => {
  const call = (text: string, variables: object) => [
    ...BASE.filter(({ name }) => name !== 'text'),
    field('text', text),
    field('recipient-variables', JSON.stringify({ [READER]: variables })),
  ];
  const text = 'Dear %recipient.name%: %unsubscribe_url% %recipient_email%';
  assert.equal(outcome(call(text, { name: 'Ann' })), 'pass');
  assert.equal(outcome(call(text, { nmae: 'Ann' })), 'hold placeholder');
});

test('a variable that breaks a header, two spellings of one address, and another charset are refused', () => {
  const variables = (value: object) => field('recipient-variables', JSON.stringify(value));
  const subject = [
    ...BASE.filter(({ name }) => name !== 'subject'),
    field('subject', 'For %recipient.x%'),
  ];
  assert.equal(outcome([...subject, variables({ [READER]: { x: 'Ann' } })]), 'pass');
  const broken = variables({ [READER]: { x: 'a\r\nBcc: b@x.test' } });
  assert.equal(outcome([...subject, broken]), 'invalid subject');
  const twice = variables({ [READER]: {}, [READER.toUpperCase()]: {} });
  assert.equal(outcome([...BASE, twice]), 'invalid recipient-variables');
  const latin = { ...field('html', 'x'), contentType: 'text/plain; charset=utf-7' };
  assert.equal(outcome([...BASE, latin]), 'invalid html');
});
