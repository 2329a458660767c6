import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { policyFrom } from '../policy/policy.ts';
import { judgeCopies, type Submission } from './judge.ts';

const PEOPLE = ['Ann Smith', 'Bob Jones', 'Cem Yilmaz', 'Dee Miller', 'Eve Novak', 'Fay Brown'];
const addressOf = (name: string): string => `${name.split(' ')[0]?.toLowerCase()}@x.test`;

interface Shape {
  readonly greeting?: (name: string) => string;
  readonly link?: (index: number) => string;
  readonly closing?: (name: string) => string;
  readonly from?: readonly string[];
}

/** One copy for each person; `from` gives the names merged into the text, row by row. */
function call({ greeting, link, closing, from = PEOPLE }: Shape): readonly Submission[] {
  return PEOPLE.map((name, index) => {
    const merged = from[index] ?? '';
    const lines = [
      'From: Shop <news@shop.example>',
      `To: ${name} <${addressOf(name)}>`,
      'Subject: News',
      '',
      greeting?.(merged) ?? 'Hello',
      `Your page: ${link?.(index) ?? 'https://shop.example/'}`,
      closing?.(merged) ?? 'Kind regards, Shop',
      '',
    ];
    const envelope = { from: 'b@shop.example', recipients: [addressOf(name)], smtpUtf8: false };
    return { envelope, bytes: Buffer.from(lines.join('\r\n')) };
  });
}

function verdict(copies: readonly Submission[], policy: 'bulk' | 'person' = 'bulk'): string {
  const { verdict } = judgeCopies(copies, { policy: policyFrom(policy) });
  return [verdict.kind, ...(verdict.kind === 'pass' ? [] : verdict.reasons)].join(' ');
}

const SHIFTED = [...PEOPLE.slice(1), PEOPLE[0] ?? ''];
const dear = (name: string): string => `Dear ${name.split(' ')[0]},`;
const token = (index: number): string =>
  `https://shop.example/u/${String(index).repeat(4)}aB3dE5fG7hJ9`;

describe('the copies of one call', () => {
  it('pass where each greets its reader and has its own link', () => {
    assert.equal(verdict(call({ greeting: dear, link: token })), 'pass');
  });

  it('are held where the rows have shifted', () => {
    assert.equal(verdict(call({ greeting: dear, from: SHIFTED })), 'hold merge-mistake');
  });

  it('are held where the text names another reader, greeting or not', () => {
    const closing = (name: string): string => `This card is made out to ${name} and nobody else.`;
    assert.equal(verdict(call({ closing, from: SHIFTED })), 'hold merge-mistake');
    assert.equal(verdict(call({ closing })), 'pass');
  });

  it('pass where all name the same one of them, who signs', () => {
    assert.equal(verdict(call({ closing: () => 'Kind regards, Bob Jones' })), 'pass');
  });

  it('are held where two readers have one token, in the path or the query', () => {
    assert.equal(verdict(call({ link: (i) => token(i === 3 ? 2 : i) })), 'hold shared-token');
    const query = (i: number): string =>
      `https://shop.example/u?t=${i === 1 ? 0 : i}f00ba4deadbeef1234&utm_id=1`;
    assert.equal(verdict(call({ link: query })), 'hold shared-token');
  });

  it('pass where all have the same link, or one for each language', () => {
    assert.equal(verdict(call({ link: () => token(1) })), 'pass');
    assert.equal(verdict(call({ link: (i) => token(i % 2) })), 'pass');
  });

  it('pass where the link is words, or a file', () => {
    const words = (i: number): string =>
      `https://shop.example/our-new-terms-and-conditions-${i % 4}`;
    assert.equal(verdict(call({ link: words })), 'pass');
    const files = (i: number): string => `https://cdn.example/${i % 4}0a1b2c3d4e5f6a7b8c9d.png`;
    assert.equal(verdict(call({ link: files })), 'pass');
  });

  it('are not compared where people write', () => {
    assert.equal(verdict(call({ greeting: dear, from: SHIFTED }), 'person'), 'pass');
  });
});
