import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createExtent, type Extent, type ExtentCounts } from './extent.ts';

const NOBODY = { companyDomains: [], roleAddresses: [] };

interface Sent {
  readonly header: readonly string[];
  readonly body?: string;
  readonly envelope?: readonly string[];
}

function add(extent: Extent, { header, body = 'Hello', envelope = [] }: Sent): void {
  const bytes = Buffer.from(`${header.join('\r\n')}\r\n\r\n${body}\r\n`);
  extent.add({ envelope: { from: '', recipients: envelope, smtpUtf8: false }, bytes });
}

function count(...sent: readonly Sent[]): ExtentCounts {
  const extent = createExtent(NOBODY);
  for (const each of sent) add(extent, each);
  return extent.count();
}

const FROM = 'From: News <news@company.test>';

describe('the extent of messages that have left', () => {
  it('counts everybody in To and Cc as shown to everybody else there, the sender as nobody', () => {
    const counts = count({
      header: [FROM, 'To: a@x.test, "B, Bee" <b@x.test>', 'Cc: c@x.test, news@company.test'],
    });
    assert.deepEqual(counts, {
      messages: 1,
      exposed: 3,
      saw: 3,
      pairs: 6,
      certain: 6,
      possible: 0,
    });
  });

  it('counts nothing where each reader was alone', () => {
    const counts = count({ header: [FROM, 'To: a@x.test'] }, { header: [FROM, 'To: b@x.test'] });
    assert.deepEqual(counts, {
      messages: 2,
      exposed: 0,
      saw: 0,
      pairs: 0,
      certain: 0,
      possible: 0,
    });
  });

  it('counts a pair once, however often and in whatever spelling', () => {
    const counts = count(
      { header: [FROM, 'To: a@x.test, b@x.test'] },
      { header: [FROM, 'To: A@X.TEST, B <b@X.test>'] },
      { header: [FROM, 'To: a@x.test (Ann), "b"@x.test'] },
    );
    assert.deepEqual(counts, {
      messages: 3,
      exposed: 2,
      saw: 2,
      pairs: 2,
      certain: 2,
      possible: 0,
    });
  });

  it('reads a plain list and a difficult one to the same people', () => {
    const plain = 'a@bücher.test'.normalize('NFC');
    const counts = count(
      { header: [FROM, `To: ${plain}, b@x.test`] },
      { header: [FROM, 'To: a@xn--bcher-kva.test,b@x.test'] },
    );
    assert.equal(counts.pairs, 2);
  });

  it('counts a reader of the envelope, and of the trace of delivery, as certain', () => {
    const list = [FROM, 'To: a@x.test'];
    assert.equal(count({ header: list, envelope: ['a@x.test', 'hidden@x.test'] }).certain, 1);
    assert.equal(count({ header: ['Delivered-To: d@x.test', ...list] }).certain, 1);
    const received = 'Received: from mx by mx for <d@x.test>; Sat, 21 Nov 2026 06:00:00 +0000';
    assert.equal(count({ header: [received, ...list] }).certain, 1);
  });

  it('counts Bcc readers as possible, and those a delivered Bcc shows as possibly shown', () => {
    const list = [FROM, 'To: a@x.test', 'Bcc: b@x.test, c@x.test'];
    const own = count({ header: list });
    assert.deepEqual([own.exposed, own.saw, own.certain, own.possible], [1, 2, 0, 2]);
    const delivered = count({ header: ['Received: from a by b', ...list] });
    assert.deepEqual([delivered.exposed, delivered.certain, delivered.possible], [3, 0, 6]);
  });

  it('counts addresses of the body, of an attached message and of coded HTML', () => {
    const header = [FROM, 'To: a@x.test'];
    assert.equal(count({ header, body: 'Ask bob@y.test about it' }).certain, 1);
    const html = [...header, 'MIME-Version: 1.0', 'Content-Type: text/html'];
    assert.equal(count({ header: html, body: '<p>bob&#64;y.test</p>' }).certain, 1);
    const nested = [...header, 'MIME-Version: 1.0', 'Content-Type: message/rfc822'];
    const inside = 'From: n@z.test\r\nTo: b@x.test, c@x.test\r\n\r\nHi';
    assert.equal(count({ header: nested, body: inside }).certain, 3);
  });

  it('counts an address of the sender’s domain, or beside what is shown, only if it is a reader’s', () => {
    const header = [FROM, 'To: a@x.test', 'X-Report-Abuse: abuse@esp.test', 'X-Other: b@x.test'];
    const body = 'Write to support@company.test or staff@company.test';
    assert.equal(count({ header, body }).pairs, 0);
    const others = { header: [FROM, 'To: b@x.test'] };
    const staff = { header: [FROM, 'To: staff@company.test'] };
    const counts = count({ header, body }, others, staff);
    assert.deepEqual([counts.certain, counts.possible], [1, 1]);
  });

  it('counts who answered, and who read the answer, as possible readers of what was answered', () => {
    const first = { header: [FROM, 'To: a@x.test, b@x.test', 'Message-ID: <1@company.test>'] };
    const answer = {
      header: ['From: c@x.test', 'To: d@x.test', 'In-Reply-To: <1@company.test>'],
      body: 'See the picture',
    };
    const counts = count(first, answer);
    assert.deepEqual([counts.certain, counts.possible], [2, 4]);
    const toSender = {
      header: ['From: a@x.test', 'To: news@company.test', 'References: <1@company.test>'],
    };
    assert.equal(count(first, toSender).possible, 0);
  });

  it('knows a list by List-Post: its address is nobody, its readers are possible', () => {
    const counts = count({
      header: [FROM, 'List-Post: <mailto:all@list.test>', 'To: all@list.test', 'Cc: a@x.test'],
    });
    assert.deepEqual([counts.exposed, counts.certain, counts.possible], [1, 0, 1]);
  });

  it('leaves out the company as it was told', () => {
    const extent = createExtent({
      companyDomains: ['company.test'],
      roleAddresses: ['help@desk.test'],
    });
    add(extent, { header: [FROM, 'To: a@x.test, chef@company.test', 'Cc: help@desk.test'] });
    assert.equal(extent.count().pairs, 0);
    assert.equal(count({ header: [FROM, 'To: a@x.test, chef@company.test'] }).pairs, 2);
  });

  it('tells for one person whom they saw and who saw them, and for all who is to be told', () => {
    const extent = createExtent(NOBODY);
    const date = 'Date: Fri, 1 Nov 2019 06:04:00 +0000';
    add(extent, { header: [FROM, date, 'To: a@x.test, b@x.test'] });
    add(extent, { header: [FROM, 'Date: nonsense', 'To: A@x.test, c@x.test'] });
    const both = ['b@x.test', 'c@x.test'];
    assert.deepEqual(extent.person('a@X.test'), { saw: both, seenBy: both });
    assert.equal(extent.person('z@x.test'), null);
    const time = Date.UTC(2019, 10, 1, 6, 4);
    assert.deepEqual(
      [...extent.exposed()],
      [
        { address: 'a@x.test', firstExposed: time, seenBy: 2, messages: 2 },
        { address: 'b@x.test', firstExposed: time, seenBy: 1, messages: 1 },
        { address: 'c@x.test', firstExposed: null, seenBy: 1, messages: 1 },
      ],
    );
  });
});

