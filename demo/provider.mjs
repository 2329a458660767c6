/**
 * A provider's far side: answers POST /v3/mail/send as SendGrid does and counts what it would have sent.
 *
 *     node demo/provider.mjs      prints "ready PORT"; ends when stdin closes
 *
 * GET /counts says how many copies it was handed and the most people that one of them shows.
 */

import { createServer } from 'node:http';

const counts = { calls: 0, copies: 0, mostVisible: 0 };

const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  if (request.method === 'GET' && request.url === '/counts') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(counts));
    return;
  }
  if (request.method !== 'POST' || request.url !== '/v3/mail/send') {
    response.statusCode = 404;
    response.end('{"errors":[{"message":"not found","field":null,"help":null}]}');
    return;
  }
  counts.calls++;
  for (const { to = [], cc = [], bcc = [] } of JSON.parse(body).personalizations) {
    counts.copies += to.length + cc.length + bcc.length;
    counts.mostVisible = Math.max(counts.mostVisible, to.length + cc.length);
  }
  response.statusCode = 202;
  response.setHeader('x-message-id', `demo-${counts.calls}`);
  response.end();
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`ready ${server.address().port}\n`));
process.stdin.on('end', () => process.exit(0)).resume();
process.on('SIGTERM', () => process.exit(0));
