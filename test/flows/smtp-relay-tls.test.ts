/** TLS and credentials on both sides of the relay. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { Fault } from '../../src/base/errors.ts';
import { toConfig } from '../../src/config.ts';
import type { SmtpRelayOptions } from '../../src/gates/smtp-relay.ts';
import { certificateFolder, selfSigned } from '../support/certificate.ts';
import {
  closeAfter,
  DEMO_IDENTITY,
  RawClient,
  startNextHop,
  startRelay,
} from './smtp-relay-next-hop.ts';

const tls = selfSigned();
const files = certificateFolder(tls);
after(files.remove);
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

function withUsers(listen: Partial<SmtpRelayOptions['listen']>): Partial<SmtpRelayOptions> {
  return {
    listen: { host: '127.0.0.1', port: 0, tls: null, ...listen },
    identities: (user, password) =>
      user === 'shop' && password === 'right' ? DEMO_IDENTITY : null,
  };
}

test('STARTTLS and implicit TLS with AUTH are taken; a wrong password is not', async () => {
  const next = await startNextHop();
  for (const implicit of [false, true]) {
    const relay = await startRelay(next, withUsers({ tls: { ...files, implicit } }), false);
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
  const relay = await startRelay(next, { listen: { host: '127.0.0.1', port: 0, tls: files } });
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

/** What a gate that does not start says. */
async function refusal(options: Partial<SmtpRelayOptions>, anonymous = false): Promise<Fault> {
  try {
    await startRelay({ port: 1 }, options, anonymous);
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error;
  }
  throw new Error('the gate has started');
}

test('beyond this machine a gate starts with authentication and a certificate, or not at all', async () => {
  for (const host of ['0.0.0.0', '::']) {
    const open = await refusal({ listen: { host, port: 0, tls: files } }, true);
    assert.equal(open.code, 'gate.anonymous-not-loopback');
    const bare = await refusal({ listen: { host, port: 0, tls: null } });
    assert.equal(bare.code, 'gate.no-certificate');
    assert.match(bare.remedy ?? '', /gates\.smtp\.certificate/);
  }
});

test('beyond this machine AUTH is neither offered nor taken before TLS, and no mail without it', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next, withUsers({ host: '0.0.0.0', tls: files }), false);
  const client = new RawClient(relay.port);
  await client.reply();
  const offered = await client.say('EHLO client.test\r\n');
  assert.match(offered, /^250[- ]STARTTLS/m);
  assert.doesNotMatch(offered, /AUTH/);
  const credentials = Buffer.from('\0shop\0right').toString('base64');
  assert.match(await client.say(`AUTH PLAIN ${credentials}\r\n`), /^538 /);
  assert.match(await client.say('AUTH LOGIN\r\n'), /^538 /);
  assert.match(await client.say('MAIL FROM:<a@shop.test>\r\n'), /^530 /);
  const auth = { user: 'shop', pass: 'right' };
  assert.doesNotMatch(await send(relay.port, { ignoreTLS: true, auth }), /^250/);
  assert.equal(next.contents.length, 0);
  assert.match(await send(relay.port, { requireTLS: true, auth }), /^250/);
  assert.equal(next.contents.length, 1);
});

test('on a loopback address a certificate adds STARTTLS and takes nothing away', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next, withUsers({ tls: files }), false);
  const client = new RawClient(relay.port);
  await client.reply();
  const offered = await client.say('EHLO client.test\r\n');
  assert.match(offered, /^250[- ]STARTTLS/m);
  assert.match(offered, /^250[- ]AUTH PLAIN LOGIN/m);
  const auth = { user: 'shop', pass: 'right' };
  assert.match(await send(relay.port, { ignoreTLS: true, auth }), /^250/);
  assert.match(await send(relay.port, { requireTLS: true, auth }), /^250/);
});

test('without a certificate STARTTLS is neither offered nor taken', async () => {
  const relay = await startRelay(await startNextHop());
  const client = new RawClient(relay.port);
  await client.reply();
  assert.doesNotMatch(await client.say('EHLO client.test\r\n'), /STARTTLS/);
  assert.match(await client.say('STARTTLS\r\n'), /^503 /);
  assert.match(await client.say('NOOP\r\n'), /^250 /);
});

