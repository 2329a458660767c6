import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quickestMs } from '../../../test/support/quickest-ms.ts';
import type { Judgement } from '../../guard/judge.ts';
import type { ApiCall } from './adapter.ts';
import { createSendgridAdapter, readMailSend } from './sendgrid.ts';

type Body = Record<string, unknown>;

/** A call that nothing is wrong with. */
function goodBody(change: Body = {}): Body {
  return {
    personalizations: [{ to: [{ email: 'ann@x.test' }] }],
    from: { email: 'news@co.test' },
    subject: 'Hello',
    content: [{ type: 'text/plain', value: 'A text.' }],
    ...change,
  };
}

function readCopies(body: Body): readonly { recipients: readonly string[]; text: string }[] {
  const reading = readMailSend(Buffer.from(JSON.stringify(body)));
  if (reading.kind === 'invalid') assert.fail(JSON.stringify(reading.errors));
  return reading.copies.map(({ envelope, bytes }) => ({
    recipients: envelope.recipients,
    text: Buffer.from(bytes).toString(),
  }));
}

function readFields(body: unknown): readonly (string | null)[] {
  const reading = readMailSend(body);
  return reading.kind === 'invalid' ? reading.errors.map(({ field }) => field) : [];
}

/** The first copy's only personalization changed, and what is wrong with it. */
function personalized(change: Body): Body {
  return goodBody({ personalizations: [{ to: [{ email: 'ann@x.test' }], ...change }] });
}

test('a personalization is one message: all of to and cc in its header, bcc on the envelope only', () => {
  const [copy] = readCopies(
    goodBody({
      personalizations: [
        {
          to: [{ email: 'ann@x.test', name: 'Ann "A", B' }, { email: 'bo@x.test' }],
          cc: [{ email: 'cy@x.test' }],
          bcc: [{ email: 'di@x.test' }],
        },
      ],
    }),
  );
  assert.deepEqual(copy?.recipients, ['ann@x.test', 'bo@x.test', 'cy@x.test', 'di@x.test']);
  assert.match(copy?.text ?? '', /^To: "Ann \\"A\\", B" <ann@x\.test>,\r\n bo@x\.test\r\nCc: cy@/m);
  assert.doesNotMatch(copy?.text ?? '', /di@x/);
});

test('each personalization has its own From, Subject and headers before those of the call', () => {
  const [own, common] = readCopies(
    goodBody({
      personalizations: [
        {
          to: [{ email: 'ann@x.test' }],
          from: { email: 'desk@co.test', name: 'Desk' },
          subject: 'Own',
          headers: { 'X-A': 'own' },
        },
        { to: [{ email: 'bo@x.test' }] },
      ],
      reply_to_list: [{ email: 'a@co.test' }, { email: 'b@co.test' }],
      headers: { 'X-A': 'common', 'X-B': 'b' },
    }),
  );
  assert.match(own?.text ?? '', /^From: "Desk" <desk@co\.test>\r\n/);
  assert.match(own?.text ?? '', /\r\nSubject: Own\r\nX-A: own\r\nX-B: b\r\n/);
  assert.match(common?.text ?? '', /^From: news@co\.test\r\n/);
  assert.match(common?.text ?? '', /\r\nReply-To: a@co\.test,\r\n b@co\.test\r\n/);
  assert.match(common?.text ?? '', /\r\nSubject: Hello\r\nX-A: common\r\n/);
});

