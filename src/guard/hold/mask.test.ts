/** Whatever is shown of a held message, nobody's address can be read in it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskAddress, maskAddresses } from './mask.ts';

test('an address keeps its first and last letters and its top-level domain', () => {
  assert.equal(maskAddress('anne@world.example'), 'a…e@w…d.example');
  assert.equal(maskAddress('anne.smith@mail.world.example'), 'a…h@m…d.example');
  assert.equal(maskAddress('bo@x.example'), '…@….example');
});

test('no coding of an address is left readable', () => {
  const written = [
    'anne.smith@world.example',
    'anne.smith%40world.example',
    'anne.smith&#64;world.example',
    'anne.smith\uFF20world.example',
    '"anne smith"@world.example',
    'mailto:anne.smith@world.example?subject=x',
    'bounce+anne.smith=world.example@mailer.example',
    '<anne.smith@world.example>',
    'änne.smith@wörld.example',
    'anne.smith@localhost',
  ];
  for (const text of written) {
    const { text: masked } = maskAddresses(`see ${text}, please`);
    assert.doesNotMatch(masked, /smith|w[oö]rld\.|localhost/i, text);
    assert.match(masked, /^see .* please$/);
  }
});

test('what is no address stays as it is', () => {
  const text = 'Dear {{ name }}, 50 % off @ noon; see https://northwind.example/a?b=c';
  assert.equal(maskAddresses(text).text, text);
});

test('places are found again: before, in and after an address', () => {
  const text = 'to ann.lee@home.example and bob.ray@home.example: {{ x }}';
  const { text: masked, place } = maskAddresses(text);
  const slice = (part: string): string => {
    const start = text.indexOf(part);
    return masked.slice(place(start, 'start'), place(start + part.length, 'end'));
  };
  assert.equal(slice('{{ x }}'), '{{ x }}');
  assert.equal(slice('to '), 'to ');
  assert.equal(slice('bob.ray@home.example'), 'b…y@h…e.example');
  assert.equal(slice('ray@home'), 'b…y@h…e.example');
  assert.equal(slice(' and '), ' and ');
});
