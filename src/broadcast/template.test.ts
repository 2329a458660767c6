/** Templates: what becomes a literal, what a slot says, and what is refused by name and place. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { IntlMessageFormat } from 'intl-messageformat';
import { Fault } from '../base/errors.ts';
import {
  type CustomerFields,
  compileTemplate,
  escapeHtml,
  type TemplateOptions,
} from './template.ts';

const MESSAGES = {
  hello: 'Dear {name},',
  count: '{n, plural, =0 {no orders} one {# order} other {# orders}} for {name}',
  plain: 'Nothing to do',
};

const OPTIONS: TemplateOptions = {
  file: 'notice.txt',
  language: 'en',
  direction: 'ltr',
  messages: MESSAGES,
  escape: 'none',
  fields: { name: 'text', orders: 'number' },
};

function render(
  source: string,
  fields: CustomerFields,
  options: Partial<TemplateOptions> = {},
): string {
  return compileTemplate(source, { ...OPTIONS, ...options })
    .map((piece) => (piece.kind === 'literal' ? piece.text : piece.render(fields)))
    .join('');
}

function faultOf(run: () => unknown): Fault {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error;
  }
  assert.fail('nothing was thrown');
}

test('what does not depend on the customer is a literal, the rest are slots in order', () => {
  const pieces = compileTemplate(
    "A {{ 'plain' | t }} {{ language }}: {{ customer.name }}.",
    OPTIONS,
  );
  assert.deepEqual(
    pieces.map((piece) => (piece.kind === 'literal' ? piece.text : piece.source)),
    ['A Nothing to do en: ', '{{ customer.name }}', '.'],
  );
});

test('an output says the same by the short way and by Liquid', () => {
  const fields = { name: "Ann <O'Neil> & Co", orders: 2 };
  for (const kind of ['none', 'html'] as const) {
    const pairs = [
      ['{{ customer.name }}', '{{- customer.name -}}'],
      ["{{ 'hello' | t: name: customer.name }}", "{{- 'hello' | t: name: customer.name -}}"],
      [
        "{{ 'count' | t: n: customer.orders, name: customer.name }}",
        "{{- 'count' | t: n: customer.orders, name: customer.name -}}",
      ],
    ] as const;
    for (const [short, long] of pairs)
      assert.equal(
        render(short, fields, { escape: kind }),
        render(long, fields, { escape: kind }),
        short,
      );
  }
  assert.equal(render("{{ 'hello' | t: name: customer.name }}", fields), "Dear Ann <O'Neil> & Co,");
});

test('a message’s own words are literals, escaped; what it says of the customer are slots', () => {
  const messages = {
    long: 'Dear {name} & Co, you have {n, plural, one {# order} other {# orders}}.',
    empty: '{n, plural, =0 {} other {# orders}} {name}',
  };
  const options: TemplateOptions = { ...OPTIONS, messages, escape: 'html' };
  const kinds = (key: string): readonly string[] =>
    compileTemplate(`{{ '${key}' | t: n: customer.orders, name: customer.name }}`, options).map(
      (piece) => (piece.kind === 'literal' ? piece.text : piece.kind),
    );
  assert.deepEqual(kinds('long'), ['Dear ', 'slot', ' &amp; Co, you have ', 'slot', '.']);
  assert.deepEqual(kinds('empty'), ['slot']);
});

/** Counts, with each twice so that what was kept is asked for; zero with both signs. */
const NUMBERS = [0, -0, 1, 2, 3, 5, 11, 21, 22, 101, 1000, 1234567, 1.5, -1, -0, 0, 1, 2, 21, 1.5];
const NAMES = ['Ann', "O'Neil <b>&", '王芳', 'سلمى', '{n}', '#', ' Bob '];
const HARD_MESSAGES = [
  "It''s '{'not'}' a value, {name}: #",
  '{n, number} of {name}',
  '{n, number, ::currency/EUR} and {n, number, percent}',
  '{n, plural, offset:1 =0 {nobody} =1 {{name}} other {{name} and # more}}',
  '{n, selectordinal, one {#st} two {#nd} few {#rd} other {#th}} for {name}',
  '{name, select, Ann {her {n, plural, one {# order} other {# orders}}} other {their # orders}}',
  'A {n, plural, =0 {} other {# orders}}',
  '{n}{name}',
  '<b>{name}</b> has {n}',
];

