import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/errors.ts';
import { databaseFault, sqlStateOf } from './database-fault.ts';

function serverError(code: string, message: string, more: object = {}): Error {
  return Object.assign(new Error(message), { severity: 'ERROR', code, ...more });
}

function faultOf(error: unknown): Fault {
  const fault = databaseFault(error);
  assert.ok(fault instanceof Fault);
  return fault;
}

test('what the server quotes of a row is nowhere in the fault', () => {
  const errors = [
    serverError('22P02', 'invalid input syntax for type integer: "ada@mail.example"'),
    serverError('23505', 'duplicate key value violates unique constraint "customer_key"', {
      detail: 'Key (address)=(ada@mail.example) already exists.',
      constraint: 'customer_key',
      table: 'customer',
    }),
    serverError('42703', 'column "ada@mail.example" does not exist'),
    serverError('P0001', "cannot take 'Ada Lovelace' or ada@mail.example", { where: 'ada' }),
  ];
  for (const error of errors) {
    const fault = faultOf(error);
    const shown = `${fault.message} ${fault.where} ${JSON.stringify(fault.cause)} ${fault.stack}`;
    assert.doesNotMatch(shown, /ada@|Lovelace/);
    assert.equal(fault.code, 'database.failed');
  }
});

test('a constraint is named and its SQLSTATE can be asked for', () => {
  const error = serverError('23505', 'duplicate key value violates unique constraint "a_key"', {
    constraint: 'a_key',
  });
  const fault = faultOf(error);
  assert.match(fault.message, /unique constraint "a_key" \(23505\)/);
  assert.equal(fault.where, 'a_key');
  assert.equal(sqlStateOf(fault), '23505');
  assert.equal(sqlStateOf(new Error('x')), undefined);
});

test('a full disk and a lost server have their own codes', () => {
  assert.equal(faultOf(serverError('53100', 'could not extend file')).code, 'database.full');
  assert.equal(faultOf(serverError('57P01', 'terminating connection')).code, 'database.gone');
  assert.equal(faultOf(new Error('Connection terminated unexpectedly')).code, 'database.gone');
  const refused = Object.assign(new Error('x'), { code: 'ECONNREFUSED', syscall: 'connect' });
  assert.equal(faultOf(refused).code, 'database.gone');
});

test("a caller's own error passes as it is", () => {
  const own = new TypeError('mine');
  const fault = new Fault('a.b', 'c');
  assert.equal(databaseFault(own), own);
  assert.equal(databaseFault(fault), fault);
});
