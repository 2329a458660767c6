/** Whether this machine reaches mail servers and providers itself, past the guard. A connection is opened and closed, no more. */

import { connect } from 'node:net';
import { Fault } from '../base/errors.ts';
import type { Remark } from './doctor-postfix.ts';

const CONNECT_MS = 3000;

/** Provider APIs, their submission doors, and one large mail exchanger for port 25. */
export const USUAL_PLACES: readonly string[] = [
  'api.sendgrid.com:443',
  'email.us-east-1.amazonaws.com:443',
  'email.eu-west-1.amazonaws.com:443',
  'api.mailgun.net:443',
  'api.eu.mailgun.net:443',
  'api.postmarkapp.com:443',
  'gmail-smtp-in.l.google.com:25',
  'smtp.sendgrid.net:465',
  'smtp.sendgrid.net:587',
  'smtp.mailgun.org:587',
  'smtp.postmarkapp.com:587',
];

/** @param places `host:port`. @throws Fault `cli.usage`. */
export async function examineEgress(places: readonly string[]): Promise<readonly Remark[]> {
  const targets = places.map((place) => {
    const [, host, port] = /^\[?([^\]]+)\]?:(\d{1,5})$/.exec(place) ?? [];
    if (host === undefined || Number(port) > 65_535)
      throw new Fault('cli.usage', `${place} is not HOST:PORT`, { remedy: '--help says how' });
    return { place, host, port: Number(port) };
  });
  return Promise.all(
    targets.map(async ({ place, host, port }): Promise<Remark> => {
      if (!(await opens(host, port)))
        return { kind: 'fine', check: 'egress', text: `${place} cannot be reached from here` };
      const text = `${place} can be reached from here: a program could send past the guard`;
      return { kind: 'finding', check: 'egress', text, remedy: 'let the guard alone through' };
    }),
  );
}

function opens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (open: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(open);
    };
    // The whole attempt: looking up a name has no limit of its own.
    const timer = setTimeout(() => end(false), CONNECT_MS);
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
