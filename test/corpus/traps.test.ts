/**
 * The traps that mail has for whoever looks for recipients in it, each with the vectors it is known by: what mail libraries really
 * return for odd address fields, and the ways around a guard. Every row goes through the judge, and through the real gate where the
 * trap is on the wire. A row asserts who must be visible, or which refusal there is, and that the far side was sent nothing.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { withAttachments } from '../../src/guard/attachments.ts';
import { createGuard, type Road } from '../../src/guard/check.ts';
import { createCircumstances } from '../../src/guard/circumstances.ts';
import { type Identity, identityOf, policyOf } from '../../src/guard/identity.ts';
import { type Judgement, judgeCopies, type Submission } from '../../src/guard/judge.ts';
import { keyringOf, newKeyringDocument } from '../../src/keys/keyring.ts';
import { canonicalAddress } from '../../src/mail/address.ts';
import { type PolicyName, policyFrom } from '../../src/policy/policy.ts';
import {
  closeAfter,
  type NextHopScript,
  RawClient,
  startNextHop,
  startRelay,
} from '../flows/smtp-relay-next-hop.ts';
import * as files from '../support/attached-files.ts';
import { testDatabase } from '../support/database.ts';
import {
  documentOf,
  openProviderDoor,
  type PlainMessage,
  PROVIDERS,
  type ProviderDoor,
  type ProviderName,
} from '../support/doors.ts';
import { FALSE_ENDINGS } from '../support/false-endings.ts';
import { openKeptRoad, callOf as submissionOf } from '../support/kept-road.ts';
import { createMemoryRoad } from '../support/provider-road.ts';

const FROM = 'news@company.example';
const READER = 'ann@x.test';
const OTHER = 'bob@y.test';

interface Circumstance {
  readonly to?: readonly string[];
  readonly from?: string;
  readonly policy?: PolicyName;
  readonly customers?: readonly string[];
  readonly smtpUtf8?: boolean;
}

async function judged(message: string | Buffer, given: Circumstance = {}): Promise<Judgement> {
  const { to = [READER], from = FROM, policy = 'bulk', customers = [], smtpUtf8 = true } = given;
  const bytes = typeof message === 'string' ? Buffer.from(message, 'utf8') : message;
  const copies = await withAttachments([{ envelope: { from, recipients: to, smtpUtf8 }, bytes }]);
  return judgeCopies(copies, {
    policy: policyFrom(policy, { companyDomains: ['company.example'] }),
    isCustomer: (address) => customers.includes(address),
  });
}

const said = ({ verdict }: Judgement): string =>
  verdict.kind === 'pass' ? 'pass' : `${verdict.kind} ${verdict.reasons.join(' ')}`;

/** All of these are in the visible set, and the message does not pass. */
async function shows(
  message: string | Buffer,
  addresses: readonly string[],
  given: Circumstance = {},
): Promise<void> {
  const judgement = await judged(message, given);
  for (const address of addresses)
    assert.ok(judgement.visible.includes(address), `${address} in ${said(judgement)}: ${message}`);
  assert.notEqual(judgement.verdict.kind, 'pass', String(message));
}

async function passes(message: string | Buffer, given: Circumstance = {}): Promise<void> {
  assert.equal(said(await judged(message, given)), 'pass', String(message));
}

/** The fields before, this one, and a text. */
function withField(field: string, text = 'Hello'): string {
  const to = /^(?:to|resent-to):/i.test(field) ? '' : `To: ${READER}\r\n`;
  return `From: Shop <${FROM}>\r\n${to}${field}\r\n\r\n${text}\r\n`;
}

function withHtml(html: string): string {
  return withField('MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8', html);
}

/** Hands the very bytes to the relay; its last answer and what the next hop has. */
async function throughRelay(
  content: string | Buffer,
  given: {
    readonly to?: readonly string[];
    readonly parameters?: string;
    readonly script?: NextHopScript;
    readonly road?: Road;
    readonly identity?: Identity;
    readonly from?: string;
  } = {},
): Promise<{
  readonly reply: string;
  readonly contents: readonly string[];
  readonly commands: readonly string[];
}> {
  const { to = [READER], parameters = '', script = {}, from = FROM } = given;
  const next = await startNextHop(script);
  const relay = await startRelay(next, {
    road: given.road ?? createMemoryRoad(),
    anonymousIdentity: given.identity ?? identityOf('shop', 'bulk'),
    trace: false,
  });
  const client = new RawClient(relay.port);
  const latin = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  const begun = await client.begin(from, to.map(latin), parameters);
  const wire = typeof content === 'string' ? latin(content) : content.toString('latin1');
  const reply = begun.startsWith('354')
    ? await client.say(`${wire.replace(/\r\n\./g, '\r\n..')}\r\n.\r\n`)
    : begun;
  client.close();
  return { reply, contents: next.contents, commands: next.commands };
}

async function refusedByRelay(
  content: string | Buffer,
  given: Parameters<typeof throughRelay>[1] = {},
): Promise<void> {
  const { reply, contents } = await throughRelay(content, given);
  assert.match(reply, /^55[04][ -]5\./, String(content));
  assert.equal(contents.length, 0, 'the next hop');
}

/** Found by the judge, and stopped at the gate. */
async function foundAndStopped(message: string, addresses: readonly string[]): Promise<void> {
  await shows(message, addresses);
  await refusedByRelay(message);
}

async function providerDoor(
  name: ProviderName,
  approvedTemplates: readonly string[] = [],
): Promise<ProviderDoor> {
  return openProviderDoor(name, createMemoryRoad(), { approvedTemplates });
}

