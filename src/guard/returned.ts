/**
 * Which private copy a bounce belongs to, by the token in its return path: derived anew for each copy that may be meant, since no
 * token is stored. Three microseconds each, in turns, so that mail goes on in between.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { Fault } from '../base/errors.ts';
import type { Keyring } from '../keys/keyring.ts';
import { tokenMatches } from '../keys/token.ts';
import type { Database } from '../store/database.ts';
import { type DeliveryState, deliveriesOf, listPrivateCalls } from '../store/kept.ts';

/** Mail servers give up after five days; some say so late. */
const DAYS = 30;
const COPIES_PER_TURN = 500;
const TOKEN = /(?:^|\+)([a-z0-9]{20})(?:@|$)/i;

/** A private copy, without whom it was for. */
export interface ReturnedCopy {
  readonly kept: string;
  /** Of the delivery, from 0. */
  readonly number: number;
  readonly identity: string;
  readonly at: Date;
  readonly state: DeliveryState;
  readonly answer: string | null;
}

/**
 * @param given a token, or a whole return path `local+TOKEN@domain`.
 * @throws Fault `returned.no-token`, `returned.unknown`.
 */
export async function findReturned(
  db: Database,
  keyring: Pick<Keyring, 'token'>,
  given: string,
): Promise<ReturnedCopy> {
  const token = TOKEN.exec(given.trim().replace(/^<|>$/g, ''))?.[1]?.toLowerCase();
  if (token === undefined)
    throw new Fault('returned.no-token', 'there is no token of ours in it', {
      remedy: 'give the return path, local+TOKEN@domain, as the bounce was sent to it',
    });
  let tried = 0;
  for (const { id, identity, at, copies } of await listPrivateCalls(db, DAYS)) {
    for (let number = 0; number < copies; number++) {
      if (++tried % COPIES_PER_TURN === 0) await nextTurn();
      const isIt = keyring.token.some(({ key }) =>
        tokenMatches(token, key, 'return-path', id, number),
      );
      if (!isIt) continue;
      const delivery = (await deliveriesOf(db, id)).find((one) => one.number === number);
      if (delivery === undefined) continue;
      const { state, answer } = delivery;
      return { kept: id, number, identity, at, state, answer };
    }
  }
  throw new Fault('returned.unknown', `no private copy of the last ${DAYS} days has this token`, {
    remedy: 'it is forged, older, or of a keyring that was replaced',
  });
}
