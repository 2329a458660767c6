import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { POLICIES } from '../policy/policy.ts';
import { judge, judgeCopies, type Submission } from './judge.ts';

const settings = { policy: POLICIES.bulk };

function people(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `person.${index}@mail${index % 50}.test`);
}

function submission(to: string, recipients: readonly string[], body = 'Hello'): Submission {
  const text = `From: Shop <news@shop.example>\r\nTo: ${to}\r\nSubject: Index\r\n\r\n${body}\r\n`;
  return { envelope: { from: '', recipients, smtpUtf8: false }, bytes: Buffer.from(text) };
}

describe('judge', () => {
  it('counts 999,000 disclosures where a thousand people would see each other', () => {
    const readers = people(1000);
    const judgement = judge(submission(readers.join(', '), readers), settings);
    assert.deepEqual(judgement.verdict, { kind: 'refuse', reasons: ['visible-recipients'] });
    assert.equal(judgement.disclosures, 999_000);
    assert.equal(judgement.readers, 1000);
    assert.equal(judgement.visible.length, 1001);
  });

  it('passes a thousand blind copies, and none is a disclosure', () => {
    const judgement = judge(submission('undisclosed-recipients:;', people(1000)), settings);
    assert.equal(judgement.verdict.kind, 'pass');
    assert.equal(judgement.disclosures, 0);
    assert.deepEqual(judgement.visible, ['news@shop.example']);
  });

  it('counts as disclosed what a policy lets people show each other', () => {
    const both = ['a@x.test', 'b@x.test'];
    const judgement = judge(submission(both.join(), both), { policy: POLICIES.person });
    assert.equal(judgement.verdict.kind, 'pass');
    assert.equal(judgement.disclosures, 2);
  });

  it('counts what one reader would learn of others who are no readers', () => {
    const judgement = judge(submission('a@x.test, b@x.test, c@x.test', ['a@x.test']), settings);
    assert.equal(judgement.disclosures, 2);
  });

  it('counts the one in To against every other reader', () => {
    const judgement = judge(submission('a@x.test', ['a@x.test', 'b@x.test', 'c@x.test']), settings);
    assert.equal(judgement.verdict.kind, 'refuse');
    assert.equal(judgement.disclosures, 2);
  });

  it('counts a recipient given twice, or in two spellings, once', () => {
    const judgement = judge(submission('a@x.test', ['a@x.test', 'A@X.TEST']), settings);
    assert.equal(judgement.readers, 1);
    assert.equal(judgement.verdict.kind, 'pass');
  });

  it('says why it allowed what it allowed, without an address', () => {
    const { verdict } = judge(submission('a@x.test', ['a@x.test'], 'news@shop.example'), settings);
    assert.equal(verdict.kind, 'pass');
    assert.equal(verdict.kind === 'pass' && verdict.allowedBecause.length, 1);
    assert.ok(verdict.kind === 'pass' && !verdict.allowedBecause.join().includes('@'));
  });

  it('defers when something in it breaks, and tells whoever asked', () => {
    const faults: unknown[] = [];
    const judgement = judge(submission('a@x.test', ['a@x.test'], 'b@x.test'), {
      ...settings,
      isCustomer: () => {
        throw new Error('the index is gone');
      },
      onFault: (error) => faults.push(error),
    });
    assert.deepEqual(judgement.verdict, { kind: 'defer', reasons: ['guard-fault'] });
    assert.equal(faults.length, 1);
  });

  it('never throws, whatever the bytes are', () => {
    let state = 1;
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.alloc(400);
      for (let index = 0; index < bytes.length; index++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        bytes[index] = ':\r\n <>"@;,=?ab.\t()\0\xff-/'.charCodeAt((state >>> 20) % 25);
      }
      const { verdict } = judge(
        { envelope: { from: '', recipients: ['a@x.test'], smtpUtf8: false }, bytes },
        settings,
      );
      assert.notEqual(verdict.kind, 'defer');
    }
  });

  it('takes no time that grows with the square of the recipients', () => {
    const readers = people(20_000);
    const one = submission(readers.join(',\r\n '), readers);
    // 160 ms at leisure; with the square it would be minutes.
    const elapsed = quickestMs(3_000, () => judge(one, settings));
    assert.ok(elapsed < 3_000, `${elapsed} ms`);
  });
});

describe('judgeCopies', () => {
  it('passes a call of a thousand copies with one reader each', () => {
    const copies = people(1000).map((reader) => submission(reader, [reader]));
    const judgement = judgeCopies(copies, settings);
    assert.equal(judgement.verdict.kind, 'pass');
    assert.equal(judgement.readers, 1000);
    assert.equal(judgement.disclosures, 0);
  });

  it('gives the worst verdict and the sum of the disclosures', () => {
    const copies = [
      submission('a@x.test', ['a@x.test']),
      submission('b@x.test', ['b@x.test'], 'Dear {{name}}'),
      submission('c@x.test, d@x.test', ['c@x.test', 'd@x.test']),
    ];
    const judgement = judgeCopies(copies, settings);
    assert.deepEqual(judgement.verdict, {
      kind: 'refuse',
      reasons: ['placeholder', 'visible-recipients'],
    });
    assert.equal(judgement.disclosures, 2);
    assert.ok(judgement.visible.includes('d@x.test') && !judgement.visible.includes('a@x.test'));
  });

  it('finds the reader of one copy in the identifiers of another', () => {
    const bytes = Buffer.from(
      'From: Shop <news@shop.example>\r\nTo: a@x.test\r\nReferences: <b@x.test>\r\n\r\nHello\r\n',
    );
    const one = { envelope: { from: '', recipients: ['a@x.test'], smtpUtf8: false }, bytes };
    assert.equal(judge(one, settings).verdict.kind, 'pass');
    const judgement = judgeCopies([one, submission('b@x.test', ['b@x.test'])], settings);
    assert.equal(judgement.verdict.kind, 'refuse');
    assert.equal(judgement.disclosures, 1);
  });

  it('does not pass a call without a copy', () => {
    assert.equal(judgeCopies([], settings).verdict.kind, 'defer');
  });
});
