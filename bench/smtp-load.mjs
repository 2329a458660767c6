/**
 * A source of mail for the relays: sends over a number of connections that are reused, one command at a time as most clients
 * do, and tells what came back and how long each message took.
 *
 *     node bench/smtp-load.mjs '{"port":2525,"connections":20,"messages":10000,"bytes":3072,"leakEvery":1000,"perSecond":0}'
 *
 * Every `leakEvery`th message shows its two recipients to each other; `perSecond` 0 is as fast as possible. Prints one JSON document.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

const { port, connections, messages, bytes, leakEvery, perSecond } = JSON.parse(
  process.argv[2] ?? '{}',
);
const HEAD_BYTES = 400;
const LINE = 'The weights are rounded to four places as the rules of the index say.\r\n';
const body = LINE.repeat(Math.max(1, Math.ceil((bytes - HEAD_BYTES) / LINE.length)));

let next = 0;
const started = performance.now();
const latencies = [];
const count = { accepted: 0, refused: 0, deferred: 0, leaksAccepted: 0 };

/** Recipients and content of one message; its number makes every one different. */
function messageOf(number) {
  const leak = leakEvery > 0 && number % leakEvery === leakEvery - 1;
  const readers = leak
    ? [`reader${number}@webmail.example`, `other${number}@webmail.example`]
    : [`reader${number}@webmail.example`];
  const head =
    `From: Northwind <notices@northwind.example>\r\nTo: ${readers.join(', ')}\r\n` +
    `Subject: Your statement ${number}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n` +
    `Message-ID: <${number}.${port}@northwind.example>\r\nMIME-Version: 1.0\r\n` +
    'Content-Type: text/plain; charset=utf-8\r\n\r\n';
  return { leak, readers, content: `${head}Dear reader ${number},\r\n${body}.\r\n` };
}

/** One reply, its last line: the code as a number. */
function replies(socket) {
  let text = '';
  const waiting = [];
  const ready = [];
  socket.setEncoding('latin1');
  socket.on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (line[3] === '-') continue;
      const code = Number(line.slice(0, 3));
      const resolve = waiting.shift();
      if (resolve === undefined) ready.push(code);
      else resolve(code);
    }
  });
  return () =>
    ready.length > 0
      ? Promise.resolve(ready.shift())
      : new Promise((resolve) => {
          waiting.push(resolve);
        });
}

async function wanted(reply, codes, what) {
  const code = await reply();
  if (!codes.includes(code)) throw new Error(`${what}: ${code}`);
}

async function session() {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const reply = replies(socket);
  await wanted(reply, [220], 'greeting');
  socket.write('EHLO source.northwind.example\r\n');
  await wanted(reply, [250], 'EHLO');
  while (next < messages) {
    const number = next++;
    const due = perSecond > 0 ? started + (number * 1000) / perSecond : 0;
    const early = due - performance.now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    await send(socket, reply, messageOf(number), perSecond > 0 ? due : performance.now());
  }
  socket.end('QUIT\r\n');
}

async function send(socket, reply, { leak, readers, content }, from) {
  socket.write('MAIL FROM:<bounce@northwind.example>\r\n');
  await wanted(reply, [250], 'MAIL');
  for (const reader of readers) {
    socket.write(`RCPT TO:<${reader}>\r\n`);
    await wanted(reply, [250], 'RCPT');
  }
  socket.write('DATA\r\n');
  await wanted(reply, [354], 'DATA');
  socket.write(content, 'latin1');
  const code = await reply();
  latencies.push(performance.now() - from);
  if (code >= 500) count.refused++;
  else if (code >= 400) count.deferred++;
  else {
    count.accepted++;
    if (leak) count.leaksAccepted++;
  }
}

await Promise.all(Array.from({ length: connections }, session));
const seconds = (performance.now() - started) / 1000;
latencies.sort((one, other) => one - other);
const at = (share) =>
  latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))];
process.stdout.write(
  `${JSON.stringify({ seconds, perSecond: messages / seconds, ...count, p50Ms: at(0.5), p99Ms: at(0.99) })}\n`,
);
