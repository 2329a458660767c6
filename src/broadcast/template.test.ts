/** Templates: what becomes a literal, what a slot says, and what is refused by name and place. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
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
