/** Whole campaigns, each message a call of its own, as the judge sees them with the memory of earlier calls. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { policyFrom } from '../policy/policy.ts';
import { identityOf } from './identity.ts';
import { judge, judgeCopies, type Submission } from './judge.ts';
import { openTokenOwners } from './token-owners.ts';

const READERS = 2000;
const COUPLE_EVERY = 500;
const token = (text: string): string => createHash('sha256').update(text).digest('hex');
const own = (what: string, row: number): string => token(`${what} ${row}`).slice(0, 32);
/** The second of a couple has the link of the first. */
const household = (row: number): number =>
  row % COUPLE_EVERY === COUPLE_EVERY - 1 ? row - 1 : row;

interface Mail {
  readonly subject: string;
  readonly headers?: readonly string[];
  readonly links: readonly string[];
}

function bytesOf(row: number, { subject, headers = [], links }: Mail): Buffer {
  const html = links.map((link) => `<p><a href="${link.replaceAll('&', '&amp;')}">here</a></p>`);
  return Buffer.from(
    [
      'From: Shop <news@shop.example>',
      `To: reader${row}@home.example`,
      `Subject: ${subject}`,
      ...headers,
      'Content-Type: multipart/alternative; boundary=b',
      '',
      '--b\r\nContent-Type: text/plain\r\n',
      ...links,
      '--b\r\nContent-Type: text/html\r\n',
      ...html,
      '--b--\r\n',
    ].join('\r\n'),
  );
}

/** A program that writes to readers one after another, and the rows that were held. */
function program(
  policy: 'bulk' | 'transactional',
): (mailOf: (row: number) => Mail, from?: number, to?: number) => readonly number[] {
  const lookAt = openTokenOwners();
  const identity = identityOf('shop', policy);
  return (mailOf, from = 0, to = READERS) => {
    const held: number[] = [];
    for (let row = from; row < to; row++) {
      const recipients = [`reader${row}@home.example`];
      const bytes = bytesOf(row, mailOf(row));
      const copy = { envelope: { from: 'b@shop.example', recipients, smtpUtf8: false }, bytes };
      const look = lookAt({ copies: [copy], keep: () => bytes }, identity);
      const settings = { policy: policyFrom(policy), hadByOther: look.hadByOther };
      const { verdict } = judge(copy, settings);
      if (verdict.kind === 'pass') look.learn();
      else assert.deepEqual([verdict.kind, row, verdict.reasons], ['hold', row, ['shared-token']]);
      if (verdict.kind !== 'pass') held.push(row);
    }
    return held;
  };
}

const newsletter =
  (campaign: string) =>
  (row: number): Mail => ({
    subject: `Reader ${row}, your ${campaign}`,
    headers: [
      `List-Unsubscribe: <https://shop.example/leave?token=${own('leave', row)}>,\r\n <mailto:leave-${own('mail', row)}@shop.example>`,
    ],
    links: [
      `https://shop.example/leave?token=${own('leave', row)}&utm_campaign=${token(campaign)}`,
      `https://shop.example/land/${own(`${campaign} variant`, row % 4)}?utm_source=mail`,
      `https://shop.example/view/${own(campaign, 0)}`,
      `https://click.shop.example/c/${own(`${campaign} click`, row)}`,
      'https://shop.example/our-new-terms-and-conditions-2026',
    ],
  });

const order = (row: number): Mail => ({
  subject: `Your order ${1000 + row} has left`,
  links: [
    `https://shop.example/orders/${1000 + household(row)}?signature=${own('order', household(row))}`,
    `https://shop.example/help/${own('help', row % 3)}`,
  ],
});

function copyTo(row: number, link: string): Submission {
  const bytes = bytesOf(row, { subject: 'News', links: [link] });
  const recipients = [`reader${row}@home.example`];
  return { envelope: { from: 'b@shop.example', recipients, smtpUtf8: false }, bytes };
}

it('a call with many copies teaches, and is compared with the calls before it', () => {
  const lookAt = openTokenOwners();
  const linkOf = (row: number): string => `https://shop.example/u/${own('own', row)}`;
  const call = (copies: readonly Submission[]): string => {
    const look = lookAt({ copies, keep: () => Buffer.alloc(0) }, identityOf('shop', 'bulk'));
    const settings = { policy: policyFrom('bulk'), hadByOther: look.hadByOther };
    const { verdict } = judgeCopies(copies, settings);
    if (verdict.kind === 'pass') look.learn();
    return verdict.kind === 'pass' ? 'pass' : `${verdict.kind} ${verdict.reasons.join(' ')}`;
  };
  const copies = Array.from({ length: 20 }, (_, row) => copyTo(row, linkOf(row)));
  assert.equal(call(copies), 'pass');
  assert.equal(call([copyTo(40, linkOf(7))]), 'hold shared-token');
  assert.equal(call([copyTo(41, linkOf(41)), copyTo(42, linkOf(8))]), 'hold shared-token');
  assert.equal(call([copyTo(41, linkOf(41)), copyTo(42, linkOf(42))]), 'pass');
  assert.equal(call(copies), 'pass');
});

describe('mail to two thousand readers, one after another', () => {
  it('passes in full, campaign after campaign', () => {
    const send = program('bulk');
    for (const campaign of ['spring', 'summer', 'autumn']) {
      assert.deepEqual(send(newsletter(campaign)), [], campaign);
      assert.deepEqual(send(newsletter(campaign), 0, 200), [], `${campaign} again`);
    }
  });

  it('is held from the first row on where rows have shifted since the last campaign', () => {
    const send = program('bulk');
    assert.deepEqual(send(newsletter('spring')), []);
    const shifted = (row: number): Mail => newsletter('summer')((row + 1) % READERS);
    assert.equal(send(shifted).length, READERS);
  });

  it('is held for the second of a couple who share an order, and for nobody else', () => {
    const seconds = [1, 2, 3, 4].map((n) => n * COUPLE_EVERY - 1);
    assert.deepEqual(program('transactional')(order), seconds);
  });

  it('is held where one of a hundred is sent what the one before was sent, and only then', () => {
    const send = program('transactional');
    const raced = (row: number): Mail => order(row % 100 === 99 ? row - 1 : row);
    const held = send(raced);
    assert.deepEqual(
      held,
      Array.from({ length: READERS / 100 }, (_, n) => n * 100 + 99),
    );
  });
});
