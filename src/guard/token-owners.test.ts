import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { TokenOwners } from './token-owners.ts';

const SLOT = 'https://shop.example/u/* 4';
const token = (row: number): string => `tok${row}-0a1b2c3d4e5f6a7b`;
const reader = (row: number): string => `reader${row}@home.example`;

/** A memory, and what it says of each message that passes unless something is found in it. */
function memory(): {
  readonly owners: TokenOwners;
  readonly send: (row: number, token: string, slot?: string, days?: number) => boolean;
} {
  const owners = new TokenOwners(randomBytes(8));
  return {
    owners,
    send: (row, value, slot = SLOT, days = 0) => {
      const look = owners.look(() => 'shop', days * 86_400_000);
      const isFound = look.hadByOther(reader(row), new Map([[slot, value]]));
      if (!isFound) look.learn();
      return isFound;
    },
  };
}

/** Sends rows, and gives those that were found. */
function found(send: (row: number) => boolean, from: number, to: number): readonly number[] {
  const rows: number[] = [];
  for (let row = from; row < to; row++) if (send(row)) rows.push(row);
  return rows;
}

describe('a token that another reader had in an earlier call', () => {
  it('is found once ten readers had tokens of their own, and not before', () => {
    const early = memory();
    assert.deepEqual(
      found((row) => early.send(row, token(row)), 0, 9),
      [],
    );
    assert.equal(early.send(9, token(2)), false);
    const late = memory();
    assert.deepEqual(
      found((row) => late.send(row, token(row)), 0, 10),
      [],
    );
    assert.equal(late.send(10, token(2)), true);
    assert.equal(late.send(10, token(10)), false);
  });

  it('is found in every row where rows have shifted, and however often it is tried again', () => {
    const { send } = memory();
    assert.deepEqual(
      found((row) => send(row, token(row)), 0, 200),
      [],
    );
    for (let run = 0; run < 3; run++)
      assert.equal(found((row) => send(row, token(row + 1)), 0, 199).length, 199);
  });

  it('is found in every row where one value has stuck', () => {
    const { send } = memory();
    assert.deepEqual(
      found((row) => send(row, token(row)), 0, 100),
      [],
    );
    assert.equal(found((row) => send(row, token(7)), 100, 400).length, 300);
  });

  it('is none where it is the same reader again, with the same or with another one', () => {
    const { send } = memory();
    for (let time = 0; time < 3; time++)
      assert.deepEqual(
        found((row) => send(row, token(row)), 0, 50),
        [],
      );
    assert.equal(send(3, token(1003)), false);
    assert.equal(send(4, token(3)), true);
    assert.equal(send(4, token(1003)), true);
  });

  it('is none in a slot of the text itself: one for all, or one for each language or page', () => {
    for (const pages of [1, 2, 3, 5, 7]) {
      const { send } = memory();
      assert.deepEqual(
        found((row) => send(row, token(row % pages)), 0, 300),
        [],
        `${pages}`,
      );
    }
  });

  it('is held a few times where each of many pages is shown now and then, and then no more', () => {
    for (const pages of [12, 30, 100, 1000]) {
      const { send } = memory();
      let state = pages;
      const next = (): number => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        return (state >>> 8) % pages;
      };
      const held = found((row) => send(row, token(next())), 0, 3000);
      assert.ok(held.length <= 20, `${pages} pages: ${held.length} held`);
      assert.ok((held.at(-1) ?? 0) < Math.max(pages, 100), `${pages} pages: held to the end`);
    }
  });

  it('is none in another slot, or for another scope', () => {
    const { owners, send } = memory();
    for (let row = 0; row < 20; row++) send(row, token(row));
    assert.equal(send(30, token(1), 'https://shop.example/order/* 4'), false);
    const elsewhere = owners.look(() => 'other', 0);
    assert.equal(elsewhere.hadByOther(reader(30), new Map([[SLOT, token(1)]])), false);
    assert.equal(send(30, token(1)), true);
  });

  it('is forgotten after two weeks without use: addresses change, links to leave stay', () => {
    const { send } = memory();
    for (const day of [0, 6, 8, 14])
      for (let row = 0; row < 20; row++) if (day === 0 || row > 3) send(row, token(row), SLOT, day);
    assert.equal(send(300, token(7), SLOT, 15), true);
    assert.equal(send(300, token(3), SLOT, 15), false);
  });

  it("is nobody's where the call did not go on", () => {
    const { owners, send } = memory();
    for (let row = 0; row < 20; row++) send(row, token(row));
    const stopped = owners.look(() => 'shop', 0);
    stopped.hadByOther(reader(20), new Map([[SLOT, token(500)]]));
    stopped.learn();
    assert.equal(send(500, token(500)), true);
    stopped.unlearn();
    assert.equal(send(500, token(500)), false);
    assert.equal(send(20, token(500)), true);
  });
});

it('what is kept is bounded: the longest unused is forgotten, and nothing is found wrongly for it', () => {
  const { send } = memory();
  const FORGOTTEN = 2 * 2 ** 19;
  assert.equal(found((row) => send(row, token(row)), 0, FORGOTTEN).length, 0);
  assert.equal(send(-1, token(FORGOTTEN - 1)), true);
  assert.equal(send(-1, token(FORGOTTEN - 300_000)), true);
  assert.equal(send(-1, token(5)), false);
  assert.ok(process.memoryUsage().arrayBuffers < 64 * 1024 * 1024);
});