const PLAIN: PlainMessage = { from: FROM, to: [READER], subject: 'News', text: 'Hello' };

/** Each provider's call with a value in it changed; the answer is a refusal and the provider got nothing. */
async function refusedByProvider(
  door: ProviderDoor,
  body: object | Buffer,
  contentType?: string,
  path?: string,
): Promise<void> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const before = door.passed();
  const { status, text } = await door.post(bytes, contentType, path);
  assert.ok(status >= 400 && status < 500, `${door.name}: ${status} ${text}`);
  assert.doesNotMatch(text, /y\.test/, 'no address in the answer');
  assert.equal(door.passed(), before, `${door.name}: the provider`);
}

async function acceptedByProvider(door: ProviderDoor, body: object | Buffer): Promise<void> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const form = 'application/x-www-form-urlencoded';
  const before = door.passed();
  const { status, text } = await door.post(bytes, door.name === 'mailgun' ? form : undefined);
  assert.ok(status < 300, `${door.name}: ${status} ${text}`);
  assert.equal(door.passed(), before + 1);
}

function form(fields: Readonly<Record<string, string>>): Buffer {
  return Buffer.from(new URLSearchParams({ from: FROM, to: READER, ...fields }).toString());
}
const FORM = 'application/x-www-form-urlencoded';

interface Row {
  readonly row: string;
  readonly run: () => Promise<void>;
}

/** What four mail libraries differ in. */
const ADDRESS_FIELDS: readonly Row[] = [
  {
    row: 'two `To:` headers',
    run: () => foundAndStopped(withField(`To: ${READER}\r\nTo: ${OTHER}`), [READER, OTHER]),
  },
  {
    row: 'two `From:`',
    run: async () => {
      const message = withField(`From: Bob <${OTHER}>`);
      await shows(message, [FROM, OTHER]);
      await refusedByRelay(message);
      assert.match(said(await judged(withField(`From: Again <${FROM}>`))), /^hold .*ambiguous/);
    },
  },
  {
    row: '`user@good.test(x)evil.test`',
    run: () =>
      foundAndStopped(withField('To: user@good.test(x)evil.test'), [
        'user@good.test',
        'user@good.testevil.test',
      ]),
  },
  {
    row: '`"evil@ext.test x"@good.test`',
    run: async () => {
      const field = 'To: "evil@ext.test x"@good.test';
      await foundAndStopped(withField(field), ['evil@ext.test']);
      // The one reader of that strange name: handed on as it was written, in the envelope and in the header.
      const to = ['"ann.b"@x.test'];
      const { reply, contents, commands } = await throughRelay(withField(`To: ${to[0]}`), { to });
      assert.match(reply, /^250/);
      assert.match(contents[0] ?? '', /^To: "ann\.b"@x\.test\r$/m);
      assert.ok(commands.includes('RCPT TO:<"ann.b"@x.test>'), commands.join(' | '));
    },
  },
  {
    row: '`a@x.test b@y.test` (space)',
    run: () => foundAndStopped(withField(`To: ${READER} ${OTHER}`), [READER, OTHER]),
  },
  {
    row: '`a@x.test (b@y.test)`',
    run: () => foundAndStopped(withField(`To: ${READER} (${OTHER})`), [READER, OTHER]),
  },
  {
    row: '`"a@x, b@y, c@z" <list@z>`',
    run: () =>
      foundAndStopped(withField(`To: "a@x.test, b@y.test, c@z.test" <${READER}>`), [
        'a@x.test',
        'b@y.test',
        'c@z.test',
      ]),
  },
  {
    row: '`=?utf-8?Q?a=40x=2C_b=40y?= <real@z>`',
    run: () =>
      foundAndStopped(withField(`To: =?utf-8?Q?a=40x.test=2C_b=40y.test?= <${READER}>`), [
        'a@x.test',
        'b@y.test',
      ]),
  },
  {
    row: 'whole To as one encoded-word',
    run: () =>
      foundAndStopped(
        withField(`To: =?utf-8?B?${Buffer.from(`${READER}, ${OTHER}`).toString('base64')}?=`),
        [READER, OTHER],
      ),
  },
  {
    row: '`a; b; c` (Outlook)',
    run: async () => {
      const three = ['a@x.test', 'b@y.test', 'c@z.test'];
      await foundAndStopped(withField(`To: ${three.join('; ')}`), three);
      await passes(withField(`To: ${READER};`), { policy: 'person' });
    },
  },
  {
    row: '`<@relay,@r2:a@x.test>`',
    run: async () => {
      await foundAndStopped(withField(`To: <@relay.test,@r2.test:${OTHER}>`), [OTHER]);
      const own = await judged(withField(`To: <@relay.test,@r2.test:${READER}>`));
      assert.ok(own.visible.includes(READER));
    },
  },
  {
    row: '`<a@x.test, b@y.test`',
    run: () => foundAndStopped(withField(`To: <${READER}, ${OTHER}`), [READER, OTHER]),
  },
  {
    row: '`To: a@x.test<CR>Cc: b@y.test`',
    run: () => foundAndStopped(withField(`To: ${READER}\rCc: ${OTHER}`), [READER, OTHER]),
  },
  {
    row: '`To: a<LF>Cc: b`',
    run: () => foundAndStopped(withField(`To: ${READER}\nCc: ${OTHER}`), [READER, OTHER]),
  },
  {
    row: '`T\\0o:`',
    run: () => foundAndStopped(withField(`To: ${READER}\r\nT\0o: ${OTHER}`), [READER, OTHER]),
  },
  {
    row: 'Resent-To/Cc/Bcc, Apparently-To, X-*',
    run: async () => {
      const names = ['Resent-To', 'Resent-Cc', 'Resent-Bcc', 'Apparently-To', 'X-Anything-At-All'];
      for (const name of names) await foundAndStopped(withField(`${name}: ${OTHER}`), [OTHER]);
    },
  },
];

