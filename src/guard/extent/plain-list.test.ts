import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalAddress } from '../../mail/address.ts';
import { PeopleTable } from './people-table.ts';
import { liftPlainLists } from './plain-list.ts';

function lift(header: string): { people: string[]; rest: string } {
  const table = new PeopleTable();
  const { people, rest } = liftPlainLists(Buffer.from(`${header}\r\n\r\nTo: x@y.test\r\n`), table);
  return { people: people.map((each) => table.address(each)), rest: Buffer.from(rest).toString() };
}

describe('plain lists', () => {
  it('are taken out of the header, and nothing else is', () => {
    const header =
      'A: 1\r\nTo: a@x.test,\r\n\tB Bee <B@x.test>, "C, Cee" <c@x.test>\r\nB: 2\r\ncc: d@x.test';
    const { people, rest } = lift(header);
    assert.deepEqual(people, ['a@x.test', 'b@x.test', 'c@x.test', 'd@x.test']);
    assert.equal(rest, 'A: 1\r\nB: 2\r\n\r\nTo: x@y.test\r\n');
  });

  it('are left to the reading that knows more where anything in them is unusual', () => {
    for (const value of [
      '"a"@x.test',
      'a@x.test (note)',
      'a@x.test; b@x.test',
      'team: a@x.test;',
      'a@x.test,, b@x.test',
      'a@x.test b@x.test',
      '"b@x.test" <a@x.test>',
      '=?utf-8?q?b=40x.test?= <a@x.test>',
      'b&#64;x.test <a@x.test>',
      '<@relay.test:a@x.test>',
      'a@[192.0.2.1]',
      'a@localhost',
      'a@xn--bcher-kva.test',
      'ä@x.test',
      'a..b@x.test',
      '.a@x.test',
      'a@-x.test',
      'a@x-.test',
      'a@x.t3',
      'a@x.test>',
      '<a@x.test',
      '',
      ',',
      `a@${'x'.repeat(60)}.test`,
      `${'a'.repeat(65)}@x.test`,
      'a@x.test\r b@x.test',
      'a@x.test\n b@x.test',
    ]) {
      const header = `To: ok@x.test, ${value}`;
      assert.deepEqual(lift(header).people, [], value);
      assert.ok(lift(header).rest.startsWith(header), value);
    }
  });

  it('give every address as the one canonicaliser does', () => {
    const pieces = ['a', 'B', '7', '.', '-', '_', '+', 'xn--', 'Q', 'com', 'é', '@', 'X.test'];
    let state = 99;
    let taken = 0;
    for (let each = 0; each < 20_000; each++) {
      let address = '';
      for (let piece = 0; piece < 8; piece++) {
        state = (state * 48_271) % 2_147_483_647;
        address += piece === 3 ? '@' : pieces[state % pieces.length];
      }
      const [person] = lift(`To: ${address}`).people;
      if (person === undefined) continue;
      taken++;
      assert.equal(person, canonicalAddress(address), address);
    }
    assert.ok(taken > 200, `${taken} taken`);
  });

  it('number 200,000 addresses without a mistake', () => {
    const table = new PeopleTable();
    for (let each = 0; each < 200_000; each++) assert.equal(table.number(`p${each}@x.test`), each);
    assert.equal(table.number('P77777@X.test'), 77_777);
    assert.equal(table.find('p199999@x.test'), 199_999);
    assert.equal(table.find('q@x.test'), -1);
    assert.equal(table.number('no address'), -1);
    assert.equal(table.size, 200_000);
    assert.equal(table.address(123_456), 'p123456@x.test');
  });
});
