import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distinctReaders, ownMailbox, readMailboxes } from './ses-mailbox.ts';

test('lists are read with their names', () => {
  assert.deepEqual(readMailboxes('a@x.test'), [{ email: 'a@x.test' }]);
  assert.deepEqual(
    readMailboxes('Ann <a@x.test>, "B, C" <b@y.test>')?.map(({ email }) => email),
    ['a@x.test', 'b@y.test'],
  );
  assert.equal(readMailboxes('"Ann" <a@x.test>')?.[0]?.name, 'Ann');
});

test('a text that shows an address outside its mailboxes and names is not read', () => {
  for (const named of ['"b@y.test" <a@x.test>', 'a@x.test (b@y.test)']) {
    // A name is shown in the copy, and looked at there.
    assert.deepEqual(readMailboxes(named), [{ email: 'a@x.test', name: 'b@y.test' }]);
  }
  for (const text of [
    '',
    'Ann',
    'a@x.test b@y.test',
    'Ann (b@y.test) <a@x.test>',
    '<a@x.test> (b@y.test)',
    'a@x.test, b',
    '<a@x.test',
    'group: a@x.test;',
    'a@x.test\r\nBcc: b@y.test',
    'a@x.test\0',
    '@relay.test:a@x.test',
  ]) {
    assert.equal(readMailboxes(text), null, JSON.stringify(text));
  }
});

test('readers that are one address are one, the first mention stands', () => {
  const list = [{ email: 'A@x.test', name: 'Ann' }, { email: 'a@X.test' }, { email: 'b@x.test' }];
  assert.deepEqual(distinctReaders(list), [list[0], list[2]]);
});

test('the name of a reader goes where it could be an address', () => {
  const email = 'a@x.test';
  assert.deepEqual(ownMailbox({ email, name: 'Ann' }), { email, name: 'Ann' });
  for (const name of ['b@y.test', '=?utf-8?Q?b=40y.test?=', 'b%40y.test', 'b＠y.test']) {
    assert.deepEqual(ownMailbox({ email, name }), { email }, name);
  }
});
