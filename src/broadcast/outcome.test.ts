import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FINAL_STATES, maskReply, outcomeText, STATES, stateOf } from './outcome.ts';

test('a reply code says what became of the message', () => {
  assert.deepEqual(
    [250, 251, 299].map((code) => stateOf({ code })),
    ['accepted', 'accepted', 'accepted'],
  );
  assert.deepEqual(
    [421, 450, 452].map((code) => stateOf({ code })),
    ['deferred', 'deferred', 'deferred'],
  );
  assert.deepEqual(
    [354, 500, 550, 554].map((code) => stateOf({ code })),
    ['refused', 'refused', 'refused', 'refused'],
  );
});

test('states are stored by their place: the order is what it always was', () => {
  assert.deepEqual(STATES, [
    ...['accepted', 'refused', 'expired', 'undeliverable', 'suppressed', 'withdrawn', 'cancelled'],
    ...['deferred', 'uncertain'],
  ]);
  assert.deepEqual(
    STATES.filter((state) => !FINAL_STATES.includes(state)),
    ['deferred', 'uncertain'],
  );
});

test('what a proof carries of an outcome is one line', () => {
  const outcome = {
    position: 7,
    attempt: 2,
    state: 'refused',
    code: 550,
    enhanced: '5.1.1',
    reply: 'x',
    atMs: 0,
  } as const;
  assert.equal(outcomeText(outcome), '7,2,refused,550,5.1.1,1970-01-01T00:00:00.000Z');
});

const ADDRESS = 'Ann.Lee-Smith+news@b\u00fccher.example';

test('a refusal keeps its plain words and loses whoever it names', () => {
  assert.equal(
    maskReply(`5.1.1 <${ADDRESS}>: Recipient address rejected: User unknown in table`, ADDRESS),
    '[…] Recipient address rejected: User unknown in table',
  );
  const spellings = [
    ADDRESS,
    ADDRESS.toLowerCase(),
    'ann.lee-smith%2Bnews%40b%C3%BCcher.example',
    'Ann.Lee-Smith+news@xn--bcher-kva.example',
    Buffer.from(ADDRESS).toString('base64'),
    Buffer.from(ADDRESS).toString('hex'),
    'Ann',
    'LEE',
    'smith,',
    '(Ann)',
    '"Lee"',
    'ann&#64;b\u00fccher.example',
    'queue-id:4F2A91B',
  ];
  for (const spelling of spellings)
    assert.equal(
      maskReply(`No such user ${spelling} here`, ADDRESS),
      'No such user […] here',
      spelling,
    );
});

test('nothing of an address is ever left, wherever it stands, and the text is bounded', () => {
  const part = fc.stringMatching(/^[a-z]{2,12}$/);
  fc.assert(
    fc.property(
      part,
      part,
      part,
      fc.array(part, { maxLength: 40 }),
      (local, name, domain, words) => {
        const address = `${local}.${name}@${domain}.example`;
        const text = [...words, address, local, name.toUpperCase(), `<${domain}>`].join(' ');
        const masked = maskReply(text, address).toLowerCase();
        for (const own of [local, name, domain])
          assert.ok(!masked.split(/[^a-z]+/).includes(own), `${own} in ${masked}`);
        assert.ok(masked.length <= 160);
      },
    ),
  );
});

test('a name in base64 that is letters alone is a mark too, and words stay words', () => {
  // amlheWkuaGFu and amFtZXMuYmVsbA have no digit; Ymxh is written as a word is.
  for (const local of ['jiayi.han', 'james.bell', 'bla'])
    for (const coding of ['base64', 'base64url'] as const) {
      const coded = Buffer.from(local).toString(coding);
      const masked = maskReply(`<${coded}>: no mailbox ${coded} here`, `${local}@post.example`);
      assert.equal(masked, '[…] no mailbox […] here');
    }
  const text = "Recipient address rejected: User unknown, MAILBOX isn't there (Access denied)";
  assert.equal(maskReply(text, 'jiayi.han@post.example'), text);
});
