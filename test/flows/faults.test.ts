/** A second customer's address put into a message by a broken part never reaches the far side: not one byte of that message. */

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type Matrix, RUNS, runMatrix, tableOf } from '../support/faults/matrix.ts';
import { canLeak, FAULTS, noWay, PLACES, readerOf, victimOf } from '../support/faults/places.ts';
import { plantInBytes } from '../support/faults/plant.ts';
import { shows } from '../support/faults/spellings.ts';

const CLEAN = 6;

describe('a second customer’s address by a fault', () => {
  let matrix: Matrix;
  before(async () => {
    matrix = await runMatrix(CLEAN);
    for (const run of RUNS) console.log(`${tableOf(matrix, run)}\n`);
  });
  const wayTo = FAULTS.flatMap((fault) =>
    PLACES.filter((place) => noWay(fault, place) === null).map((place) => ({ fault, place })),
  );

  test('every place has a fault that goes there, and every part all its places', () => {
    for (const place of PLACES)
      assert.ok(wayTo.filter((way) => way.place === place).length >= 2, place);
    assert.equal(wayTo.length, FAULTS.length * PLACES.length - 5);
    assert.equal(matrix.cells.length, RUNS.length * FAULTS.length * PLACES.length);
  });

  for (const run of ['as shipped', 'detect off'] as const)
    test(`${run}: no byte of the message comes to the far side, and something says why`, () => {
      for (const { fault, place } of wayTo) {
        const cell = matrix.cells.find(
          (each) => each.run === run && each.fault === fault && each.place === place,
        );
        assert.equal(cell?.bytes, 0, `${fault}, ${place}`);
        assert.equal(cell?.leaked, false, `${fault}, ${place}`);
        assert.match(cell?.by ?? '', /\S/, `${fault}, ${place}`);
        if (run === 'detect off' && !/address|CR|@/.test(cell?.by ?? ''))
          assert.match(cell?.by ?? '', /last look: /, `${fault}, ${place}`);
      }
    });

  test('with detection and the last look off every fault leaks: the harness finds what it should', () => {
    for (const { fault, place } of wayTo.filter((way) => canLeak(way.fault, way.place))) {
      const cell = matrix.cells.find(
        (each) => each.run === 'both off' && each.fault === fault && each.place === place,
      );
      assert.equal(cell?.leaked, true, `${fault}, ${place}`);
    }
  });

  test('whoever is next to the faults gets the notice all the same', () => {
    assert.ok(matrix.cleanWanted > 0);
    assert.equal(matrix.clean, matrix.cleanWanted);
  });
});

test('an address is found in every spelling, and its absence is seen', () => {
  const reader = readerOf('To');
  const other = victimOf('To');
  const message = Buffer.from(
    `Message-ID: <x@y>\r\nTo: <${reader}>\r\nMessage-ID: <1@n>\r\nContent-Type: multipart/alternative; boundary="=_b"\r\n\r\n--=_b\r\n\r\ntext\r\n--=_b--\r\n`,
  );
  assert.equal(shows(message, other), false);
  assert.equal(shows(message, reader), true);
  for (const place of PLACES.filter((each) => !each.startsWith('envelope')))
    assert.equal(shows(plantInBytes(place, message, reader, other), other), true, place);
});
