/** A self-signed certificate made on the spot (RFC 5280), so that no private key lies in the repository and none expires. */

import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let made = 0;

export interface Certificate {
  /** PEM, as the options of node:tls name them. */
  readonly key: string;
  readonly cert: string;
}

export interface CertificateOptions {
  /** The one name that it is for. */
  readonly name?: string;
  /** Whether it is for 127.0.0.1 too. */
  readonly loopback?: boolean;
  /** UTCTime; 2049 where it is not given. */
  readonly until?: string;
}

/** For `gate.test` and 127.0.0.1 where nothing else is said, valid from 2020. */
export function selfSigned(options: CertificateOptions = {}): Certificate {
  const { name: host = 'gate.test', loopback = true, until = '491231235959Z' } = options;
  // A subject of its own: who looks for the issuer goes by its name.
  const subject = `${host} ${++made}`;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'));
  const commonName = der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from(subject)));
  const name = der(0x30, der(0x31, commonName));
  const time = (text: string): Buffer => der(0x17, Buffer.from(text));
  const names = der(
    0x30,
    der(0x82, Buffer.from(host)),
    ...(loopback ? [der(0x87, Buffer.from([127, 0, 0, 1]))] : []),
  );
  const subjectAltName = der(0x30, Buffer.from('0603551d11', 'hex'), der(0x04, names));
  const authority = Buffer.from('300f0603551d130101ff040530030101ff', 'hex');
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    der(0x30, time('200101000000Z'), time(until)),
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

export interface CertificateFolder {
  readonly certificate: string;
  readonly key: string;
  remove(): void;
}

/** The certificate and its key as files, in a folder of their own. */
export function certificateFolder({ cert, key }: Certificate): CertificateFolder {
  const folder = mkdtempSync(join(tmpdir(), 'undisclosed-certificate-'));
  const files = { certificate: join(folder, 'fullchain.pem'), key: join(folder, 'privkey.pem') };
  writeFileSync(files.certificate, cert);
  writeFileSync(files.key, key, { mode: 0o600 });
  return { ...files, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