/** Every message with a value, in each language, compared with what the library says of it. */
function compareWithLibrary(language: string, messages: Readonly<Record<string, string>>): number {
  let compared = 0;
  for (const [key, text] of Object.entries(messages)) {
    const used = ['n', 'count', 'name', 'number'].filter((name) => text.includes(`{${name}`));
    if (used.length === 0) continue;
    const isNumber = (name: string): boolean => name === 'n' || name === 'count';
    const pairs = used.map((name) => `${name}: customer.${isNumber(name) ? 'orders' : 'name'}`);
    const pieces = compileTemplate(`{{ '${key}' | t: ${pairs.join(', ')} }}`, {
      ...OPTIONS,
      language,
      messages,
    });
    const library = new IntlMessageFormat(text, language, undefined, { ignoreTag: true });
    for (const orders of NUMBERS)
      for (const name of NAMES) {
        const values = Object.fromEntries(used.map((of) => [of, isNumber(of) ? orders : name]));
        const said = pieces.map((piece) =>
          piece.kind === 'literal' ? piece.text : piece.render({ name, orders }),
        );
        assert.equal(said.join(''), library.format(values), `${language} ${key} ${orders} ${name}`);
        compared++;
      }
  }
  return compared;
}

test('every message says to the letter what the library says, the demo’s and hard ones', () => {
  const demo = new URL('../../demo/notice/messages/', import.meta.url);
  for (const file of readdirSync(demo)) {
    const language = file.replace('.json', '');
    const messages = JSON.parse(readFileSync(new URL(file, demo), 'utf8'));
    assert.ok(compareWithLibrary(language, messages) >= 4 * NUMBERS.length * NAMES.length, file);
    const hard = HARD_MESSAGES.map((text, index) => [`hard-${index}`, text]);
    compareWithLibrary(language, Object.fromEntries(hard));
  }
});

test('numbers beyond those that are kept are said as well, twice', () => {
  const pieces = compileTemplate(
    "{{ 'count' | t: n: customer.orders, name: customer.name }}",
    OPTIONS,
  );
  const say = (orders: number): string =>
    pieces.map((p) => (p.kind === 'literal' ? p.text : p.render({ name: 'Ann', orders }))).join('');
  for (let round = 0; round < 2; round++)
    for (let orders = 2; orders < 1500; orders++)
      assert.equal(say(orders), `${orders.toLocaleString('en')} orders for Ann`);
});

test('a message that turns out empty is refused each time, one with words around the nothing is not', () => {
  const messages = {
    bare: '{n, plural, =0 {} other {#}}',
    around: 'A{n, plural, =0 {} other {#}}',
  };
  for (let round = 0; round < 2; round++) {
    const bare = "{{ 'bare' | t: n: customer.orders }}";
    assert.equal(
      faultOf(() => render(bare, { orders: 0 }, { messages })).code,
      'notice.empty-slot',
    );
    assert.equal(render(bare, { orders: 4 }, { messages }), '4');
    assert.equal(
      render("{{ 'around' | t: n: customer.orders }}", { orders: 0 }, { messages }),
      'A',
    );
  }
});

test('a value that a message is given and does not use must be there all the same', () => {
  for (const key of ['plain', 'hello'])
    assert.throws(() => render(`{{ '${key}' | t: name: customer.name }}`, {}), Fault);
  const source = "{{ 'hello' | t: name: customer.name, n: customer.orders }}";
  assert.equal(render(source, { name: 'Ann', orders: 1 }), 'Dear Ann,');
  assert.match(faultOf(() => render(source, { name: 'Ann' })).message, /variable n of the message/);
});

test('ICU plurals follow the number and the language', () => {
  const source = "{{ 'count' | t: n: customer.orders, name: customer.name }}";
  assert.equal(render(source, { name: 'Ann', orders: 0 }), 'no orders for Ann');
  assert.equal(render(source, { name: 'Ann', orders: 1 }), '1 order for Ann');
  assert.equal(render(source, { name: 'Ann', orders: 21 }), '21 orders for Ann');
  const messages = { count: '{n, plural, one {# заказ} few {# заказа} other {# заказов}}' };
  const russian = { messages, language: 'ru' };
  const counted = "{{ 'count' | t: n: customer.orders }}";
  assert.equal(render(counted, { orders: 21 }, russian), '21 заказ');
  assert.equal(render(counted, { orders: 3 }, russian), '3 заказа');
  assert.equal(render(counted, { orders: 11 }, russian), '11 заказов');
});

test('a template can ask for the direction of its language', () => {
  const source = "{% if direction == 'rtl' %}right{% else %}left{% endif %}";
  assert.equal(render(source, {}), 'left');
  assert.equal(render(source, {}, { direction: 'rtl', language: 'ar' }), 'right');
});

