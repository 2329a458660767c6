/** TLS to the next hop (RFC 3207): what a route requires holds, and what came in clear is nothing once TLS is asked for. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Certificate, selfSigned } from '../support/certificate.ts';
import type { Answer, Told } from '../support/scripted-sink.ts';
import { codes, message, type Sent, sendTo } from '../support/send-messages.ts';

const trusted = selfSigned();
const otherName = selfSigned({ name: 'other.test', loopback: false });
const ended = selfSigned({ until: '210101000000Z' });
const unknown = selfSigned();
const usual = getCACertificates('default');
setDefaultCACertificates([...usual, trusted.cert, otherName.cert, ended.cert]);
after(() => setDefaultCACertificates(usual));

const OFFERED = ['PIPELINING', 'STARTTLS'];
/** Long enough for a connection and the next one, which comes when the first has failed. */
const FAILS_MS = 250;

const linesOf = ({ told }: Sent): readonly string[] => told.flat();

/** Nothing of the message was said on any connection, and it waits still. */
function assertNothingSaid(sent: Sent): void {
  assert.ok(sent.told.length > 0, 'the far side was connected to');
  const envelope = linesOf(sent).filter((line) => /MAIL|RCPT|DATA|content/.test(line));
  assert.deepEqual(envelope, []);
  assert.deepEqual(sent.last, []);
  assert.equal(sent.left, 1);
}

for (const tls of ['opportunistic', 'required'] as const)
  test(`STARTTLS that is offered is used and EHLO said again before any envelope: ${tls}`, async () => {
    const sent = await sendTo(
      { extensions: OFFERED, tls: trusted },
      [1, 2, 3].map((n) => message(n)),
      { tls, ms: 3000 },
    );
    assert.deepEqual(codes(sent.last), ['1 replied 250', '2 replied 250', '3 replied 250']);
    const [first] = sent.told;
    assert.deepEqual(first?.slice(0, 3), ['EHLO localhost', 'STARTTLS', 'TLS EHLO localhost']);
    assert.ok(
      first?.slice(3).every((line) => line.startsWith('TLS ')),
      'all that follows is encrypted',
    );
    assert.equal(sent.told.length, 1);
  });

test('TLS from the start, where the certificate fits', async () => {
  const sent = await sendTo({ tls: { ...trusted, implicit: true } }, [message(1)], {
    tls: 'implicit',
    ms: 3000,
  });
  assert.deepEqual(codes(sent.last), ['1 replied 250']);
  assert.ok(linesOf(sent).every((line) => line.startsWith('TLS ')));
});

