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
    assert.equal(item?.kind, 'payload');
    const readers =
      item?.kind === 'payload' ? item.copies.map(({ envelope }) => envelope.recipients) : [];
    assert.deepEqual(readers, [['a@x.test'], ['b@x.test', 'c@x.test']]);
  });

  const FORM = 'from=News+<n@s.test>&to=a@x.test&to=b%40x.test&subject=Hello:+all&text=Hello';

  it('reads Mailgun’s forms: on one line, in parts, and with their Content-Type in front', () => {
    const urlencoded = FORM.replace('<', '%3C').replace('>', '%3E');
    const part = (name: string, value: string) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const fields = [
      ['from', 'n@s.test'],
      ['to', 'a@x.test, b@x.test'],
      ['subject', 'x'],
      ['text', 'Hi'],
    ];
    const parts = `${fields.map(([name = '', value = '']) => part(name, value)).join('')}--b--\r\n`;
    for (const text of [
      urlencoded,
      `${urlencoded}\n`,
      parts,
      `Host: x\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n${parts}`,
      `POST /v3/s.test/messages HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n${urlencoded}`,
    ]) {
      const [item] = [...readSubmissions(Buffer.from(text), 'x.eml')];
      assert.equal(item?.kind, 'payload', JSON.stringify(item));
      const readers =
        item?.kind === 'payload' ? item.copies.map(({ envelope }) => envelope.recipients) : [];
      assert.deepEqual(readers, [['a@x.test', 'b@x.test']], text);
    }
  });

  const EMAIL = '{"From":"n@s.test","To":"a@x.test","TextBody":"Hi"}';

  it('reads several calls of one file: a list of them, or one on each line', () => {
    const sendgrid = JSON.stringify({
      personalizations: [{ to: [{ email: 'a@x.test' }] }],
      from: { email: 'n@s.test' },
      subject: 'x',
      content: [{ type: 'text/plain', value: 'Hello' }],
    });
    const kinds = (text: string) =>
      [...readSubmissions(Buffer.from(text), 'x')].map((item) => [
        item.index,
        item.kind === 'payload' ? item.call : item.kind,
      ]);
    const both = [
      [0, 'SendGrid v3 mail/send'],
      [1, 'SendGrid v3 mail/send'],
    ];
    assert.deepEqual(kinds(`[${sendgrid},${sendgrid}]`), both);
    assert.deepEqual(kinds(`${sendgrid}\n\n${sendgrid}\n`), both);
    assert.deepEqual(kinds(`${sendgrid}\r\n${EMAIL}\r\n{"a":1}\r\n`), [
      [0, 'SendGrid v3 mail/send'],
      [1, 'Postmark /email'],
      [2, 'unreadable'],
    ]);
    assert.deepEqual(kinds(`[${EMAIL},${EMAIL}]`), [[0, 'Postmark /email/batch']]);
    assert.deepEqual(kinds(JSON.stringify(JSON.parse(EMAIL), null, 2)), [[0, 'Postmark /email']]);
  });

  const UNREADABLE: readonly (readonly [string, string, RegExp])[] = [
    ['an empty file', '', /empty/],
    ['broken JSON', '{"personalizations": [', /JSON but is none/],
    ['other JSON', '{"a":1}', /no provider payload/],
    [
      'a payload the provider would refuse',
      '{"personalizations":[]}',
      /mail\/send .*would refuse at personalizations: /,
    ],
    [
      'a Postmark message with an unknown property',
      EMAIL.replace('}', ',"Extra":1}'),
      /Postmark \/email .*at Extra: /,
    ],
    [
      'an SES call with an unknown member',
      '{"Content":{"Simple":{}},"Extra":1}',
      /SES v2 SendEmail .*at Content.Simple.Subject: /,
    ],
    [
      'JSON near to a call',
      '{"FromEmailAddress":"a@x.test","x":1}',
      /^JSON that could be SES v2 SendEmail or SES v2 SendBulkEmail, /,
    ],
    [
      'options of another package',
      '{"from":"a@x.test","subject":"x"}',
      /nearest is a SendGrid v3 mail\/send .* at from: /,
    ],
    [
      'a message of two kinds',
      EMAIL.replace('}', ',"TemplateAlias":"t"}'),
      /could be Postmark \/email or Postmark \/email\/withTemplate/,
    ],
    [
      'a member given twice',
      '{"From":"a@x.test","From":"b@x.test","TextBody":"x"}',
      /one reading at From: /,
    ],
    [
      'a form without its end',
      '--b\r\nContent-Disposition: form-data; name="to"\r\n\r\na@x.test',
      /^a form, but /,
    ],
    [
      'a form with an unknown field',
      'to=a@x.test&from=n@s.test&extra=1',
      /Mailgun v3 messages .* at extra: /,
    ],
    ['a request to somebody else', 'POST /login HTTP/1.1\r\nHost: x\r\n\r\n{}', /to no address/],
    [
      'a compressed request',
      'POST /email HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\nx',
      /compressed/,
    ],
    ['a picture', '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x06\0\0\0', /neither/],
    ['prose', 'Once upon a time\n', /neither/],
  ];
  for (const [name, text, reason] of UNREADABLE) {
    it(`says what is wrong with ${name}`, () => {
      const [item] = [...readSubmissions(Buffer.from(text, 'latin1'), 'x')];
      assert.equal(item?.kind, 'unreadable');
      const said = item?.kind === 'unreadable' ? item.reason : '';
      assert.match(said, reason);
      assert.doesNotMatch(said, /@/);
    });
  }
});
