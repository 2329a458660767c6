/** One text is known again whoever it is sent to; different texts are kept apart. */

import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseMessage } from '../mail/message.ts';
import { CAMPAIGN_BITS, campaignSeed, differentBits, simhash } from './campaign.ts';

const SEED = campaignSeed(createSecretKey(Buffer.alloc(32, 7)));
const MESSAGES = new URL('../../demo/notice/messages/', import.meta.url);

const NAMES = [
  'Jane Roe',
  'Łukasz Żak',
  '李伟',
  'محمد علي',
  'Иван Петров',
  'María José García López',
  'Bo',
];
const PARAGRAPHS = [
  'intro',
  'changes_title',
  'products_title',
  'products',
  'account',
  'positions',
  'todo_title',
  'todo',
  'genuine_title',
  'genuine',
  'questions_title',
  'questions',
  'footer',
] as const;

type Notice = Readonly<Record<string, string>>;

const notices = new Map<string, Notice>(
  readdirSync(MESSAGES).map((file) => [
    file,
    JSON.parse(readFileSync(new URL(file, MESSAGES), 'utf8')) as Notice,
  ]),
);

function bytesOf(subject: string, text: string, html = false): Buffer {
  return Buffer.from(
    `From: a@company.example\r\nTo: b@x.example\r\nSubject: ${subject}\r\nMIME-Version: 1.0\r\nContent-Type: text/${html ? 'html' : 'plain'}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${text.replaceAll('\n', '\r\n')}`,
  );
}

const hashOf = (bytes: Buffer): bigint => simhash(parseMessage(bytes), SEED);
const isSame = (one: Buffer, other: Buffer): boolean =>
  differentBits(hashOf(one), hashOf(other)) <= CAMPAIGN_BITS;

/** A merged copy; which of the parts of a plural stands is one of the things that differ. */
function copyOf(notice: Notice, who: number, html = false): Buffer {
  const name = NAMES[who % NAMES.length] ?? '';
  const number = String(104_729 * (who + 1));
  const plural = [...(notice.positions ?? '').matchAll(/\{([^{}]*)\}/g)].map(
    (match) => match[1] ?? '',
  );
  const merged = (key: string): string => {
    const text = key === 'positions' ? (plural[who % plural.length] ?? '') : (notice[key] ?? '');
    return text
      .replaceAll('{name}', name)
      .replaceAll('{number}', number)
      .replaceAll('#', String(who));
  };
  const parts = ['title', 'greeting', ...PARAGRAPHS].map(merged);
  const link = `https://company.example/n/${number}?to=person${who}%40x.example`;
  const text = html
    ? `<style>p { color: red }</style>${parts.map((part) => `<p>${part}</p>`).join('')}<a href="${link}">x</a>`
    : `${parts.join('\n\n')}\n\nperson${who}@x.example ${link}`;
  return bytesOf(merged('subject'), text, html);
}

const TOPICS = [
  'the offer for the new warehouse roof',
  'our lunch on Thursday with the team from Oslo',
  'the second draft of the lease',
  'who brings the projector to the fair',
  'your invoice for the garden chairs',
  'the bug in the export of reports',
  'holiday dates in spring and who stands in',
  'the minutes of the board',
  'shoes left in the gym after training',
  'the interview with the candidate for sales',
];
const REMARKS = [
  'I have read it twice and would change only the last paragraph',
  'can we move it to the week after, since two of us travel',
  'please send me the figures once more, the file would not open',
  'the price seems high, but they deliver early',
  'I spoke with the landlord, who agrees in principle',
  'thanks for doing this so quickly, it saved the day',
  'let us ask the lawyers before anybody signs',
  'nothing from my side, go ahead as you think best',
  'the colours do not match what we ordered in March',
  'she starts in June and needs a desk by the window',
  'we could take the train and be there before noon',
  'somebody should tell the neighbours about the noise',
];