test('substitutions and sections are applied, and every value stands in the copy by itself too', () => {
  const [copy] = readCopies(
    goodBody({
      personalizations: [
        {
          to: [{ email: 'ann@x.test' }],
          substitutions: { '{{n}}': 'Ann', '-greet-': '-long-', '%unused%': 'only-in-values' },
        },
      ],
      subject: 'For {{n}}',
      content: [{ type: 'text/html', value: '<p>-greet-</p>' }],
      sections: { '-long-': 'Dear {{n}}!' },
      reply_to: { email: 'help+{{n}}@co.test' },
    }),
  );
  const text = copy?.text ?? '';
  assert.match(text, /\r\nSubject: For Ann\r\n/);
  assert.match(text, /\r\nReply-To: help\+Ann@co\.test\r\n/);
  assert.match(text, /<p>Dear Ann!<\/p>/);
  assert.match(text, /\r\nonly-in-values\r\n/);
  assert.doesNotMatch(text, /\{\{|-long-|-greet-|%unused%/);
});

test('template data, custom arguments, categories, footers and link labels are in the copy', () => {
  const planted = (n: number) => `planted${n}@z.test`;
  const [copy] = readCopies(
    goodBody({
      personalizations: [
        {
          to: [{ email: 'ann@x.test' }],
          dynamic_template_data: { rows: [{ who: planted(1) }, [planted(2)]], [planted(3)]: 1 },
          custom_args: { a: planted(4) },
        },
      ],
      custom_args: { b: planted(5) },
      categories: [planted(6)],
      mail_settings: { footer: { enable: false, text: planted(7), html: planted(8) } },
      tracking_settings: {
        subscription_tracking: { text: `<% ${planted(9)} %>`, html: planted(10) },
        ganalytics: { enable: true, utm_campaign: planted(11) },
      },
    }),
  );
  for (let n = 1; n <= 11; n++) assert.ok(copy?.text.includes(planted(n)), planted(n));
});

test("the provider's own tags are replaced where it will replace them, and only there", () => {
  const content = [{ type: 'text/html', value: 'a<%asm_group_unsubscribe_url%>b%open%c[sub]d' }];
  const tracking = {
    open_tracking: { substitution_tag: '%open%' },
    subscription_tracking: { substitution_tag: '[sub]' },
  };
  const [replaced] = readCopies(
    goodBody({ content, asm: { group_id: 1 }, tracking_settings: tracking }),
  );
  assert.match(replaced?.text ?? '', /ahttps:\/\/link\.invalid\/bchttps:\/\/link\.invalid\/d/);
  const [left] = readCopies(goodBody({ content }));
  assert.match(left?.text ?? '', /a<%asm_group_unsubscribe_url%>b%open%c\[sub\]d/);
});

test('attachments are parts with their content, name and Content-ID', () => {
  const [copy] = readCopies(
    goodBody({
      attachments: [
        {
          content: Buffer.from('x'.repeat(100)).toString('base64'),
          filename: 'Liste ä (bo@x.test).txt',
          type: 'text/plain',
          disposition: 'inline',
          content_id: 'logo',
        },
      ],
    }),
  );
  const text = copy?.text ?? '';
  assert.match(
    text,
    /Content-Disposition: inline;\s+filename\*0\*=UTF-8''Liste%20%C3%A4%20%28bo%40x/,
  );
  assert.match(text, /\r\nContent-ID: <logo>\r\n/);
  const encoded = /base64\r\n\r\n([A-Za-z0-9+/=\r\n]+?)\r\n--/.exec(text)?.[1] ?? '';
  assert.equal(Buffer.from(encoded, 'base64').toString(), 'x'.repeat(100));
  assert.ok(encoded.split('\r\n').every((line) => line.length <= 76));
});

test('what is composed has CRLF line ends only, lines of at most 998 bytes, and one reading', () => {
  const [copy] = readCopies(
    goodBody({
      personalizations: [
        { to: [{ email: 'ann@x.test', name: 'Zoë '.repeat(50) }], subject: 'Grüße '.repeat(60) },
      ],
      content: [
        { type: 'text/plain', value: 'a\nb\rc\r\nd' },
        { type: 'text/html', value: 'ä'.repeat(5000) },
      ],
      headers: { 'X-Long': 'word '.repeat(500) },
    }),
  );
  const text = copy?.text ?? '';
  assert.match(text, /a\r\nb\r\nc\r\nd\r\n/);
  assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n/);
  assert.ok(text.split('\r\n').every((line) => Buffer.byteLength(line) <= 998));
  const boundary = /boundary="([^"]+)"/.exec(text)?.[1] ?? '';
  assert.equal(text.split(`--${boundary}`).length, 4);
});

test('the same call gives the same bytes', () => {
  assert.deepEqual(readMailSend(goodBody()), readMailSend(goodBody()));
});

test('a name in encoded words stands as given, so that it is read as a mail client reads it', () => {
  const [copy] = readCopies(
    goodBody({ personalizations: [{ to: [{ email: 'ann@x.test', name: '=?utf-8?Q?bo=40x?=' }] }] }),
  );
  assert.match(copy?.text ?? '', /\r\nTo: "=\?utf-8\?Q\?bo=40x\?=" <ann@x\.test>\r\n/);
});

