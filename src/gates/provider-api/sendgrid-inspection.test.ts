/** docs/gates/sendgrid.md against the schema and against what the guard does, both ways. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { judgeCopies } from '../../guard/judge.ts';
import { policyFrom } from '../../policy/policy.ts';
import { readMailSend } from './sendgrid.ts';
import { MAIL_SEND, type Shape } from './sendgrid-schema.ts';

const OTHER = 'other@mail.example';
const KINDS = ['inspected', 'restricted', 'sender', 'harmless'];

function documentedRows(): ReadonlyMap<string, string> {
  const page = readFileSync(new URL('../../../docs/gates/sendgrid.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^\| `([^`]+)` \| (\w+) \| [^|]+ \|$/gm);
  return new Map([...rows].map(([, path = '', kind = '']) => [path, kind]));
}

function schemaLeaves(shape: Shape, path: string): readonly (readonly [string, Shape])[] {
  if (shape.kind === 'array') return schemaLeaves(shape.of, `${path}[]`);
  if (shape.kind !== 'object') return [[path, shape]];
  return Object.entries(shape.properties).flatMap(([name, inner]) =>
    schemaLeaves(inner, path === '' ? name : `${path}.${name}`),
  );
}

/** A value of the leaf's kind that holds the text, where it can. */
function plant(shape: Shape, text: string): unknown {
  if (shape.kind === 'boolean') return true;
  if (shape.kind === 'integer') return 1;
  if (shape.kind === 'base64') return Buffer.from(`name;${text}`).toString('base64');
  if (shape.kind === 'headers') return { 'X-Planted': text };
  if (shape.kind === 'strings') return { '-tag-': text };
  if (shape.kind === 'data') return { list: text };
  return text;
}

/** A call to two people that passes, with one value planted that both or the first would get. */
function callWith(path: string, value: unknown): object {
  const body = {
    personalizations: [{ to: [{ email: 'reader@mail.example' }] }, { to: [{ email: OTHER }] }],
    from: { email: 'news@company.example' },
    subject: 'Hello',
    content: [{ type: 'text/plain', value: 'A text.' }],
  };
  const steps = path.split('.');
  let at: Record<string, unknown> = body;
  for (const [index, step] of steps.entries()) {
    const name = step.replace('[]', '');
    const last = index === steps.length - 1;
    if (last) at[name] = step.endsWith('[]') ? [value] : value;
    else if (name === 'personalizations') at = body.personalizations[0] ?? {};
    else if (step.endsWith('[]')) at = appended(at, name);
    else {
      at[name] ??= name === 'asm' ? { group_id: 1 } : {};
      at = at[name] as Record<string, unknown>;
    }
    if (/^(?:from|reply_to|reply_to_list|to|cc|bcc)$/.test(name)) at.email ??= emailFor(name);
  }
  return body;
}

/** A fresh item at the end of an array, so that what stands in it stays. */
function appended(at: Record<string, unknown>, name: string): Record<string, unknown> {
  const item: Record<string, unknown> =
    name === 'content'
      ? { type: 'text/plain', value: 'x' }
      : name === 'attachments'
        ? { content: 'eA==', filename: 'x.txt' }
        : {};
  // A Reply-To with one address is the sender's word; with several each is somebody shown.
  const before = name === 'reply_to_list' ? [{ email: 'news@company.example' }] : [];
  at[name] = [...((at[name] as unknown[] | undefined) ?? before), item];
  return item;
}

function emailFor(name: string): string {
  // The second reader of a copy: not shown to anybody but through `to` itself.
  return name === 'from' || name.startsWith('reply')
    ? 'news@company.example'
    : 'archive@company.example';
}

/** `refused` with the reasons, `invalid` with the place, or `pass`. */
function outcome(body: object): string {
  const reading = readMailSend(body);
  if (reading.kind === 'invalid') return `invalid ${reading.errors[0]?.field}`;
  const { verdict } = judgeCopies(reading.copies, { policy: policyFrom('bulk') });
  return verdict.kind === 'pass' ? 'pass' : `${verdict.kind} ${verdict.reasons.join()}`;
}

test('the documentation has a row for each property of the schema, and no other', () => {
  const leaves = schemaLeaves(MAIL_SEND, '').map(([path]) => path);
  assert.ok(leaves.length > 50, 'the schema was read');
  assert.deepEqual([...documentedRows().keys()].sort(), [...leaves].sort());
  for (const kind of documentedRows().values()) assert.ok(KINDS.includes(kind), kind);
});

test('the call into which addresses are planted passes without them', () => {
  assert.equal(outcome(callWith('send_at', 1)), 'pass');
});

for (const [path, shape] of schemaLeaves(MAIL_SEND, '')) {
  const kind = documentedRows().get(path);
  // A name beside a recipient comes with that recipient, who is shown whatever the name is.
  const beside = /\b(?:cc|bcc|to)\[\]\.name$/.test(path);
  if (kind === 'inspected' && !beside) {
    test(`another reader's address in ${path} stops the call`, () => {
      assert.match(outcome(callWith(path, plant(shape, OTHER))), /^refuse /);
      // It is the address that stops it, not what had to be written around it.
      const harmless = plant(shape, shape.kind === 'email' ? 'news@company.example' : 'word');
      if (!/(?:to|cc)\[\]\.email$/.test(path))
        assert.equal(outcome(callWith(path, harmless)), 'pass');
    });
  } else if (kind === 'restricted') {
    test(`an address in ${path} is refused as malformed`, () => {
      assert.match(outcome(callWith(path, plant(shape, OTHER))), /^invalid /);
    });
  } else if (kind === 'harmless' && !beside) {
    test(`${path} changes nothing for a reader`, () => {
      const body = callWith(path, plant(shape, OTHER));
      assert.equal(outcome(body), 'pass');
      const reading = readMailSend(body);
      const texts = reading.kind === 'copies' ? reading.copies.map(({ bytes }) => bytes) : [];
      assert.doesNotMatch(Buffer.from(texts[0] ?? []).toString(), /other@/);
    });
  }
}

test("another reader's address as the name of the only one in to stops the call", () => {
  const personalizations = [
    { to: [{ email: 'reader@mail.example', name: OTHER }] },
    { to: [{ email: OTHER }] },
  ];
  const body = { ...callWith('send_at', 1), personalizations };
  assert.match(outcome(body), /^refuse /);
});
