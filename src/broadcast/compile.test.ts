/** A compiled notice: the message each customer gets, read again; what cannot be rendered; the same bytes twice. */

import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { tokenMatches } from '../keys/token.ts';
import { allParts, parseMessage } from '../mail/message.ts';
import { policyFrom } from '../policy/policy.ts';
import { type CompiledNotice, compileNotice, type Recipient } from './compile.ts';
import { type NoticeFiles, readNotice } from './notice.ts';
import { prepareMessage } from './prepare-message.ts';
import { FIRST_TEMPLATE_SLOT, SLOT } from './prepared-message.ts';
import { stages } from './stages.ts';

const KEY = createSecretKey(Buffer.alloc(32, 5));
const IDENTITY = {
  broadcast: 'b-1',
  messageIdDomain: 'northwind.example',
  returnPathDomain: 'bounce.northwind.example',
  tokenKey: KEY,
};
const SETTINGS = {
  name: 'weights',
  class: 'legal',
  from: { name: 'Northwind', address: 'notices@northwind.example' },
  replyTo: { name: 'Support', address: 'support@northwind.example' },
  subject: "{{ 'subject' | t: name: customer.name }}",
  languages: ['en', 'ar'],
  defaultLanguage: 'en',
  fields: { name: 'text', orders: 'number' },
};
const ENGLISH = {
  subject: 'News for {name}',
  hello: 'Dear {name},',
  orders: '{n, plural, one {# order} other {# orders}}',
};
const ARABIC = {
  subject: 'أخبار إلى {name}',
  hello: 'عزيزي {name}،',
  orders: '{n, plural, one {طلب واحد} two {طلبان} few {# طلبات} other {# طلب}}',
};

function compile(settings: object = {}, more: NoticeFiles = {}): CompiledNotice {
  const files = {
    'notice.json': JSON.stringify({ ...SETTINGS, ...settings }),
    'notice.html': `<html lang="{{ language }}" dir="{{ direction }}"><p>{{ 'hello' | t: name: customer.name }}</p>
<p>{{ 'orders' | t: n: customer.orders }}</p></html>\n`,
    'notice.txt': `{{ 'hello' | t: name: customer.name }}\n{{ 'orders' | t: n: customer.orders }}\n`,
    'messages/en.json': JSON.stringify(ENGLISH),
    'messages/ar.json': JSON.stringify(ARABIC),
    ...more,
  };
  return compileNotice(readNotice(files), IDENTITY);
}

const ANN: Recipient = {
  position: 7,
  address: 'Ann.Doe@shop.example',
  fields: { name: 'Ann <b>Doe</b>', orders: '1', unused: 'x' },
};

function languageOf(notice: CompiledNotice, language: string): CompiledNotice['languages'][number] {
  const found = notice.languages.find((each) => each.language === language);
  assert.ok(found !== undefined);
  return found;
}

function messageFor(recipient: Recipient, language = 'en', notice = compile()): Buffer {
  const compiled = languageOf(notice, language);
  return stages.compose(compiled.layout, stages.render(compiled, recipient).slots);
}

function prepare(recipient: Recipient, notice = compile()): ReturnType<typeof prepareMessage> {
  return prepareMessage(stages, languageOf(notice, 'en'), 0, recipient, {
    policy: policyFrom('bulk', { roleAddresses: notice.allowed.addresses, companyDomains: [] }),
    allowed: notice.allowed,
    nonce: Buffer.alloc(16),
  });
}

function textsOf(message: Buffer): readonly string[] {
  return allParts(parseMessage(message)).flatMap(({ texts }) => texts);
}

test('a customer’s message says what the templates say, escaped in HTML only', () => {
  const [text, html] = textsOf(messageFor(ANN));
  assert.match(text ?? '', /^Dear Ann <b>Doe<\/b>,\r\n1 order\r\n/);
  assert.match(html ?? '', /<p>Dear Ann &lt;b&gt;Doe&lt;\/b&gt;,<\/p>\r\n<p>1 order<\/p>/);
  const fields = parseMessage(messageFor(ANN)).headers;
  const value = (name: string): string | undefined =>
    fields.find(({ lower }) => lower === name)?.decoded;
  assert.equal(value('to'), '<Ann.Doe@shop.example>');
  assert.equal(value('subject'), 'News for Ann <b>Doe</b>');
  assert.deepEqual(parseMessage(messageFor(ANN)).defects, []);
});

test('Arabic is written from right to left, with its own plurals, in 7-bit lines of at most 76', () => {
  const message = messageFor({ ...ANN, fields: { name: 'سلمى', orders: '2' } }, 'ar');
  const [text, html] = textsOf(message);
  assert.match(text ?? '', /عزيزي سلمى،\r\nطلبان/);
  assert.match(html ?? '', /<html lang="ar" dir="rtl">/);
  assert.ok(message.every((byte) => byte < 0x80));
  for (const line of message.toString('latin1').split('\r\n')) assert.ok(line.length <= 76, line);
});

