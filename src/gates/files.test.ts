import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type FileOptions, readSubmissions } from './files.ts';

function read(text: string, name = 'x', options?: FileOptions): ReturnType<typeof brief>[] {
  return [...readSubmissions(Buffer.from(text, 'latin1'), name, options)].map(brief);
}

function brief(
  item: ReturnType<typeof readSubmissions> extends Generator<infer T> ? T : never,
): unknown {
  if (item.kind === 'unreadable') return [item.index, item.kind, item.reason];
  const texts = item.copies.map(({ bytes }) => Buffer.from(bytes).toString('latin1'));
  return [item.index, item.kind, item.copies.map(({ envelope }) => envelope.recipients), texts];
}

const MESSAGE =
  'From: n@s.test\r\nTo: a@x.test, B <b@x.test>\r\nCc: A@x.test\r\nBcc: c@x.test\r\n\r\nHello\r\n';
const READERS = [['a@x.test', 'b@x.test', 'c@x.test']];

describe('readSubmissions', () => {
  it('takes everybody a lone message names for its readers', () => {
    assert.deepEqual(read(MESSAGE), [[0, 'message', READERS, [MESSAGE]]]);
  });

  it('lets the caller name the reader', () => {
    assert.deepEqual(read(MESSAGE, 'x', { readers: ['z@x.test'] }), [
      [0, 'message', [['z@x.test']], [MESSAGE]],
    ]);
  });

  it('goes by content, not by name', () => {
    assert.deepEqual(read(MESSAGE, 'payload.json'), [[0, 'message', READERS, [MESSAGE]]]);
  });

  it('gives files kept with LF alone their CR LF back, and leaves a mix for the judge to see', () => {
    assert.deepEqual(read(MESSAGE.replaceAll('\r\n', '\n')), [[0, 'message', READERS, [MESSAGE]]]);
    const mixed = MESSAGE.replace('Hello\r\n', 'Hel\nlo\r\n');
    assert.deepEqual(read(mixed), [[0, 'message', READERS, [mixed]]]);
  });

  it('takes a mailbox apart and its quoting off', () => {
    const one =
      'From: n@s.test\nTo: a@x.test\n\n>From here on\n>>From there\nFrom nowhere, said she\n\nFrom me to you\n';
    const box = `From n@s.test Fri Nov  1 10:00:00 2019\n${one}\nFrom - Fri Nov  1 10:00:01 2019\n${one}\n`;
    const items = [...readSubmissions(Buffer.from(box), 'x')];
    assert.deepEqual(
      items.map(({ index, kind }) => [index, kind]),
      [
        [0, 'message'],
        [1, 'message'],
      ],
    );
    const first = items[0]?.kind === 'message' ? items[0].copies[0] : undefined;
    assert.equal(first?.envelope.from, 'n@s.test');
    const text = Buffer.from(first?.bytes ?? []).toString();
    assert.match(
      text,
      /\r\n\r\nFrom here on\r\n>From there\r\nFrom nowhere, said she\r\n\r\nFrom me to you\r\n$/,
    );
  });

  it('reads a mail/send payload as the copies the provider would make', () => {
    const payload = {
      personalizations: [
        { to: [{ email: 'a@x.test' }] },
        { to: [{ email: 'b@x.test' }, { email: 'c@x.test' }] },
      ],
      from: { email: 'n@s.test' },
      subject: 'Hello',
      content: [{ type: 'text/plain', value: 'Hello' }],
    };
    const [item] = [...readSubmissions(Buffer.from(JSON.stringify(payload)), 'x.eml')];
    assert.equal(item?.kind, 'mail-send');
    const readers =
      item?.kind === 'mail-send' ? item.copies.map(({ envelope }) => envelope.recipients) : [];
    assert.deepEqual(readers, [['a@x.test'], ['b@x.test', 'c@x.test']]);
  });

  const UNREADABLE: readonly (readonly [string, string, RegExp])[] = [
    ['an empty file', '', /empty/],
    ['broken JSON', '{"personalizations": [', /JSON but is none/],
    ['other JSON', '{"a":1}', /no provider payload/],
    ['a payload the provider would refuse', '{"personalizations":[]}', /would refuse/],
    ['a picture', '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x06\0\0\0', /neither/],
    ['prose', 'Once upon a time\n', /neither/],
  ];
  for (const [name, text, reason] of UNREADABLE) {
    it(`says what is wrong with ${name}`, () => {
      const [item] = [...readSubmissions(Buffer.from(text, 'latin1'), 'x')];
      assert.equal(item?.kind, 'unreadable');
      assert.match(item?.kind === 'unreadable' ? item.reason : '', reason);
    });
  }
});