const SMUGGLED = 'MAIL FROM:<ceo@company.example>\r\nRCPT TO:<victim@y.test>\r\nDATA\r\nevil';

/** Inside each other, the innermost to somebody else. */
function nestedMessages(depth: number, innermost: string): string {
  let message = `From: ${FROM}\r\nTo: ${innermost}\r\n\r\nHello`;
  for (let level = 0; level < depth; level++)
    message = withField('MIME-Version: 1.0\r\nContent-Type: message/rfc822', message);
  return message;
}

const ICS_LINES: readonly string[] = [
  `ATTENDEE;CN=Bob:mailto:${OTHER}`,
  'ATTENDEE;CN="Bob, of Y":mailto:bo\r\n b@y.te\r\n\tst',
  `ATTENDEE;SENT-BY="mailto:${OTHER}":mailto:${READER}`,
  `ATTENDEE;MEMBER="mailto:${OTHER}":mailto:${READER}`,
  `ATTENDEE;DELEGATED-TO="mailto:${OTHER}":mailto:${READER}`,
  `ATTENDEE;X-EMAIL=${OTHER}:urn:uuid:7`,
  `ATTENDEE;EMAIL=${OTHER}:urn:uuid:7`,
  `ATTENDEE;CN=${OTHER}:mailto:${READER}`,
  `ORGANIZER;CN=Bob:mailto:${OTHER}`,
  `ORGANIZER;SENT-BY="mailto:${OTHER}":mailto:${FROM}`,
  `X-MS-OLK-SENDER;CN="Bob":mailto:${OTHER}`,
  `X-ANYTHING:${OTHER}`,
  `BEGIN:VALARM\r\nACTION:EMAIL\r\nATTENDEE:mailto:${OTHER}\r\nEND:VALARM`,
  `CONTACT:Bob\\, ${OTHER}`,
  `DESCRIPTION:With bob\\n${OTHER}`,
  `COMMENT:%62ob%40y.test`,
];

const CARD_LINES = [
  `EMAIL;TYPE=home:${OTHER}`,
  'EMAIL;ENCODING=QUOTED-PRINTABLE:bob=40y.test',
  'item1.EMAIL:bob@y.\r\n test',
  `NOTE:${OTHER}`,
  `URL:mailto:${OTHER}`,
];

function calendar(line: string): string {
  return `BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:7@calendar.test\r\n${line}\r\nEND:VEVENT\r\nEND:VCALENDAR`;
}

function part(type: string, content: string, fields = ''): string {
  return withField(`MIME-Version: 1.0\r\n${fields}Content-Type: ${type}`, content);
}

function attached(content: Uint8Array | string, type?: string, name?: string): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const message = files.messageWith(bytes, type, name).toString('latin1');
  return Buffer.from(message.replace('news@shop.example', FROM), 'latin1');
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const armored = (packets: string): string =>
  `-----BEGIN PGP MESSAGE-----\r\n\r\n${packets}\r\n-----END PGP MESSAGE-----\r\n`;
/** Session keys for two readers, and for one; the packets are made by hand (RFC 9580 section 5.1). */
const TWO_KEYS = 'hAwDAQIDBAUGBwgBAACEDAMBAgMEBQYHCQEAANIEAQEBAQ==';
const ONE_KEY = 'hAwDAQIDBAUGBwgBAADSBAEBAQE=';