test('an address outside ASCII needs SMTPUTF8, a domain alone does not', () => {
  const envelopeOf = (email: string) => {
    const reading = readMailSend(goodBody({ personalizations: [{ to: [{ email }] }] }));
    return reading.kind === 'copies' ? reading.copies[0]?.envelope : null;
  };
  assert.equal(envelopeOf('用户@例子.test')?.smtpUtf8, true);
  assert.equal(envelopeOf('ann@例子.test')?.smtpUtf8, false);
});

test('control characters and line ends in whatever becomes a header are refused with its path', () => {
  const places: readonly (readonly [field: string, make: (text: string) => Body])[] = [
    ['subject', (subject) => goodBody({ subject })],
    ['from.name', (name) => goodBody({ from: { email: 'news@co.test', name } })],
    ['from.email', (email) => goodBody({ from: { email: `news@co.test${email}` } })],
    ['reply_to.name', (name) => goodBody({ reply_to: { email: 'a@co.test', name } })],
    ['reply_to_list.0.name', (name) => goodBody({ reply_to_list: [{ email: 'a@co.test', name }] })],
    ['headers.X-A', (text) => goodBody({ headers: { 'X-A': text } })],
    ['content.0.type', (type) => goodBody({ content: [{ type: `text/${type}`, value: 'x' }] })],
    [
      'attachments.0.filename',
      (filename) => goodBody({ attachments: [{ content: 'AA==', filename }] }),
    ],
    [
      'attachments.0.content_id',
      (content_id) => goodBody({ attachments: [{ content: 'AA==', filename: 'a', content_id }] }),
    ],
    ['personalizations.0.subject', (subject) => personalized({ subject })],
    ['personalizations.0.headers.X-A', (text) => personalized({ headers: { 'X-A': text } })],
    ['personalizations.0.to.0.name', (name) => personalized({ to: [{ email: 'a@x.test', name }] })],
    ['personalizations.0.cc.0.name', (name) => personalized({ cc: [{ email: 'b@x.test', name }] })],
  ];
  for (const [field, make] of places) {
    for (const control of ['\r', '\n', '\0', '\u2028', '\u2029', '\u0085', '\x0b']) {
      assert.deepEqual(readFields(make(`x${control}y`)), [field], JSON.stringify(control));
    }
  }
  const inValue = personalized({ substitutions: { '-t-': 'x\r\nBcc: bo@x.test' } });
  assert.deepEqual(readFields({ ...inValue, subject: 'Hi -t-' }), [
    'personalizations.0.substitutions',
  ]);
  assert.deepEqual(readFields(inValue), [], 'a line break in a text is no error');
});

test('the limits and required properties are answered as the provider answers them', () => {
  const people = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ email: `p${index}@x.test` }));
  const cases: readonly (readonly [body: unknown, field: string | null, message: RegExp])[] = [
    [goodBody({ personalizations: [] }), 'personalizations', /at least one personalization/],
    [
      goodBody({ personalizations: people(1001).map((it) => ({ to: [it] })) }),
      'personalizations',
      /limited to 1000 personalizations.* provided 1001/,
    ],
    [personalized({ to: people(1001) }), 'personalizations', /limit of 1000 total recipients/],
    [
      personalized({ to: people(999), cc: [{ email: 'c@x.test' }], bcc: [{ email: 'd@x.test' }] }),
      'personalizations',
      /limit of 1000 total recipients/,
    ],
    [personalized({ to: [] }), 'personalizations.0.to', /The to array is required/],
    [
      goodBody({ personalizations: [{ bcc: [{ email: 'a@x.test' }] }] }),
      'personalizations.0.to',
      /The to array is required/,
    ],
    [
      personalized({ cc: [{ email: 'ANN@X.TEST' }] }),
      'personalizations.0',
      /unique between to, cc, and bcc.* personalizations\.0\.cc\.0 field/,
    ],
    [goodBody({ from: undefined }), 'from', /must be provided for every email send/],
    [goodBody({ subject: undefined }), 'subject', /subject is required/],
    [goodBody({ content: undefined }), 'content', /content param is required/],
    [
      goodBody({ attachments: [{ content: '§', filename: 'a' }] }),
      'attachments.0.content',
      /base64/,
    ],
    [goodBody({ headers: { To: 'x' } }), 'headers.To', /reserved/],
    [goodBody({ headers: { 'x-a': '1', 'X-A': '2' } }), 'headers.X-A', /duplicate keys/],
    [goodBody({ headers: { 'X-SMTPAPI': '{}' } }), 'headers.X-SMTPAPI', /further recipients/],
    [null, null, /object is expected/],
    [[], null, /object is expected/],
  ];
  for (const [body, field, message] of cases) {
    const reading = readMailSend(Buffer.from(JSON.stringify(body)));
    const first = reading.kind === 'invalid' ? reading.errors[0] : undefined;
    assert.equal(first?.field, field, String(message));
    assert.match(first?.message ?? '', message);
  }
  assert.equal(readCopies(personalized({ to: people(1000) })).length, 1);
});