/** Park and Miller's generator: the same cases in every run. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

interface Oracle {
  readonly certain: Set<string>;
  readonly possible: Set<string>;
}

/** Pairs one by one, from what was generated and not from what was written. */
function showAll(shown: readonly string[], readers: readonly string[], pairs: Set<string>): void {
  for (const one of shown)
    for (const other of readers) if (one !== other) pairs.add(`${one}>${other}`);
}

function generate(random: (below: number) => number, oracle: Oracle): Sent {
  const people = 2 + random(9);
  const some = (most: number): string[] => [
    ...new Set(Array.from({ length: random(most + 1) }, () => `p${random(people)}@x.test`)),
  ];
  const [to, cc, bcc, inBody, envelope] = [some(4), some(3), some(2), some(2), some(1)];
  const spelled = (address: string): string => {
    const upper = random(3) === 0 ? address.toUpperCase() : address;
    return [upper, `<${upper}>`, `"Name, N" <${upper}>`, `${upper} (note)`][random(4)] ?? upper;
  };
  const list = (name: string, all: readonly string[]): string[] =>
    all.length === 0
      ? []
      : [`${name}: ${all.map(spelled).join(random(2) === 0 ? ',\r\n ' : ', ')}`];
  const delivered = random(3) === 0;
  const header = [
    ...(delivered ? ['Received: from a.test by b.test'] : []),
    FROM,
    ...list('To', to),
    ...list('cc', cc),
    ...list('BCC', bcc),
  ];
  const shown = [...to, ...cc, ...inBody];
  const readers = [...to, ...cc, ...envelope];
  showAll(shown, readers, oracle.certain);
  showAll([...shown, ...(delivered ? bcc : [])], [...readers, ...bcc], oracle.possible);
  return { header, body: inBody.map((each) => `see ${each}`).join('\r\n'), envelope };
}

describe('against a count of every pair', () => {
  it('agrees on 5,000 generated cases', () => {
    let leaks = 0;
    for (let seed = 1; seed <= 5000; seed++) {
      const random = randomOf(seed * 7919);
      const oracle = { certain: new Set<string>(), possible: new Set<string>() };
      const extent = createExtent(NOBODY);
      const messages = 1 + random(4);
      for (let each = 0; each < messages; each++) add(extent, generate(random, oracle));
      const pairs = new Set([...oracle.certain, ...oracle.possible]);
      const exposed = new Set([...pairs].map((pair) => pair.split('>')[0]));
      const saw = new Set([...pairs].map((pair) => pair.split('>')[1]));
      const expected = {
        messages,
        exposed: exposed.size,
        saw: saw.size,
        pairs: pairs.size,
        certain: oracle.certain.size,
        possible: pairs.size - oracle.certain.size,
      };
      assert.deepEqual(extent.count(), expected, `seed ${seed}`);
      const told = [...extent.exposed()];
      assert.equal(told.length, exposed.size, `seed ${seed}`);
      assert.equal(
        told.reduce((sum, { seenBy }) => sum + seenBy, 0),
        pairs.size,
        `seed ${seed}`,
      );
      if (pairs.size > 0) leaks++;
    }
    assert.ok(leaks > 3000, `${leaks} of 5,000 cases show anybody`);
  });
});