/** The ways around a guard. */
const TRAPS: readonly Row[] = [
  {
    row: 'SMTP smuggling CVE-2023-51764/5/6',
    run: async () => {
      for (const ending of FALSE_ENDINGS) {
        const message = withField('Subject: x', `hello${ending}${SMUGGLED}`);
        assert.match(said(await judged(message)), /^refuse (?:bare-line-break|nul-byte)/);
        const { reply, contents } = await throughRelay(message);
        assert.match(reply, /^550 5\.6\.0/, JSON.stringify(ending));
        assert.equal(contents.length, 0);
      }
      const { contents } = await throughRelay(withField('Subject: x', '.\r\n..\r\nend'));
      assert.equal(contents.length, 1);
      assert.doesNotMatch(contents[0] ?? '', /\r(?!\n)|(?<!\r)\n|\0/, 'no lone CR, LF, NUL out');
    },
  },
  {
    row: 'Bcc retained',
    run: async () => {
      const names = ['Bcc', 'bcc', 'BCC ', 'Resent-Bcc', 'Apparently-Bcc', 'X-Odoo-Bcc', 'X-Bcc'];
      for (const name of names) await foundAndStopped(withField(`${name}: ${OTHER}`), [OTHER]);
      const { reply, contents } = await throughRelay(withField('Bcc:'));
      assert.match(reply, /^250/, 'an empty one tells nobody');
      assert.equal(contents.length, 1);
    },
  },
  {
    row: 'Envelope-revealing headers',
    run: async () => {
      const names = ['X-Envelope-To', 'X-RcptTo', 'Delivered-To', 'X-Original-To', 'Envelope-To'];
      for (const name of names) {
        await foundAndStopped(withField(`${name}: <${OTHER}>`), [OTHER]);
        await passes(withField(`${name}: <${READER}>`));
      }
      const received = `Received: from a.test by b.test with ESMTP id 4X for <${OTHER}>; Mon`;
      await foundAndStopped(withField(received), [OTHER]);
      await shows(withField(received), [OTHER], { policy: 'person', to: [READER, OTHER] });
    },
  },
  {
    row: 'Command headers',
    run: async () => {
      const naming = [
        `X-SMTPAPI: {"to":["${OTHER}"]}`,
        'X-SMTPAPI: {"to":["bob\\u0040y.test"]}',
        `X-SMTPAPI: {"filters":{"bcc":{"settings":{"enable":1,"email":"${OTHER}"}}}}`,
        `X-Mailgun-Recipient-Variables: {"${OTHER}":{}}`,
        `X-MSYS-API: {"cc":[{"email":"${OTHER}"}]}`,
        `X-MC-BccAddress: ${OTHER}`,
        `X-PM-Metadata-for: ${OTHER}`,
        `X-SES-MESSAGE-TAGS: for=${OTHER}`,
      ];
      for (const field of naming)
        for (const policy of ['bulk', 'person'] as const) {
          await shows(withField(field), [OTHER], { policy });
          await refusedByRelay(withField(field), { identity: identityOf('shop', policy) });
        }
      for (const name of ['X-SMTPAPI', 'X-MSYS-API', 'X-Mailgun-Recipient-Variables']) {
        const twice = `${name}: {"a":1}\r\n${name.toLowerCase()}: {"b":1}`;
        await refusedByRelay(withField(twice));
        await refusedByRelay(withField(`${name}: {"a":`));
        await passes(withField(`${name}: {"a":1}`));
      }
      for (const name of PROVIDERS) {
        const door = await providerDoor(name);
        const value = `{"to":["${OTHER}"]}`;
        const call: Record<string, unknown> =
          name === 'mailgun' ? {} : { ...documentOf(name, PLAIN) };
        if (name === 'sendgrid') call.headers = { 'X-SMTPAPI': value };
        if (name === 'postmark') call.Headers = [{ Name: 'X-SMTPAPI', Value: value }];
        if (name === 'ses')
          (call.Content as { Simple: Record<string, unknown> }).Simple.Headers = [
            { Name: 'X-SMTPAPI', Value: value },
          ];
        if (name === 'mailgun')
          await refusedByProvider(door, form({ text: 'x', 'h:X-SMTPAPI': value }), FORM);
        else await refusedByProvider(door, call);
      }
    },
  },
  {
    row: 'Group, folded, obs-syntax, comments, RFC 2047/2231, EAI/IDN (NFC/NFD, U-label vs A-label, full-width `＠`)',
    run: async () => {
      const other = [
        `To: team: ${READER}, ${OTHER};`,
        `To: ${READER},\r\n\t,\r\n Bob\r\n <\r\n ${OTHER}>`,
        `To: ${READER}, bob @ y . test`,
        `To: ${READER}, bob(x)@(y)y.test`,
        `To: ${READER} (bob＠y.test)`,
        `To: ${READER}, bob＠y.test`,
        `Subject: =?utf-8?Q?for_bob=40y?=\r\n =?utf-8?Q?.test?=`,
        "Content-Disposition: attachment; filename*=utf-8''bob%40y.test",
        "Content-Disposition: attachment; filename*0*=utf-8''bob%40; filename*1=y.test",
        'Content-Disposition: attachment; filename*0="bo"; filename*1="b@y.test"',
        `Content-Disposition: attachment; filename="=?utf-8?B?${base64(OTHER)}?="`,
        "Content-Type: text/plain; name*=iso-8859-1'en'bob%40y.test",
      ];
      for (const field of other) await foundAndStopped(withField(field), [OTHER]);
      const pairs = [
        ['jos\u00e9@x.test', 'jose\u0301@x.test'],
        ['ann@b\u00fccher.example', 'ann@xn--bcher-kva.example'],
        ['ann@b\u00fccher.example', 'ann@bu\u0308cher.example'],
        ['ann@B\u00dcCHER.example', 'Ann@xn--bcher-kva.EXAMPLE'],
      ];
      for (const [one = '', same = ''] of pairs) {
        await passes(withField(`To: ${one}`), { to: [same] });
        await passes(withField(`To: ${same}`), { to: [one] });
        const customers = [canonicalAddress(one) ?? ''];
        await shows(withField('Subject: x', `Write to ${same}`), customers, {
          policy: 'person',
          customers,
        });
      }
    },
  },
  {
    row: 'SMTPUTF8',
    run: async () => {
      const to = ['jürgen@bücher.example'];
      const type = 'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8';
      const eight = `${type}\r\nContent-Transfer-Encoding: 8bit`;
      const message = withField(`To: ${to[0]}\r\n${eight}`, 'Grüße');
      const kept = await throughRelay(message, { to, parameters: ' SMTPUTF8 BODY=8BITMIME' });
      assert.match(kept.reply, /^250/);
      const sent = Buffer.from(kept.contents[0] ?? '', 'latin1').toString('utf8');
      assert.equal(sent, `${message}\r\n`, 'byte for byte');
      const script = { extensions: ['PIPELINING', '8BITMIME'] };
      const plain = await throughRelay(message, { to, parameters: ' SMTPUTF8', script });
      assert.match(plain.reply, /^550 5\.6\.7/);
      assert.equal(plain.contents.length, 0);
      for (const name of PROVIDERS) {
        const door = await providerDoor(name);
        const { contentType, body } = door.callOf({ ...PLAIN, to });
        const { status } = await door.post(body, contentType);
        if (status < 300) assert.ok(door.bodies[0]?.equals(body), `${name}: as it came`);
        else assert.equal(door.passed(), 0);
        if (name === 'ses') assert.equal(status, 400, 'SES takes no such local part');
      }
    },
  },
  {
    row: 'MIME ambiguity',
    run: async () => {
      const hidden = base64(OTHER);
      const ambiguous = [
        part('text/plain', `--b\r\n\r\n${OTHER}\r\n--b--`, 'Content-Type: text/plain\r\n'),
        part(
          'multipart/mixed; boundary=a; boundary=b',
          `--b\r\nContent-Transfer-Encoding: base64\r\n\r\n${hidden}\r\n--b--\r\n--a\r\n\r\nhi\r\n--a--`,
        ),
        part(
          'multipart/mixed; boundary="a"; boundary*=utf-8\'\'b',
          `--b\r\nContent-Transfer-Encoding: base64\r\n\r\n${hidden}\r\n--b--\r\n--a\r\n\r\nhi\r\n--a--`,
        ),
        part(
          'text/plain',
          hidden,
          'Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n',
        ),
        part(
          'text/plain',
          `${hidden.slice(0, 5)}!${hidden.slice(5)}`,
          'Content-Transfer-Encoding: base64\r\n',
        ),
        part('multipart/mixed', `--b\r\n\r\n${OTHER}\r\n--b--`),
        part(
          'multipart/mixed; boundary=b',
          `--b\r\n\r\nhi\r\n--b--\r\n--b\r\n\r\n${OTHER}\r\n--b--`,
        ),
      ];
      for (const message of ambiguous) await foundAndStopped(message, [OTHER]);
      const cte = 'Content-Transfer-Encoding: "base64"\r\n';
      await foundAndStopped(part('text/plain', hidden, cte), [OTHER]);
      const clean = [
        part('text/plain', 'hi', 'Content-Type: text/html\r\n'),
        part('multipart/mixed; boundary=a; boundary=b', '--a\r\n\r\nhi\r\n--a--'),
        part('text/plain', 'hi', 'Content-Transfer-Encoding: x-nobody-knows\r\n'),
        part('multipart/mixed; boundary=b', '--b\r\n\r\nhi'),
      ];
      for (const message of clean)
        assert.equal(said(await judged(message)), 'hold ambiguous', message);
    },
  },
  {
    row: 'nested message/rfc822, forwarded .eml',
    run: async () => {
      for (const depth of [1, 2, 9, 10, 11, 20]) await shows(nestedMessages(depth, OTHER), [OTHER]);
      await refusedByRelay(nestedMessages(10, OTHER));
      assert.equal(said(await judged(nestedMessages(10, READER))), 'pass');
      for (const policy of ['bulk', 'transactional', 'person'] as const)
        assert.equal(
          said(await judged(nestedMessages(300, READER), { policy })),
          'hold unreadable',
        );
      const eml = `From: a@company.example\r\nTo: ${OTHER}\r\nSubject: old\r\n\r\nx`;
      await shows(attached(eml, 'application/octet-stream', 'old.eml'), [OTHER]);
      await shows(attached(files.zipOf({ 'old.eml': eml })), [OTHER]);
    },
  },
  {
    row: 'TNEF winmail.dat',
    run: async () => {
      const winmail = (content: Buffer): Buffer =>
        attached(content, 'application/ms-tnef', 'winmail.dat');
      await shows(winmail(files.tnef({ recipients: [READER, OTHER] })), [OTHER]);
      await shows(winmail(files.tnef({ recipients: [`SMTP:${OTHER}`] })), [OTHER]);
      await shows(winmail(files.tnef({ displayBcc: OTHER })), [OTHER]);
      await shows(winmail(files.tnef({ body: `Dear ${OTHER}` })), [OTHER]);
      await shows(winmail(files.tnef({ html: `<p>Dear ${OTHER}</p>` })), [OTHER]);
      await shows(winmail(files.tnef({ entryId: OTHER })), [OTHER]);
      await shows(winmail(files.tnef({ file: Buffer.from(`a;${OTHER}`) })), [OTHER]);
      await passes(winmail(files.tnef({ recipients: [READER], html: '<p>Hello</p>' })));
      const whole = files.tnef({ recipients: [READER] });
      const broken = winmail(whole.subarray(0, whole.length - 20));
      assert.match(said(await judged(broken)), /unreadable-attachment/);
    },
  },
  {
    row: 'ICS ATTENDEE/ORGANIZER, VALARM',
    run: async () => {
      for (const line of ICS_LINES) {
        await foundAndStopped(part('text/calendar; method=REQUEST', calendar(line)), [OTHER]);
        await shows(attached(calendar(line), 'application/ics', 'invite.ics'), [OTHER]);
      }
      await passes(part('text/calendar', calendar(`ATTENDEE:mailto:${READER}`)));
      const split = await judgeSplit(part('text/calendar', calendar(`ATTENDEE:mailto:${OTHER}`)));
      assert.equal(split, 'refuse', 'a copy of one’s own does not cure it');
    },
  },
  {
    row: 'vCard, CSV, XLSX hidden sheets/rows, PDF text, ZIP, images',
    run: async () => {
      for (const line of CARD_LINES)
        await shows(attached(`BEGIN:VCARD\r\n${line}\r\nEND:VCARD`, 'text/vcard', 'a.vcf'), [
          OTHER,
        ]);
      await shows(attached(`id;mail\r\n1;${OTHER}`, 'text/csv', 'a.csv'), [OTHER]);
      const places = [
        'hiddenSheet',
        'hiddenRow',
        'hiddenColumn',
        'definedName',
        'comment',
        'author',
      ];
      for (const place of places)
        await shows(attached(files.workbook({ [place]: OTHER })), [OTHER]);
      await shows(attached(files.pdf(`For ${OTHER}`), 'application/pdf', 'a.pdf'), [OTHER]);
      await shows(attached(files.zipOf({ 'a/b.zip': files.zipOf({ 'c.txt': OTHER }) })), [OTHER]);
      await shows(part('text/plain', "begin 644 a.txt\r\n*8F]B0'DN=&5S=```\r\n`\r\nend"), [OTHER]);
      const people = Array.from({ length: 20 }, (_, n) => `person${n}@y.test`);
      const list = await judged(attached(people.join('\r\n'), 'text/csv', 'a.csv'), {
        policy: 'person',
      });
      assert.match(said(list), /^hold customer-list/);
      const numbers = attached(files.zipOf({ 'Index/Document.iwa': '\0\x10\0\0' }));
      assert.match(said(await judged(numbers)), /^hold unreadable-attachment/);
      const many = Array.from(
        { length: 400 },
        (_, n) => `${(n * 7919) % 997}.${n}@y${n % 13}.test`,
      );
      const packed = attached(deflateRawSync(Buffer.from(many.join(' '))));
      await shows(attached(`id;mail\r\n1;${OTHER}`, 'image/jpeg', 'photo.jpg'), [OTHER]);
      await shows(attached(files.zipOf({ 'a.png': `1;${OTHER}` })), [OTHER]);
      assert.match(said(await judged(packed)), /^hold unreadable-attachment/);
      // A picture is not read: it is let through, and the document says so.
      await passes(attached(Buffer.from('89504e470d0a1a0a', 'hex'), 'image/png', 'a.png'));
      await shows(attached(`<svg><text>${OTHER}</text></svg>`, 'image/svg+xml', 'a.svg'), [OTHER]);
    },
  },
  {
    row: 'HTML: `display:none`, comments, preheader, `mailto:` lists, alt/title, data- attributes, CSS content',
    run: async () => {
      const sources = [
        `<div style="display:none;font-size:0">${OTHER}</div>`,
        `<!-- ${OTHER} -->`,
        `<!--[if mso]><p>${OTHER}</p><![endif]-->`,
        `<span class="preheader" style="opacity:0">Dear bob<b>@</b>y.<i>test</i></span>`,
        `<a href="mailto:${READER},bob%40y.test?cc=${READER}">all</a>`,
        `<a href="mailto:${READER}?bcc=${OTHER}">all</a>`,
        `<img alt="${OTHER}" src="x.png">`,
        `<p title='${OTHER}'>Hello</p>`,
        `<p data-user='{"email":"${OTHER}"}'>Hello</p>`,
        `<p data-user="{&quot;email&quot;:&quot;bob&#64;y.test&quot;}">Hello</p>`,
        `<style>p:after { content: "${OTHER}" }</style>`,
        '<style>p:after { content: "bob\\40 y.test" }</style>',
        '<style>p:after { content: "\\62 ob\\000040y.test" }</style>',
        `<meta name="author" content="${OTHER}">`,
        'bob&commat;y&period;test',
        'bob\u200b@y.test',
        'bob&shy;@y.te<wbr>st',
      ];
      for (const html of sources) await foundAndStopped(withHtml(`<p>Hi</p>${html}`), [OTHER]);
      await passes(withHtml(`<p title="${READER}">Hi</p><!-- ${READER} -->`));
    },
  },
  {
    row: 'URLs with address: plain, %40, base64, hex, JWT; List-Unsubscribe/VERP token of another reader',
    run: async () => {
      const jwt = `${base64('{"alg":"none"}').replace(/=+$/, '')}.${Buffer.from(`{"sub":"${OTHER}"}`).toString('base64url')}.c2ln`;
      const tokens = [
        OTHER,
        'bob%40y.test',
        'bob%2540y.test',
        '%62%6f%62%40%79%2e%74%65%73%74',
        base64(OTHER),
        encodeURIComponent(base64(OTHER)),
        Buffer.from(`??${OTHER}`).toString('base64url'),
        Buffer.from(OTHER).toString('hex'),
        Buffer.from(OTHER).toString('hex').toUpperCase(),
        jwt,
      ];
      for (const token of tokens) {
        await foundAndStopped(withField('Subject: x', `https://s.example/u?t=${token}`), [OTHER]);
        await foundAndStopped(withHtml(`<a href="https://s.example/${token}">x</a>`), [OTHER]);
        await foundAndStopped(withField(`List-Unsubscribe: <https://s.example/${token}>`), [OTHER]);
      }
      const customers = [OTHER];
      const verp = withField('List-Unsubscribe: <mailto:leave+bob=y.test@company.example>');
      await shows(verp, [OTHER], { customers });
      const returnPath = await judged(withField('Subject: x'), {
        customers,
        from: 'bounce+bob=y.test@company.example',
      });
      assert.equal(said(returnPath), 'refuse foreign-address-header');
      await passes(withField('Subject: x'), {
        customers: [READER],
        from: 'bounce+ann=x.test@company.example',
      });
      assert.deepEqual(await twoReadersWith('k7Q2vX9ZpL4mN8sR', 'k7Q2vX9ZpL4mN8sR'), 'hold');
      assert.deepEqual(await twoReadersWith('k7Q2vX9ZpL4mN8sR', 'W3bT6yU1oP5aS0dF'), 'pass');
    },
  },
  {
    row: 'S/MIME, PGP',
    run: async () => {
      const to = [READER, OTHER];
      const hidden = 'To: undisclosed-recipients:;';
      const pgp = (text: string): string => withField(hidden, text);
      const cms = (content: Uint8Array): string =>
        withField(
          `${hidden}\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64`,
          Buffer.from(content).toString('base64'),
        );
      const several = [
        pgp(armored(TWO_KEYS)),
        pgp(armored(ONE_KEY) + armored(ONE_KEY.replace('BwgB', 'BwkB'))),
        pgp(armored('AAAA')),
        withField(
          `${hidden}\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64`,
          TWO_KEYS,
        ),
        cms(files.envelopedData([1, 2])),
        cms(files.envelopedData([1, 2]).subarray(0, 60)),
      ];
      for (const message of several) {
        for (const policy of ['bulk', 'transactional', 'person'] as const)
          assert.match(said(await judged(message, { to, policy })), /encrypted-readers/, message);
        await refusedByRelay(message, {
          to,
          identity: identityOf('shop', 'bulk', { split: true }),
        });
      }
      const one = await judged(pgp(armored(ONE_KEY)), { to, policy: 'transactional' });
      assert.equal(said(one), 'pass');
      await passes(withField('Subject: x', armored(TWO_KEYS)));
    },
  },
  {
    row: 'Signed mail/DKIM',
    run: async () => {
      const database = await testDatabase();
      closeAfter(() => database.drop());
      const next = await startNextHop();
      const keyring = keyringOf(newKeyringDocument([]));
      const road = await openKeptRoad(database.db, keyring, next.port);
      closeAfter(() => road.close());
      const readers = [READER, OTHER];
      const decide = (signature: string) => {
        const head = `${signature}From: office@northwind.example\r\nTo: ${readers.join(', ')}\r\n`;
        const identity = identityOf('news', 'bulk', { split: true });
        return road.guard
          .road('smtp')
          .decide(submissionOf(`${head}\r\nhello\r\n`, readers), identity);
      };
      const signed = await decide('DKIM-Signature: v=1; a=rsa-sha256; h=from:to; b=x\r\n');
      assert.equal(signed.action, 'refuse');
      assert.equal(next.contents.length, 0);
      assert.equal((await decide('')).action, 'keep', 'without the signature it is split');
    },
  },
  {
    row: 'Template stored at ESP',
    run: async () => {
      const name = 'welcome';
      const ses = { Content: { Template: { TemplateName: name, TemplateData: '{}' } } };
      const calls: Readonly<Record<ProviderName, object | Buffer>> = {
        sendgrid: { ...documentOf('sendgrid', PLAIN), template_id: name },
        ses: { ...documentOf('ses', PLAIN), ...ses },
        mailgun: form({ subject: 'x', template: name }),
        postmark: { From: FROM, To: READER, TemplateAlias: name, TemplateModel: {} },
      };
      for (const provider of PROVIDERS) {
        const type = provider === 'mailgun' ? FORM : undefined;
        const path = provider === 'postmark' ? '/email/withTemplate' : undefined;
        await refusedByProvider(await providerDoor(provider), calls[provider], type, path);
        const door = await providerDoor(provider, [name]);
        const call = calls[provider];
        const bytes = Buffer.isBuffer(call) ? call : Buffer.from(JSON.stringify(call));
        const { status, text } = await door.post(bytes, type, path);
        assert.ok(status < 300, `${provider} approved: ${status} ${text}`);
        assert.equal(door.passed(), 1);
      }
    },
  },
  {
    row: 'Header injection through JSON',
    run: async () => {
      for (const bad of ['a\r\nBcc: bob@y.test', 'a\nb', 'a\rb', 'a\0b', 'a\u2028b']) {
        for (const provider of PROVIDERS) {
          const door = await providerDoor(provider);
          for (const call of injected(provider, bad)) {
            const type = provider === 'mailgun' ? FORM : undefined;
            await refusedByProvider(door, call, type);
          }
          await acceptedByProvider(door, injected(provider, 'a')[0] ?? {});
        }
      }
      const encoded = `Subject: =?utf-8?Q?a=0D=0ABcc:_${OTHER.replace('@', '=40')}?=`;
      await refusedByRelay(withField(encoded));
    },
  },
  {
    row: 'Remote attachments (Resend `path`, Brevo `url`)',
    run: async () => {
      const url = 'https://files.example/list.csv';
      const file = { filename: 'list.csv', type: 'text/csv' };
      const sendgrid = documentOf('sendgrid', PLAIN);
      const postmark = documentOf('postmark', PLAIN);
      for (const key of ['path', 'url', 'href'])
        await refusedByProvider(await providerDoor('sendgrid'), {
          ...sendgrid,
          attachments: [{ ...file, [key]: url }],
        });
      for (const key of ['Path', 'Url', 'ContentUrl'])
        await refusedByProvider(await providerDoor('postmark'), {
          ...postmark,
          Attachments: [{ Name: 'list.csv', ContentType: 'text/csv', [key]: url }],
        });
      const ses = documentOf('ses', PLAIN) as { Content: { Simple: object } };
      await refusedByProvider(await providerDoor('ses'), {
        ...ses,
        Content: { Simple: { ...ses.Content.Simple, Attachments: [{ FileName: 'a', Url: url }] } },
      });
      const mailgun = await providerDoor('mailgun');
      await refusedByProvider(mailgun, form({ text: 'x', attachment: url }), FORM);
      await refusedByProvider(mailgun, form({ text: 'x', 'attachment-url': url }), FORM);
      const body = `message/external-body; access-type=URL; URL="${url}"`;
      await refusedByRelay(part(body, 'Content-Type: text/csv\r\n'));
    },
  },
  {
    row: 'Chunked leaks',
    run: async () => {
      const database = await testDatabase();
      closeAfter(() => database.drop());
      const keyring = keyringOf(newKeyringDocument([]));
      const circumstances = await createCircumstances({ db: database.db, keyring });
      const guard = createGuard({
        db: database.db,
        settings: (identity) => ({ policy: policyOf(identity, NO_COMPANY) }),
        halted: () => false,
        circumstances,
        keeper: { seal: () => assert.fail('nothing is kept'), wake: () => {} },
      });
      closeAfter(async () => {
        await guard.close();
        await circumstances.close();
      });
      for (const size of [50, 5]) {
        const identity = identityOf(`kim-${size}`, 'person');
        const next = await startNextHop();
        const relay = await startRelay(next, {
          road: guard.road('smtp'),
          anonymousIdentity: identity,
        });
        const replies: string[] = [];
        for (let call = 0; call < 4; call++) {
          const to = Array.from({ length: size }, (_, n) => `p${call * size + n}@m${n % 7}.test`);
          const client = new RawClient(relay.port);
          await client.begin(FROM, to);
          const content = `From: ${FROM}\r\nTo: ${to.join(',\r\n ')}\r\nSubject: News\r\n\r\nWe are moving to new offices at the harbour in spring.`;
          replies.push((await client.say(`${content}\r\n.\r\n`)).slice(0, 3));
          client.close();
        }
        const passed = replies.filter((reply) => reply === '250').length;
        assert.ok(passed * size <= 10, `${size} a call: ${replies.join(' ')}`);
        assert.equal(next.contents.length, passed);
        if (size === 5) assert.ok(passed > 0, 'one such call alone is no leak');
      }
    },
  },
];

