/**
 * One process with three doors, which takes one call at one of them and kills itself (SIGKILL) at a named point.
 *
 *     node kept-door-process.ts URL KEYRING NEXT-HOP-PORT UPSTREAM relay|milter|sendgrid split|hold MARK POINT
 *
 * Prints `answered WORD`, and with the point `list` a line `reached POINT` for each of them, where it lives to answer.
 */

import { readFileSync } from 'node:fs';
import type { KeyringDocument } from '../../src/keys/keyring.ts';
import { DOORS } from './await-points.ts';
import type { KeptDoor } from './kept-doors.ts';
import { killAtPoint } from './kill-at-point.ts';

const [
  url = '',
  keyringFile = '',
  port = '',
  upstream = '',
  door = '',
  kind,
  mark = '',
  point = '',
] = process.argv.slice(2);
const { reached, arm } = killAtPoint(DOORS, point);

const { openDatabase } = await import('../../src/store/database.ts');
const { keyringOf } = await import('../../src/keys/keyring.ts');
const { openKeptDoors } = await import('./kept-doors.ts');

const db = await openDatabase({ url }, { poolMax: 4 });
const keyring = keyringOf(JSON.parse(readFileSync(keyringFile, 'utf8')) as KeyringDocument);
const doors = await openKeptDoors(db, keyring, Number(port), upstream);
arm(true);
const answer = await doors.send(door as KeptDoor, kind === 'split' ? 'split' : 'hold', mark);
process.stdout.write(`answered ${answer}\n`);
if (point === 'list') for (const name of reached) process.stdout.write(`reached ${name}\n`);
arm(false);
await doors.close();
await db.close();
