/** A self-signed certificate made on the spot (RFC 5280), so that no private key lies in the repository and none expires. */

import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';

/** PEM key and certificate for `gate.test` and 127.0.0.1, valid from 2020 to 2049. */
export function selfSigned(): { readonly key: string; readonly cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'));
  const commonName = der(
    0x30,
    Buffer.from('0603550403', 'hex'),
    der(0x0c, Buffer.from('gate.test')),
  );
  const name = der(0x30, der(0x31, commonName));
  const time = (text: string): Buffer => der(0x17, Buffer.from(text));
  const names = der(
    0x30,
    der(0x82, Buffer.from('gate.test')),
    der(0x87, Buffer.from([127, 0, 0, 1])),
  );
  const subjectAltName = der(0x30, Buffer.from('0603551d11', 'hex'), der(0x04, names));
  const authority = Buffer.from('300f0603551d130101ff040530030101ff', 'hex');
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    der(0x30, time('200101000000Z'), time('491231235959Z')),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, authority, subjectAltName)),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, privateKey));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: new X509Certificate(der(0x30, body, ecdsaWithSha256, signature)).toString(),
  };
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}
