/** The demo's notice and its invented customers keep their promises. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { IntlMessageFormat } from 'intl-messageformat';
import {
  type SampleCustomer,
  sampleCanonical,
  sampleCustomers,
  writeCustomersCsv,
} from '../demo/sample-customers.ts';
import { direction } from '../src/broadcast/language.ts';
import { type Notice, readNotice } from '../src/broadcast/notice.ts';
import { type CustomerFields, compileTemplate } from '../src/broadcast/template.ts';

const FOLDER = new URL('../demo/notice/', import.meta.url);

function demoNotice(): Notice {
  const files: Record<string, string> = {};
  for (const name of readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }))
    if (/\.(?:json|html|txt)$/.test(name))
      files[name] = readFileSync(new URL(name, FOLDER), 'utf8');
  return readNotice(files);
}

const notice = demoNotice();

const SCRIPTS: Readonly<Record<string, RegExp>> = {
  en: /\p{Script=Latin}/gu,
  es: /\p{Script=Latin}/gu,
  de: /\p{Script=Latin}/gu,
  'zh-Hans': /\p{Script=Han}/gu,
  ar: /\p{Script=Arabic}/gu,
  ru: /\p{Script=Cyrillic}/gu,
};

function messagesOf(language: string): Readonly<Record<string, string>> {
  return notice.messages[language] ?? {};
}

function rendered(language: string, form: 'html' | 'text', customer: CustomerFields): string {
  return compileTemplate(notice[form], {
    file: form,
    language,
    direction: direction(language),
    messages: messagesOf(language),
    escape: form === 'html' ? 'html' : 'none',
    fields: notice.settings.fields,
  })
    .map((piece) => (piece.kind === 'literal' ? piece.text : piece.render(customer)))
    .join('');
}

/** Words of the prose: names, symbols and addresses that every language shares are left out. */
function words(language: string): Set<string> {
  const prose = Object.entries(messagesOf(language))
    .filter(([key]) => key !== 'footer')
    .map(([, text]) =>
      text.replace(
        /\{count, plural,|\{(?:name|number)\}|\b(?:one|two|few|many|zero|other) \{/g,
        ' ',
      ),
    )
    .join(' ')
    .replace(/\S+@\S+|\.?\b(?:NX\w*|UTC|northwind\S*|status)\b/gi, ' ');
  const segmenter = new Intl.Segmenter(language, { granularity: 'word' });
  const found = new Set<string>();
  for (const { segment } of segmenter.segment(prose))
    if (/\p{L}/u.test(segment)) found.add(segment.toLowerCase());
  return found;
}

function share(one: Set<string>, other: Set<string>): number {
  const common = [...one].filter((word) => other.has(word)).length;
  return common / Math.min(one.size, other.size);
}

test('the notice is offered in six languages, one from right to left and one in Chinese', () => {
  assert.deepEqual(Object.keys(SCRIPTS), notice.settings.languages);
  assert.equal(notice.settings.languages.filter((tag) => direction(tag) === 'rtl').length, 1);
});

test('every language writes in its own script', () => {
  for (const [language, script] of Object.entries(SCRIPTS)) {
    for (const [key, text] of Object.entries(messagesOf(language))) {
      if (!/\p{L}/u.test(text) || key === 'footer') continue;
      const prose = text.replace(
        /\S*\.example|\{\w+, plural,|\b(?:zero|one|two|few|many|other) \{|\{\w+\}|\bNX\w*|UTC/g,
        ' ',
      );
      const letters = prose.match(/\p{L}/gu)?.length ?? 0;
      const own = prose.match(script)?.length ?? 0;
      assert.ok(own >= letters * 0.6, `${language} ${key}: ${own} of ${letters} letters`);
    }
  }
});

test('all languages have the same messages and the same arguments in them', () => {
  const wanted = messagesOf('en');
  for (const language of notice.settings.languages) {
    assert.deepEqual(Object.keys(messagesOf(language)), Object.keys(wanted));
    for (const [key, text] of Object.entries(messagesOf(language))) {
      const argumentsOf = (message: string): string[] =>
        [...new Set(message.match(/(?<=\{)(?:name|number|count)\b/g) ?? [])].sort();
      assert.deepEqual(argumentsOf(text), argumentsOf(wanted[key] ?? ''), `${language} ${key}`);
    }
  }
});

test('every message is ICU MessageFormat and counts with the plural categories of its language', () => {
  for (const language of notice.settings.languages) {
    for (const text of Object.values(messagesOf(language))) new IntlMessageFormat(text, language);
    const positions = messagesOf(language).positions ?? '';
    for (const category of new Intl.PluralRules(language).resolvedOptions().pluralCategories)
      assert.match(positions, new RegExp(`\\b${category} \\{`), `${language} ${category}`);
  }
});

test('plurals are right where a language has many forms', () => {
  const positions = (language: string, count: number): string =>
    String(new IntlMessageFormat(messagesOf(language).positions ?? '', language).format({ count }));
  assert.match(positions('ru', 1), /1 открытая позиция /);
  assert.match(positions('ru', 3), /3 открытые позиции /);
  assert.match(positions('ru', 21), /21 открытая позиция /);
  assert.match(positions('ru', 12), /12 открытых позиций /);
  assert.match(positions('ar', 2), /مركزان/);
  assert.match(positions('ar', 5), /مراكز/);
  assert.match(positions('de', 0), /keine offene Position/);
});

test('no two languages share more than a fifth of their words', () => {
  const every = new Map(notice.settings.languages.map((tag) => [tag, words(tag)]));
  assert.equal(share(words('en'), words('en')), 1);
  for (const [one, its] of every)
    for (const [other, theirs] of every)
      if (one < other)
        assert.ok(share(its, theirs) <= 0.2, `${one}, ${other}: ${share(its, theirs)}`);
});

test('name, customer number and count stand in both forms of the message, escaped in HTML', () => {
  const customer = { name: "Niamh <O'Brien>", id: 'NX-480213-7', positions: 3 };
  for (const language of notice.settings.languages) {
    const html = rendered(language, 'html', customer);
    const text = rendered(language, 'text', customer);
    assert.ok(html.includes('Niamh &lt;O&#39;Brien&gt;') && text.includes("Niamh <O'Brien>"));
    for (const form of [html, text]) {
      assert.ok(form.includes('NX-480213-7') && form.includes('3'));
      assert.doesNotMatch(form, /\{\{|\{%|undefined|\{count/);
    }
    assert.ok(html.includes(`<html lang="${language}" dir="${direction(language)}">`));
    const bytes = Buffer.byteLength(html);
    assert.ok(bytes > 4_000 && bytes < 9_000, `${language}: ${bytes} bytes of HTML`);
  }
});

test('the notice has no link, no picture and nothing from elsewhere', () => {
  const shown = (html: string): boolean =>
    /<(?:a|img|link|script|iframe)\b|https?:|url\(/i.test(html);
  assert.ok(shown('<p><a href="x">x</a></p>'));
  assert.ok(!shown(notice.html));
});

test('the only addresses in the notice are the company’s, and none joins a letter of another script', () => {
  for (const language of notice.settings.languages) {
    const text = rendered(language, 'text', { name: 'A B', id: 'NX-1', positions: 0 });
    const found = text.match(/[^\s<>]+@[^\s<>]+/g) ?? [];
    assert.ok(found.length > 0);
    for (const address of found)
      assert.ok(notice.settings.roleAddresses.includes(address.replace(/\.$/, '')), address);
  }
});

const people = [...sampleCustomers(22_000, 1)];

function portion(matches: (person: SampleCustomer) => boolean): number {
  return people.filter(matches).length / people.length;
}

test('the same seed gives the same people, and another seed others', () => {
  assert.deepEqual([...sampleCustomers(500, 1)], people.slice(0, 500));
  assert.notDeepEqual([...sampleCustomers(500, 2)], people.slice(0, 500));
});

test('no two customers share an address or a number', () => {
  assert.equal(new Set(people.map((person) => sampleCanonical(person.email))).size, people.length);
  assert.equal(new Set(people.map((person) => person.id)).size, people.length);
  assert.equal(sampleCanonical('A.B@BÜCHER.example'), 'a.b@xn--bcher-kva.example');
});

test('every address is on a reserved domain and has a plain form', () => {
  for (const { email } of people)
    assert.match(email, /^[\p{L}\p{N}\p{M}._+-]+@[\p{L}\p{N}\p{M}.-]+\.(?:example|test)$/u);
  assert.ok(!people.some(({ email }) => /\.\.|^\.|\.@/.test(email)));
});

test('languages, big providers, IDN domains and SMTPUTF8 addresses come in the stated shares', () => {
  const near = (value: number, wanted: number, by: number): void =>
    assert.ok(Math.abs(value - wanted) <= by, `${value}, not about ${wanted}`);
  near(
    portion((person) => person.language === 'en'),
    0.46,
    0.02,
  );
  near(
    portion((person) => person.language === 'ar'),
    0.06,
    0.01,
  );
  near(
    portion((person) => person.email.endsWith('@mail.example')),
    0.27,
    0.02,
  );
  near(
    portion((person) => /@.*[^\0-\x7f]/.test(person.email)),
    0.01,
    0.003,
  );
  near(
    portion((person) => /[^\0-\x7f].*@/.test(person.email)),
    0.005,
    0.002,
  );
  assert.ok(new Set(people.map(({ email }) => email.split('@')[1])).size > 2_000);
});

test('the CSV has one line per customer under the five columns', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'undisclosed-sample-'));
  try {
    await writeCustomersCsv(join(folder, 'customers.csv'), 300, 1);
    const lines = (await readFile(join(folder, 'customers.csv'), 'utf8')).trimEnd().split('\n');
    assert.equal(lines[0], 'id,email,name,language,positions');
    assert.equal(lines.length, 301);
    const { id, email, name, language, positions } = people[0] ?? assert.fail();
    assert.equal(lines[1], `${id},${email},${name},${language},${positions}`);
  } finally {
    await rm(folder, { recursive: true });
  }
});
