import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCommand } from './command.ts';

function read(line: string): ReturnType<typeof readCommand> {
  return readCommand(Buffer.from(line));
}

function refusal(line: string): string {
  const command = read(line);
  return command.kind === 'bad' ? `${command.reply.code} ${command.reply.enhanced}` : command.kind;
}

test('verbs are read in any case', () => {
  assert.equal(read('data').kind, 'data');
  assert.equal(read('QuIt').kind, 'quit');
  assert.deepEqual(read('ehlo client.test'), { kind: 'ehlo', name: 'client.test' });
  assert.deepEqual(read('HELO [192.0.2.1]'), { kind: 'helo', name: '[192.0.2.1]' });
});

test('MAIL with all its parameters is read', () => {
  const line =
    'MAIL FROM:<a@x.test> SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B1 AUTH=<>';
  assert.deepEqual(read(line), {
    kind: 'mail',
    from: 'a@x.test',
    sizeBytes: 1000,
    body: '8BITMIME',
    smtpUtf8: true,
    ret: 'HDRS',
    envid: 'QQ+2B1',
  });
});

test('RCPT with DSN parameters is read', () => {
  assert.deepEqual(read('rcpt to:<b@y.test> notify=SUCCESS,failure ORCPT=rfc822;b+40y.test'), {
    kind: 'rcpt',
    address: 'b@y.test',
    dsn: { notify: 'SUCCESS,FAILURE', orcpt: 'rfc822;b+40y.test' },
  });
});

test('old clients may write a space after the colon', () => {
  assert.equal(read('MAIL FROM: <a@x.test>').kind, 'mail');
});

test('the null reverse-path is a sender and no recipient', () => {
  assert.equal(read('MAIL FROM:<>').kind, 'mail');
  assert.equal(refusal('RCPT TO:<>'), '553 5.1.3');
});

test('a parameter that is unknown, malformed or there twice is refused', () => {
  assert.equal(refusal('MAIL FROM:<a@x.test> XODD=1'), '555 5.5.4');
  assert.equal(refusal('MAIL FROM:<a@x.test> SIZE=ten'), '501 5.5.4');
  assert.equal(refusal('MAIL FROM:<a@x.test> BODY=BINARYMIME'), '501 5.5.4');
  assert.equal(refusal('MAIL FROM:<a@x.test> SIZE=1 SIZE=2'), '501 5.5.4');
  assert.equal(refusal('MAIL FROM:<a@x.test>SIZE=1'), '501 5.5.4');
  assert.equal(refusal('RCPT TO:<a@x.test> NOTIFY=NEVER,SUCCESS'), '501 5.5.4');
  assert.equal(refusal('RCPT TO:<a@x.test> ORCPT=rfc822;a=b'), '501 5.5.4');
});

test('what follows an address is a parameter or an error, never a second address', () => {
  assert.equal(refusal('RCPT TO:<a@x.test>,<b@y.test>'), '501 5.5.4');
  assert.equal(refusal('RCPT TO:<a@x.test> <b@y.test>'), '501 5.5.4');
  assert.equal(refusal('RCPT TO:<a@x.test, b@y.test>'), '553 5.1.3');
  assert.equal(refusal('RCPT TO:a@x.test'), '553 5.1.3');
});

test('an address outside ASCII needs SMTPUTF8', () => {
  assert.equal(refusal('MAIL FROM:<jürgen@x.test>'), '553 5.6.7');
  assert.equal(read('MAIL FROM:<jürgen@x.test> SMTPUTF8').kind, 'mail');
});

test('bytes that are not UTF-8 are refused', () => {
  const line = Buffer.concat([Buffer.from('RCPT TO:<'), Buffer.from([0xff]), Buffer.from('@x>')]);
  const command = readCommand(line);
  assert.equal(command.kind === 'bad' && command.reply.code, 500);
});

test('BDAT and other protocols end the connection, since what follows are no commands', () => {
  assert.equal(read('BDAT 86 LAST').kind, 'foreign');
  assert.equal(read('POST / HTTP/1.1').kind, 'foreign');
  assert.equal(refusal('XFROB'), '500 5.5.1');
});

test('arguments where none belong are refused', () => {
  assert.equal(refusal('DATA now'), '501 5.5.4');
  assert.equal(refusal('EHLO'), '501 5.5.4');
  assert.equal(refusal('EHLO <script>'), '501 5.5.4');
  assert.equal(refusal('AUTH'), '501 5.5.4');
});
