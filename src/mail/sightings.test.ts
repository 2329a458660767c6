import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { quickestMs } from '../../test/support/quickest-ms.ts';
import { findEncodedAddresses } from './encoded-sightings.ts';
import { findAddresses } from './sightings.ts';

function found(text: string): readonly string[] {
  return findAddresses(text)
    .filter(({ weak }) => !weak)
    .map(({ address }) => address);
}

describe('findAddresses', () => {
  it('reads what stands behind the apostrophe of an elision as well, but not behind that of a name', () => {
    const readingsOf = (text: string): readonly string[] => findAddresses(text)[0]?.readings ?? [];
    for (const word of ["d'", "D'", "l'", "dell'", "jusqu'", "adresse=d'"]) {
      assert.ok(readingsOf(`${word}ann@x.test`).includes('ann@x.test'), word);
    }
    assert.equal(findAddresses("d'ann@x.test")[0]?.address, "d'ann@x.test");
    assert.deepEqual(readingsOf("o'brien@x.test"), []);
  });

  it('reads an address that a file is called by with the ending of the file and without', () => {
    const [named] = findAddresses('ann@home.test.csv');
    assert.equal(named?.address, 'ann@home.test.csv');
    assert.deepEqual(named?.readings, ['ann@home.test']);
    assert.deepEqual(findAddresses('logo@2x.png')[0]?.readings, []);
  });

  const SPELLINGS: readonly (readonly [string, string, readonly string[]])[] = [
    ['plain', 'Write to Ann@X.Test.', ['ann@x.test']],
    [
      'in marks',
      '<a@x.test>,(b@x.test);“c@x.test”:d@x.test',
      ['a@x.test', 'b@x.test', 'c@x.test', 'd@x.test'],
    ],
    ['percent', '?e=a%40x.test&n=1', ['a@x.test']],
    ['percent twice', 'a%2540x.test', ['a@x.test']],
    ['behind a number', '40 of 40, 4040 a%40x.test', ['a@x.test']],
    ['behind other references', '&nbsp;&amp;&#40;b&#41; a&#64;x.test', ['a@x.test']],
    ['behind text of its length', `${'. '.repeat(400)}a%2540x.test`, ['a@x.test']],
    ['percent around plain', 'mailto:a@x.test?cc=b%40x.test', ['a@x.test', 'b@x.test']],
    ['decimal reference', 'a&#64;x.test', ['a@x.test']],
    ['padded, without semicolon', 'a&#00064x.test', ['a@x.test']],
    ['hexadecimal reference', 'a&#X40;x.test', ['a@x.test']],
    ['named reference', 'a&commat;x.test', ['a@x.test']],
    ['every letter a reference', '&#97;&#64;&#120;&#46;test', ['a@x.test']],
    ['quoted-printable', 'a=40x.test', ['a@x.test']],
    ['script escapes', 'a\\u0040x.test b\\x40x.test', ['a@x.test', 'b@x.test']],
    ['full-width at', 'a＠x.test', ['a@x.test']],
    ['full-width all', 'ａ＠ｘ．ｔｅｓｔ', ['a@x.test']],
    ['small at', 'a﹫x.test', ['a@x.test']],
    ['quoted local part', '"a b"@x.test', ['a b@x.test']],
    ['quoted by references', 'for &quot;a b&quot;@x.test', ['a b@x.test']],
    ['quoted before a full-width at', 'for "a b"＠x.test', ['a b@x.test']],
    ['quoted before a reference', 'for "a b"&#64;x.test', ['a b@x.test']],
    ['quoted before percent coding', 'for "a b"%40x.test', ['a b@x.test']],
    ['quoted before quoted-printable', 'for "a b"=40x.test', ['a b@x.test']],
    ['quoted all in percent coding', '?e=%22a%20b%22%40x.test', ['a b@x.test']],
    ['a quote that nothing opens', 'for ann"@x.test', ['ann@x.test']],
    ['quoted for no reason', '"ann"@x.test', ['ann@x.test']],
    ['soft hyphen and zero width', 'an\u00adn@x\u200b.test', ['ann@x.test']],
    ['decomposed', 'jose\u0301@x.test', ['jos\u00e9@x.test']],
    ['U-label', 'ann@bücher.example', ['ann@xn--bcher-kva.example']],
    ['A-label', 'ann@XN--BCHER-KVA.example', ['ann@xn--bcher-kva.example']],
    ['not ASCII at all', '用户@例子.广告', ['用户@xn--fsqu00a.xn--4rr70v']],
    ['Chinese around it', '请联系ann@x.test。谢谢', ['ann@x.test']],
    ['Cyrillic beside it', 'почта:ann@x.testпишите', ['ann@x.test']],
    ['apostrophe inside and around', "o'neil@x.test 'ann@x.test'", ["o'neil@x.test", 'ann@x.test']],
    ['domain literal', 'a@[192.0.2.1] b@192.0.2.1', ['a@[192.0.2.1]', 'b@192.0.2.1']],
    ['dots out of place', 'a..b@x.test', ['a..b@x.test']],
    ['domain after domain', 'a@x.test@y.test', ['a@x.test']],
    ['in a query', 'https://x.test/?email=john.smith@x.test', ['john.smith@x.test']],
    ['glued together', 'a@x.test,b@x.test;c@x.test', ['a@x.test', 'b@x.test', 'c@x.test']],
  ];
  for (const [name, text, expected] of SPELLINGS) {
    it(`finds it ${name}`, () => assert.deepEqual([...new Set(found(text))], expected));
  }

  const NO_ADDRESS = [
    'no mark at all',
    'a @ b, 5@6, @name, name@',
    'logo@2x.png and htmx.org@1.9.10/dist.js',
    'root@localhost',
    '?id=4012.html&w=40.5',
    '&#39;quoted&#39; 100%',
    '@media screen{a:b} @x.y.z',
  ];
  for (const text of NO_ADDRESS) {
    it(`takes nothing in "${text}" for a certain address`, () => assert.deepEqual(found(text), []));
  }

  it('keeps what is doubtful as weak, for those who know somebody by that address', () => {
    const [sighting] = findAddresses('root@localhost');
    assert.equal(sighting?.address, 'root@localhost');
    assert.equal(sighting?.weak, true);
  });

  it('gives all readings where a separator may belong to the name', () => {
    const [sighting] = findAddresses('to=ann@x.test');
    assert.equal(sighting?.address, 'ann@x.test');
    assert.deepEqual(sighting?.readings, ['to=ann@x.test']);
  });

  it('unfolds VERP, SRS and the percent hack', () => {
    for (const text of [
      'b+ann=x.test@y.test',
      'SRS0=Hx=T2=x.test=ann@y.test',
      'ann%x.test@y.test',
      'b-1-ann=x.test-5f@y.test',
    ]) {
      const embedded = findAddresses(text).flatMap((sighting) => sighting.embedded);
      assert.ok(embedded.includes('ann@x.test'), text);
    }
  });

  it('says where', () => {
    const text = 'to ann@x.test.';
    const [sighting] = findAddresses(text);
    assert.equal(text.slice(sighting?.start, sighting?.end), 'ann@x.test');
  });
});