const REFUSED: readonly (readonly [string, Certificate, RegExp])[] = [
  ['that nobody vouches for', unknown, /DEPTH_ZERO_SELF_SIGNED_CERT/],
  ['of another name', otherName, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ['that has ended', ended, /CERT_HAS_EXPIRED/],
];
for (const [what, certificate, says] of REFUSED)
  test(`a certificate ${what} gets nothing where TLS is required, and is told of`, async () => {
    for (const tls of ['required', 'implicit'] as const) {
      const sent = await sendTo(
        { extensions: OFFERED, tls: { ...certificate, implicit: tls === 'implicit' } },
        [message(1)],
        { tls, ms: FAILS_MS },
      );
      assert.match(sent.faults[0] ?? '', says, tls);
      assert.deepEqual(sent.last, [], tls);
      assert.equal(sent.left, 1, tls);
      assert.equal(
        linesOf(sent).some((line) => line.startsWith('TLS ')),
        false,
        `not even EHLO: ${tls}`,
      );
    }
  });

test('opportunistic TLS takes any certificate, and goes in clear where none is offered', async () => {
  const encrypted = await sendTo({ extensions: OFFERED, tls: unknown }, [message(1)], {
    tls: 'opportunistic',
    ms: 3000,
  });
  assert.ok(linesOf(encrypted).includes('TLS content'));
  const clear = await sendTo({ extensions: ['PIPELINING'] }, [message(1)], {
    tls: 'opportunistic',
  });
  assert.ok(linesOf(clear).includes('content'));
});

test('TLS that is required and not offered: no envelope, and it is said why', async () => {
  const sent = await sendTo({ extensions: ['PIPELINING'] }, [message(1)], {
    tls: 'required',
    ms: FAILS_MS,
  });
  assertNothingSaid(sent);
  assert.match(sent.faults[0] ?? '', /offers no TLS, which the route requires/);
});

test('TLS that is offered and refused, or never comes: no envelope in clear', async () => {
  const answers: readonly Answer[] = ['454 4.7.0 not now\r\n', '554 no\r\n', 'silence', 'drop'];
  for (const answer of answers) {
    const sent = await sendTo(
      {
        extensions: OFFERED,
        answer: ({ line }) => (line === 'STARTTLS' ? answer : undefined),
      },
      [message(1)],
      { tls: 'required', ms: answer === 'silence' ? 900 : FAILS_MS },
    );
    assertNothingSaid(sent);
    assert.ok(sent.faults.length > 0, String(answer));
  }
  const silent = await sendTo({ extensions: OFFERED }, [message(1)], { tls: 'required', ms: 900 });
  assertNothingSaid(silent);
  assert.match(silent.faults[0] ?? '', /took too long/, '220, and no handshake');
});

/**
 * Somebody in between lets replies of their own follow the 220 in clear (CVE-2011-0411 is the same to a server): each of
 * these would be the answer to the EHLO inside TLS, and change what is believed of the real far side.
 */
const INJECTED: readonly (readonly [string, readonly string[]])[] = [
  ['a whole reply in the same packet', ['220 go\r\n250-evil\r\n250 SMTPUTF8\r\n']],
  ['a second 220 in the same packet', ['220 go\r\n220 go\r\n']],
  ['the beginning of a reply', ['220 go\r\n250-evil\r\n250-SMTP']],
  ['a byte', ['220 go\r\n2']],
  ['what is no reply', ['220 go\r\nevil\r\n']],
  ['a whole reply in the next packet', ['220 go\r\n', '250-evil\r\n250 SMTPUTF8\r\n']],
];
for (const [what, pieces] of INJECTED)
  test(`behind the 220 to STARTTLS, in clear, ${what}: the connection is given up`, async () => {
    let first = true;
    const answer = ({ line }: Told): Answer | undefined => {
      if (line !== 'STARTTLS' || !first) return undefined;
      first = false;
      return pieces;
    };
    for (const tls of ['opportunistic', 'required'] as const) {
      first = true;
      const sent = await sendTo(
        { extensions: OFFERED, tls: trusted, answer },
        [message(1, { utf8: true })],
        { tls, ms: 3000 },
      );
      assert.ok(sent.faults.length > 0, `${tls}: it is noticed`);
      const lines = sent.told[0] ?? [];
      assert.equal(
        lines.some((line) => /MAIL|RCPT|DATA|content/.test(line)),
        false,
        `${tls}: no envelope on it`,
      );
      // On the next one, which nobody meddles with, the far side says that it has no SMTPUTF8.
      assert.deepEqual(codes(sent.last), ['1 undeliverable 0'], tls);
    }
  });

test('what was offered before TLS is forgotten: only what is offered inside counts', async () => {
  let hellos = 0;
  const sent = await sendTo(
    {
      tls: trusted,
      answer: ({ line }) => {
        if (!line.startsWith('EHLO')) return undefined;
        return ++hellos === 1
          ? '250-sink\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 STARTTLS\r\n'
          : '250-sink\r\n250 SIZE\r\n';
      },
    },
    [message(1, { utf8: true }), message(2)],
    { tls: 'required', ms: 3000 },
  );
  assert.equal(hellos, 2);
  assert.deepEqual(codes(sent.last), ['1 undeliverable 0', '2 replied 250']);
});

test('STARTTLS is not said twice, whatever is offered inside', async () => {
  const sent = await sendTo({ extensions: OFFERED, tls: trusted }, [message(1)], {
    tls: 'required',
    ms: 3000,
  });
  assert.equal(linesOf(sent).filter((line) => line.endsWith('STARTTLS')).length, 1);
});

test('a connection lost after the dot leaves the message unknown under TLS as well', async () => {
  let dropped = false;
  const sent = await sendTo(
    {
      extensions: OFFERED,
      tls: trusted,
      answer: ({ content }) => {
        if (content === null || dropped) return undefined;
        dropped = true;
        return 'drop';
      },
    },
    [message(1), message(2)],
    { tls: 'required', ms: 3000 },
  );
  assert.deepEqual(codes(sent.settled), ['1 unknown 0', '2 returned 0', '2 replied 250']);
});
