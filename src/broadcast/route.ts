/** A route: the next hop that takes every message of a broadcast, fixed at prepare. */

import { Fault } from '../base/errors.ts';

export interface Route {
  readonly kind: 'smtp';
  readonly host: string;
  readonly port: number;
  readonly tls: 'none' | 'opportunistic' | 'required' | 'implicit';
  /** What we say in EHLO. */
  readonly name: string;
  readonly connections: number;
  /** A connection is closed and opened anew after this many messages. */
  readonly messagesPerConnectionMax: number;
  readonly timeoutsMs: {
    readonly connect: number;
    readonly command: number;
    readonly afterDot: number;
  };
}

export const ROUTE_DEFAULTS: Omit<Route, 'host' | 'port'> = {
  kind: 'smtp',
  tls: 'opportunistic',
  name: 'localhost',
  connections: 20,
  messagesPerConnectionMax: 100_000,
  // RFC 5321 section 4.5.3.2: 5 min for a command, 10 min after the final dot.
  timeoutsMs: { connect: 30_000, command: 300_000, afterDot: 600_000 },
};

const PARAMETERS: readonly string[] = [
  ...['connections', 'tls', 'name'],
  ...['connectTimeout', 'commandTimeout', 'dotTimeout'],
];

/**
 * `smtp://host:port?connections=20&tls=none&name=mta.example` as a route.
 * @throws Fault `route.malformed`.
 */
export function parseRoute(text: string): Route {
  const bad = (why: string): Fault =>
    new Fault('route.malformed', why, {
      where: '--route',
      remedy: 'write it as smtp://host:port?connections=20',
    });
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad('the route is no URL');
  }
  if (url.protocol !== 'smtp:' && url.protocol !== 'smtps:') throw bad('the route is not smtp://');
  if (url.username !== '' || url.password !== '')
    throw bad('a password does not belong into a route');
  if (url.hostname === '' || url.port === '0') throw bad('the route names no host and port');
  if (!['', '/'].includes(url.pathname) || url.hash !== '') throw bad('a route has no path');
  const unknown = [...url.searchParams.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) throw bad(`a route has no "${unknown}"`);
  const name = url.searchParams.get('name') ?? ROUTE_DEFAULTS.name;
  if (!/^[A-Za-z0-9.:[\]-]{1,255}$/.test(name)) throw bad('name is a host name or [address]');
  const connections = Number(url.searchParams.get('connections') ?? ROUTE_DEFAULTS.connections);
  if (!Number.isInteger(connections) || connections < 1 || connections > 1000)
    throw bad('connections is a whole number from 1 to 1000');
  const tls =
    url.searchParams.get('tls') ?? (url.protocol === 'smtps:' ? 'implicit' : 'opportunistic');
  if (!['none', 'opportunistic', 'required', 'implicit'].includes(tls))
    throw bad('tls is none, opportunistic, required or implicit');
  const seconds = (name: string, fallback: number): number => {
    const value = url.searchParams.get(name);
    if (value === null) return fallback;
    const ms = Number(value) * 1000;
    if (!(ms >= 50)) throw bad(`${name} is a number of seconds`);
    return ms;
  };
  const { timeoutsMs } = ROUTE_DEFAULTS;
  return {
    ...ROUTE_DEFAULTS,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 25 : Number(url.port),
    tls: tls as Route['tls'],
    name,
    connections,
    timeoutsMs: {
      connect: seconds('connectTimeout', timeoutsMs.connect),
      command: seconds('commandTimeout', timeoutsMs.command),
      afterDot: seconds('dotTimeout', timeoutsMs.afterDot),
    },
  };
}