describe('findEncodedAddresses', () => {
  const PEOPLE = [
    'ann@example.com',
    '{"sub":7,"email":"ann@example.com"}',
    '\n1;ann@example.com\n',
  ];
  const PREFIXES = ['', 'u-', 'id_', 'n/', 'abc/'];
  for (const text of PEOPLE) {
    for (const prefix of PREFIXES) {
      for (const coding of ['base64', 'base64url', 'hex'] as const) {
        it(`finds ${JSON.stringify(text)} as ${coding} behind "${prefix}"`, () => {
          const link = `https://x.test/${prefix}${Buffer.from(text).toString(coding)}?x=1`;
          assert.deepEqual(
            findEncodedAddresses(link).map(({ address }) => address),
            ['ann@example.com'],
          );
        });
      }
    }
  }

  it('finds short addresses in tokens of twelve characters', () => {
    const token = Buffer.from('ab@c.test').toString('base64url');
    assert.equal(token.length, 12);
    assert.deepEqual(
      findEncodedAddresses(token).map(({ address }) => address),
      ['ab@c.test'],
    );
  });

  it('finds nothing in words, digests and random tokens', () => {
    let state = 7;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    };
    for (let round = 0; round < 20_000; round++) {
      const token = Buffer.from(Array.from({ length: 32 }, random)).toString('base64url');
      assert.deepEqual(findEncodedAddresses(`https://x.test/${token}`), []);
    }
    assert.deepEqual(findEncodedAddresses('Internationalization notwithstanding'), []);
  });
});

it('time grows with the text, not with its square', () => {
  const HOSTILE = [
    'a@',
    '@',
    '%40',
    '&#64;',
    '"@x.test ',
    '请a',
    '=40a',
    'YUBi',
    '6140',
    'a=b.c',
    'a@b.test,',
    '&#',
    'x+',
  ];
  for (const piece of HOSTILE) {
    const times = [40_000, 160_000].map((count) => {
      const text = `${piece.repeat(count)}@b.test`;
      return quickestMs(50, () => {
        findAddresses(text);
        findEncodedAddresses(text);
      });
    });
    const [short = 0, long = 0] = times;
    assert.ok(long < 100 + short * 10, `${piece}: ${short} ms, ${long} ms`);
  }
});
