import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSendgridAdapter, readMailSend } from './sendgrid.ts';

const adapter = createSendgridAdapter({ approvedTemplates: [] });
const REST = {
  from: { email: 'news@co.test' },
  subject: 'Hello',
  content: [{ type: 'text/plain', value: 'A text.' }],
};

function rewrite(text: string, how: 'private' | 'whole') {
  const endpoint = adapter.match('POST', '/v3/mail/send');
  if (endpoint === null || endpoint === 'method-not-allowed') throw new Error('no endpoint');
  const headers = { 'content-type': 'application/json' };
  const call = {
    endpoint,
    method: 'POST',
    path: '/v3/mail/send',
    headers,
    body: Buffer.from(text),
  };
  return adapter.rewrite(call, how);
}

function privateBody(body: object) {
  const [call, ...more] = rewrite(JSON.stringify(body), 'private');
  assert.equal(more.length, 0);
  const reading = readMailSend(call?.body ?? Buffer.alloc(0));
  assert.equal(reading.kind, 'copies', 'what is sent would be taken again');
  return { body: JSON.parse(call?.body.toString() ?? ''), readers: call?.readers };
}

test('each reader is alone in a personalization that keeps everything else', () => {
  const own = {
    from: { email: 'other@co.test' },
    subject: 'Own',
    headers: { 'X-A': '1' },
    substitutions: { '{{a}}': 'b' },
    custom_args: { c: 'd' },
    send_at: 1_800_000_000,
  };
  const to = [{ email: 'ann@x.test', name: 'Ann' }, { email: 'bo@x.test' }];
  const cc = [{ email: 'cy@x.test' }];
  const bcc = [{ email: 'di@x.test', name: 'Di' }];
  const { body, readers } = privateBody({
    ...REST,
    personalizations: [{ ...own, to, cc, bcc }],
    categories: ['a'],
  });
  assert.equal(readers, 4);
  assert.deepEqual(
    body.personalizations,
    [...to, ...cc, ...bcc].map((reader) => ({ ...own, to: [reader] })),
  );
  const { personalizations: _, ...rest } = body;
  assert.deepEqual(rest, { ...REST, categories: ['a'] });
});

test('a reader copied into every personalization gets one copy; a message written twice goes once', () => {
  const cc = [{ email: 'Audit@X.test' }];
  const { body, readers } = privateBody({
    ...REST,
    personalizations: [
      { to: [{ email: 'ann@x.test' }], cc, substitutions: { n: '1' } },
      { to: [{ email: 'bo@x.test' }], cc: [{ email: 'audit@x.test' }], substitutions: { n: '2' } },
      { to: [{ email: 'ann@x.test' }], cc: [{ email: 'bo@x.test' }], substitutions: { n: '3' } },
      { to: [{ email: 'ANN@x.test' }], substitutions: { n: '3' } },
    ],
  });
  assert.deepEqual(
    body.personalizations.map((it: { to: { email: string }[]; substitutions: { n: string } }) => [
      it.to[0]?.email,
      it.substitutions.n,
    ]),
    [
      ['ann@x.test', '1'],
      ['Audit@X.test', '1'],
      ['bo@x.test', '2'],
      ['ann@x.test', '3'],
    ],
  );
  assert.equal(readers, 3);
});

test('numbers, names and texts are written as they were given', () => {
  const text = `{"personalizations":[{"to":[{"email":"ann@x.test"},{"email":"bo@x.test"}],"dynamic_template_data":{"id":12345678901234567890,"price":1.50,"__proto__":"p","text":"\\u00e9\\u0000"}}],${JSON.stringify(REST).slice(1)}`;
  const [call] = rewrite(text, 'private');
  const sent = call?.body.toString() ?? '';
  const data = '{"id":12345678901234567890,"price":1.50,"__proto__":"p","text":"é\\u0000"}';
  assert.equal(sent.split(data).length, 3);
});

test('whole: the bytes as they came', () => {
  const text = ` ${JSON.stringify({ ...REST, personalizations: [{ to: [{ email: 'a@x.test' }, { email: 'b@x.test' }] }] })}`;
  const [call] = rewrite(text, 'whole');
  assert.equal(call?.body.toString(), text);
  assert.equal(call?.readers, 2);
});

test('what may have been sent is no dropped event, on which somebody would send again', () => {
  const body = {
    ...REST,
    personalizations: [{ to: [{ email: 'a@x.test' }], custom_args: { k: 'v' } }],
  };
  const [call] = rewrite(JSON.stringify(body), 'private');
  assert.ok(call);
  const eventOf = (kind: 'refused' | 'expired' | 'uncertain') => {
    const failed = [{ call, kind, answer: 'HTTP 400', items: null }];
    const [post] = adapter.failureEvents(
      { ...call, endpoint: { id: 'mail-send', bodyForms: ['json'] } },
      failed,
      'k-1',
      new Date(1_700_000_000_000),
    );
    return JSON.parse(post?.body ?? '[]')[0];
  };
  assert.equal(eventOf('uncertain').event, 'deferred');
  assert.equal(eventOf('expired').event, 'dropped');
  const event = eventOf('refused');
  assert.equal(event.event, 'dropped');
  assert.equal(event.k, 'v');
  assert.equal(event.sg_message_id, 'k-1');
  assert.equal(event.timestamp, 1_700_000_000);
});

test('what would stand in every copy and name people cannot be cut; names that hold an address go', () => {
  const to = [
    { email: 'ann@x.test', name: 'Bo <bo@x.test>' },
    { email: 'bo@x.test', name: 'Bo' },
  ];
  const mail = { ...REST, personalizations: [{ to }] };
  const { body } = privateBody(mail);
  assert.deepEqual(
    body.personalizations.map((it: { to: unknown[] }) => it.to[0]),
    [{ email: 'ann@x.test' }, { email: 'bo@x.test', name: 'Bo' }],
  );
  const encoded = [
    { email: 'ann@x.test', name: '=?utf-8?q?bo=40x.test?=' },
    { email: 'bo@x.test' },
  ];
  assert.doesNotMatch(
    JSON.stringify(privateBody({ ...REST, personalizations: [{ to: encoded }] })),
    /=\?/,
  );
  const help = [{ email: 'help@co.test' }, { email: 'sales@co.test' }];
  privateBody({ ...mail, reply_to_list: help });
  for (const bad of [
    { ...mail, reply_to_list: [{ email: 'help@co.test' }, { email: 'bo@x.test' }] },
    { ...mail, headers: { 'Resent-To': 'ann@x.test, bo@x.test' } },
    { ...REST, personalizations: [{ to, headers: { 'x-rcptto': 'bo@x.test' } }] },
    {
      ...REST,
      reply_to_list: help,
      personalizations: [{ to, substitutions: { 'co.test': 'x.test' } }],
    },
  ]) {
    assert.throws(() => rewrite(JSON.stringify(bad), 'private'), { code: 'guard.cannot-cut' });
  }
});
