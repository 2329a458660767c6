import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseLanguage, direction } from './language.ts';

const OFFERED = ['en', 'es', 'de', 'zh-Hans', 'ar', 'ru', 'pt-BR'];
const choose = (wanted: string): readonly [string, boolean] => {
  const { language, fallback } = chooseLanguage(wanted, OFFERED, 'en');
  return [language, fallback];
};

test('a customer is written to in their language, however their tag is spelt', () => {
  for (const [wanted, language] of [
    ['de', 'de'],
    ['DE', 'de'],
    ['de-AT', 'de'],
    ['de-Latn-CH-1996', 'de'],
    ['es-419', 'es'],
    ['zh-CN', 'zh-Hans'],
    ['zh', 'zh-Hans'],
    ['zh-SG', 'zh-Hans'],
    ['cmn-Hans-CN', 'zh-Hans'],
    ['pt-BR', 'pt-BR'],
    ['pt', 'pt-BR'],
  ])
    assert.deepEqual(choose(wanted ?? ''), [language, false], wanted);
});

test('nobody is written to in a script that is not theirs', () => {
  assert.deepEqual(choose('zh-Hant'), ['en', true]);
  assert.deepEqual(choose('zh-TW'), ['en', true]);
  assert.deepEqual(choose('sr-Latn'), ['en', true]);
});

test('what is not offered, or no language at all, gets the default and is said to', () => {
  for (const wanted of ['fi', '', 'x', '-', 'not a tag', 'i-klingon'])
    assert.deepEqual(choose(wanted), ['en', true], wanted);
});

test('the direction is that of the script', () => {
  for (const tag of ['ar', 'he', 'fa', 'ur-PK', 'dv']) assert.equal(direction(tag), 'rtl', tag);
  for (const tag of ['en', 'zh-Hans', 'ru', 'ar-Latn']) assert.equal(direction(tag), 'ltr', tag);
});
