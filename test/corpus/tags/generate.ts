/**
 * Writes tags.jsonl: placeholders that nobody filled in, in the places where they are found: those of engines.ts, and more by the
 * table of dialects here. Run `node test/corpus/tags/generate.ts` to write it anew; the same seed gives the same file.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seeded } from '../../../demo/sample-customers.ts';
import {
  ENGINES,
  MISSING_FILES,
  MISSING_HTML,
  MISSING_SUBJECTS,
  MISSING_TEXTS,
} from './engines.ts';

const SEED = 20260119;
const COUNT = 450;

export interface TagFixture {
  /** `engines`: as documented, written by hand. `table`: made of the dialects and fields below. */
  readonly source: 'engines' | 'table';
  readonly dialect: string;
  readonly place: 'subject' | 'text' | 'html' | 'link' | 'file';
  /** The subject, the text, the HTML or the name of the file. */
  readonly content: string;
}

type Make = (field: string, random: () => number) => string;

/** How each system writes a field. The names of dialects are their systems'. */
const DIALECTS: readonly (readonly [string, Make])[] = [
  ['handlebars', (f) => `{{${f}}}`],
  ['liquid', (f) => `{{ ${f} | default: "friend" }}`],
  ['liquid object', (f) => `{{ customer.${f} }}`],
  ['liquid condition', (f) => `{% if ${f} %}`],
  ['handlebars raw', (f) => `{{{${f}}}}`],
  ['handlebars block', (f) => `{{#if ${f}}}`],
  ['mandrill', (f) => `*|${f.toUpperCase()}|*`],
  ['mailchimp condition', (f) => `*|IF:${f.toUpperCase()}|*`],
  ['mailgun', (f) => `%recipient.${f}%`],
  ['marketing cloud', (f) => `%%${f}%%`],
  ['marketing cloud script', (f) => `%%=v(@${f})=%%`],
  ['double brackets', (f) => `[[${f}]]`],
  ['brackets', (f) => `[${f.toUpperCase()}]`],
  ['javascript', (f) => `\${${f}}`],
  ['javascript object', (f) => `\${user.${f}}`],
  ['erb', (f) => `<%= ${f} %>`],
  ['ejs raw', (f) => `<%- ${f} %>`],
  ['ruby', (f) => `#{${f}}`],
  ['colons', (f) => `::${f}::`],
  ['sendgrid legacy', (f) => `-${f}-`],
  ['smarty', (f) => `{$${f}}`],
  ['salesforce', (f) => `{!Contact.${f}}`],
  ['template toolkit', (f) => `[% ${f} %]`],
  ['ruby i18n', (f) => `%{${f}}`],
  ['activecampaign', (f) => `%${f.toUpperCase()}%`],
  ['word', (f) => `«${f}»`],
  ['angle brackets', (f) => `<<${f}>>`],
  ['underscores', (f) => `__${f.toUpperCase()}__`],
  ['hashes', (f) => `##${f}##`],
  ['at signs', (f) => `@@${f}@@`],
  ['braces', (f) => `{${f}}`],
  ['dollars', (f) => `$${f}$`],
  ['php', (f) => `<?= $${f} ?>`],
  ['blade raw', (f) => `{!! $${f} !!}`],
];

const FIELDS = [
  'first_name',
  'firstname',
  'last_name',
  'name',
  'email',
  'company',
  'customer_id',
  'full_name',
  'firstName',
  'user_id',
];

/** What programs write where a value is missing. */
const MISSING: readonly string[] = [
  'Dear undefined,\nyour order has left.',
  'Hi null,\nwelcome back.',
  'Hello NaN!\nYour balance',
  'Dear ,\nyour statement is ready.',
  'Dear None,\nyour statement is ready.',
  'Your order number undefined has left.',
  'The amount of €NaN is due.',
  'It arrives on Invalid Date.',
  'Your plan: [object Object]',
  'Sehr geehrte ,\nIhr Konto',
];