test('a property that is not in the schema is refused by its path, upper and lower case included', () => {
  assert.deepEqual(readFields(goodBody({ tempalte_id: 'd-1' })), ['tempalte_id']);
  assert.deepEqual(readFields(personalized({ To: [{ email: 'bo@x.test' }] })), [
    'personalizations.0.To',
  ]);
  assert.deepEqual(readFields(goodBody({ mail_settings: { bcc: { email: 'bo@x.test' } } })), [
    'mail_settings.bcc',
  ]);
  assert.deepEqual(readFields(JSON.parse('{"__proto__":{}, "from":1}')), [
    '__proto__',
    'from',
    'personalizations',
  ]);
  const twice = readFields(Buffer.from('{"from":{"email":"a@x.test","email":"b@x.test"}}'));
  assert.deepEqual(twice, ['from.email']);
});

test('one email property holds one address: lists, names and groups are refused', () => {
  for (const email of [
    'a@x.test, b@x.test',
    'A <a@x.test>',
    'g:a@x.test;',
    'a@x.test b@x.test',
    '',
  ]) {
    assert.deepEqual(readFields(personalized({ to: [{ email }] })), [
      'personalizations.0.to.0.email',
    ]);
  }
});

test('a tag cannot hide an address by replacing it', () => {
  const hidden = personalized({ substitutions: { 'bo@x.test': '' } });
  assert.deepEqual(readFields(hidden), ['personalizations.0.substitutions']);
  const tracking_settings = { open_tracking: { substitution_tag: 'bo@x.test' } };
  assert.deepEqual(readFields(goodBody({ tracking_settings })), [
    'tracking_settings.open_tracking.substitution_tag',
  ]);
  const dynamic = { ...personalized({ substitutions: { a: '' } }), template_id: 'd-1' };
  assert.deepEqual(readFields(dynamic), ['personalizations.0.substitutions']);
});

test('no error quotes an address or another value', () => {
  const secret = 'secret-person@x.test';
  const bodies: readonly Body[] = [
    goodBody({ [secret]: 1 }),
    goodBody({ headers: { [secret]: 1, To: secret } }),
    goodBody({ template_id: secret, categories: [`${secret}\n`] }),
    personalized({ substitutions: { [secret]: secret }, to: [{ email: `${secret} x` }] }),
    personalized({ to: [{ email: secret }, { email: secret }] }),
  ];
  for (const body of bodies) {
    const reading = readMailSend(body);
    assert.equal(reading.kind, 'invalid');
    assert.doesNotMatch(JSON.stringify(reading), /secret-person/);
  }
});

test('texts that substitutions would blow up are refused, in bounded time', () => {
  const start = performance.now();
  const bomb = personalized({ substitutions: { a: 'b'.repeat(10_000) } });
  const reading = readMailSend({
    ...bomb,
    content: [{ type: 'text/plain', value: 'a'.repeat(100_000) }],
  });
  assert.equal(reading.kind === 'invalid' && reading.errors[0]?.field, 'personalizations');
  assert.ok(performance.now() - start < 2000);
});

