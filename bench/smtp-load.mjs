/**
 * A source of mail for the relays: sends over a number of connections that are reused, envelope and DATA in one group (RFC 2920)
 * where the relay offers it and it is asked for, and tells what came back and how long each message took.
 *
 *     node bench/smtp-load.mjs '{"port":2525,"connections":20,"messages":10000,"bytes":3072,"leakEvery":1000,"perSecond":0,
 *                                "pipelining":true,"addresses":"addresses.txt"}'
 *
 * The readers are the lines of `addresses`, one after another and again from the first. Every `leakEvery`th message shows its
 * two readers to each other; `perSecond` 0 is as fast as possible, else message n is due n/perSecond after the start, whatever
 * became of those before it. Prints one JSON document: `p50Ms` and `p99Ms` are from the last byte of content to its reply,
 * `fromDueP99Ms` from when the message was due.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const request = JSON.parse(process.argv[2] ?? '{}');
const { port, connections, messages, bytes, leakEvery, perSecond, pipelining, addresses } = request;
const people = readFileSync(addresses, 'latin1').split('\n').filter(Boolean);
const BOUNDARY = '=_northwind-20261121';
const ROW =
  '<tr><td style=3D"padding:4px 8px">Weights, rounded to four places</td><td>EUR 12.40</td></tr>\r\n';
const END =
  '</table><p>Questions? <a href=3D"mailto:support@northwind.example">support@northwind.example</a></p>' +
  `</body></html>\r\n--${BOUNDARY}--\r\n.\r\n`;

/** A statement as shops and brokers send them: text and HTML, a link of the reader's own, the company's own address. */
function beginning(number, readers) {
  return (
    `From: Northwind <notices@northwind.example>\r\nTo: ${readers.join(', ')}\r\n` +
    `Reply-To: support@northwind.example\r\nSubject: Your statement ${number}\r\n` +
    `Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${number}.${port}@northwind.example>\r\n` +
    `MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="${BOUNDARY}"\r\n\r\n` +
    `--${BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n` +
    `Dear customer,\r\n\r\nyour statement ${number} of 21 November 2026 is ready:\r\n` +
    `https://northwind.example/statements/${number}?key=${(number * 2_654_435_761) % 4_294_967_296}\r\n\r\n` +
    `Questions? Write to support@northwind.example.\r\n\r\n--${BOUNDARY}\r\n` +
    'Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n' +
    `<html><body style=3D"font-family:sans-serif"><p>Your statement ${number} is ready.</p><table>\r\n`
  );
}

const missing = bytes - beginning(0, [people[0]]).length - END.length;
const REST = Buffer.from(ROW.repeat(Math.max(1, Math.round(missing / ROW.length))) + END, 'latin1');

let next = 0;
let answered = 0;
let started = 0;
const fromDot = new Float64Array(messages);
const fromDue = new Float64Array(messages);
const count = { accepted: 0, refused: 0, deferred: 0, leaks: 0, leaksAccepted: 0 };

/** One connection: writes a group of commands, waits for as many replies, and so on. */
class Session {
  #text = '';
  #codes = [];
  #wanted = 1;
  #then = () => this.#write('EHLO source.northwind.example\r\n', 1, () => this.#next());
  #socket;
  #done = false;
  #resolve;
  ended = new Promise((resolve) => {
    this.#resolve = resolve;
  });

  constructor() {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', (error) => fail(`the connection broke: ${error.message}`));
    this.#socket.on('close', () => {
      if (!this.#done) fail('the relay closed the connection');
      this.#resolve();
    });
  }

  #take(chunk) {
    const text = this.#text === '' ? chunk : this.#text + chunk;
    let from = 0;
    for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n', from)) {
      if (text[from + 3] !== '-') this.#codes.push(Number(text.slice(from, from + 3)));
      from = end + 2;
    }
    this.#text = text.slice(from);
    if (this.#codes.length < this.#wanted) return;
    const codes = this.#codes;
    this.#codes = [];
    this.#then(codes);
  }

  #write(what, wanted, then) {
    this.#wanted = wanted;
    this.#then = then;
    this.#socket.write(what, 'latin1');
  }

  #next() {
    if (next >= messages) {
      this.#done = true;
      this.#then = () => {};
      this.#socket.end('QUIT\r\n');
      return;
    }
    const number = next++;
    const due = perSecond > 0 ? started + (number * 1000) / perSecond : performance.now();
    const early = due - performance.now();
    // Timers count whole milliseconds and may come early by the rest.
    if (early > 0) setTimeout(() => this.#envelope(number, due), Math.ceil(early));
    else this.#envelope(number, due);
  }

  #envelope(number, due) {
    const leak = leakEvery > 0 && number % leakEvery === leakEvery - 1;
    const readers = [people[number % people.length]];
    if (leak) readers.push(people[(number + 1) % people.length]);
    const commands = [
      'MAIL FROM:<bounce@northwind.example>\r\n',
      ...readers.map((reader) => `RCPT TO:<${reader}>\r\n`),
      'DATA\r\n',
    ];
    const goOn = () => this.#content(number, readers, due);
    if (pipelining) this.#write(commands.join(''), commands.length, (codes) => goOn(check(codes)));
    else this.#oneByOne(commands, goOn);
  }

  #oneByOne([command, ...others], then) {
    this.#write(command, 1, (codes) => {
      check(others.length === 0 ? codes : [...codes, 354]);
      if (others.length === 0) then();
      else this.#oneByOne(others, then);
    });
  }

  #content(number, readers, due) {
    const head = beginning(number, readers);
    const content = Buffer.allocUnsafe(head.length + REST.length);
    content.latin1Write(head, 0);
    REST.copy(content, head.length);
    const dot = performance.now();
    this.#write(content, 1, ([code]) => {
      const now = performance.now();
      fromDot[answered] = now - dot;
      fromDue[answered++] = now - due;
      const isLeak = readers.length > 1;
      if (isLeak) count.leaks++;
      if (code >= 500) count.refused++;
      else if (code >= 400) count.deferred++;
      else {
        count.accepted++;
        if (isLeak) count.leaksAccepted++;
      }
      this.#next();
    });
  }
}

function fail(what) {
  process.stderr.write(`${what}\n`);
  process.exit(1);
}

function check(codes) {
  if (codes.at(-1) !== 354 || codes.slice(0, -1).some((code) => code !== 250))
    fail(`the relay answered ${codes.join(' ')} to an envelope`);
}

started = performance.now();
await Promise.all(Array.from({ length: connections }, () => new Session().ended));
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage();
fromDot.sort();
fromDue.sort();
const at = (sorted, share) => sorted[Math.min(messages - 1, Math.floor(share * messages))];
process.stdout.write(
  `${JSON.stringify({
    seconds,
    perSecond: messages / seconds,
    ...count,
    p50Ms: at(fromDot, 0.5),
    p99Ms: at(fromDot, 0.99),
    fromDueP50Ms: at(fromDue, 0.5),
    fromDueP99Ms: at(fromDue, 0.99),
    cpuSeconds: (user + system) / 1e6,
  })}\n`,
);
