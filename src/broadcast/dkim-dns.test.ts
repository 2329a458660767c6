import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDkimDns, type TxtResolver } from './dkim-dns.ts';

const KEY = 'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A';
const answers =
  (...records: string[][]): TxtResolver =>
  async () =>
    records;
const fails =
  (code: string): TxtResolver =>
  async () => {
    throw Object.assign(new Error(code), { code });
  };

test('the published key is recognised, also cut into strings and with white space', async () => {
  const whole = [`v=DKIM1; k=rsa; p=${KEY}`];
  const cut = ['v=DKIM1; k=rsa; p=', ` ${KEY.slice(0, 9)} `, KEY.slice(9)];
  for (const record of [whole, cut])
    assert.deepEqual(await readDkimDns('s', 'northwind.com', KEY, answers(record)), {
      kind: 'published',
    });
});

test('another key, a revoked key and no key keep the ring shut', async () => {
  for (const resolver of [
    answers(['v=DKIM1; k=rsa; p=AAAA']),
    answers(['v=DKIM1; k=rsa; p=']),
    answers(['unrelated']),
    fails('ENOTFOUND'),
    fails('ENODATA'),
  ])
    assert.equal((await readDkimDns('s', 'northwind.com', KEY, resolver)).kind, 'wrong');
});

test('a DNS that does not answer says nothing about the key', async () => {
  for (const code of ['ETIMEOUT', 'ECONNREFUSED', 'ESERVFAIL', 'EAI_AGAIN'])
    assert.equal((await readDkimDns('s', 'northwind.com', KEY, fails(code))).kind, 'cannot-ask');
});

test('a reserved domain is not asked for: samples need no DNS', async () => {
  const asked: string[] = [];
  const resolver: TxtResolver = async (name) => {
    asked.push(name);
    return [];
  };
  assert.equal((await readDkimDns('s', 'northwind.example', KEY, resolver)).kind, 'cannot-ask');
  assert.deepEqual(asked, []);
});