test('a large attachment is carried by two readers of each sender, and by every shared copy', () => {
  const content = Buffer.alloc(1024 * 1024, 'x').toString('base64');
  const single = (n: number, change: Body = {}) => ({ to: [{ email: `p${n}@x.test` }], ...change });
  const body = goodBody({
    attachments: [{ content, filename: 'a.txt' }],
    personalizations: [
      ...Array.from({ length: 50 }, (_, index) => single(index)),
      single(50, { bcc: [{ email: 'q@x.test' }] }),
      single(51, { from: { email: 'desk@co.test' } }),
    ],
  });
  const carrying = readCopies(body).flatMap(({ text }, index) =>
    text.length > 1e6 ? [index] : [],
  );
  assert.deepEqual(carrying, [0, 1, 50, 51]);
  const few = { ...body, personalizations: [single(0), single(1), single(2)] };
  assert.ok(readCopies(few).every(({ text }) => text.length > 1e6));
});

const CALL: Omit<ApiCall, 'body'> = {
  endpoint: { id: 'mail-send', bodyForms: ['json'] },
  method: 'POST',
  path: '/v3/mail/send',
  headers: { 'content-type': 'application/json' },
};

test('a template is refused until it is approved', () => {
  const body = Buffer.from(JSON.stringify({ ...goodBody(), template_id: 'd-123' }));
  const kindFor = (approvedTemplates: readonly string[] | 'any') =>
    createSendgridAdapter({ approvedTemplates }).read({ ...CALL, body }).kind;
  assert.equal(kindFor([]), 'invalid');
  assert.equal(kindFor(['d-12']), 'invalid');
  assert.equal(kindFor(['d-123']), 'copies');
  assert.equal(kindFor('any'), 'copies');
});

test('a refusal is 400 with the place, the number of disclosures and a remedy; a defer is 503', () => {
  const adapter = createSendgridAdapter({ approvedTemplates: [] });
  const reading = readMailSend(
    goodBody({
      personalizations: [
        { to: [{ email: 'zed@x.test' }] },
        { to: [{ email: 'ann@x.test' }, { email: 'bo@x.test' }] },
      ],
    }),
  );
  const copies = reading.kind === 'copies' ? reading.copies : [];
  const judgement: Judgement = {
    verdict: { kind: 'refuse', reasons: ['visible-recipients'] },
    findings: [
      {
        id: 'visible-recipients',
        severity: 'exposure',
        where: { part: '', field: 'header To', start: 0, end: 1 },
        addresses: ['ann@x.test', 'bo@x.test'],
        count: 2,
      },
    ],
    visible: [],
    outsiders: [],
    disclosures: 1234,
    defects: [],
    readers: 3,
  };
  const refused = adapter.refusal(judgement, copies, CALL.endpoint);
  assert.equal(refused.status, 400);
  const [error] = JSON.parse(refused.body).errors;
  assert.equal(error.field, 'personalizations.1.to');
  assert.match(error.message, /It would have made 1,234 disclosures\.$/);
  assert.equal(typeof error.help, 'string');
  assert.doesNotMatch(refused.body, /@/);

  const verdict = { kind: 'defer', reasons: ['ledger-unavailable'] } as const;
  assert.equal(adapter.refusal({ ...judgement, verdict }, copies, CALL.endpoint).status, 503);
  const passed = { kind: 'pass', allowedBecause: [] } as const;
  assert.equal(
    adapter.refusal({ ...judgement, verdict: passed }, copies, CALL.endpoint).status,
    503,
  );
});

test('1,000 personalizations hold nobody up', () => {
  const html = `<body>${'<p>Dear {{name}}, this concerns your account {{id}}.</p>\n'.repeat(45)}</body>`;
  const body = Buffer.from(
    JSON.stringify(
      goodBody({
        personalizations: Array.from({ length: 1000 }, (_, n) => ({
          to: [{ email: `user.${n}@mail${n % 20}.example`, name: `User ${n}` }],
          substitutions: { '{{name}}': `User ${n}`, '{{id}}': `A${n}` },
        })),
        content: [
          { type: 'text/plain', value: html.slice(0, 1000) },
          { type: 'text/html', value: html },
        ],
      }),
    ),
  );
  // 50 ms at leisure.
  const elapsed = quickestMs(500, () => readMailSend(body));
  assert.ok(elapsed < 500, `${elapsed} ms`);
});
