import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseMessage } from '../mail/message.ts';
import { linkTokens } from './link-tokens.ts';

const TOKEN = '8f3a9c0b1d2e3f4a5b6c';
const OTHER = 'Zm9vYmFyLTEyMzQ1Njc4';

function tokens(text: string, fields = ''): Readonly<Record<string, string>> {
  return Object.fromEntries(
    linkTokens(parseMessage(Buffer.from(`From: a@shop.example\r\n${fields}\r\n${text}\r\n`))),
  );
}

describe('tokens of links', () => {
  it('stand in a segment of the path, or in a value', () => {
    assert.deepEqual(tokens(`https://shop.example/u/${TOKEN}?key=${OTHER}&utm_id=${TOKEN}`), {
      'https://shop.example/u/* 4': TOKEN,
      'https://shop.example/u/*?key': OTHER,
    });
  });

  it('have one slot for all orders beside that of their own order', () => {
    assert.deepEqual(tokens(`https://shop.example/orders/4711?signature=${TOKEN}`), {
      'https://shop.example/orders/4711?signature': TOKEN,
      'https://shop.example/orders/#?signature': TOKEN,
    });
  });

  it('stand in the address or the subject of a List-Unsubscribe', () => {
    const field = `List-Unsubscribe: <mailto:leave-${TOKEN}@shop.example>,\r\n <mailto:out@shop.example?subject=${OTHER}>, <https://shop.example/u/${TOKEN}>\r\n`;
    assert.deepEqual(tokens('Hello', field), {
      'https://shop.example/u/* 4': TOKEN,
      'mailto:/*/shop.example 1': `leave-${TOKEN}`,
      'mailto:/out/shop.example?subject': OTHER,
    });
  });

  it('are no words, no files, no web analysis, and none of several in one slot', () => {
    const links = [
      'https://shop.example/our-new-terms-and-conditions-of-the-spring',
      `https://cdn.example/${TOKEN}.png`,
      `https://shop.example/?utm_campaign=${TOKEN}`,
      `https://shop.example/c/${TOKEN} https://shop.example/c/${OTHER}`,
      'https://shop.example/short/8f3a9c0b',
    ];
    assert.deepEqual(tokens(links.join('\r\n')), {});
    assert.notDeepEqual(tokens(`https://shop.example/c/${TOKEN}`), {});
  });
});