test('preparing twice gives the same bytes, and another position other tokens', () => {
  assert.deepEqual(messageFor(ANN), messageFor(ANN));
  const compiled = languageOf(compile(), 'en');
  const one = compiled.render(ANN);
  const other = compiled.render({ ...ANN, position: 8 });
  assert.notDeepEqual(one.own, other.own);
  const back = /^r-7-([a-z0-9]{20})@bounce/.exec(one.returnPath)?.[1] ?? '';
  assert.ok(tokenMatches(back, KEY, 'return-path', 'b-1', 7));
  assert.ok(!tokenMatches(back, KEY, 'return-path', 'b-1', 8));
});

test('only a subscribed notice carries one-click unsubscription, with a token and no address', () => {
  assert.doesNotMatch(messageFor(ANN).toString(), /List-Unsubscribe/);
  const unsubscribeUrl = 'https://northwind.example/u';
  const message = messageFor(ANN, 'en', compile({ class: 'subscribed', unsubscribeUrl }));
  assert.match(message.toString(), /List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n/);
  const link = /<(https:\S+)>/.exec(message.toString())?.[1] ?? '';
  const [broadcast, position, token = ''] = (new URL(link).searchParams.get('u') ?? '').split('.');
  assert.deepEqual([broadcast, position], ['b-1', '7']);
  assert.ok(tokenMatches(token, KEY, 'unsubscribe', 'b-1', 7));
  assert.doesNotMatch(link, /ann|shop/i);
});

test('an internationalised domain goes out as A-labels; only a local part beyond ASCII needs SMTPUTF8', () => {
  const compiled = languageOf(compile(), 'en');
  const domain = compiled.render({ ...ANN, address: 'ann@bücher.example' });
  assert.deepEqual([domain.reader, domain.smtpUtf8], ['ann@xn--bcher-kva.example', false]);
  const local = compiled.render({ ...ANN, address: 'jörg@shop.example' });
  assert.deepEqual([local.reader, local.smtpUtf8], ['jörg@shop.example', true]);
});

test('a customer whose field is missing, empty or no number is blocked, with field and place', () => {
  assert.equal(prepare(ANN).kind, 'prepared');
  const wrong: readonly (readonly [fields: Record<string, string>, says: RegExp, where: RegExp])[] =
    [
      [{ orders: '1' }, /customer\.name/, /notice\.(txt|json|html)/],
      [{ name: '', orders: '1' }, /name/, /notice\.(txt|json|html)/],
      [{ name: 'Ann' }, /orders|variable n/, /notice\.txt line 2, en/],
      [{ name: 'Ann', orders: 'many' }, /orders is no number/, /field orders/],
      [{ name: 'Ann', orders: ' ' }, /orders is no number/, /field orders/],
    ];
  for (const [fields, says, where] of wrong) {
    const result = prepare({ ...ANN, fields });
    assert.equal(result.kind, 'blocked');
    if (result.kind !== 'blocked') continue;
    assert.match(result.reason, says);
    assert.match(result.where, where);
    assert.doesNotMatch(JSON.stringify(result), /shop\.example/);
  }
});

test('a customer whose name is an address of somebody else is blocked', () => {
  const result = prepare({ ...ANN, fields: { name: 'bob@other.example', orders: '1' } });
  assert.equal(result.kind, 'blocked');
  assert.doesNotMatch(JSON.stringify(result), /bob|shop/);
});

test('a line break in a name reaches no header', () => {
  const result = prepare({ ...ANN, fields: { name: 'Ann\r\nBcc: x', orders: '1' } });
  assert.equal(result.kind, 'blocked');
});

test('at release slots are joined as they are, whatever stands in them', () => {
  const name = "{{ 'hello' | t }} {% if x %} {n, plural}";
  const compiled = languageOf(compile(), 'en');
  const { slots } = compiled.render({ ...ANN, fields: { name, orders: '1' } });
  const message = stages.compose(compiled.layout, slots);
  assert.match(
    textsOf(message)[0] ?? '',
    /^Dear \{\{ 'hello' \| t \}\} \{% if x %\} \{n, plural\},/,
  );
  assert.equal(slots[SLOT.dkim]?.length, 0);
  assert.ok((slots[FIRST_TEMPLATE_SLOT]?.length ?? 0) > 0);
});

test('a message missing in a template’s language, or a wrong address, is found when compiling', () => {
  const gone = { 'notice.txt': "{{ 'gone' | t: name: customer.name }}" };
  assert.throws(
    () => compile({}, gone),
    (error: unknown) => error instanceof Fault && (error.where ?? '').includes('gone'),
  );
  assert.throws(
    () => compile({ from: { name: 'N', address: 'a@b@c' } }),
    (error: unknown) => error instanceof Fault && error.where === 'notice.json from.address',
  );
});
