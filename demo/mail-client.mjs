/**
 * What sends mail in a company: a person's mail client and a program, as an SMTP client of a few lines.
 * Shares no code with the guard it talks to.
 */

import { connect } from 'node:net';

/** @returns {{ say(line: string): Promise<string>, close(): void }} one reply for each line said */
function dialogue(port) {
  const socket = connect(port, '127.0.0.1');
  const waiting = [];
  let text = '';
  let failure = null;
  const settle = () => {
    for (let end = replyEnd(text); end > 0 && waiting.length > 0; end = replyEnd(text)) {
      waiting.shift().resolve(text.slice(0, end).trimEnd());
      text = text.slice(end);
    }
    if (failure !== null) for (const wait of waiting.splice(0)) wait.reject(failure);
  };
  socket.on('data', (chunk) => {
    text += chunk;
    settle();
  });
  socket.on('error', (error) => {
    failure = error;
    settle();
  });
  socket.on('close', () => {
    failure ??= new Error('the gate closed the connection');
    settle();
  });
  const reply = () =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      settle();
    });
  return {
    reply,
    say: (line) => {
      socket.write(`${line}\r\n`);
      return reply();
    },
    close: () => socket.destroy(),
  };
}

/** Where the first whole reply ends: its last line has a space after the code. */
function replyEnd(text) {
  const match = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(text);
  return match === null ? 0 : match[0].length;
}

/**
 * Sends one message. The answer is that of the first command refused, or of the end of data.
 * @param {{ port: number, key: string, from: string, recipients: readonly string[], message: string }} mail
 * @returns {Promise<{ code: number, text: string }>}
 */
export async function sendMail({ port, key, from, recipients, message }) {
  const smtp = dialogue(port);
  const answer = (reply) => ({
    code: Number(reply.slice(0, 3)),
    text: reply.replace(/^\d{3}[- ]/gm, '').replaceAll('\r\n', ' '),
  });
  try {
    await smtp.reply();
    await smtp.say('EHLO client.example');
    const plain = Buffer.from(`\0office\0${key}`).toString('base64');
    const lines = [`AUTH PLAIN ${plain}`, `MAIL FROM:<${from}>`];
    for (const recipient of recipients) lines.push(`RCPT TO:<${recipient}>`);
    lines.push('DATA');
    for (const line of lines) {
      const reply = await smtp.say(line);
      if (Number(reply.slice(0, 3)) >= 400) return answer(reply);
    }
    return answer(await smtp.say(`${message.replace(/^\./gm, '..')}\r\n.`));
  } finally {
    smtp.close();
  }
}
