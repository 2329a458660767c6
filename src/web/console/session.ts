/**
 * Who is signed in. A link of 32 random bytes, good once, opens a session of 32 others; the database has SHA-256 of both.
 *
 * Invariant: an operator who has been removed is nobody at the next question, in every process. One exception, for stopping
 * only: while the database does not answer, a session that this process knows may still halt.
 */

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Fault } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import { setNewest } from '../../base/newest-last.ts';
import { appendEntry } from '../../ledger/ledger.ts';
import {
  deleteConsoleSession,
  findConsoleLink,
  findConsoleSession,
  insertConsoleLink,
  insertConsoleSession,
  spendConsoleLink,
} from '../../store/console-sessions.ts';
import type { Database } from '../../store/database.ts';

export interface Session {
  readonly operator: string;
  /** What the cookie holds. */
  readonly secret: string;
  /** What every form of this session has to carry. */
  readonly csrf: string;
}

export interface ConsoleLink {
  readonly token: string;
  readonly expires: Date;
}

const HOURS_MAX = 12;
const IDLE_MINUTES_MAX = 60;
const LIMITS = { hoursMax: HOURS_MAX, idleMinutesMax: IDLE_MINUTES_MAX };
export const LINK_MINUTES = 10;
const LINK_MINUTES_MAX = 720;
const KNOWN_MAX = 1000;

const SECRET = /^[A-Za-z0-9_-]{43}$/;

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
const newSecret = (): string => randomBytes(32).toString('base64url');

function sessionOf(secret: string, operator: string): Session {
  const csrf = createHmac('sha256', secret).update('undisclosed csrf').digest('base64url');
  return { operator, secret, csrf };
}

export function sameSecret(one: string, other: string): boolean {
  return timingSafeEqual(hashOf(one), hashOf(other));
}

export function badLink(): Fault {
  return new Fault('console.bad-link', 'this sign-in link is used, too old or not ours', {
    remedy: 'get another: undisclosed console --as NAME',
  });
}

/**
 * A link for this operator, entered in the ledger.
 * @throws Fault `console.bad-minutes`.
 */
export function makeConsoleLink(
  db: Database,
  operator: string,
  minutes: number,
): Promise<ConsoleLink> {
  if (!Number.isSafeInteger(minutes) || minutes < 1 || minutes > LINK_MINUTES_MAX)
    throw new Fault('console.bad-minutes', `a link is good for 1 to ${LINK_MINUTES_MAX} minutes`, {
      remedy: 'undisclosed console --minutes 10',
    });
  const token = newSecret();
  return db.transaction(async (tx) => {
    const expires = await insertConsoleLink(tx, { hash: hashOf(token), operator, minutes });
    await appendEntry(tx, {
      kind: 'console.link-made',
      at: new Date().toISOString(),
      by: operator,
      subject: operator,
      data: { minutes },
    });
    return { token, expires };
  });
}

export class Sessions {
  readonly #db: Database;
  /** Sessions that the database has confirmed to this process, with when. */
  readonly #known = new Map<string, { readonly operator: string; readonly atMs: number }>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Whom a link would sign in; it stays good. @throws Fault `console.bad-link`. */
  async lookAt(token: string): Promise<string> {
    const operator = SECRET.test(token) ? await findConsoleLink(this.#db, hashOf(token)) : null;
    if (operator === null) throw badLink();
    return operator;
  }

  /** Uses a link up. @throws Fault `console.bad-link`. */
  async signIn(token: string): Promise<Session> {
    if (!SECRET.test(token)) throw badLink();
    const secret = newSecret();
    const operator = await this.#db.transaction(async (tx) => {
      const by = await spendConsoleLink(tx, hashOf(token));
      if (by === null) throw badLink();
      await insertConsoleSession(tx, hashOf(secret), by);
      await appendEntry(tx, {
        kind: 'console.signed-in',
        at: new Date().toISOString(),
        by,
        subject: newId('w'),
        data: { operator: by },
      });
      return by;
    });
    this.#know(secret, operator);
    return sessionOf(secret, operator);
  }

  /** Whose secret this is; null for nobody. @param touch whether it counts as use. */
  async find(secret: string, touch: boolean): Promise<Session | null> {
    if (!SECRET.test(secret)) return null;
    const operator = await findConsoleSession(this.#db, hashOf(secret), LIMITS, touch);
    if (operator === null) {
      this.#known.delete(secret);
      return null;
    }
    if (touch) this.#know(secret, operator);
    return sessionOf(secret, operator);
  }

  /** Of a session that was confirmed here within the idle time: for halting while the database does not answer. */
  remembered(secret: string): Session | null {
    const known = this.#known.get(secret);
    if (known === undefined || Date.now() - known.atMs > IDLE_MINUTES_MAX * 60_000) return null;
    return sessionOf(secret, known.operator);
  }

  async signOut(secret: string): Promise<void> {
    this.#known.delete(secret);
    await deleteConsoleSession(this.#db, hashOf(secret));
  }

  #know(secret: string, operator: string): void {
    setNewest(this.#known, secret, { operator, atMs: Date.now() }, KNOWN_MAX);
  }
}
