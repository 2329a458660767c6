import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeFault, Fault } from './errors.ts';

test('a fault is one line: place, what is wrong, what to do', () => {
  const fault = new Fault('x.y', 'it is blank', { where: 'f.csv line 3', remedy: 'fill it' });
  assert.equal(describeFault(fault), 'f.csv line 3: it is blank (fill it)');
  assert.equal(describeFault(new Fault('x.y', 'it is blank')), 'it is blank');
});

test('a fault keeps its cause, and other errors are said by their message', () => {
  const cause = new Error('inner');
  assert.equal(new Fault('x.y', 'outer', { cause }).cause, cause);
  assert.equal(Object.hasOwn(new Fault('x.y', 'outer'), 'cause'), false);
  assert.equal(describeFault(cause), 'inner');
  assert.equal(describeFault('text'), 'text');
});
