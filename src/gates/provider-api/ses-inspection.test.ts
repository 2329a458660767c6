/** docs/gates/ses.md against the schema and against what the guard does, both ways. */

import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { judgeCopies } from '../../guard/judge.ts';
import { policyFrom } from '../../policy/policy.ts';
import { createSesAdapter } from './ses.ts';
import { SEND_BULK_EMAIL, SEND_EMAIL, type Shape } from './ses-schema.ts';
import { sigv4Keys } from './sigv4.ts';

const OTHER = 'other@mail.example';
const KINDS = ['inspected', 'restricted', 'sender', 'harmless', 'refused'];
const adapter = createSesAdapter({
  approvedTemplates: 'any',
  keys: sigv4Keys(createSecretKey(Buffer.alloc(32))),
});

function documentedRows(): ReadonlyMap<string, string> {
  const page = readFileSync(new URL('../../../docs/gates/ses.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^\| `([A-Z][A-Za-z.[\]]+)` \| (\w+) \| [^|]+ \|$/gm);
  return new Map([...rows].map(([, path = '', kind = '']) => [path, kind]));
}

function leavesOf(shape: Shape, path: string): readonly (readonly [string, Shape])[] {
  if (shape.kind === 'array') return leavesOf(shape.of, `${path}[]`);
  if (shape.kind !== 'object') return [[path, shape]];
  return Object.entries(shape.members).flatMap(([name, inner]) =>
    leavesOf(inner, path === '' ? name : `${path}.${name}`),
  );
}

const LEAVES = new Map([...leavesOf(SEND_EMAIL, ''), ...leavesOf(SEND_BULK_EMAIL, '')]);

/** A value of the leaf's kind that holds the address, where it can. */
function plant(shape: Shape, text: string): string {
  if (shape.kind === 'base64') return Buffer.from(`name;${text}`).toString('base64');
  return shape.kind === 'template-data' ? JSON.stringify({ list: text }) : text;
}

/** Calls that pass: a bulk call to two people, one entry each; a call to one person beside it. */
function base(path: string): Record<string, unknown> {
  const from = { FromEmailAddress: 'news@company.example' };
  const data = '{"name":"x"}';
  const inline = { TemplateContent: { Subject: 'Hello', Text: 'A text.' }, TemplateData: data };
  const template = /Template(?:Name|Arn)$/.test(path) ? { TemplateData: data } : inline;
  if (/^(?:Default|BulkEmail)/.test(path)) {
    const entry = (one: string) => ({ Destination: { ToAddresses: [one] } });
    const BulkEmailEntries = [entry('reader@mail.example'), entry(OTHER)];
    return { ...from, DefaultContent: { Template: template }, BulkEmailEntries };
  }
  const Simple = { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'A text.' } } };
  const Content = path.includes('.Template') ? { Template: template } : { Simple };
  return { ...from, Content, Destination: { ToAddresses: ['reader@mail.example'] } };
}

function callWith(path: string, value: string): object {
  const body = base(path);
  let at: Record<string, unknown> = body;
  const steps = path.split('.');
  for (const [index, step] of steps.entries()) {
    const name = step.replace('[]', '');
    if (index === steps.length - 1) {
      const before = (at[name] as unknown[] | undefined) ?? [];
      at[name] = step.endsWith('[]') ? [...before, value] : value;
    } else if (step.endsWith('[]')) {
      const list = (at[name] as Record<string, unknown>[] | undefined) ?? [emptyItem(name)];
      at[name] = list;
      at = list[0] ?? {};
    } else {
      at[name] ??= name === 'ListManagementOptions' ? { ContactListName: 'x' } : {};
      at = at[name] as Record<string, unknown>;
      if (name === 'Html') at.Data ??= '<p>x</p>';
    }
  }
  return body;
}

function emptyItem(name: string): Record<string, unknown> {
  if (name === 'Attachments') return { RawContent: 'eA==', FileName: 'x.txt' };
  return { Name: 'X-Planted', Value: 'x' };
}

/** `refuse` with the reasons, `invalid`, or `pass`; under a judge who knows the other reader. */
function outcome(body: object): string {
  const bulk = 'BulkEmailEntries' in body;
  const path = bulk ? '/v2/email/outbound-bulk-emails' : '/v2/email/outbound-emails';
  const endpoint = adapter.match('POST', path);
  assert.ok(endpoint !== null && endpoint !== 'method-not-allowed');
  const call = {
    endpoint,
    method: 'POST',
    path,
    headers: {},
    body: Buffer.from(JSON.stringify(body)),
  };
  const reading = adapter.read(call);
  if (reading.kind === 'invalid') return `invalid ${reading.errors[0]?.field}`;
  const settings = { policy: policyFrom('bulk'), isCustomer: (one: string) => one === OTHER };
  const { verdict } = judgeCopies(reading.copies, settings);
  return verdict.kind === 'pass' ? 'pass' : `${verdict.kind} ${verdict.reasons.join()}`;
}

test('the documentation has a row for each member of the model, and no other', () => {
  assert.ok(LEAVES.size > 50, 'the schema was read');
  assert.deepEqual([...documentedRows().keys()].sort(), [...LEAVES.keys()].sort());
  for (const kind of documentedRows().values()) assert.ok(KINDS.includes(kind), kind);
});

test('the calls into which addresses are planted pass without them', () => {
  for (const path of ['TenantName', 'DefaultEmailTags', 'Content.Template.Headers']) {
    assert.equal(outcome(base(path)), 'pass');
  }
});

/** Raw data is a whole message, and has its own tests. */
const WHOLE_MESSAGE = 'Content.Raw.Data';

for (const [path, shape] of LEAVES) {
  const kind = documentedRows().get(path);
  if (path === WHOLE_MESSAGE) continue;
  if (kind === 'inspected') {
    test(`another customer's address in ${path} stops the call`, () => {
      const planted = shape.kind === 'mailbox' ? `"${OTHER}" <staff@company.example>` : OTHER;
      const value = path.includes('Destination') ? OTHER : plant(shape, planted);
      const blind = path.endsWith('BccAddresses[]');
      if (blind) assert.match(outcome(callWith(path, value)), /^refuse visible-recipients/);
      else assert.match(outcome(callWith(path, value)), /^refuse /);
      if (shape.kind !== 'mailbox')
        assert.equal(outcome(callWith(path, plant(shape, 'word'))), 'pass');
    });
  } else if (kind === 'restricted' || kind === 'refused') {
    test(`an address in ${path} is refused as malformed`, () => {
      assert.match(outcome(callWith(path, plant(shape, OTHER))), /^invalid /);
    });
  } else if (kind === 'harmless') {
    test(`${path} changes nothing for a reader`, () => {
      const value = shape.kind === 'string' && shape.pattern?.test(OTHER) === true ? OTHER : 'word';
      const fitting = /Arn$/.test(path) ? `arn:aws:ses:eu-west-1:1:identity/${OTHER}` : value;
      assert.equal(outcome(callWith(path, fitting)), 'pass');
    });
  }
}