/** As documentation of the systems shows them. */
const FROM_DOCUMENTATION: readonly string[] = [
  '{{unsubscribe_url}}',
  '{{{RESEND_UNSUBSCRIBE_URL}}}',
  '{{ contact.FIRSTNAME }}',
  '{{ params.orderId }}',
  '{{insert firstName "default=Customer"}}',
  '{{#each items}}',
  '{{ person.first_name|default:"there" }}',
  '%recipient_fname%',
  '%recipient.unsubscribe_url%',
  '%unsubscribe_url%',
  '*|LIST:COMPANY|*',
  '*|MC:SUBJECT|*',
  '*|DATE:F j, Y|*',
  '%%[ set @name = FirstName ]%%',
  '%%view_email_url%%',
  '{!Recipient.FirstName}',
  '{!Contact.Salutation}',
  '[[data:firstname:"Customer"]]',
  '[[var:name]]',
  '<%asm_group_unsubscribe_raw_url%>',
  '{{amazonSESUnsubscribeUrl}}',
  '[UNSUBSCRIBE]',
  '[FIRSTNAME]',
  '{$name}',
  '{$unsubscribe}',
  '{{ product_url }}',
  '{{trigger_info.name}}',
  '{% unsubscribe %}',
  "{% get_i18n 'hello' %}",
  '{{lead.First Name:default=there}}',
  '${lead.First Name}',
  '{{contact.firstname}}',
  '{{ customer.first_name }}',
  '{{user.attribute:name}}',
  '%%FIRST_NAME%%',
  '%FIRSTNAME%',
  '%UNSUBSCRIBELINK%',
  '{{cc.first_name}}',
  '#{user.first_name}',
  '<%= @user.name %>',
];

function placed(dialect: string, tag: string, random: () => number): TagFixture {
  const pick = (texts: readonly string[]): string =>
    texts[Math.floor(random() * texts.length)] ?? '';
  const escaped = tag.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const place = random();
  if (place < 0.15) {
    return {
      source: 'table',
      dialect,
      place: 'subject',
      content: pick([`${tag}, your order`, `News for ${tag}`, `Hello ${tag}`]),
    };
  }
  if (place < 0.5) {
    const before = pick(['Dear ', 'Hi ', 'Hello ', 'Thank you, ', 'Your account: ']);
    return {
      source: 'table',
      dialect,
      place: 'text',
      content: `${before}${tag},\nyour order has left.\n`,
    };
  }
  if (place < 0.9) {
    const open = pick(['<p>Dear ', '<td><b>Hello ', '<h1>Welcome, ']);
    return {
      source: 'table',
      dialect,
      place: 'html',
      content: `<html><body>${open}${escaped},</p><p>Bye</p></body></html>`,
    };
  }
  if (place < 0.96 && !/[<>" ]/.test(tag)) {
    return {
      source: 'table',
      dialect,
      place: 'link',
      content: `<p>See <a href="https://shop.example/u/${tag}">your page</a></p>`,
    };
  }
  return {
    source: 'table',
    dialect,
    place: 'file',
    content: `statement ${tag}.pdf`.replace(/["\\/]/g, ''),
  };
}

export function tagFixtures(): readonly TagFixture[] {
  const random = seeded(SEED);
  const fixtures: TagFixture[] = [];
  for (let index = 0; index < COUNT; index++) {
    const [dialect, make] = DIALECTS[index % DIALECTS.length] ?? ['', () => ''];
    const field = FIELDS[Math.floor(random() * FIELDS.length)] ?? '';
    fixtures.push(placed(dialect, make(field, random), random));
  }
  for (const content of MISSING)
    fixtures.push({ source: 'table', dialect: 'missing value', place: 'text', content });
  for (const tag of FROM_DOCUMENTATION) fixtures.push(placed('documentation', tag, random));
  return [...engineFixtures(random), ...fixtures];
}

/** Every tag of every engine in a text and in one more place, and what is missing where it is. */
function engineFixtures(random: () => number): readonly TagFixture[] {
  const fixtures: TagFixture[] = [];
  const add = (place: TagFixture['place'], dialect: string, contents: readonly string[]): void => {
    for (const content of contents) fixtures.push({ source: 'engines', dialect, place, content });
  };
  for (const { engine, tags } of ENGINES) {
    for (const tag of tags) {
      fixtures.push({ ...placed(engine, tag, random), source: 'engines' });
      const escaped = tag.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      if (random() < 0.5) add('html', engine, [`<table><td>Hello ${escaped}!</td></table>`]);
      else add('text', engine, [`Good morning ${tag}\nThe parcel has left.\n`]);
    }
  }
  add('text', 'missing value', MISSING_TEXTS);
  add('subject', 'missing value', MISSING_SUBJECTS);
  add('html', 'missing value', MISSING_HTML);
  add('file', 'missing value', MISSING_FILES);
  return fixtures;
}

if (import.meta.main) {
  const lines = tagFixtures().map((fixture) => `${JSON.stringify(fixture)}\n`);
  writeFileSync(join(import.meta.dirname, 'tags.jsonl'), lines.join(''));
}