const NO_COMPANY = { companyDomains: [], roleAddresses: [] };

async function judgeSplit(message: string): Promise<string> {
  const policy = policyFrom('bulk', { canSplit: true });
  const envelope = { from: FROM, recipients: [READER, OTHER], smtpUtf8: false };
  return judgeCopies([{ envelope, bytes: Buffer.from(message) }], { policy }).verdict.kind;
}

/** One call, two copies, a link with a token in each. */
async function twoReadersWith(one: string, other: string): Promise<string> {
  const copy = (reader: string, token: string): Submission => ({
    envelope: { from: FROM, recipients: [reader], smtpUtf8: false },
    bytes: Buffer.from(
      `From: ${FROM}\r\nTo: ${reader}\r\nList-Unsubscribe: <https://s.example/u/${token}>\r\n\r\nHello. Leave: https://s.example/u/${token}\r\n`,
    ),
  });
  const copies = [copy(READER, one), copy(OTHER, other), copy('cem@z.test', 'Zx81Lq02Vb93Mn74')];
  return judgeCopies(copies, { policy: policyFrom('bulk') }).verdict.kind;
}

/** The calls of one provider with this text in each place that becomes a header field. */
function injected(provider: ProviderName, text: string): readonly (object | Buffer)[] {
  const file = Buffer.from('x').toString('base64');
  if (provider === 'mailgun')
    return [
      form({ text: 'x', subject: text }),
      form({ text: 'x', subject: 'x', from: `${text} <${FROM}>` }),
      form({ text: 'x', subject: 'x', to: `${text} <${READER}>` }),
      form({ text: 'x', subject: 'x', 'h:X-Note': text }),
    ];
  const plain = documentOf(provider, PLAIN);
  if (provider === 'sendgrid')
    return [
      { ...plain, subject: text },
      { ...plain, from: { email: FROM, name: text } },
      { ...plain, personalizations: [{ to: [{ email: READER, name: text }] }] },
      { ...plain, headers: { 'X-Note': text } },
      { ...plain, attachments: [{ content: file, filename: text, type: 'text/plain' }] },
      { ...plain, reply_to: { email: FROM, name: text } },
    ];
  if (provider === 'postmark')
    return [
      { ...plain, Subject: text },
      { ...plain, From: `${text} <${FROM}>` },
      { ...plain, To: `${text} <${READER}>` },
      { ...plain, Headers: [{ Name: 'X-Note', Value: text }] },
      { ...plain, Attachments: [{ Name: text, Content: file, ContentType: 'text/plain' }] },
    ];
  const Body = { Text: { Data: 'x' } };
  const simple = (change: object): object => ({
    ...plain,
    Content: { Simple: { Subject: { Data: 'x' }, Body, ...change } },
  });
  return [
    simple({ Subject: { Data: text } }),
    { ...plain, FromEmailAddress: `${text} <${FROM}>` },
    { ...plain, Destination: { ToAddresses: [`${text} <${READER}>`] } },
    simple({ Headers: [{ Name: 'X-Note', Value: text }] }),
  ];
}

describe('what mail libraries differ in', () => {
  for (const { row, run } of ADDRESS_FIELDS) test(row, run);
});

describe('the ways around a guard', () => {
  for (const { row, run } of TRAPS) test(row, run);
});

test('no row is missing, and none is there twice', () => {
  assert.equal(new Set(ADDRESS_FIELDS.map(({ row }) => row)).size, 16);
  assert.equal(new Set(TRAPS.map(({ row }) => row)).size, 19);
});