test('HTML is escaped once, in text nothing is', () => {
  const fields = { name: `a&b<c>"d'e` };
  assert.equal(render('{{ customer.name }}', fields, { escape: 'html' }), escapeHtml(fields.name));
  assert.equal(escapeHtml(fields.name), 'a&amp;b&lt;c&gt;&quot;d&#39;e');
  assert.equal(render('{{ customer.name }}', fields), fields.name);
});

test('what a customer is called is never read as a template', () => {
  for (const name of ['{{ customer.orders }}', "{{ 'plain' | t }}", '{n}', '{% if 1 %}x']) {
    assert.equal(render('{{ customer.name }}', { name, orders: 3 }), name);
    assert.equal(render("{{ 'hello' | t: name: customer.name }}", { name }), `Dear ${name},`);
  }
});

test('a slot that is undefined, null, empty or blank is refused with its source, file and line', () => {
  const missing: readonly CustomerFields[] = [
    {},
    { name: undefined as unknown as string },
    { name: null as unknown as string },
    { name: '' },
    { name: ' \t' },
  ];
  for (const source of [
    '{{ customer.name }}',
    '{{ customer.name | upcase }}',
    "{% if customer.name == 'x' %}y{% endif %}{{ customer.name }}",
  ])
    for (const fields of missing) {
      const fault = faultOf(() => render(`first line\n${source}`, fields));
      assert.equal(fault.code, 'notice.empty-slot');
      assert.match(fault.where ?? '', /^notice\.txt line 2, en$/);
      assert.match(fault.message, /customer\.name/);
    }
  for (const fields of missing.slice(0, 4)) {
    const fault = faultOf(() => render("{{ 'hello' | t: name: customer.name }}", fields));
    assert.match(fault.message, /the variable name of the message hello/);
  }
});

test('an inherited property is no field', () => {
  const options = { fields: { toString: 'text', name: 'text' } };
  assert.equal(
    faultOf(() => render('{{ customer.toString }}', { name: 'x' }, options)).code,
    'notice.empty-slot',
  );
});

test('a default fills in what is missing', () => {
  assert.equal(render("{{ customer.name | default: 'customer' }}", {}), 'customer');
});

test('a message that lacks a variable is refused', () => {
  const fault = faultOf(() => render("{{ 'hello' | t: other: customer.name }}", { name: 'x' }));
  assert.equal(fault.code, 'notice.empty-slot');
  assert.match(fault.message, /hello/);
});

test('time, chance and raw output cannot be said', () => {
  for (const source of [
    "{{ 'now' | date: '%Y' }}",
    "{{ 'today' | date: '%Y' }}",
    '{{ customer.name | date }}',
    "{{ 'a,b' | split: ',' | sample }}",
    "{{ 'a,b' | shuffle }}",
    '{{ customer.name | raw }}',
    '{% assign x = 1 %}',
    '{% for i in (1..3) %}x{% endfor %}',
    "{% include 'x' %}",
    "{% render 'x' %}",
    '{% raw %}{{ x }}{% endraw %}',
    '{% increment n %}',
    '{{ customer.name | nothing }}',
  ]) {
    const fault = faultOf(() => render(`one\n${source}`, { name: 'x' }));
    assert.equal(fault.code, 'notice.invalid', source);
    assert.match(fault.where ?? '', /^notice\.txt line 2/, source);
  }
  for (const source of ['{{ now }}', '{{ today }}', '{{ random }}', '{{ customer }}'])
    assert.equal(faultOf(() => render(source, {})).code, 'notice.undefined-variable', source);
});

test('a field that the notice does not declare is found before any customer is', () => {
  const fault = faultOf(() => compileTemplate('one\ntwo {{ customer.nmae }}', OPTIONS));
  assert.equal(fault.code, 'notice.undefined-variable');
  assert.match(fault.message, /customer\.nmae/);
  assert.equal(fault.where, 'notice.txt line 2');
});

test('a message that is missing or no ICU text names its key and its language’s file', () => {
  const missing = faultOf(() =>
    compileTemplate("{{ 'gone' | t }}", { ...OPTIONS, language: 'de' }),
  );
  assert.match(missing.where ?? '', /messages\/de\.json gone/);
  const inSlot = "x {{ 'gone' | t: name: customer.name }}";
  const slot = faultOf(() => compileTemplate(inSlot, { ...OPTIONS, language: 'de' }));
  assert.equal(slot.code, 'notice.invalid');
  assert.match(slot.where ?? '', /messages\/de\.json gone/);
  const broken = { ...OPTIONS, messages: { bad: '{name' } };
  const fault = faultOf(() => compileTemplate("{{ 'bad' | t }}", broken));
  assert.match(fault.where ?? '', /messages\/en\.json bad/);
});
