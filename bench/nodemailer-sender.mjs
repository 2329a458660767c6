/** The measure: nodemailer's pool with its own DKIM, one message of 10 KB for each person. A process of its own. */

import { createReadStream, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../test/package.json', import.meta.url));
const nodemailer = require('nodemailer');
const [port, connections, people, csv, keyFile, bytes] = process.argv.slice(2);

const body = 'The weights are rounded to four places as the rules of the index say.\r\n';
const text = body.repeat(Math.ceil(Number(bytes) / body.length));
const transport = nodemailer.createTransport({
  pool: true,
  host: '127.0.0.1',
  port: Number(port),
  secure: false,
  ignoreTLS: true,
  maxConnections: Number(connections),
  maxMessages: Number.POSITIVE_INFINITY,
  dkim: {
    domainName: 'northwind.example',
    keySelector: 'bench',
    privateKey: readFileSync(keyFile, 'utf8'),
  },
});

const started = performance.now();
const lines = createInterface({ input: createReadStream(csv) });
let sent = 0;
let begun = 0;
const under = new Set();
for await (const line of lines) {
  const [id, email, name] = line.split(',');
  if (id === 'id' || begun >= Number(people)) continue;
  begun++;
  const one = transport
    .sendMail({
      from: 'notices@northwind.example',
      to: email,
      subject: 'New weights in the .NXBT indices',
      text: `Dear ${name},\r\n\r\n${text}`,
    })
    .then(() => {
      sent++;
      under.delete(one);
    });
  under.add(one);
  if (under.size >= Number(connections) * 4) await Promise.race(under);
}
await Promise.all(under);
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage();
transport.close();
process.stdout.write(`${JSON.stringify({ sent, seconds, cpuSeconds: (user + system) / 1e6 })}\n`);
