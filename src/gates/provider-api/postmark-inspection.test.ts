/** docs/gates/postmark.md against the tables and against what the guard does, both ways. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { judgeCopies } from '../../guard/judge.ts';
import { policyFrom } from '../../policy/policy.ts';
import { createPostmarkAdapter } from './postmark.ts';
import { ATTACHMENT, MESSAGE, TEMPLATED_MESSAGE } from './postmark-schema.ts';

const adapter = createPostmarkAdapter({ approvedTemplates: 'any' });
const READER = 'reader@mail.example';
const OTHER = 'other@mail.example';

function documentedRows(): ReadonlyMap<string, string> {
  const page = readFileSync(new URL('../../../docs/gates/postmark.md', import.meta.url), 'utf8');
  const rows = page.matchAll(/^\| `([^`]+)` \| (\w+) \| [^|]+ \|$/gm);
  return new Map([...rows].map(([, path = '', kind = '']) => [path, kind]));
}

const PATHS: readonly string[] = [
  ...new Set([...Object.keys(MESSAGE), ...Object.keys(TEMPLATED_MESSAGE)]),
].flatMap((name) =>
  name === 'Attachments' ? Object.keys(ATTACHMENT).map((it) => `Attachments[].${it}`) : [name],
);

/** A value that holds the other person's address in the way this property would. */
function plant(path: string): unknown {
  if (path === 'Cc') return `${OTHER}, third@mail.example`;
  if (path === 'To' || path === 'Bcc') return `${READER}, ${OTHER}`;
  if (path === 'ReplyTo') return `help@company.example, ${OTHER}`;
  if (path === 'Headers') return [{ Name: 'X-Planted', Value: OTHER }];
  if (path === 'Metadata') return { planted: OTHER };
  if (path === 'TemplateModel') return { list: [{ planted: OTHER }] };
  if (path === 'Attachments[].Content') return Buffer.from(`name;${OTHER}`).toString('base64');
  return OTHER;
}

function outcomeOf(path: string, value: unknown): 'stopped' | 'passed' | 'invalid' {
  const templated = Object.hasOwn(TEMPLATED_MESSAGE, path) && !Object.hasOwn(MESSAGE, path);
  const text = templated ? { TemplateId: 1, TemplateModel: {} } : { TextBody: 'A text.' };
  const message: Record<string, unknown> = { From: 'news@company.example', To: READER, ...text };
  const [, inner] = path.split('[].');
  if (inner === undefined) message[path] = value;
  else {
    const file = { Name: 'a.txt', Content: 'aaaa', ContentType: 'text/plain' };
    message.Attachments = [{ ...file, [inner]: value }];
  }
  const batch = [message, { From: 'news@company.example', To: OTHER, ...text }];
  const url = templated ? '/email/batchWithTemplates' : '/email/batch';
  const endpoint = adapter.match('POST', url);
  if (endpoint === null || endpoint === 'method-not-allowed') throw new Error('no endpoint');
  const body = Buffer.from(JSON.stringify(templated ? { Messages: batch } : batch));
  const reading = adapter.read({ endpoint, method: 'POST', path: url, headers: {}, body });
  if (reading.kind === 'invalid') return 'invalid';
  const { verdict } = judgeCopies(reading.copies, { policy: policyFrom('bulk') });
  return verdict.kind === 'pass' ? 'passed' : 'stopped';
}

test('each property of the tables has a row, and each row a property', () => {
  assert.deepEqual([...documentedRows().keys()].sort(), [...PATHS].sort());
});

test('what is called inspected stops the call that shows another reader there', () => {
  for (const [path, kind] of documentedRows()) {
    if (kind === 'inspected') assert.equal(outcomeOf(path, plant(path)), 'stopped', path);
  }
  assert.equal(outcomeOf('Subject', 'Hello'), 'passed', 'the same call without it passes');
});

test('what is called restricted or harmless takes no address', () => {
  for (const [path, kind] of documentedRows()) {
    if (kind === 'restricted' || kind === 'harmless')
      assert.equal(outcomeOf(path, OTHER), 'invalid', path);
  }
});