/** Ordinary letters: a topic, some remarks, one signature with a disclaimer under all of them. */
function letter(i: number, disclaimer: string): { readonly bytes: Buffer; readonly body: string } {
  const topic = TOPICS[i % TOPICS.length] ?? '';
  const body = REMARKS.filter((_, k) => (i * 7 + k * 5) % 12 < 4).join('. ');
  const bytes = bytesOf(
    `Re: ${topic}`,
    `Hi all,\n\nabout ${topic}: ${body}.\n\nBest wishes\nKim\n-- \nKim Example\n${disclaimer}`,
  );
  return { bytes, body };
}

test('merged copies of one notice are one campaign in six languages, as text and as HTML', () => {
  let pairs = 0;
  let found = 0;
  let far = 0;
  for (const notice of notices.values())
    for (const html of [false, true])
      for (let who = 1; who < 60; who++) {
        pairs++;
        const bits = differentBits(
          hashOf(copyOf(notice, 0, html)),
          hashOf(copyOf(notice, who, html)),
        );
        far = Math.max(far, bits);
        if (bits <= CAMPAIGN_BITS) found++;
      }
  console.log(`# merge variants: ${found} of ${pairs} recognised, at most ${far} bits apart`);
  assert.equal(notices.size, 6);
  assert.ok(found / pairs >= 0.99, `${found} of ${pairs}`);
});

test('notices in other languages and ordinary letters are campaigns of their own', () => {
  const disclaimer = 'This message is for its readers only and must not be passed on. '.repeat(6);
  const letters = Array.from({ length: 60 }, (_, i) => letter(i, disclaimer));
  const others = [...notices].map(([body, notice]) => ({ bytes: copyOf(notice, 0), body }));
  const all = [...letters, ...others].map(({ bytes, body }) => ({ hash: hashOf(bytes), body }));
  let pairs = 0;
  let wrong = 0;
  for (const [i, one] of all.entries())
    for (const other of all.slice(i + 1)) {
      // One text under another subject is one text.
      if (one.body === other.body) continue;
      pairs++;
      if (differentBits(one.hash, other.hash) <= CAMPAIGN_BITS) wrong++;
    }
  console.log(`# other texts: ${wrong} of ${pairs} pairs taken for one campaign`);
  assert.ok(pairs > 1000);
  assert.ok(wrong / pairs <= 0.001, `${wrong} of ${pairs}`);
});

test('short letters are one campaign only where all their words are the same', () => {
  assert.ok(isSame(bytesOf('Hello', 'See the file.'), bytesOf('Hello', 'See the file.')));
  assert.ok(!isSame(bytesOf('Hello', 'See the file.'), bytesOf('Hello', 'See the list.')));
  assert.ok(!isSame(bytesOf('Re: roof', 'Thanks!'), bytesOf('Re: lease', 'Thanks!')));
});

test('names after a salutation, numbers, addresses and links change nothing', () => {
  const body = (name: string, n: string): Buffer =>
    bytesOf(
      'Your seat',
      `Dear ${name}, your seat ${n} is booked, write to ${n}@x.example or see https://x.example/${n}`,
    );
  assert.equal(hashOf(body('Jane Roe', 'a1')), hashOf(body('Max Mustermann', 'b2')));
  assert.notEqual(
    hashOf(body('Jane Roe', 'a1')),
    hashOf(bytesOf('Your seat', 'Dear Jane Roe, your seat is cancelled')),
  );
});

test('the bits that differ are counted over all 64', () => {
  assert.equal(differentBits(0n, -1n), 64);
  assert.equal(differentBits(5n, 5n), 0);
  assert.equal(differentBits(BigInt.asIntN(64, 1n << 63n), 1n), 2);
});

test('a short letter of one line is no salutation, and short letters that differ by the name alone are one', () => {
  assert.ok(
    !isSame(bytesOf('News', 'Thanks for the plan!'), bytesOf('News', 'Thanks for the cake!')),
  );
  for (const greet of [
    'Dear NAME,',
    'Hallo NAME,',
    'Hola, NAME:',
    'Здравствуйте, NAME!',
    'NAME，您好：',
  ])
    assert.ok(
      isSame(
        bytesOf('News', `${greet.replace('NAME', 'Jane')}\nsee the file`),
        bytesOf('News', `${greet.replace('NAME', '李伟')}\nsee the file`),
      ),
      greet,
    );
});
