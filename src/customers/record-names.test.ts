/** Which columns of a record hold names by which its owner may be greeted. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesIn } from './record-names.ts';

test('names stand in the columns that are usually called so, however they are written', () => {
  for (const field of [
    'name',
    'Name',
    'first_name',
    'firstName',
    'First Name',
    'last-name',
    'Vorname',
    'prénom',
    'Nombre',
    'customer.name',
    'фамилия',
    '姓名',
  ])
    assert.deepEqual(namesIn({ [field]: 'Alice', city: 'Bergen' }, []), ['Alice'], field);
});

test('what is no name of a person is none, and alone it makes no record comparable', () => {
  for (const field of ['product_name', 'hostname', 'city', 'plan', 'file name', 'amount'])
    assert.deepEqual(namesIn({ [field]: 'Alice' }, []), [], field);
  assert.deepEqual(namesIn({ company: 'Acme', nickname: 'Ally' }, []), []);
  assert.deepEqual(namesIn({ name: ' ', nickname: 'Ally' }, []), []);
  assert.deepEqual(
    namesIn({ name: 'Alice', company: 'Acme', nickname: 'Ally', city: 'Rome' }, []),
    ['Alice', 'Acme', 'Ally'],
  );
});

test('named columns take the place of the usual ones', () => {
  const fields = { kdn1: 'Alice', name: 'Gold', nick: 'Ally' };
  assert.deepEqual(namesIn(fields, ['kdn1']), ['Alice', 'Ally']);
  assert.deepEqual(namesIn({ name: 'Alice' }, ['kdn1']), []);
});
