/**
 * One process with the guard's road, which takes one call and kills itself (SIGKILL) at a named point.
 *
 *     node kept-process.ts URL KEYRING PORT split|hold MARK POINT
 *
 * Prints `answered ACTION ID` where it lives to answer.
 */

import { readFileSync } from 'node:fs';
import type { KeyringDocument } from '../../src/keys/keyring.ts';
import { DOORS, ROAD } from './await-points.ts';
import { killAtPoint } from './kill-at-point.ts';

const [url = '', keyringFile = '', port = '', kind = '', mark = '', point = ''] =
  process.argv.slice(2);
const { arm } = killAtPoint([...ROAD, ...DOORS], point);

const { openDatabase } = await import('../../src/store/database.ts');
const { keyringOf } = await import('../../src/keys/keyring.ts');
const { holdCall, openKeptRoad, SENDER, splitCall } = await import('./kept-road.ts');

const db = await openDatabase({ url }, { poolMax: 3 });
const keyring = keyringOf(JSON.parse(readFileSync(keyringFile, 'utf8')) as KeyringDocument);
const road = await openKeptRoad(db, keyring, Number(port), { claimMs: 1500 });
arm(true);
const call = kind === 'split' ? splitCall(mark) : holdCall(mark);
const { action, kept } = await road.guard.road('smtp').decide(call, SENDER);
process.stdout.write(`answered ${action} ${kept}\n`);
await road.close();
await db.close();
