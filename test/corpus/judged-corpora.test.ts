/**
 * Every message of the public test sets is judged: without a fault, within a second, and never passed where another parser shows an
 * address that the judge does not.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';
import { readTnef } from '../../src/detect/tnef.ts';
import { withAttachments } from '../../src/guard/attachments.ts';
import { type Judgement, judgeCopies } from '../../src/guard/judge.ts';
import { canonicalAddress } from '../../src/mail/address.ts';
import { policyFrom } from '../../src/policy/policy.ts';

const root = process.env.UNDISCLOSED_CORPORA ?? '';
const missing = root === '' || !existsSync(join(root, 'mime'));
const skip = missing ? 'UNDISCLOSED_CORPORA names no folder with the mime/ test set' : false;

function files(): readonly string[] {
  return ['mime', 'eai', 'bounces']
    .map((name) => join(root, name))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((file) => !/\.(?:tsv|md)$/.test(file));
}

function asSent(bytes: Buffer): Buffer {
  if (bytes.includes('\r\n')) return bytes;
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

async function judged(bytes: Buffer): Promise<Judgement> {
  const envelope = { from: 'news@shop.example', recipients: ['reader@there.test'], smtpUtf8: true };
  const copies = await withAttachments([{ envelope, bytes }]);
  return judgeCopies(copies, { policy: policyFrom('bulk') });
}

/** Every address in any value that the parser gives for the header. */
function addressesIn(
  value: unknown,
  into: Set<string> = new Set(),
  depth = 0,
): ReadonlySet<string> {
  if (typeof value !== 'object' || value === null || depth > 8) return into;
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'address' && typeof inner === 'string' && inner.includes('@')) {
      into.add(canonicalAddress(inner) ?? inner.normalize('NFC').toLowerCase());
    } else addressesIn(inner, into, depth + 1);
  }
  return into;
}

it('each is judged without a fault, in under a second', { skip }, async () => {
  let count = 0;
  for (const file of files()) {
    const bytes = asSent(readFileSync(file));
    const before = performance.now();
    const { verdict } = await judged(bytes);
    const elapsed = performance.now() - before;
    assert.notEqual(verdict.kind, 'defer', file);
    assert.ok(elapsed < 1_000, `${file}: ${elapsed} ms`);
    count++;
  }
  assert.ok(count > 200);
});

it('an address that another parser shows is among the visible, or the message does not pass', {
  skip,
}, async () => {
  let passed = 0;
  for (const file of files()) {
    const bytes = asSent(readFileSync(file));
    const { verdict, visible } = await judged(bytes);
    if (verdict.kind !== 'pass') continue;
    passed++;
    const seen = new Set(visible);
    const { from, sender, replyTo, to, cc, bcc } = await PostalMime.parse(bytes);
    const mail = await simpleParser(bytes, { skipHtmlToText: true, skipTextToHtml: true });
    const shown = addressesIn([from, sender, replyTo, to, cc, bcc, mail.from, mail.to, mail.cc]);
    for (const address of shown) assert.ok(seen.has(address), `${file}: an address is not seen`);
  }
  assert.ok(passed > 0);
});

it('winmail.dat of real programs is read to its end, two broken ones excepted', { skip }, () => {
  const folder = join(root, 'mime');
  const names = readdirSync(folder).filter((name) => name.endsWith('.tnef'));
  const broken = names.filter((name) => !readTnef(readFileSync(join(folder, name))).whole);
  assert.ok(names.length >= 10);
  assert.deepEqual(broken.map((name) => name.replace(/^.*__/, '')).sort(), [
    'garbage-at-end.tnef',
    'panic.tnef',
  ]);
});
