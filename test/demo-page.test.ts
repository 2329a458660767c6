/** The account page says what the data says, escapes it, and loads nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AccountData, accountPage } from '../demo/page.ts';
import { ratePlot, roundAbove } from '../demo/plots.ts';

const DATA: AccountData = {
  company: 'Northwind Exchange',
  notice: 'The weights change',
  madeAt: '21 November, 14:05 UTC',
  people: 22_000,
  messages: 22_000,
  languages: [
    { code: 'en', name: 'English', count: 20_000 },
    { code: 'ar', name: 'Arabic', count: 2_000 },
  ],
  seconds: 23,
  secondsByStep: [
    { step: 'Prepare', seconds: 9.4 },
    { step: 'Send', seconds: 13.6 },
  ],
  rate: [
    { t: 0, perSecond: 0 },
    { t: 1, perSecond: 1700 },
  ],
  disclosures: 0,
  wouldHaveDisclosed: 21_978_000,
  addressesPerCall: 1_000,
  mistakes: [
    {
      title: 'Cc instead of Bcc',
      form: 'SMTP',
      verdict: 'refuse',
      reason: 'visible recipients',
      disclosures: 999_000,
      rightForm: { title: 'one reader each', verdict: 'pass' },
    },
  ],
  approvals: { author: 'ines', approver: 'otto' },
  manifestRoot: '9b1c',
  checkpointNote: 'origin\n418\nroot',
  verifierOutput: ['ok'],
  verifierCommands: ['node verify.mjs bundle'],
  sampleMessages: [{ language: 'ar', subject: 'أوزان', textExcerpt: 'تحية' }],
};

/** Every text of the data replaced by the given one. */
function withEveryText(value: unknown, text: string): unknown {
  if (typeof value === 'string') return text;
  if (Array.isArray(value)) return value.map((one) => withEveryText(one, text));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, withEveryText(one, text)]),
  );
}

test('the page shows the numbers, the mistakes and the proof', () => {
  const page = accountPage(DATA);
  for (const shown of ['22,000', '21,978,000', '999,000', 'visible recipients', '9b1c', 'otto'])
    assert.ok(page.includes(shown), shown);
  assert.match(page, /Nobody saw anybody else/);
  assert.match(page, /<article[^>]* lang="ar" dir="rtl">/);
});

test('when somebody was shown, or a mistake passed, the page says so', () => {
  assert.match(accountPage({ ...DATA, disclosures: 2 }), /2 times, somebody saw somebody else/);
  assert.doesNotMatch(accountPage({ ...DATA, disclosures: 2 }), /Nobody saw anybody/);
  const mistakes = DATA.mistakes.map((mistake) => ({ ...mistake, verdict: 'pass' }));
  assert.match(accountPage({ ...DATA, mistakes }), /1 of them got through/);
});

test('no text of the data becomes markup', () => {
  const nasty = `"><script>x</script>'&`;
  const page = accountPage(withEveryText(DATA, nasty) as AccountData);
  assert.ok(page.includes('&quot;&gt;&lt;script&gt;x&lt;/script&gt;&#39;&amp;'));
  assert.ok(!page.includes('<script'));
  assert.ok(!page.includes(`"'`) && !page.includes('">&lt;'));
});

test('the page loads nothing and runs nothing', () => {
  const loads = (html: string): boolean =>
    /<(?:script|link|img|iframe|object|embed|audio|video|form)\b|\b(?:src|href|action|on\w+)=|url\(|@import|https?:/i.test(
      html,
    );
  assert.ok(loads('<img src="x">'));
  assert.ok(!loads(accountPage(DATA)));
});

test('a page without languages, points, steps or mistakes has no broken number', () => {
  const empty = { languages: [], rate: [], secondsByStep: [], mistakes: [], sampleMessages: [] };
  assert.doesNotMatch(accountPage({ ...DATA, ...empty }), /NaN|Infinity|undefined/);
});

test('a long run is drawn with few points, under a round top', () => {
  const points = Array.from({ length: 40_000 }, (_, at) => ({ t: at / 10, perSecond: at % 1900 }));
  assert.ok(ratePlot(points).length < 8_000);
  assert.deepEqual([0, 0.7, 7, 1900, 2001].map(roundAbove), [1, 0.8, 8, 2000, 2500]);
});
