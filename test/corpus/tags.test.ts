/** Placeholders nobody filled in, of all dialects, are found; code in a newsletter is not taken for one. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { placeholder } from '../../src/detect/placeholder.ts';
import { parseMessage } from '../../src/mail/message.ts';
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

it('at least 99 in 100 placeholders are found', (context) => {
  const missed = fixtures.filter((fixture) => !isFound(fixture));
  context.diagnostic(`${fixtures.length - missed.length} of ${fixtures.length} found`);
  const shown = missed.map(({ dialect, place, content }) => `${dialect} ${place}: ${content}`);
  assert.ok(missed.length * 100 <= fixtures.length, shown.join('\n'));
});

it('at most 1 in 1,000 honest paragraphs with code in them is taken for one', (context) => {
  const paragraphs = codeNewsletter();
  const alarms = paragraphs.filter(({ html, content }) =>
    isFound({ place: html ? 'html' : 'text', content }),
  );
  context.diagnostic(`${alarms.length} of ${paragraphs.length} alarms`);
  assert.equal(paragraphs.length, 1_000);
  const shown = new Set(alarms.map(({ content }) => content.replace(/About \w+/, '')));
  assert.ok(alarms.length * 1_000 <= paragraphs.length, [...shown].join('\n'));
});
