/** A notice folder: what is wrong with it is said with file, place and remedy; one changed byte is another notice. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { firstDifference, lineOf, type NoticeFiles, noticeDigest, readNotice } from './notice.ts';

const SETTINGS = {
  name: 'weights',
  class: 'legal',
  from: { name: 'Northwind', address: 'notices@northwind.example' },
  subject: "{{ 'subject' | t }}",
  languages: ['en', 'de'],
  defaultLanguage: 'en',
  fields: { name: 'text', count: 'number' },
};

function files(settings: object = {}, more: Record<string, string | undefined> = {}): NoticeFiles {
  const all: Record<string, string | undefined> = {
    'notice.json': JSON.stringify({ ...SETTINGS, ...settings }),
    'notice.html': '<p>Hello</p>',
    'notice.txt': 'Hello',
    'messages/en.json': '{"subject": "New", "body": "Text"}',
    'messages/de.json': '{"subject": "Neu", "body": "Text"}',
    ...more,
  };
  const present: Record<string, string> = {};
  for (const [name, text] of Object.entries(all)) if (text !== undefined) present[name] = text;
  return present;
}

function faultOf(given: NoticeFiles): Fault {
  try {
    readNotice(given);
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, 'notice.invalid');
    return error;
  }
  assert.fail('the notice was read');
}

test('a complete folder is read', () => {
  const notice = readNotice(files());
  assert.equal(notice.settings.replyTo, null);
  assert.deepEqual(notice.settings.roleAddresses, []);
  assert.equal(notice.messages.de?.subject, 'Neu');
  assert.deepEqual(notice.digest, noticeDigest(files()));
});

test('a file that is missing is named', () => {
  for (const name of Object.keys(files()))
    assert.equal(faultOf(files({}, { [name]: undefined })).where, name);
});

test('what is no JSON is named with its line', () => {
  const fault = faultOf(files({}, { 'messages/de.json': '{\n "subject": "Neu",\n "body" "x"\n}' }));
  assert.equal(fault.where, 'messages/de.json line 3');
});

test('a message missing in one language names the key, the file and the remedy', () => {
  const fault = faultOf(files({}, { 'messages/de.json': '{"subject": "Neu"}' }));
  assert.equal(fault.where, 'messages/de.json');
  assert.match(fault.message, /body/);
  assert.match(fault.remedy ?? '', /messages\/de\.json/);
});

test('a message that only one language has, or that is blank, is refused', () => {
  const more = '{"subject": "Neu", "body": "Text", "extra": "x"}';
  assert.match(faultOf(files({}, { 'messages/de.json': more })).message, /extra/);
  const blank = '{"subject": "Neu", "body": " "}';
  assert.equal(faultOf(files({}, { 'messages/de.json': blank })).where, 'messages/de.json body');
});

test('settings that are missing or wrong are named', () => {
  const wrong: readonly (readonly [settings: object, place: string])[] = [
    [{ name: '' }, 'name'],
    [{ class: 'urgent' }, 'class'],
    [{ from: undefined }, 'from.name'],
    [{ from: { name: 'N', address: '' } }, 'from.address'],
    [{ replyTo: { name: 'N' } }, 'replyTo.address'],
    [{ subject: 3 }, 'subject'],
    [{ languages: [] }, 'languages'],
    [{ languages: 'en' }, 'languages'],
    [{ defaultLanguage: 'fr' }, 'defaultLanguage'],
    [{ fields: { name: 'date' } }, 'fields.name'],
    [{ class: 'subscribed' }, 'unsubscribeUrl'],
    [{ roleAddresses: [''] }, 'roleAddresses'],
  ];
  for (const [settings, place] of wrong)
    assert.equal(faultOf(files(settings)).where, `notice.json ${place}`);
});

test('one changed byte in any file changes the digest, and its place is found', () => {
  const before = files();
  for (const name of Object.keys(before)) {
    const text = before[name] ?? '';
    const after = { ...before, [name]: `${text.slice(0, -1)}~` };
    assert.notDeepEqual(noticeDigest(after), noticeDigest(before), name);
    assert.equal(firstDifference(before, after), `${name} line 1`);
  }
  assert.equal(firstDifference(before, files()), null);
});

test('what moves from one file to another, or is renamed, is another notice', () => {
  const digest = noticeDigest({ a: 'xy', b: 'z' });
  for (const other of [
    { a: 'x', b: 'yz' },
    { a: 'xy', c: 'z' },
    { a: 'xy' },
    { a: 'xy', b: 'z', c: '' },
    { ab: 'xyz' },
  ])
    assert.notDeepEqual(noticeDigest(other as NoticeFiles), digest);
  assert.deepEqual(noticeDigest({ b: 'z', a: 'xy' }), digest);
  assert.equal(firstDifference({ a: 'x' }, { a: 'x', b: '' }), 'b');
});

test('lines are counted from one', () => {
  assert.equal(lineOf('a\nb\nc', 0), 1);
  assert.equal(lineOf('a\nb\nc', 2), 2);
  assert.equal(lineOf('a\nb\nc', 4), 3);
});
