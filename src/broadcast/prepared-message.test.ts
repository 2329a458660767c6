/** Prepared messages: literals and slots joined, packed and unpacked without change. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fault } from '../base/errors.ts';
import {
  assemble,
  layoutOf,
  leafOf,
  packPrepared,
  packSigned,
  SLOT,
  sha256,
  signedSlots,
  unpackPrepared,
  unpackSigned,
} from './prepared-message.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
const record = fc.record(
  {
    nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((each) => Buffer.from(each)),
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((each) => Buffer.from(each)),
    language: fc.nat(65535),
    smtpUtf8: fc.boolean(),
    reader: fc.string({ unit: 'grapheme', maxLength: 60 }),
    returnPath: fc.string({ maxLength: 60 }),
    slots: fc.array(bytes, { maxLength: 20 }),
  },
  { noNullPrototype: true },
);

test('what is packed is unpacked the same', () => {
  fc.assert(
    fc.property(record, (given) => {
      assert.deepEqual(unpackPrepared(packPrepared(given)), given);
    }),
    { numRuns: 300, seed: 1 },
  );
  fc.assert(
    fc.property(record, bytes, bytes, ({ digest }, date, dkim) => {
      assert.deepEqual(unpackSigned(packSigned({ digest, date, dkim })), { digest, date, dkim });
    }),
    { numRuns: 100, seed: 1 },
  );
});

test('a row that is cut off anywhere is a fault, not a shorter message', () => {
  const packed = packPrepared({
    nonce: Buffer.alloc(16, 1),
    digest: Buffer.alloc(32, 2),
    language: 3,
    smtpUtf8: true,
    reader: 'a@shop.example',
    returnPath: 'r-1-x@bounce.example',
    slots: [Buffer.from('one'), Buffer.alloc(0), Buffer.from('three')],
  });
  assert.equal(unpackPrepared(packed).slots.length, 3);
  for (let length = 51; length < packed.length; length++)
    assert.throws(
      () => unpackPrepared(packed.subarray(0, length)),
      (error: unknown) => error instanceof Fault && error.code === 'broadcast.malformed-row',
    );
});

test('slots are joined as they are: no template, message or reference in them is read again', () => {
  const layout = layoutOf(['A ', { slot: 6 }, ' B ', { slot: 7 }, { slot: 6 }, ' C']);
  const values = ['{{ customer.name }}', "{% if 1 %}{n, plural}'$&$1&#64;\r\n"];
  const slots = [...Array(6).fill(Buffer.alloc(0)), ...values.map((each) => Buffer.from(each))];
  const joined = assemble(layout, slots).toString();
  assert.equal(joined, `A ${values[0]} B ${values[1]}${values[0]} C`);
});

test('two messages never share bytes, whatever their size', () => {
  const layout = layoutOf([{ slot: 0 }, 'x']);
  const messages = Array.from({ length: 200 }, (_, i) => ({
    text: `${'y'.repeat(i * 211)}${i}`,
    bytes: assemble(layout, [Buffer.from(`${'y'.repeat(i * 211)}${i}`)]),
  }));
  const large = assemble(layout, [Buffer.alloc(400_000, 0x7a)]);
  for (const message of messages) assert.equal(message.bytes.toString(), `${message.text}x`);
  assert.equal(large.length, 400_001);
});

test('the signing run fills its two slots and leaves the others alone', () => {
  const slots = [Buffer.alloc(0), Buffer.alloc(0), Buffer.from('<a@b.test>')];
  const prepared = unpackPrepared(
    packPrepared({
      nonce: Buffer.alloc(16),
      digest: Buffer.alloc(32),
      language: 0,
      smtpUtf8: false,
      reader: 'a@b.test',
      returnPath: 'r@b.test',
      slots,
    }),
  );
  const dkim = Buffer.from('DKIM');
  const date = Buffer.from('Date');
  const all = signedSlots(prepared, { digest: Buffer.alloc(32), date, dkim });
  assert.deepEqual([all[SLOT.dkim], all[SLOT.date], all[SLOT.to]], [dkim, date, slots[2]]);
  assert.equal(prepared.slots[SLOT.dkim]?.length, 0);
});

test('a leaf is SHA-256 of 0x00, the nonce and the digest', () => {
  const nonce = Buffer.alloc(16, 7);
  const digest = sha256(Buffer.from('message'));
  const wanted = createHash('sha256')
    .update(Buffer.from([0]))
    .update(nonce)
    .update(digest);
  assert.deepEqual(leafOf(nonce, digest), wanted.digest());
  assert.notDeepEqual(leafOf(Buffer.alloc(16, 8), digest), leafOf(nonce, digest));
});