test('a client that says something else than TLS after STARTTLS is cut off, and others are served', async () => {
  const next = await startNextHop();
  const relay = await startRelay(next, { listen: { host: '127.0.0.1', port: 0, tls: files } });
  const client = new RawClient(relay.port);
  await client.reply();
  await client.say('EHLO client.test\r\n');
  assert.match(await client.say('STARTTLS\r\n'), /^220 /);
  client.socket.write('EHLO client.test\r\nMAIL FROM:<a@shop.test>\r\n');
  assert.doesNotMatch(await client.reply(), /^2/);
  assert.match(await send(relay.port, { requireTLS: true }), /^250/);
  assert.equal(next.commands.filter((line) => line.startsWith('MAIL')).length, 1);
});

test('a certificate that cannot be used stops the gate from starting and is named', async () => {
  const other = certificateFolder(selfSigned());
  const broken = certificateFolder({ cert: 'no PEM', key: tls.key });
  after(() => [other, broken].map((each) => each.remove()));
  const from = (certificate: string, key: string): Promise<Fault> =>
    refusal({ listen: { host: '127.0.0.1', port: 0, tls: { certificate, key } } }, true);
  const absent = await from(`${files.certificate}.none`, files.key);
  assert.equal(absent.code, 'gate.certificate-unreadable');
  assert.equal(absent.where, `${files.certificate}.none`);
  assert.match(absent.message, /ENOENT/);
  assert.equal((await from(files.certificate, other.certificate)).code, 'gate.bad-certificate');
  for (const [certificate, key] of [
    [files.certificate, other.key],
    [broken.certificate, broken.key],
    [files.key, files.certificate],
  ] as const) {
    const fault = await from(certificate, key);
    assert.equal(fault.code, 'gate.bad-certificate');
    assert.match(fault.where ?? '', /fullchain\.pem|privkey\.pem/);
    assert.doesNotMatch(fault.message, /BEGIN/);
  }
});

test('the certificate of the configuration file is the one that clients see', async () => {
  const config = join(mkdtempSync(join(tmpdir(), 'undisclosed-config-')), 'config.json');
  after(() => rmSync(dirname(config), { recursive: true }));
  const read = (smtp: object): ReturnType<typeof toConfig>['gates']['smtp'] => {
    const where = { listen: '0.0.0.0:0', nextHop: '127.0.0.1:25' };
    writeFileSync(config, JSON.stringify({ gates: { smtp: { ...where, ...smtp } } }));
    return toConfig({ UNDISCLOSED_CONFIG: config }).gates.smtp;
  };
  assert.equal(read({})?.listen.tls, null);
  const { certificate, key } = files;
  for (const half of [{ certificate }, { key }, { certificate, key: '' }, { certificate, key: 1 }])
    assert.throws(() => read(half), /gates\.smtp\.(key|certificate): the path of a PEM file/);
  const listen = read({ certificate, key })?.listen;
  assert.ok(listen !== undefined);
  const next = await startNextHop();
  const relay = await startRelay(next, withUsers(listen), false);
  const auth = { user: 'shop', pass: 'right' };
  assert.match(await send(relay.port, { requireTLS: true, auth }), /^250/);
  const distrusted = { requireTLS: true, auth, tls: { ca: [] } };
  assert.match(await send(relay.port, distrusted), /ESOCKET|ETLS/);
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

test('a renewed certificate is used without a restart, by STARTTLS and by implicit TLS; a bad one is not', {
  timeout: 15_000,
}, async () => {
  for (const implicit of [false, true]) {
    const folder = certificateFolder(selfSigned());
    after(folder.remove);
    const next = await startNextHop();
    const listen = withUsers({ tls: { ...folder, implicit } });
    const relay = await startRelay(next, { ...listen, certificateMs: 20 }, false);
    const how = implicit ? { secure: true } : { requireTLS: true };
    const auth = { user: 'shop', pass: 'right' };
    const seen = (ca: string): Promise<string> => send(relay.port, { ...how, auth, tls: { ca } });
    const renewed = selfSigned();
    assert.doesNotMatch(await seen(renewed.cert), /^250/);
    writeFileSync(folder.certificate, renewed.cert);
    for (let i = 0; i < 200 && relay.warnings.length === 0; i++) await sleep(10);
    assert.match(relay.warnings.join(), /relay\.certificate.*gate\.bad-certificate/);
    assert.doesNotMatch(await seen(renewed.cert), /^250/);
    writeFileSync(folder.key, renewed.key);
    let reply = '';
    for (let i = 0; i < 100 && !reply.startsWith('250'); i++) {
      await sleep(20);
      reply = await seen(renewed.cert);
    }
    assert.match(reply, /^250/);
    await relay.close();
  }
});
