import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codes, message, sendTo } from '../support/send-messages.ts';

for (const extensions of [['PIPELINING'], ['SIZE']]) {
  const name = extensions[0] === 'PIPELINING' ? 'with PIPELINING' : 'without PIPELINING';

  test(`every message arrives whole and alone, on one connection, ${name}`, async () => {
    const result = await sendTo(
      { extensions },
      [1, 2, 3].map((n) => message(n)),
    );
    assert.deepEqual(codes(result.last), ['1 replied 250', '2 replied 250', '3 replied 250']);
    assert.deepEqual(
      result.contents.map((text) => text.split('\r\n')[0]),
      ['Subject: row 1', 'Subject: row 2', 'Subject: row 3'],
    );
    assert.equal(result.told.length, 1);
    assert.equal(result.told.flat().filter((line) => line.startsWith('RCPT')).length, 3);
  });

  test(`a refused recipient ends alone, its transaction is reset, the next message arrives, ${name}`, async () => {
    let open = false;
    const result = await sendTo(
      {
        extensions,
        answer: ({ line, content }) => {
          // As Postfix does: no second MAIL in a transaction, no DATA without a recipient.
          if (line.startsWith('MAIL')) {
            if (open) return '503 5.5.1 nested MAIL command\r\n';
            open = true;
          }
          if (line.startsWith('RSET') || content !== null) open = false;
          if (line.includes('reader1@')) return '550 5.1.1 no such user\r\n';
          return undefined;
        },
      },
      [message(1), message(2)],
    );
    assert.deepEqual(codes(result.last), ['1 replied 550', '2 replied 250']);
    assert.equal(result.contents.length, 1);
  });

  test(`a refused MAIL is the answer to that message alone, ${name}`, async () => {
    let mails = 0;
    const result = await sendTo(
      {
        extensions,
        answer: ({ line }) => {
          if (line.startsWith('MAIL') && ++mails === 1) return '452 4.3.1 later\r\n';
          if (mails === 1 && (line.startsWith('RCPT') || line === 'DATA'))
            return '503 5.5.1 no\r\n';
          return undefined;
        },
      },
      [message(1), message(2)],
    );
    assert.deepEqual(codes(result.last), ['1 replied 452', '2 replied 250']);
  });
}

test('DATA taken although the recipient was refused is ended by an empty message (RFC 2920 3.1)', async () => {
  const result = await sendTo(
    {
      answer: ({ line, content }) => {
        if (line.includes('reader1@')) return '550 5.1.1 no\r\n';
        return content === '' ? '554 5.5.1 no valid recipients\r\n' : undefined;
      },
    },
    [message(1), message(2)],
  );
  assert.deepEqual(codes(result.last), ['1 replied 550', '2 replied 250']);
  assert.equal(result.contents.length, 1);
  assert.match(result.contents[0] ?? '', /row 2/);
});

test('replies cut into packets and replies glued together are read alike', async () => {
  const cut = await sendTo(
    { answer: ({ content }) => (content === null ? undefined : ['25', '0 2.0', '.0 ok\r', '\n']) },
    [message(1), message(2)],
  );
  assert.deepEqual(codes(cut.last), ['1 replied 250', '2 replied 250']);
  const glued = await sendTo(
    {
      answer: ({ line }) =>
        line.startsWith('MAIL')
          ? 'silence'
          : line.startsWith('RCPT')
            ? '250 a\r\n250 b\r\n'
            : undefined,
    },
    [message(1), message(2)],
  );
  assert.deepEqual(codes(glued.last), ['1 replied 250', '2 replied 250']);
});

test('a reader that needs SMTPUTF8 is undeliverable where it is not offered, without a word on the wire', async () => {
  const result = await sendTo({ extensions: ['PIPELINING'] }, [
    message(1, { utf8: true }),
    message(2),
  ]);
  assert.deepEqual(codes(result.last), ['1 undeliverable 0', '2 replied 250']);
  assert.equal(
    result.told.flat().some((line) => line.includes('reader1@')),
    false,
  );
});

test('421 at the greeting, to EHLO, MAIL, RCPT, DATA or after the dot loses nobody and repeats nothing accepted', async () => {
  for (const at of ['EHLO', 'MAIL', 'RCPT', 'DATA', 'content']) {
    let said = false;
    const result = await sendTo(
      {
        answer: ({ line, content }) => {
          if (said || !(content !== null ? at === 'content' : line.startsWith(at)))
            return undefined;
          said = true;
          return '421 4.3.2 closing\r\n';
        },
      },
      [message(1), message(2)],
    );
    assert.equal(result.last.length, 2, at);
    assert.equal(new Set(result.last.map(({ position }) => position)).size, 2, at);
    assert.ok(
      result.last.some(({ code }) => code === 250),
      at,
    );
  }
});

test('a connection lost after the dot leaves that message unknown and gives the envelope behind it back', async () => {
  let dropped = false;
  const result = await sendTo(
    {
      answer: ({ content }) => {
        if (content === null || dropped) return undefined;
        dropped = true;
        return 'drop';
      },
    },
    [message(1), message(2)],
  );
  assert.deepEqual(codes(result.settled), ['1 unknown 0', '2 returned 0', '2 replied 250']);
});

test('a connection lost before any content gives the message back', async () => {
  let dropped = false;
  const result = await sendTo(
    {
      answer: ({ line }) => {
        if (line !== 'DATA' || dropped) return undefined;
        dropped = true;
        return 'drop';
      },
    },
    [message(1)],
  );
  assert.deepEqual(codes(result.settled), ['1 returned 0', '1 replied 250']);
});

test('halt while content stands in our own buffer gives it back: its final dot never left', async () => {
  let halted = false;
  const result = await sendTo({ stall: true }, [message(1, { bytes: 20_000_000 })], {
    ms: 600,
    during: (pool) => {
      if (halted || pool.inFlight().length === 0) return;
      halted = true;
      pool.halt();
    },
  });
  assert.equal(halted, true);
  assert.deepEqual(codes(result.settled), ['1 abandoned 0']);
  assert.equal(result.contents.length, 0);
});

test('halt after the dot waits for the reply and hands over nothing more', async () => {
  let halted = false;
  const result = await sendTo(
    { answer: ({ content }) => (content === null ? undefined : ['', '', '', '', '250 ok\r\n']) },
    [message(1), message(2)],
    {
      ms: 400,
      during: (pool) => {
        if (halted || pool.inFlight().length === 0) return;
        halted = true;
        pool.halt();
      },
    },
  );
  assert.deepEqual(codes(result.last), ['1 replied 250']);
  assert.equal(result.contents.length, 1);
  assert.equal(result.left, 1);
});

test('codes out of their place are never taken for an acceptance', async () => {
  const result = await sendTo(
    { answer: ({ line }) => (line === 'DATA' ? '250 ok\r\n' : undefined) },
    [message(1)],
    { ms: 300 },
  );
  assert.equal(result.last.length, 0);
  assert.equal(result.contents.length, 0);
  assert.ok(result.faults.length > 0);
});

test('a far side that never answers EHLO is given up in time, said so, and tried again more and more slowly', async () => {
  const result = await sendTo(
    { answer: ({ line }) => (line.startsWith('EHLO') ? 'silence' : undefined) },
    [message(1)],
    { ms: 1500 },
  );
  assert.ok(result.faults.includes('the far side took too long'));
  assert.ok(
    result.told.length >= 1 && result.told.length <= 4,
    `${result.told.length} connections`,
  );
  assert.equal(result.left + result.settled.length > 0, true);
});
