/** TLS and credentials on both sides of the relay. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { Fault } from '../../src/base/errors.ts';
import type { SmtpRelayOptions } from '../../src/gates/smtp-relay.ts';
import { selfSigned } from './smtp-relay-certificate.ts';
import {
  closeAfter,
  DEMO_IDENTITY,
  RawClient,
  startNextHop,
  startRelay,
} from './smtp-relay-next-hop.ts';

const tls = selfSigned();
const MESSAGE = 'From: a@shop.test\r\n\r\nhello\r\n';

/** Sends one message by nodemailer; the response, or the code that refused it. */
async function send(port: number, options: object): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port, tls: { ca: tls.cert }, ...options });
  try {
    const envelope = { from: 'a@shop.test', to: ['b@y.test'] };
    return (await transport.sendMail({ envelope, raw: MESSAGE })).response;
  } catch (error) {
    const { code, responseCode } = error as { code?: string; responseCode?: number };
    return `${code} ${responseCode}`;
  } finally {
    transport.close();
  }
}

function withUsers(extra: Partial<SmtpRelayOptions['listen']>): Partial<SmtpRelayOptions> {
  return {
    listen: { host: '127.0.0.1', port: 0, ...extra },
    identities: (user, password) =>
      user === 'shop' && password === 'right' ? DEMO_IDENTITY : null,
  };
}

test('STARTTLS and implicit TLS with AUTH are taken; a wrong password is not', async () => {
  const next = await startNextHop();
  for (const implicit of [false, true]) {
    const relay = await startRelay(next, withUsers({ tls: { ...tls, implicit } }), false);
    const auth = { user: 'shop', pass: 'right' };
    const how = implicit ? { secure: true } : { requireTLS: true };
    assert.match(await send(relay.port, { ...how, auth }), /^250/);
    assert.match(await send(relay.port, { ...how, auth: { user: 'shop', pass: 'no' } }), /535/);
    assert.match(await send(relay.port, how), /530/);
    await relay.close();
  }
  assert.equal(next.contents.length, 2);
  assert.match(next.contents[0] ?? '', /with ESMTPS id/);
  await next.close();
});

test('commands sent in the same packet after STARTTLS are thrown away', {
  timeout: 5000,
}, async () => {
  const next = await startNextHop();
  const relay = await startRelay(next, { listen: { host: '127.0.0.1', port: 0, tls } });
  const client = new RawClient(relay.port);
  await client.reply();
  await client.say('EHLO client.test\r\n');
  assert.match(
    await client.say('STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\n'),
    /^220/,
  );
  client.socket.removeAllListeners('data');
  const secure = connectTls({ socket: client.socket, ca: tls.cert, servername: 'gate.test' });
  const replies: string[] = [];
  secure.on('data', (chunk: Buffer) => replies.push(chunk.toString()));
  await new Promise((resolve) => secure.once('secureConnect', resolve));
  secure.write('RCPT TO:<b@y.test>\r\n');
  for (let i = 0; i < 400 && replies.length === 0; i++) await sleep(5);
  assert.match(replies.join(''), /^503 /);
  secure.destroy();
  await relay.close();
  await next.close();
});

test('an anonymous gate starts on loopback only', async () => {
  const next = { port: 1 };
  await assert.rejects(
    startRelay(next, { listen: { host: '0.0.0.0', port: 0 } }),
    (error) => error instanceof Fault && error.code === 'gate.anonymous-not-loopback',
  );
});

/** An independent server with STARTTLS or implicit TLS and one user. */
async function startFar(options: object): Promise<{ port: number; secure: boolean[] }> {
  const secure: boolean[] = [];
  const server = new SMTPServer({
    key: tls.key,
    cert: tls.cert,
    authOptional: true,
    onAuth: (auth, _session, done) =>
      auth.password === 'right' ? done(null, { user: 'x' }) : done(new Error('no')),
    onData(stream, session, done) {
      secure.push(session.secure);
      stream.on('data', () => {});
      stream.on('end', () => done());
    },
    ...options,
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  closeAfter(() => new Promise((resolve) => server.close(() => resolve())));
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    secure,
  };
}

async function through(
  far: { port: number },
  nextHop: Partial<SmtpRelayOptions['nextHop']>,
): Promise<string> {
  const hop = { host: '127.0.0.1', port: far.port, tls: 'none', ...nextHop } as const;
  const relay = await startRelay(far, { nextHop: hop });
  const reply = await send(relay.port, {});
  await relay.close();
  return reply;
}

test('the next hop is spoken to over TLS as told, and a certificate nobody vouches for stops what requires one', async () => {
  const far = await startFar({});
  assert.match(await through(far, { tls: 'opportunistic' }), /^250/);
  assert.match(
    await through(far, { tls: 'required', ca: tls.cert, serverName: 'gate.test' }),
    /^250/,
  );
  assert.match(await through(far, { tls: 'required', ca: tls.cert }), /^250/);
  assert.match(await through(far, { tls: 'none' }), /^250/);
  assert.deepEqual(far.secure, [true, true, true, false]);
  assert.match(await through(far, { tls: 'required' }), /451/);
  assert.match(
    await through(far, { tls: 'required', ca: tls.cert, serverName: 'other.test' }),
    /451/,
  );
  assert.equal(far.secure.length, 4);
});

test('implicit TLS and AUTH at the next hop', async () => {
  const far = await startFar({ secure: true, authOptional: false });
  const auth = { user: 'x', password: 'right' };
  assert.match(await through(far, { tls: 'implicit', ca: tls.cert, auth }), /^250/);
  const wrong = { user: 'x', password: 'wrong' };
  assert.match(await through(far, { tls: 'implicit', ca: tls.cert, auth: wrong }), /451/);
  assert.deepEqual(far.secure, [true]);
});

test('STARTTLS that is required and not offered, or followed by replies in clear, stops the message', {
  timeout: 5000,
}, async () => {
  const none = await startNextHop();
  assert.match(await through(none, { tls: 'required' }), /451/);
  assert.equal(none.contents.length, 0);
  await none.close();
  const injecting = await startNextHop({
    extensions: ['STARTTLS'],
    reply: (line) => (line === 'STARTTLS' ? '220 go\r\n250 injected' : undefined),
  });
  assert.match(await through(injecting, { tls: 'opportunistic' }), /451/);
  assert.equal(injecting.contents.length, 0);
  await injecting.close();
});
