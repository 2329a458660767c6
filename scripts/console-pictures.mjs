/**
 * Photographs the operators' page with real content on it: an installation of its own, sample customers, mail sent through the
 * gates, a broadcast on its way to a sink. `node scripts/pictures.mjs --console` runs it with the pinned Node.
 *
 * One thing is arranged: the verdicts' times are spread over the hour before, so that the plot has an hour to show.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation } from '../test/support/serve-process.ts';
import { startSink } from '../test/support/sink-process.ts';

const ROOT = path.dirname(import.meta.dirname);
const FOLDER = path.join(ROOT, 'docs/pictures');
const require = createRequire(path.join(ROOT, 'test/package.json'));
const { chromium } = require('playwright-core');
const nodemailer = require('nodemailer');

const PEOPLE = 6000;
const WIDE = { width: 1280, height: 1000 };
/** So that the mark in the message is on it. */
const TALL = { width: 1280, height: 1240 };
const NARROW = { width: 390, height: 844 };
const NAMES = 'mia omar li ada noor jan eva tom ines kofi ravi lena'.split(' ');
const DOMAINS = ['mail.example', 'post.example', 'inbox.test', 'letters.example', 'brief.example'];

const CALLERS = [
  { name: 'newsletter', policy: 'bulk', split: true },
  { name: 'billing', policy: 'transactional' },
  { name: 'crm-legacy', policy: 'bulk', mode: 'shadow' },
  { name: 'office', policy: 'person' },
];

const keyOf = (name) => `sample-key-of-${name}`;
const person = (i) => `${NAMES[i % NAMES.length]}.${100 + i}@${DOMAINS[i % DOMAINS.length]}`;
const people = (count, from) => Array.from({ length: count }, (_, i) => person(from + i));

function configuration(port) {
  return {
    companyDomains: ['northwind.example'],
    roleAddresses: ['support@northwind.example'],
    gates: {
      smtp: { listen: '127.0.0.1:0', nextHop: `127.0.0.1:${port}`, tls: 'none' },
      sendgrid: { listen: '127.0.0.1:0', baseUrl: 'http://127.0.0.1:9' },
      callers: CALLERS.map((caller) => ({
        ...caller,
        keySha256: createHash('sha256').update(keyOf(caller.name)).digest('hex'),
      })),
    },
  };
}

const said = (at, word) =>
  at.serving.lines
    .find((line) => line.startsWith(word))
    ?.split(' ')
    .at(-1);

/** One message by SMTP; a refusal is what some of them are for. */
async function mail(transports, from, to, subject, text, html) {
  const message = { from: `${from}@northwind.example`, to, subject, text };
  await transports
    .get(from)
    .sendMail(html === undefined ? message : { ...message, html })
    .catch(() => {});
}

/** The call that this project began with: everybody in one `to`. */
async function providerCall(at, from, count) {
  const answer = await fetch(new URL('/v3/mail/send', said(at, 'gate provider-api:sendgrid')), {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('billing')}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      personalizations: [{ to: people(count, from).map((email) => ({ email })) }],
      from: { email: 'billing@northwind.example' },
      subject: 'Index changes',
      content: [{ type: 'text/plain', value: 'The composition of the index changes on Friday.' }],
    }),
  });
  console.log('the provider’s caller hears:', answer.status, (await answer.text()).slice(0, 120));
}

const WELCOME = {
  subject: 'Your account, and what happens on Friday',
  text: `Dear {{ customer.first_name }},

the composition of three indices changes on Friday at 08:00 UTC. You do not have to do anything.

Your account manager is Ines Kofi. Questions: support@northwind.example

Northwind Exchange`,
};

async function traffic(at) {
  const port = Number(said(at, 'gate smtp-relay').split(':').at(-1));
  const transports = new Map(
    CALLERS.map(({ name }) => [
      name,
      nodemailer.createTransport({
        ...{ host: '127.0.0.1', port, ignoreTLS: true, pool: true, maxConnections: 1 },
        auth: { user: name, pass: keyOf(name) },
      }),
    ]),
  );
  for (let round = 0; round < 30; round++) {
    const at0 = round * 90;
    for (let i = 0; i < 5 + ((round * 7) % 9); i++)
      await mail(
        transports,
        'billing',
        person(at0 + i),
        `Receipt ${at0 + i}`,
        'Thank you. 12.00 EUR',
      );
    if (round % 3 === 0)
      await mail(
        transports,
        'newsletter',
        people(4 + round, at0),
        `October ${round}`,
        `News of week ${round}, ${round * 7919}`,
      );
    if (round % 9 === 4)
      await mail(
        transports,
        'newsletter',
        person(at0 + 40),
        WELCOME.subject,
        `${WELCOME.text} ${round}`,
      );
    if (round === 12)
      await mail(
        transports,
        'crm-legacy',
        people(9, at0 + 50),
        `Terms ${round}`,
        `The terms change: ${round * 104_729}`,
      );
    if (round % 6 === 1)
      await mail(
        transports,
        'office',
        people(12, at0 + 60),
        `Meeting ${round}`,
        `Shall we meet? ${round * 1299}`,
      );
    await mail(
      transports,
      'office',
      people(2, at0 + 75),
      `Hello ${round}`,
      `See you on day ${round}`,
    );
  }
  await providerCall(at, 4000, 1000);
  for (const transport of transports.values()) transport.close();
  const db = await at.db();
  await db.query(
    `UPDATE verdict v SET at = now() - (1 - n.place + 0.035 * sin(n.place * 19)) * interval '56 minutes'
       FROM (SELECT id, percent_rank() OVER (ORDER BY at, id) AS place FROM verdict) n WHERE n.id = v.id`,
  );
  await db.query("UPDATE kept SET at = at - interval '35 minutes' WHERE state = 'held'");
}

async function signedIn(browser, at, operator) {
  const context = await browser.newContext({ viewport: WIDE, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const { url } = await at.api(operator, 'POST', '/v1/console/links', {});
  await page.goto(url);
  await page.getByRole('button', { name: `Sign in as ${operator}` }).click();
  await page.waitForLoadState('networkidle').catch(() => {});
  return page;
}

async function photograph(page, name, options = {}) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await sleep(300);
    const file = `console-${name}-${colorScheme}.png`;
    await page.screenshot({ path: path.join(FOLDER, file), ...options });
    console.log(`docs/pictures/${file}`);
  }
}

function release(at, id) {
  spawn(path.join(ROOT, 'undisclosed'), ['broadcast', 'release', id, '--as', 'alice', '--json'], {
    env: { ...process.env, ...at.env },
    stdio: 'ignore',
  });
}

async function broadcast(at, port) {
  const route = `smtp://127.0.0.1:${port}?tls=none&connections=12`;
  const id = await at.approved(route, ['--name', 'Index changes, October']);
  release(at, id);
  return id;
}

async function all(at, sink, browser) {
  await traffic(at);
  const origin = said(at, 'console ');
  const page = await signedIn(browser, at, 'alice');
  const [held] = await at.api('alice', 'GET', '/v1/guard/held');
  await at.api('bob', 'POST', `/v1/guard/held/${held.kept}/release`, {
    reason: 'no name is needed',
  });
  await page.goto(`${origin}/held/${held.kept}`);
  await page.locator('#look-reason').fill('bob asks for its release');
  await page.getByRole('button', { name: 'Show the message' }).click();
  await page.locator('#message mark').first().waitFor();
  await page.setViewportSize(TALL);
  await photograph(page, 'held');
  await page.setViewportSize(WIDE);
  const id = await broadcast(at, sink.port);
  await page.goto(`${origin}/broadcasts/${id}`);
  await sink.reaches(2200, 60_000);
  await page.locator('.sending-figures').waitFor();
  await photograph(page, 'broadcast');
  await page.setViewportSize({ width: 1280, height: 1330 });
  await page.goto(`${origin}/`);
  await sleep(2500);
  await photograph(page, 'overview');
  await page.setViewportSize(NARROW);
  await sleep(500);
  await photograph(page, 'narrow');
}

const sink = await startSink(path.join('/tmp', `pictures-${process.pid}.tsv`), { delayMs: 60 });
const at = await Installation.make({
  ...{ people: PEOPLE, seed: 11, config: configuration(sink.port) },
  env: { SENDGRID_API_KEY: 'of the sample' },
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--disable-background-networking'],
});
try {
  await all(at, sink, browser);
} finally {
  await browser.close();
  await at.close();
  await sink.stop();
}
